//! What a refresh may ask for.

use serde_json::json;

use crate::{
    refresh::family::{Tokens, ask, redeem_as, sign_in},
    support::{
        app::{Answer, TestApp},
        journey::{FULL_SCOPE, code_for},
    },
};

const GRANTED: &str = "openid email offline_access";

async fn granted(app: &TestApp) -> Tokens {
    let code = code_for(&mut app.browser(), "web", "bob", &[("scope", GRANTED)]).await;
    Tokens::of("web", &redeem_as(app, "web", &code).await)
}

async fn refresh_for(app: &TestApp, tokens: &Tokens, scope: &str) -> Answer {
    let form = [
        ("grant_type", "refresh_token"),
        ("refresh_token", tokens.refresh.as_str()),
        ("scope", scope),
    ];
    ask(app, "web", &form).await
}

/// RT-11: more than was granted is refused, and uses nothing up.
#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_for_more_than_was_granted_is_refused() {
    let app = TestApp::start().await;
    app.add_user("bob", &[]).await;
    let tokens = granted(&app).await;
    for wider in
        ["openid email profile offline_access", FULL_SCOPE, "profile", "admin", "OPENID", "a\"b"]
    {
        let answer = refresh_for(&app, &tokens, wider).await;
        answer.assert_error(400, "invalid_scope");
    }
    let events = app.events().await;
    let refused = events.iter().filter(|event| event.reason.as_deref() == Some("invalid_scope"));
    assert_eq!(refused.count(), 6);
    assert_eq!(app.count("refresh_tokens").await, 1);
    assert_eq!(app.count("refresh_tokens WHERE consumed_at IS NULL").await, 1);
    let next = tokens.refreshed(&app).await;
    next.assert_alive(&app).await;
    let answer = refresh_for(&app, &next, FULL_SCOPE).await;
    answer.assert_error(400, "invalid_scope");
}

/// RT-11: less narrows this access token, and the next refresh may have it all again.
#[tokio::test(flavor = "multi_thread")]
async fn a_narrower_refresh_narrows_one_access_token_and_not_the_grant() {
    let app = TestApp::start().await;
    app.add_user("bob", &[]).await;
    let tokens = granted(&app).await;

    let answer = refresh_for(&app, &tokens, "openid").await;
    assert_eq!(answer.text("scope"), "openid");
    let narrow = Tokens::of("web", &answer);
    let userinfo = app.get("/userinfo", Some(&narrow.bearer())).await.json();
    assert!(userinfo.get("email").is_none(), "{userinfo}");
    let form = [("token", narrow.access.as_str())];
    let seen = app.post_as("web", "/introspect", &form).await.json();
    assert_eq!(seen["scope"], "openid");
    let id = narrow.id.as_ref().unwrap();
    assert!(!keywright::keys::parse_unverified(id).unwrap().1.contains_key("email"));

    let answer = refresh_for(&app, &narrow, "email offline_access").await;
    let without_openid = Tokens::of("web", &answer);
    assert!(without_openid.id.is_none());
    let answer = app.get("/userinfo", Some(&without_openid.bearer())).await;
    assert_eq!(answer.status, 403);

    let full = without_openid.refreshed(&app).await;
    let userinfo = app.get("/userinfo", Some(&full.bearer())).await.json();
    assert_eq!(userinfo["email"], "bob@corp.test");
    let form = [("token", full.refresh.as_str())];
    let seen = app.post_as("web", "/introspect", &form).await.json();
    assert_eq!(seen["scope"], GRANTED);
}

/// RT-11: changes of the person show in what a refresh brings.
#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_tells_the_present_and_not_the_past() {
    let (app, upstream) = TestApp::with_upstream().await;
    let person = |groups: &[&str]| {
        json!({ "sub": "7", "preferred_username": "alice", "email": "alice@corp.test",
                "email_verified": true, "groups": groups })
    };
    upstream.set_person(person(&["staff", "admins"]));
    let before = crate::refresh::family::open_app(&app, &mut app.browser(), "web").await;
    upstream.set_person(person(&["staff"]));
    crate::refresh::family::open_app(&app, &mut app.browser(), "web").await;
    let after = before.refreshed(&app).await;
    for token in [&after.access, after.id.as_ref().unwrap()] {
        let (_, claims) = keywright::keys::parse_unverified(token).unwrap();
        assert_eq!(claims["groups"], json!(["staff"]));
    }
}

/// RT-17: public clients rotate as others do, and never need more than their id.
#[tokio::test(flavor = "multi_thread")]
async fn a_public_clients_token_rotates_too() {
    let app = TestApp::start().await;
    app.add_user("bob", &[]).await;
    for client in ["spa", "native"] {
        let first = sign_in(&app, client, "bob").await;
        let second = first.refreshed(&app).await;
        assert_ne!(first.refresh, second.refresh);
        assert_eq!(first.refreshed(&app).await.refresh, second.refresh);
        app.clock.advance(10);
        first.try_refresh(&app).await.assert_error(400, "invalid_grant");
        second.try_refresh(&app).await.assert_error(400, "invalid_grant");
    }
    let reasons = app.refusals("token").await;
    assert_eq!(reasons.iter().filter(|reason| *reason == "refresh_reuse").count(), 2);
}
