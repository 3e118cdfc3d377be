//! Personal access tokens: who makes them, what they are good for, and when they are dead.

mod exchange;
mod life;
mod making;
mod nowhere;
mod rights;
mod uses;

use serde_json::Value;

use crate::{
    refresh::outside::deployment,
    sessions::{form_token, sign_in},
    support::{
        app::{Answer, TestApp},
        browser::{Browser, Page},
    },
};

/// An app that understands scopes of its own, and one for administrators. Both take tokens in exchange.
const APPS: &str = r#"
[[clients]]
id = "notes"
name = "Notes"
secret = "notes-secret-0123456789"
redirect_uris = ["https://web.test/cb"]
grant_types = ["authorization_code", "urn:ietf:params:oauth:grant-type:token-exchange"]
scopes = ["openid", "profile", "groups", "offline_access", "notes:read", "notes:write"]
access_token_lifetime = "10m"

[[clients]]
id = "vault"
name = "Vault"
secret = "vault-secret-0123456789"
grant_types = ["urn:ietf:params:oauth:grant-type:token-exchange"]
scopes = ["openid", "groups", "vault:open"]
allowed_groups = ["admins"]
"#;
const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";

/// The house with these apps, and alice, who is an administrator.
async fn house() -> TestApp {
    let app = TestApp::builder().config(APPS).start().await;
    app.add_user("alice", &["admins"]).await;
    app
}

/// The same, twice where there can be two.
async fn houses() -> Vec<std::sync::Arc<TestApp>> {
    let instances = deployment(APPS).await;
    instances[0].add_user("alice", &["admins"]).await;
    instances
}

/// A browser at which somebody has just signed in.
async fn signed_in(app: &TestApp, username: &str) -> Browser {
    let mut browser = app.browser();
    sign_in(&mut browser, username).await;
    browser
}

/// Posts the form for a new token.
pub(crate) async fn ask_for(browser: &mut Browser, fields: &[(&str, &str)]) -> Page {
    let csrf = form_token(browser).await;
    let fields = [&[("csrf", csrf.as_str())], fields].concat();
    browser.post_form("/account/tokens", &fields).await
}

/// Makes a token for thirty days.
async fn make(browser: &mut Browser, name: &str, scopes: &[&str]) -> String {
    let scopes: Vec<String> = scopes.iter().map(|word| format!("scope.{word}")).collect();
    let mut fields = vec![("name", name), ("lifetime", "30d")];
    fields.extend(scopes.iter().map(|field| (field.as_str(), "yes")));
    secret_on(&ask_for(browser, &fields).await)
}

/// The token that a page shows.
pub(crate) fn secret_on(page: &Page) -> String {
    assert_eq!(page.status, 200, "{}", page.text());
    let text = page.text();
    let (_, rest) = text.split_once("<pre id=\"token\" dir=\"ltr\">").expect("a new token");
    rest.split('<').next().unwrap().to_owned()
}

/// A token of alice's with everything that she may give away.
async fn full_token(app: &TestApp) -> String {
    let mut browser = signed_in(app, "alice").await;
    let scopes = ["openid", "profile", "groups", "notes:read", "notes:write", "vault:open"];
    make(&mut browser, "everything", &scopes).await
}

/// What introspection says to an app.
async fn seen_by(app: &TestApp, client: &str, token: &str) -> Value {
    let answer = app.post_as(client, "/introspect", &[("token", token)]).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()
}

/// Exchanges a token as an app.
async fn exchange_as(app: &TestApp, client: &str, token: &str, more: &[(&str, &str)]) -> Answer {
    let form =
        [("grant_type", EXCHANGE), ("subject_token", token), ("subject_token_type", ACCESS_TOKEN)];
    app.post_as(client, "/token", &[&form[..], more].concat()).await
}

/// Asserts that a token is worth nothing anywhere.
async fn assert_dead(app: &TestApp, token: &str) {
    for client in ["notes", "vault", "web"] {
        let answer = app.post_as(client, "/introspect", &[("token", token)]).await;
        assert_eq!(&answer.body[..], br#"{"active":false}"#, "{client}");
    }
    exchange_as(app, "notes", token, &[]).await.assert_error(400, "invalid_request");
    let bearer = format!("Bearer {token}");
    app.get("/userinfo", Some(&bearer)).await.assert_error(401, "invalid_token");
}
