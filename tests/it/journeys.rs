//! The main job: a person signs in, an app gets tokens, the JWKS verifies them.

use serde_json::json;

use crate::support::{
    app::TestApp,
    journey::{
        NONCE, STATE, authorize_path, code_by_session, code_for, is_active, redeem, refresh,
    },
};

#[tokio::test(flavor = "multi_thread")]
async fn a_person_signs_in_at_an_upstream_and_the_app_gets_tokens() {
    let (app, upstream) = TestApp::with_upstream().await;
    upstream.set_person(json!({
        "sub": "7", "preferred_username": "alice", "email": "alice@corp.test",
        "email_verified": true, "name": "Alice Berg", "groups": ["staff"],
    }));
    let mut browser = app.browser();
    let journey = browser.visit(&authorize_path("web", &[])).await;
    assert_eq!(journey.param("state").as_deref(), Some(STATE), "{:?}", journey.hops());
    assert_eq!(journey.param("iss").as_deref(), Some("https://id.test"));

    let answer = redeem(&app, "web", &journey.param("code").unwrap()).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let (_, claims) = keywright::keys::parse_unverified(&answer.text("id_token")).unwrap();
    assert_eq!(claims["nonce"], NONCE);
    assert_eq!(claims["aud"], "web");
    assert_eq!(claims["groups"], json!(["staff"]));
    assert_eq!(claims["email_verified"], true);

    let bearer = format!("Bearer {}", answer.text("access_token"));
    let userinfo = app.get("/userinfo", Some(&bearer)).await.json();
    assert_eq!(userinfo["sub"], claims["sub"]);
    assert_eq!(userinfo["preferred_username"], "alice");

    let again = refresh(&app, "web", &answer.text("refresh_token")).await;
    assert_eq!(again.status, 200, "{again:?}");
    assert!(is_active(&app, "web", &again.text("access_token")).await);
    assert_eq!((app.count("users").await, app.count("identities").await), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_local_person_signs_in_with_a_password_and_then_silently() {
    let app = TestApp::start().await;
    app.add_user("bob", &["staff"]).await;
    let mut browser = app.browser();
    let code = code_for(&mut browser, "web", "bob", &[]).await;
    assert_eq!(redeem(&app, "web", &code).await.status, 200);
    let code = code_by_session(&mut browser, "members", &[]).await;
    assert_eq!(redeem(&app, "members", &code).await.status, 200);
}
