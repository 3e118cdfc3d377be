//! Signed tokens: which are believed, by whom, and for how long.

mod bearer;
mod claims;
mod confusion;
mod forge;
mod hints;
mod keys;
mod rotation;
mod upstream_keys;

use serde_json::{Map, Value};

use crate::{
    support::{
        app::{Answer, TestApp},
        browser::Browser,
        journey::{code_for, redeem},
    },
    upstream::Witness,
};

/// A person who has signed in, and what the app `web` got.
pub(crate) struct SignedIn {
    pub(crate) browser: Browser,
    pub(crate) code: String,
    pub(crate) access_token: String,
    pub(crate) id_token: String,
    pub(crate) refresh_token: String,
}

/// Signs bob in, who is made before.
pub(crate) async fn sign_in(app: &TestApp) -> SignedIn {
    let mut browser = app.browser();
    let code = code_for(&mut browser, "web", "bob", &[]).await;
    let tokens = redeem(app, "web", &code).await;
    SignedIn {
        browser,
        code,
        access_token: tokens.text("access_token"),
        id_token: tokens.text("id_token"),
        refresh_token: tokens.text("refresh_token"),
    }
}

/// An app with bob, who has signed in.
pub(crate) async fn app_with_bob() -> (TestApp, SignedIn) {
    let app = TestApp::start().await;
    app.add_user("bob", &["staff"]).await;
    let signed_in = sign_in(&app).await;
    (app, signed_in)
}

/// Header and claims of a token.
pub(crate) fn read(token: &str) -> (Map<String, Value>, Map<String, Value>) {
    keywright::keys::parse_unverified(token).unwrap()
}

/// `/userinfo` with this bearer token.
pub(crate) async fn userinfo(app: &TestApp, token: &str) -> Answer {
    app.get("/userinfo", Some(&format!("Bearer {token}"))).await
}

/// Expects that a token opens nothing: 401 with a challenge and one event at UserInfo, inactive and
/// nothing more at introspection.
pub(crate) async fn opens_nothing(app: &TestApp, token: &str) -> Result<(), String> {
    let witness = Witness::of(app).await;
    let answer = userinfo(app, token).await;
    let challenge = answer.headers.get("www-authenticate");
    let challenge = challenge.and_then(|value| value.to_str().ok()).unwrap_or_default();
    if answer.status != 401 || !challenge.contains("error=\"invalid_token\"") {
        return Err(format!("userinfo answers {answer:?}"));
    }
    witness.only_refusal().await?;
    let asked = app.post_as("web", "/introspect", &[("token", token)]).await;
    let said = String::from_utf8_lossy(&asked.body).into_owned();
    if asked.status != 200 || said != "{\"active\":false}" {
        return Err(format!("introspection answers {asked:?}"));
    }
    Ok(())
}
