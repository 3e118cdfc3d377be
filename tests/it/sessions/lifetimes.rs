//! When a session ends: unused, used, ended by somebody, or with the account.

use keywright::store::users;

use super::{SESSION, cookie, person_of, sign_in, sorted, stop};
use crate::support::{
    app::{Builder, TestApp},
    clock::START,
    journey::{authorize_path, code_by_session, code_for, is_active, redeem, refresh},
};

fn short_lived() -> Builder {
    let section = "[sessions]\nidle_lifetime = \"30m\"\nabsolute_lifetime = \"24h\"";
    TestApp::builder().config(section)
}

/// SS-08: a session that nobody uses ends, to the second.
#[tokio::test(flavor = "multi_thread")]
async fn an_unused_session_ends() {
    let app = short_lived().start().await;
    app.add_user("bob", &[]).await;
    let mut browser = app.browser();
    let secret = sign_in(&mut browser, "bob").await;
    for _ in 0..3 {
        app.clock.advance(30 * 60 - 1);
        assert_eq!(person_of(&app, &secret).await.as_deref(), Some("bob"), "use keeps it");
    }
    app.clock.advance(30 * 60);
    assert_eq!(person_of(&app, &secret).await, None);
    let silent = browser.visit(&authorize_path("web", &[("prompt", "none")])).await;
    assert_eq!(silent.param("error").as_deref(), Some("login_required"));
    app.clock.advance(-60);
    assert_eq!(app.count("grants").await, 0);
}

/// SS-08: no activity carries a session beyond its absolute end.
#[tokio::test(flavor = "multi_thread")]
async fn a_busy_session_ends_too() {
    let app = short_lived().start().await;
    app.add_user("bob", &[]).await;
    let mut browser = app.browser();
    let secret = sign_in(&mut browser, "bob").await;
    let max_age = browser.cookies().get(SESSION).unwrap().max_age;
    assert_eq!(max_age, Some(24 * 3_600), "the browser forgets it then");
    while app.clock.unix() + 29 * 60 < START + 24 * 3_600 - 1 {
        app.clock.advance(29 * 60);
        assert_eq!(person_of(&app, &secret).await.as_deref(), Some("bob"));
        code_by_session(&mut browser, "web", &[]).await;
    }
    app.clock.advance(START + 24 * 3_600 - 1 - app.clock.unix());
    assert_eq!(person_of(&app, &secret).await.as_deref(), Some("bob"));
    app.clock.advance(1);
    assert_eq!(person_of(&app, &secret).await, None);
}

/// SS-08: a new proof begins the time anew.
#[tokio::test(flavor = "multi_thread")]
async fn a_new_sign_in_begins_the_time_anew() {
    let app = short_lived().start().await;
    app.add_user("bob", &[]).await;
    let mut browser = app.browser();
    code_for(&mut browser, "web", "bob", &[]).await;
    for _ in 0..47 {
        app.clock.advance(30 * 60 - 1);
        assert!(person_of(&app, &cookie(&browser, SESSION)).await.is_some());
    }
    code_for(&mut browser, "web", "bob", &[("prompt", "login")]).await;
    app.clock.advance(30 * 60 - 1);
    assert!(person_of(&app, &cookie(&browser, SESSION)).await.is_some());
}

/// SS-09: once a session has ended, its cookie is nobody's, and what hangs on it is dead.
#[tokio::test(flavor = "multi_thread")]
async fn an_ended_session_does_not_live_on() {
    let app = TestApp::start().await;
    app.add_user("bob", &[]).await;
    let mut browser = app.browser();
    let code = code_for(&mut browser, "web", "bob", &[]).await;
    let tokens = redeem(&app, "web", &code).await;
    let pending = code_by_session(&mut browser, "web", &[]).await;
    let secret = cookie(&browser, SESSION);
    let mut elsewhere = app.browser();
    sign_in(&mut elsewhere, "bob").await;
    let page = elsewhere.get("/account").await;
    let page = elsewhere.submit(&page, &page.form_to("/account/sessions/end")).await;
    assert_eq!(page.status, 303, "{}", page.text());

    assert_eq!(person_of(&app, &secret).await, None);
    assert!(!is_active(&app, "web", &tokens.text("access_token")).await);
    assert!(!is_active(&app, "web", &tokens.text("refresh_token")).await);
    refresh(&app, "web", &tokens.text("refresh_token")).await.assert_error(400, "invalid_grant");
    redeem(&app, "web", &pending).await.assert_error(400, "invalid_grant");
    assert_eq!(sorted(app.refusals("token").await), ["grant_revoked", "session_ended"]);
    assert_eq!(app.count("grants").await, 1);
}

/// SS-09: not even a restart that loses all short-lived state brings it back.
#[tokio::test(flavor = "multi_thread")]
async fn a_restart_keeps_live_sessions_and_ended_ones_ended() {
    let app = TestApp::start().await;
    app.add_user("bob", &[]).await;
    let mut browser = app.browser();
    let ended = sign_in(&mut browser, "bob").await;
    let page = browser.get("/account").await;
    browser.submit(&page, &page.form_to("/logout")).await;
    let alive = sign_in(&mut browser, "bob").await;
    drop(browser);
    let app = stop(app).await.start().await;
    assert_eq!(person_of(&app, &ended).await, None);
    assert_eq!(person_of(&app, &alive).await.as_deref(), Some("bob"));
}

/// SS-10: an account that is shut is nobody's on the next request.
#[tokio::test(flavor = "multi_thread")]
async fn a_disabled_person_is_out_at_once() {
    let app = TestApp::start().await;
    let bob = app.add_user("bob", &[]).await;
    let mut browser = app.browser();
    let secret = sign_in(&mut browser, "bob").await;
    let mut connection = app.app.connection().await.unwrap();
    assert!(users::disable(&mut connection, &bob.id, app.app.now()).await.unwrap());
    drop(connection);
    assert_eq!(person_of(&app, &secret).await, None);
    let silent = browser.visit(&authorize_path("web", &[("prompt", "none")])).await;
    assert_eq!(silent.param("error").as_deref(), Some("login_required"));
    let page = browser.post_form("/account/sessions/end", &[("handle", "x")]).await;
    assert_eq!(page.status, 403, "{}", page.text());
}

/// SS-10: groups are those of this moment, not those of the sign-in.
#[tokio::test(flavor = "multi_thread")]
async fn a_group_that_is_lost_counts_no_more_at_once() {
    let (app, upstream) = TestApp::with_upstream().await;
    let person = |groups: serde_json::Value| serde_json::json!({ "sub": "7", "preferred_username": "alice", "groups": groups });
    upstream.set_person(person(serde_json::json!(["staff"])));
    let mut browser = app.browser();
    let journey = browser.visit(&authorize_path("members", &[])).await;
    assert!(journey.param("code").is_some(), "{:?}", journey.hops());
    // At another browser the upstream says that alice is no member any more.
    upstream.set_person(person(serde_json::json!([])));
    app.browser().visit(&authorize_path("web", &[])).await.landing();
    let journey = browser.visit(&authorize_path("members", &[])).await;
    assert_eq!(journey.param("error").as_deref(), Some("access_denied"), "{:?}", journey.hops());
    assert_eq!(app.refusals("authorize").await, ["access_denied"]);
}
