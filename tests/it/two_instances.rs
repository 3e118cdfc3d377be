//! Two instances behind one address share everything: people never notice which one they meet.
//!
//! Two instances need PostgreSQL and Redis; without both, the same tests show that one is refused.

use std::collections::BTreeSet;

use keywright::{config, jobs::Presence};

use crate::{
    sessions::{SESSION, cookie, person_of, sign_in},
    support::{
        app::{ISSUER, TestApp},
        browser::Browser,
        fake_upstream::FakeUpstream,
        journey::{
            authorize_path, code_by_session, code_for, is_active, redeem, refresh, sign_in_on_page,
        },
    },
};

/// Two instances, or nothing where the profile has only SQLite or in-process state.
async fn pair(upstream: &FakeUpstream) -> Option<(TestApp, TestApp)> {
    let shared = |name: &str| std::env::var(name).is_ok();
    if !shared("TEST_DATABASE_URL") || !shared("TEST_REDIS_URL") {
        return None;
    }
    let server = format!("[server]\nissuer = {ISSUER:?}\ninstances = 2");
    let one = TestApp::builder().config(&server).upstream("kc", upstream, "").start().await;
    let other = TestApp::builder().beside(&one).config(&server).upstream("kc", upstream, "");
    let other = other.start().await;
    Some((one, other))
}

/// Sends the browser's next requests to another instance.
fn meets(browser: &mut Browser, app: &TestApp) {
    browser.mount(ISSUER, app.router.clone());
}

/// What cannot be shared cannot be served by two.
#[test]
fn two_instances_without_shared_stores_are_refused() {
    let text = |database: &str, state: &str| {
        format!(
            "[server]\nissuer = \"https://id.test\"\ninstances = 2\n\
             [secrets]\nsecret_key = \"0123456789abcdef-the-secret-key-of-tests\"\n\
             [database]\nurl = {database:?}\n[state]\nurl = {state:?}"
        )
    };
    let (postgres, redis) = ("postgres://u@127.0.0.1/x", "redis://127.0.0.1:1");
    let parse = |text: &str| config::parse(text, &config::Environment::new());
    for (database, state) in
        [("sqlite:/tmp/x.db", "memory:"), ("sqlite:/tmp/x.db", redis), (postgres, "memory:")]
    {
        let problems = parse(&text(database, state)).unwrap_err().to_string();
        let at = if database == postgres { "state.url" } else { "database.url" };
        assert!(problems.contains(at), "{problems}");
        assert!(problems.contains("PostgreSQL") || problems.contains("REDIS_URL"), "{problems}");
    }
    parse(&text(postgres, redis)).unwrap();
}

/// A sign-in goes on wherever it lands: at the password form, at the upstream, with the code.
#[tokio::test(flavor = "multi_thread")]
async fn a_sign_in_begun_on_one_ends_on_the_other() {
    let upstream = FakeUpstream::start().await;
    let Some((one, other)) = pair(&upstream).await else { return };
    one.add_user("bob", &[]).await;
    let mut browser = one.browser();
    let login = browser.visit(&authorize_path("web", &[])).await;
    meets(&mut browser, &other);
    let journey = sign_in_on_page(&mut browser, &login, "bob").await;
    let code = journey.param("code").unwrap();
    let tokens = redeem(&one, "web", &code).await;
    assert_eq!(tokens.status, 200, "{tokens:?}");
    assert_eq!(refresh(&other, "web", &tokens.text("refresh_token")).await.status, 200);

    // Each hop of a federated sign-in at another instance.
    let mut browser = one.browser();
    let login = browser.visit(&authorize_path("web", &[])).await.last().clone();
    let start = login.links().into_iter().find(|l| l.path() == "/upstream/kc/start").unwrap();
    meets(&mut browser, &other);
    let mut page = browser.click(&login, start.as_str()).await;
    for (number, app) in [&one, &other, &one, &other].into_iter().cycle().take(8).enumerate() {
        let Some(to) = page.location() else { panic!("hop {number}: {}", page.text()) };
        if to.as_str().starts_with("https://web.test/") {
            break;
        }
        meets(&mut browser, app);
        page = browser.get(to.as_str()).await;
    }
    let code = page.location_param("code").unwrap();
    assert_eq!(redeem(&other, "web", &code).await.status, 200);
}

/// Tokens of one are good at the other, and both sign with the same keys.
#[tokio::test(flavor = "multi_thread")]
async fn tokens_and_keys_are_shared() {
    let upstream = FakeUpstream::start().await;
    let Some((one, other)) = pair(&upstream).await else { return };
    one.add_user("bob", &[]).await;
    let mut browser = one.browser();
    let code = code_for(&mut browser, "web", "bob", &[]).await;
    let from_one = redeem(&one, "web", &code).await;
    meets(&mut browser, &other);
    let code = code_by_session(&mut browser, "web", &[]).await;
    let from_other = redeem(&other, "web", &code).await;
    let (kids_one, kids_other): (BTreeSet<_>, BTreeSet<_>) = ["access_token", "id_token"]
        .map(|name| {
            let kid = |token: &str| {
                keywright::keys::parse_unverified(token).unwrap().0["kid"].to_string()
            };
            (kid(&from_one.text(name)), kid(&from_other.text(name)))
        })
        .into_iter()
        .unzip();
    assert_eq!(kids_one, kids_other);
    let keys = |app: &TestApp| app.app.keys.jwks(app.app.now()).0.body.clone();
    assert_eq!(keys(&one), keys(&other));
    for (app, token) in
        [(&other, from_one.text("access_token")), (&one, from_other.text("access_token"))]
    {
        assert!(is_active(app, "web", &token).await);
        let bearer = format!("Bearer {token}");
        assert_eq!(app.get("/userinfo", Some(&bearer)).await.status, 200);
    }
}

/// SS-09, LO-06: what ends on one has ended on the other, at once.
#[tokio::test(flavor = "multi_thread")]
async fn ends_are_seen_by_both_at_once() {
    let upstream = FakeUpstream::start().await;
    let Some((one, other)) = pair(&upstream).await else { return };
    one.add_user("bob", &[]).await;
    let mut browser = one.browser();
    sign_in(&mut browser, "bob").await;
    let secret = cookie(&browser, SESSION);
    assert_eq!(person_of(&other, &secret).await.as_deref(), Some("bob"));

    let code = code_by_session(&mut browser, "web", &[]).await;
    let given_back = redeem(&one, "web", &code).await.text("access_token");
    assert!(is_active(&other, "web", &given_back).await);
    let form = [("token", given_back.as_str())];
    assert_eq!(one.post_as("web", "/revoke", &form).await.status, 200);
    assert!(!is_active(&other, "web", &given_back).await);

    let code = code_by_session(&mut browser, "web", &[]).await;
    let tokens = redeem(&one, "web", &code).await;
    let page = browser.get("/logout").await;
    meets(&mut browser, &other);
    let done = browser.submit(&page, &page.form()).await;
    assert_eq!(done.status, 200, "a form of one is good at the other: {}", done.text());
    for app in [&one, &other] {
        assert_eq!(person_of(app, &secret).await, None);
        assert!(!is_active(app, "web", &tokens.text("access_token")).await);
        refresh(app, "web", &tokens.text("refresh_token")).await.assert_error(400, "invalid_grant");
    }
}

/// CD-06: a code that one has redeemed is used at the other too.
#[tokio::test(flavor = "multi_thread")]
async fn a_code_is_used_once_across_both() {
    let upstream = FakeUpstream::start().await;
    let Some((one, other)) = pair(&upstream).await else { return };
    one.add_user("bob", &[]).await;
    let mut browser = one.browser();
    let code = code_for(&mut browser, "web", "bob", &[]).await;
    let (first, second) = tokio::join!(redeem(&one, "web", &code), redeem(&other, "web", &code));
    let won = [&first, &second].into_iter().filter(|answer| answer.status == 200).count();
    assert_eq!(won, 1, "{first:?} {second:?}");
    let winner = if first.status == 200 { &first } else { &second };
    for app in [&one, &other] {
        assert!(!is_active(app, "web", &winner.text("access_token")).await);
    }
    assert_eq!(one.count("grants").await, 1);
}

/// The brakes count together.
#[tokio::test(flavor = "multi_thread")]
async fn guesses_at_both_count_together() {
    let upstream = FakeUpstream::start().await;
    let Some((one, other)) = pair(&upstream).await else { return };
    one.add_user("bob", &[]).await;
    let mut browser = one.browser();
    let login = browser.visit(&authorize_path("web", &[])).await.last().clone();
    let mut statuses = Vec::new();
    for number in 0..21 {
        meets(&mut browser, if number % 2 == 0 { &one } else { &other });
        // Five tries at an account, and twenty from a network.
        let name = if number < 7 { "bob".to_owned() } else { format!("nobody{number}") };
        let form = login.form_to("/login").fill("username", &name).fill("password", "wrong");
        statuses.push(browser.submit(&login, &form).await.status);
    }
    assert_eq!(statuses[..5], [400; 5]);
    assert_eq!(statuses[5..7], [429; 2]);
    assert_eq!(statuses[7..20], [400; 13]);
    assert_eq!(statuses[20], 429);
}

/// FT-54: a server with another issuer does not join those that run; one that has ended, or was killed
/// and has not been seen for half a minute, keeps nobody away.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_with_another_issuer_does_not_join() {
    if std::env::var("TEST_DATABASE_URL").is_err() {
        // A file of SQLite is locked by its one server.
        return;
    }
    let one = TestApp::start().await;
    let presence = Presence::begin(&one.app).await.unwrap();
    let elsewhere = "[server]\nissuer = \"https://other.test\"";
    let other = TestApp::builder().beside(&one).config(elsewhere).start().await;
    let refusal = Presence::begin(&other.app).await.unwrap_err().to_string();
    for word in ["server.issuer", "https://other.test", ISSUER, "stop that one first"] {
        assert!(refusal.contains(word), "{refusal}");
    }
    assert_eq!(one.count("instances").await, 1);
    let same = TestApp::builder().beside(&one).start().await;
    let second = Presence::begin(&same.app).await.unwrap();
    assert_eq!(one.count("instances").await, 2);

    presence.end(&one.app).await.unwrap();
    Presence::begin(&other.app).await.unwrap_err();
    second.end(&same.app).await.unwrap();
    let third = Presence::begin(&other.app).await.unwrap();
    drop(third);
    Presence::begin(&one.app).await.unwrap_err();
    one.clock.advance(31);
    Presence::begin(&one.app).await.unwrap();
}
