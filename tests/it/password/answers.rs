//! One answer for every failure, whatever is typed.

use axum::http::HeaderMap;
use keywright::{
    config,
    store::users::{self, Profile},
};
use serde_json::json;

use super::{Attempt, WRONG};
use crate::{
    sessions::{SESSION, form_token, sign_in, stop},
    support::{
        app::{Builder, TestApp},
        fake_upstream::FakeUpstream,
        journey::authorize_path,
    },
};

/// An upstream-only person `alice`, a disabled `carol`, and `robin`: names of one length, so that
/// whole answers can be compared.
async fn people(app: &TestApp) {
    app.browser().visit(&authorize_path("web", &[])).await.landing();
    app.add_user("robin", &["staff"]).await;
    let carol = app.add_user("carol", &[]).await;
    let mut connection = app.app.connection().await.unwrap();
    assert!(users::disable(&mut connection, &carol.id, app.app.now()).await.unwrap());
}

/// PW-07: an unknown person, a wrong password, a shut account and an account without a password get
/// the same answer, to the byte; and as many questions are asked of the database.
#[tokio::test(flavor = "multi_thread")]
async fn every_failure_gets_the_same_answer() {
    let (app, _upstream) = TestApp::with_upstream().await;
    people(&app).await;
    // Whether there are local accounts is looked up once a second.
    app.clock.advance(1);
    let mut attempt = Attempt::begin(&app).await;
    let sessions = app.count("sessions").await;
    let mut seen: Vec<(u16, HeaderMap, String, u64)> = Vec::new();
    let tries = [
        ("nobod", "nobody-password"),
        ("robin", "wrong-password"),
        ("carol", "carol-password"),
        ("alice", "alice-password"),
        ("alice", ""),
    ];
    for (username, password) in tries {
        app.app.audit.flush().await;
        let before = app.app.store.statements();
        let page = attempt.try_with(username, password).await;
        app.app.audit.flush().await;
        let asked = app.app.store.statements() - before;
        let text = page.text().replace(&format!("value=\"{username}\""), "value=\"NAME\"");
        assert!(text.contains(WRONG) && text.contains("value=\"NAME\""), "{text}");
        seen.push((page.status, page.headers.clone(), text, asked));
    }
    assert_eq!(seen[0].0, 400);
    for other in &seen[1..] {
        assert_eq!(other, &seen[0]);
    }
    assert_eq!(app.refusals("sign_in").await, ["wrong_password"; 5]);
    assert_eq!(app.count("sessions").await, sessions);
    assert!(attempt.browser.cookies().get(SESSION).is_none());
    assert!(attempt.succeeds("robin", "robin-password").await, "the sign-in goes on afterwards");
}

/// A username counts in any case and with spaces around it, as people type it.
#[tokio::test(flavor = "multi_thread")]
async fn usernames_are_found_as_people_type_them() {
    let app = TestApp::start().await;
    app.add_user("bob", &[]).await;
    for username in ["bob", "BOB", " bob ", "\u{ff42}ob"] {
        assert!(Attempt::begin(&app).await.succeeds(username, "bob-password").await, "{username}");
    }
    for username in ["bo b", "bob.", "b\u{f6}b", "bob\u{200b}"] {
        let mut attempt = Attempt::begin(&app).await;
        assert!(!attempt.succeeds(username, "bob-password").await, "{username}");
    }
}

async fn set_email(app: &TestApp, user: &users::User, email: &str, verified: Option<bool>) {
    let profile = Profile {
        email: Some(email.to_owned()),
        email_key: Some(email.to_lowercase()),
        email_verified: verified,
        ..user.profile()
    };
    let mut connection = app.app.connection().await.unwrap();
    users::update_profile(&mut connection, &user.id, &profile, app.app.now()).await.unwrap();
}

/// An address signs in when it is verified and one account's alone.
#[tokio::test(flavor = "multi_thread")]
async fn a_verified_address_of_one_account_signs_in() {
    let app = TestApp::start().await;
    let bob = app.add_user("bob", &[]).await;
    let mallory = app.add_user("mallory", &[]).await;
    for address in ["bob@corp.test", "BOB@Corp.Test", " bob@corp.test "] {
        assert!(Attempt::begin(&app).await.succeeds(address, "bob-password").await, "{address}");
    }
    // Somebody else claims the address without proof: that changes nothing for bob.
    set_email(&app, &mallory, "bob@corp.test", Some(false)).await;
    assert!(Attempt::begin(&app).await.succeeds("bob@corp.test", "bob-password").await);
    assert!(!Attempt::begin(&app).await.succeeds("bob@corp.test", "mallory-password").await);
    // Two accounts with one proved address: neither is meant.
    set_email(&app, &mallory, "bob@corp.test", Some(true)).await;
    assert!(!Attempt::begin(&app).await.succeeds("bob@corp.test", "bob-password").await);
    assert!(!Attempt::begin(&app).await.succeeds("bob@corp.test", "mallory-password").await);
    set_email(&app, &mallory, "mallory@corp.test", Some(true)).await;
    for unproved in [Some(false), None] {
        set_email(&app, &bob, "bob@corp.test", unproved).await;
        assert!(!Attempt::begin(&app).await.succeeds("bob@corp.test", "bob-password").await);
    }
    assert!(Attempt::begin(&app).await.succeeds("bob", "bob-password").await);
}

const MANY: &str = "[rate_limits]\nsign_in_per_minute = 1000\nfailed_accounts_per_network = 1000";

/// IJ-07, IJ-08, IJ-15: whatever is typed as a name is a wrong name, and nothing else.
#[tokio::test(flavor = "multi_thread")]
async fn hostile_usernames_and_passwords_are_wrong_and_break_nothing() {
    let app = TestApp::builder().config(MANY).start().await;
    app.add_user("bob", &[]).await;
    let long = "x".repeat(10_000);
    let names = [
        "\0",
        "bob\0",
        "\u{0}bob@corp.test",
        long.as_str(),
        "' OR '1'='1' --",
        "bob'; DROP TABLE users; --",
        "%",
        "_ob",
        "bob\r\nset-cookie: a=b",
        "\u{202e}bob\u{202c}",
        "\u{1b}[31mbob",
        "<script>alert(1)</script>",
        "\" onfocus=\"alert(1)",
        "{{7*7}}",
        "../../bob",
        "@",
        "@corp.test",
        "a@b@corp.test",
        "\u{1f511}\u{1f511}",
        "a\u{300}\u{301}\u{302}",
        " ",
    ];
    for name in names {
        // Several of these are one name: what was wrong before is forgotten.
        app.clock.advance(2 * 3_600 + 1);
        let mut attempt = Attempt::begin(&app).await;
        for password in ["x", "\0", "\u{202e}", long.as_str(), ""] {
            let page = attempt.try_with(name, password).await;
            assert_eq!(page.status, 400, "{name:?} {password:?}: {}", page.text());
            assert!(page.text().contains(WRONG), "{name:?}");
            assert!(page.set_cookies().is_empty());
            assert!(!page.text().contains("<script>alert"));
            assert!(!page.text().contains(" onfocus=\""), "{}", page.text());
            let form = page.form_to("/login");
            assert!(form.value("username").unwrap().chars().count() <= 320);
            assert_eq!(form.value("password"), Some(""), "a password never comes back");
        }
    }
    let events = app.events().await;
    let refused: Vec<_> = events.iter().filter(|event| event.action == "sign_in").collect();
    assert_eq!(refused.len(), names.len() * 5);
    for event in refused {
        assert_eq!(event.reason.as_deref(), Some("wrong_password"));
        // What somebody typed where there is no account may have been a password (LG-01).
        assert_eq!((event.detail.as_str(), event.address.is_some()), ("{}", true), "{event:?}");
    }
    assert_eq!(app.count("users").await, 1);
    app.clock.advance(2 * 3_600 + 1);
    assert!(Attempt::begin(&app).await.succeeds("bob", "bob-password").await);
}

/// PW-06: a password is taken as it is typed: no part of it is cut off or changed.
#[tokio::test(flavor = "multi_thread")]
async fn a_password_counts_whole() {
    let app = TestApp::start().await;
    app.add_user("bob", &[]).await;
    let mut attempt = Attempt::begin(&app).await;
    for near in ["bob-password ", " bob-password", "BOB-PASSWORD", "bob-passwor", "bob-password\0"]
    {
        assert!(!attempt.succeeds("bob", near).await, "{near:?}");
    }
    app.clock.advance(1);
    assert!(attempt.succeeds("bob", "bob-password").await);
}

const OFF: &str = "[passwords]\nlogin = \"off\"\nargon2_memory_kib = 64\nargon2_passes = 1";

/// `passwords.login = "off"`: there is no form, and a POST is refused all the same.
#[tokio::test(flavor = "multi_thread")]
async fn with_passwords_off_neither_form_nor_post_is_there() {
    let upstream = FakeUpstream::start().await;
    let app = TestApp::builder().config(OFF).upstream("kc", &upstream, "").start().await;
    app.add_user("bob", &[]).await;
    let mut browser = app.browser();
    browser.visit(&authorize_path("web", &[])).await.landing();
    let token = form_token(&mut browser).await;
    let secret = crate::sessions::cookie(&browser, SESSION);
    let page = browser.visit(&authorize_path("web", &[("prompt", "select_account")])).await;
    let page = page.last().clone();
    assert_eq!((page.status, page.url.path()), (200, "/login"));
    assert!(page.forms().is_empty() && !page.text().contains("password"), "{}", page.text());

    let path = format!("/login?{}", page.url.query().unwrap());
    let fields = [("csrf", token.as_str()), ("username", "bob"), ("password", "bob-password")];
    let refused = browser.post_form(&path, &fields).await;
    assert_eq!(refused.status, 403, "{}", refused.text());
    assert!(refused.text().contains("code: password_login_off"));
    assert!(refused.set_cookies().is_empty());
    assert_eq!(app.refusals("sign_in").await, ["password_login_off"]);
    assert_eq!(crate::sessions::cookie(&browser, SESSION), secret);
    assert_eq!(app.count("sessions").await, 1);
}

fn closed(builder: Builder, upstream: &FakeUpstream) -> Builder {
    builder
        .config("[signup]\nlocal = \"closed\"\nfederated = \"closed\"")
        .upstream("kc", upstream, "")
}

/// `DISABLE_SIGNUP` closes the door to new people, and not to those who are here.
#[tokio::test(flavor = "multi_thread")]
async fn closing_sign_up_does_not_stop_existing_people() {
    let env = [("DISABLE_SIGNUP".to_owned(), "true".to_owned())].into_iter().collect();
    let signup = config::parse("", &env).unwrap().signup;
    let closed_mode = config::SignupMode::Closed;
    assert_eq!((signup.local, signup.federated), (closed_mode, closed_mode));

    let upstream = FakeUpstream::start().await;
    let app = TestApp::builder().upstream("kc", &upstream, "").start().await;
    app.browser().visit(&authorize_path("web", &[])).await.landing();
    app.add_user("bob", &[]).await;
    let app = closed(stop(app).await, &upstream).start().await;

    sign_in(&mut app.browser(), "bob").await;
    let mut alice = app.browser();
    let page = alice.visit("/account").await;
    let start = page.last().links().into_iter().find(|link| link.path() == "/upstream/kc/start");
    let page = alice.click(page.last(), start.unwrap().as_str()).await;
    let page = alice.follow(page).await;
    assert_eq!(page.last().url.path(), "/account", "{:?}", page.hops());

    upstream.set_person(json!({ "sub": "new", "preferred_username": "newcomer" }));
    let mut newcomer = app.browser();
    let page = newcomer.visit("/account").await;
    let start = page.last().links().into_iter().find(|link| link.path() == "/upstream/kc/start");
    let page = newcomer.click(page.last(), start.unwrap().as_str()).await;
    let page = newcomer.follow(page).await;
    assert_eq!(page.last().status, 403, "{}", page.last().text());
    assert!(newcomer.cookies().get(SESSION).is_none());
    assert_eq!((app.count("users").await, app.count("identities").await), (2, 1));
}
