//! Settings that say no, and keys that are replaced.

use keywright::config::{self, Config, Environment, SignupMode};

use super::gets_in;
use crate::{
    refresh::{
        family::sign_in_with,
        outside::{texts, verb},
    },
    second_factor::{first_step, give, set_up},
    sessions::sign_in,
    support::{
        app::{Builder, TestApp},
        database::SECRET_KEY,
        inbox::{Inbox, link_in},
    },
};

/// Every simple setting of the reference with a default: section, name, default as TOML.
fn settings_with_defaults() -> Vec<(String, String, String)> {
    let reference = config::reference_markdown();
    let mut found = Vec::new();
    let mut section = String::new();
    for line in reference.lines() {
        if let Some(title) = line.strip_prefix("## `") {
            title.trim_end_matches('`').clone_into(&mut section);
        }
        let cells: Vec<&str> = line.split(" | ").collect();
        // Tables of lists need more than one setting to be read at all.
        let in_list = section.starts_with("[[") || section.contains("upstreams");
        if cells.len() < 4 || in_list || section.contains("clients") {
            continue;
        }
        let name = cells[0].split('`').nth(1);
        let default = cells[2].strip_prefix('`').and_then(|cell| cell.strip_suffix('`'));
        if let (Some(name), Some(default)) = (name, default) {
            let section = section.trim_matches(['[', ']']).to_owned();
            found.push((section, name.to_owned(), default.to_owned()));
        }
    }
    found
}

/// What says no of the same kind, where there is something.
fn falsy(default: &str) -> Option<&'static str> {
    let bare = default.trim_matches('"');
    let is_span = default.starts_with('"')
        && bare.len() > 1
        && bare[..bare.len() - 1].bytes().all(|byte| byte.is_ascii_digit());
    match default {
        "true" => Some("false"),
        "false" | "0" | "\"\"" | "[]" => None,
        _ if default.bytes().all(|byte| byte.is_ascii_digit()) => Some("0"),
        _ if is_span && !bare.starts_with('0') => Some("\"0s\""),
        _ if default.starts_with('[') => Some("[]"),
        _ if default.starts_with('"') && bare == "on" => Some("\"off\""),
        _ => None,
    }
}

fn parse(text: &str, environment: &[(&str, &str)]) -> Result<String, String> {
    let mut environment: Environment =
        environment.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
    environment.insert("SECRET_KEY".to_owned(), SECRET_KEY.to_owned());
    let parsed = config::parse(text, &environment);
    parsed.map(|config: Config| format!("{config:?}")).map_err(|problems| problems.to_string())
}

/// Trap 9. `false`, `0`, nothing and `off` are values: whoever writes one gets it, in the file as in the
/// environment, or is told that it cannot be. No setting falls back to its default in silence.
#[test]
fn what_says_no_overrides_a_default_that_says_yes() {
    let usual = parse("", &[]).unwrap();
    let mut overridden = 0;
    for (section, name, default) in settings_with_defaults() {
        let Some(no) = falsy(&default) else { continue };
        let at = format!("{section}.{name}");
        let by_file = parse(&format!("[{section}]\n{name} = {no}\n"), &[]);
        let path = at.to_uppercase().replace('.', "__");
        let variable = format!("KEYWRIGHT_{path}");
        let by_environment = parse("", &[(&variable, no.trim_matches('"'))]);
        assert_eq!(by_file, by_environment, "{variable}");
        // And the environment wins over a file that says the default.
        let text = format!("[{section}]\n{name} = {default}\n");
        assert_eq!(parse(&text, &[(&variable, no.trim_matches('"'))]), by_environment, "{at}");
        match by_file {
            Ok(config) => {
                assert_ne!(config, usual, "{at} = {no} was not heard");
                overridden += 1;
            }
            Err(problems) => assert!(problems.contains(&at), "{at} = {no}: {problems}"),
        }
    }
    assert!(overridden >= 10, "only {overridden} settings can say no");
}

/// Trap 9. The switch of the environment shuts, also where the file opens; and saying that it does not
/// shut leaves the doors as the file has them.
#[test]
fn a_switch_that_is_off_is_no_switch_that_is_missing() {
    let open = "[signup]\nlocal = \"open\"\nfederated = \"open\"\n";
    let with = |text: &str, value: &str| {
        let environment = [("DISABLE_SIGNUP", value)];
        let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned()));
        config::parse(text, &environment.into_iter().collect()).unwrap().signup
    };
    assert_eq!(with(open, "true").local, SignupMode::Closed);
    assert_eq!(with(open, "false").local, SignupMode::Open);
    let shut = format!("{open}disabled = true\n");
    let opened = with(&shut, "false");
    assert_eq!((opened.disabled, opened.local), (false, SignupMode::Open));
}

const OTHER_KEY: &str = "another-secret-key-of-tests-fedcba9876543210";

/// Starts the house anew under these secret keys.
async fn restarted(app: TestApp, builder: Builder) -> TestApp {
    let builder = builder.beside(&app);
    let tasks = app.app.tasks.clone();
    app.app.audit.flush().await;
    drop(app);
    tasks.close();
    tasks.wait().await;
    builder.start().await
}

/// Whether bob's second factor can still be read.
async fn second_factor_works(app: &TestApp, authenticator: &crate::second_factor::Authenticator) {
    let mut browser = app.browser();
    let page = first_step(&mut browser, &[]).await;
    let answer = give(&mut browser, &page, &authenticator.code(app)).await;
    assert!(browser.follow(answer).await.param("code").is_some());
    app.clock.advance(60);
}

/// Trap 16. Whatever is encrypted stays readable when signing keys are replaced, all of them and at once:
/// they encrypt nothing.
#[tokio::test(flavor = "multi_thread")]
async fn replaced_signing_keys_leave_everything_readable() {
    let inbox = Inbox::open();
    let app = inbox.builder("").start().await;
    // The command line makes keys by the clock of this computer.
    let real = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    app.clock.advance(i64::try_from(real.as_secs()).unwrap() + 60 - app.clock.unix());
    app.add_user("bob", &[]).await;
    app.add_user("alice", &[]).await;
    let tokens = sign_in_with(&app, &mut app.browser(), "web", "alice").await;
    let mut browser = app.browser();
    sign_in(&mut browser, "bob").await;
    let (authenticator, _) = set_up(&app, &mut browser).await;
    let page = browser.get("/recovery").await;
    browser.submit(&page, &page.form_to("/recovery").fill("username", "alice")).await;
    keywright::jobs::answer_recoveries(&app.app).await.unwrap();
    drop(browser);

    let keys = texts(&app, "SELECT id AS value FROM signing_keys").await;
    verb(&app, &["key", "rotate"], "").await;
    for key in &keys {
        verb(&app, &["key", "drop", "--", key], "").await;
    }
    let app = restarted(app, inbox.builder("")).await;
    second_factor_works(&app, &authenticator).await;
    let link = link_in(&inbox.newest(&app, "alice@corp.test").await);
    assert_eq!(app.browser().visit(&link).await.last().status, 200, "a mail that waited");
    let refreshed = tokens.refreshed(&app).await;
    refreshed.assert_alive(&app).await;
    assert_eq!(app.get("/userinfo", Some(&tokens.bearer())).await.status, 401);
}

/// Trap 16. The secret key is replaced in two steps, and nothing is lost at any of them.
#[tokio::test(flavor = "multi_thread")]
async fn a_replaced_secret_key_leaves_everything_readable() {
    let inbox = Inbox::open();
    let app = inbox.builder("").start().await;
    app.add_user("bob", &[]).await;
    app.add_user("alice", &[]).await;
    let tokens = sign_in_with(&app, &mut app.browser(), "web", "alice").await;
    let mut browser = app.browser();
    sign_in(&mut browser, "bob").await;
    let (authenticator, _) = set_up(&app, &mut browser).await;
    let page = browser.get("/recovery").await;
    browser.submit(&page, &page.form_to("/recovery").fill("username", "alice")).await;
    keywright::jobs::answer_recoveries(&app.app).await.unwrap();
    drop(browser);

    let both =
        format!("[secrets]\nsecret_key = {OTHER_KEY:?}\nprevious_secret_keys = [{SECRET_KEY:?}]\n");
    let app = restarted(app, inbox.builder(&both)).await;
    let link = link_in(&inbox.newest(&app, "alice@corp.test").await);
    assert_eq!(app.browser().visit(&link).await.last().status, 200, "a mail that waited");
    second_factor_works(&app, &authenticator).await;
    let tokens = tokens.refreshed(&app).await;
    tokens.assert_alive(&app).await;

    let alone = format!("[secrets]\nsecret_key = {OTHER_KEY:?}\n");
    let app = restarted(app, inbox.builder(&alone)).await;
    second_factor_works(&app, &authenticator).await;
    tokens.refreshed(&app).await.assert_alive(&app).await;
    assert!(gets_in(&app, "alice", "alice-password").await);
}
