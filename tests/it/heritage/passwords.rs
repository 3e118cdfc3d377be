//! Passwords: where there are none, and how they change.

use super::{NEW, gets_in, try_password};
use crate::{
    sessions::{SESSION, form_token, person_of, sign_in},
    support::{
        app::TestApp,
        fake_upstream::FakeUpstream,
        inbox::{Inbox, link_in},
        journey::{authorize_path, code_for, redeem, refresh},
    },
};

const OFF: &str = "[passwords]\nlogin = \"off\"\nargon2_memory_kib = 64\nargon2_passes = 1";

/// Trap 6. With passwords switched off neither the form's address nor the token endpoint takes one,
/// right as it is, nor does any page on which one is made or changed.
#[tokio::test(flavor = "multi_thread")]
async fn where_passwords_are_off_none_is_taken_anywhere() {
    let upstream = FakeUpstream::start().await;
    let app = TestApp::builder().config(OFF).upstream("kc", &upstream, "").start().await;
    app.add_user("bob", &[]).await;
    let mut browser = app.browser();
    browser.visit(&authorize_path("web", &[])).await.landing();
    let csrf = form_token(&mut browser).await;
    let page = browser.visit(&authorize_path("web", &[("prompt", "select_account")])).await;
    let flow = page.last().url.query().unwrap().to_owned();
    assert!(!page.last().text().contains("password"), "{}", page.last().text());
    let sessions = app.count("sessions").await;

    let fields = [("csrf", csrf.as_str()), ("username", "bob"), ("password", "bob-password")];
    let posted = browser.post_form(&format!("/login?{flow}"), &fields).await;
    assert_eq!(posted.status, 403, "{}", posted.text());
    assert!(posted.text().contains("code: password_login_off"), "{}", posted.text());
    for path in ["/account/password", "/recovery", "/signup"] {
        let fields = [&fields[..], &[("current", "bob-password")]].concat();
        let answer = browser.post_form(path, &fields).await;
        assert!(answer.status >= 400 && answer.status < 500, "{path}: {}", answer.text());
        assert_eq!(browser.get(path).await.location_param("code"), None, "{path}");
    }
    let form = [("grant_type", "password"), ("username", "bob"), ("password", "bob-password")];
    let answer = app.post_as("web", "/token", &form).await;
    answer.assert_error(400, "unsupported_grant_type");
    assert_eq!((app.count("sessions").await, app.count("users").await), (sessions, 2));
    let refusals = app.refusals("sign_in").await;
    assert!(refusals.contains(&"password_login_off".to_owned()), "{refusals:?}");
}

/// Trap 7. The new password in both fields is no proof that somebody knows the former one.
#[tokio::test(flavor = "multi_thread")]
async fn the_same_new_password_twice_proves_nothing() {
    let app = TestApp::start().await;
    app.add_user("bob", &[]).await;
    let mut browser = app.browser();
    sign_in(&mut browser, "bob").await;
    for same in [NEW, "x", ""] {
        let page = browser.get("/account/password").await;
        let form = page.form_to("/account/password").fill("current", same).fill("password", same);
        assert_eq!(browser.submit(&page, &form).await.status, 422, "{same:?}");
    }
    assert!(gets_in(&app, "bob", "bob-password").await && !gets_in(&app, "bob", NEW).await);
}

/// Trap 7. An address that is not proved yet neither signs in nor gets anybody back into the account;
/// the one before it does both until then.
#[tokio::test(flavor = "multi_thread")]
async fn an_address_counts_when_it_is_proved() {
    let inbox = Inbox::open();
    let app = inbox.builder("").start().await;
    app.add_user("bob", &[]).await;
    let mut browser = app.browser();
    sign_in(&mut browser, "bob").await;
    let page = browser.get("/account/email").await;
    let form = page.form_to("/account/email").fill("email", "new@corp.test");
    assert_eq!(browser.submit(&page, &form).await.status, 200);
    assert!(gets_in(&app, "bob@corp.test", "bob-password").await);
    assert!(!gets_in(&app, "new@corp.test", "bob-password").await);
    for (typed, mails) in [("new@corp.test", 0), ("bob@corp.test", 1)] {
        let mut browser = app.browser();
        let page = browser.get("/recovery").await;
        let form = page.form_to("/recovery").fill("username", typed);
        browser.submit(&page, &form).await;
        let all = inbox.all(&app).await;
        let ways_back = all.iter().filter(|mail| mail.header("Subject").contains("Get back"));
        assert_eq!(ways_back.count(), mails, "{typed}");
    }
}

/// Trap 7. Whoever was signed in before a reset is so no longer, here and in the apps; and the reset
/// itself signs nobody in.
#[tokio::test(flavor = "multi_thread")]
async fn a_reset_ends_every_session() {
    let inbox = Inbox::open();
    let app = inbox.builder("").start().await;
    app.add_user("bob", &[]).await;
    let thief = sign_in(&mut app.browser(), "bob").await;
    let code = code_for(&mut app.browser(), "web", "bob", &[]).await;
    let token = redeem(&app, "web", &code).await.text("refresh_token");

    let mut browser = app.browser();
    let page = browser.get("/recovery").await;
    let form = page.form_to("/recovery").fill("username", "bob");
    browser.submit(&page, &form).await;
    let link = link_in(&inbox.newest(&app, "bob@corp.test").await);
    let page = browser.visit(&link).await.last().clone();
    let form = page.form_to("/recovery/password").fill("password", NEW);
    assert_eq!(browser.submit(&page, &form).await.status, 200);
    assert!(browser.cookies().get(SESSION).is_none());
    assert_eq!(person_of(&app, &thief).await, None);
    refresh(&app, "web", &token).await.assert_error(400, "invalid_grant");
    assert_eq!(app.count("sessions WHERE ended_at IS NULL").await, 0);
    assert_eq!(try_password(&app, "bob", "bob-password").await.status, 400);
    assert!(gets_in(&app, "bob", NEW).await);
}
