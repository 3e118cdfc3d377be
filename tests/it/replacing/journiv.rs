//! An app with pages of its own and one identity provider beside its passwords: switches for both, and
//! everything that was asked of them.

use axum::http::Method;
use serde_json::json;

use super::{PASSWORD, System, call, refused, row};
use crate::{
    refresh::outside::verb,
    support::{
        app::TestApp,
        browser::Page,
        fake_upstream::FakeUpstream,
        journey::{authorize_path, code_for, redeem},
    },
    upstream::gets_in,
};

const JOURNIV: &str = r#"
[rate_limits]
sign_in_per_minute = 1000

[[clients]]
id = "journiv"
name = "Journiv"
type = "public"
redirect_uris = ["https://journiv.test/cb"]
api = true
"#;
const OPEN: &str = "[signup]\nlocal = \"open\"";

/// What somebody who is unknown here meets when they come from the upstream.
async fn comes(app: &TestApp, upstream: &FakeUpstream, who: &str) -> bool {
    upstream.set_person(json!({
        "sub": who, "preferred_username": who, "email": format!("{who}@corp.test"),
        "email_verified": true,
    }));
    gets_in(app, "kc").await.is_ok()
}

async fn form_for(app: &TestApp) -> Page {
    app.browser().get("/signup").await
}

#[tokio::test(flavor = "multi_thread")]
async fn both_switches_are_independent_and_enforced() {
    let upstream = FakeUpstream::start().await;
    let app = TestApp::builder().upstream("kc", &upstream, "").config(JOURNIV).config(OPEN);
    let app = app.start().await;
    let system = System { app: &app, client: "journiv" };

    row("the app asks what it may offer");
    let instance = call(&app, (Method::GET, "/instance?client_id=journiv"), &[], &json!({})).await;
    assert_eq!(instance.status, 200, "{instance:?}");
    let told = instance.json();
    assert_eq!(told["sign_up"]["mode"], "open");
    assert_eq!(told["sign_in"]["upstreams"][0]["slug"], "kc");

    row("sign-up by form, closed while the server runs: page, POST and API alike");
    assert_eq!(system.sign_up("jo", PASSWORD).await.status, 201);
    verb(&app, &["signup", "set", "--local", "closed"], "").await;
    app.app.rules.look(&app.app.store).await.unwrap();
    assert_eq!(form_for(&app).await.status, 403);
    assert_eq!(system.sign_up("jim", PASSWORD).await.status, 403);
    let told = call(&app, (Method::GET, "/instance?client_id=journiv"), &[], &json!({})).await;
    assert_eq!(told.json()["sign_up"]["mode"], "closed");

    row("people of the upstream still come for the first time");
    assert!(comes(&app, &upstream, "una").await);

    row("that is switched off by itself; who is known still gets in");
    verb(&app, &["signup", "set", "--federated", "closed"], "").await;
    app.app.rules.look(&app.app.store).await.unwrap();
    assert!(!comes(&app, &upstream, "ugo").await);
    assert!(comes(&app, &upstream, "una").await);
    assert_eq!(app.count("users").await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn passwords_are_switched_off_for_every_caller() {
    let upstream = FakeUpstream::start().await;
    let off = "[passwords]\nlogin = \"off\"\nargon2_memory_kib = 64\nargon2_passes = 1";
    let app = TestApp::builder().upstream("kc", &upstream, "").config(JOURNIV).config(off);
    let app = app.start().await;
    let system = System { app: &app, client: "journiv" };
    app.add_user("jo", &[]).await;

    row("no password is taken by page, by POST or by the API");
    let mut browser = app.browser();
    let page = browser.get(&authorize_path("web", &[])).await;
    let fields = [("username", "jo"), ("password", "jo-password")];
    let answer = browser.post_form("/login", &fields).await;
    assert!((400..500).contains(&answer.status), "{}", answer.text());
    assert!(!page.text().contains("type=\"password\""));
    refused(&system.sign_in("jo", "jo-password").await, 403, "password_login_off");
    assert_eq!(app.count("sessions").await, 0);

    row("everybody is led to the one way that there is");
    assert!(comes(&app, &upstream, "una").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_end_when_they_should() {
    let app = TestApp::builder().config(JOURNIV).start().await;
    let system = System { app: &app, client: "journiv" };
    app.add_user("jo", &[]).await;

    row("one answer for all failures, and a brake of one's own");
    refused(&system.sign_in("nobody", "jo-password").await, 401, "invalid_credentials");
    refused(&system.sign_in("jo", "wrong").await, 401, "invalid_credentials");

    row("the app's tokens end with the account");
    let tokens = system.tokens("jo", "jo-password").await;
    let code = code_for(&mut app.browser(), "web", "jo", &[]).await;
    let redeemed = redeem(&app, "web", &code).await;
    crate::refresh::outside::user_verb(&app, &["disable", "jo"], "").await;
    refused(&system.refresh(&tokens.refresh).await, 401, "invalid_grant");
    for access in [tokens.access, redeemed.text("access_token")] {
        assert_eq!(app.get("/userinfo", Some(&format!("Bearer {access}"))).await.status, 401);
    }
}
