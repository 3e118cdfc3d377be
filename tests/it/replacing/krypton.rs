//! Middleware for apps in the browser: a refresh cookie, an access token in the page, both for what
//! matters, fields of its own, and links by mail.

use axum::http::Method;
use serde_json::json;

use super::{ANOTHER, PASSWORD, page::Page, refused, row};
use crate::support::{
    app::{Answer, TestApp},
    inbox::{Inbox, link_in},
};

const KRYPTON: &str = r#"
[signup]
local = "open"
email = "required"

[rate_limits]
sign_in_per_minute = 1000

[[attributes]]
name = "age"
label = "Age"
type = "number"
visibility = "public"

[[clients]]
id = "krypton"
name = "Krypton"
type = "public"
redirect_uris = ["https://krypton.test/cb"]
session_token = true
api = true
access_token_lifetime = "15m"
claims = [{ name = "age", attribute = "age" }, { name = "_id", from = "sub" }]
"#;

const fn page(app: &TestApp) -> Page<'_> {
    Page { app, client: "krypton", origin: "https://krypton.test", cookie: None, access: None }
}

async fn sign_in(page: &mut Page<'_>, password: &str) -> Answer {
    page.sign_in("kim@corp.test", password).await
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_keep_a_cookie_and_show_both_tokens() {
    let inbox = Inbox::open();
    let app = inbox.builder(KRYPTON).start().await;
    let mut page = page(&app);

    row("sign-up with an address, which is confirmed by a link that needs a POST");
    let wanting = json!({ "username": "kim", "email": "kim@corp.test", "password": PASSWORD });
    assert_eq!(page.post("/signup", wanting).await.status, 201);
    let mail = inbox.newest(&app, "kim@corp.test").await;
    let ours = format!("{}/verify-email?", crate::support::app::ISSUER);
    assert!(mail.text().contains(&ours), "{}", mail.text());
    let link = link_in(&mail);
    let mut browser = app.browser();
    let opened = browser.visit(&link).await.last().clone();
    assert_eq!(app.count("users WHERE email_verified").await, 0, "looking confirms nothing");
    browser.submit(&opened, &opened.form_to("/verify-email")).await;
    assert_eq!(app.count("users WHERE email_verified").await, 1);

    row("sign-in by address: the refresh token is a cookie, the access token in the page");
    assert_eq!(sign_in(&mut page, PASSWORD).await.status, 200);
    assert!(page.cookie.as_ref().unwrap().starts_with("__Host-"));

    row("the cookie is rotated, for two tabs at once alike, and a stolen one ends the family");
    let stolen = page.cookie.clone();
    let mut tab = Page { cookie: page.cookie.clone(), ..self::page(&app) };
    assert_eq!(page.post("/refresh", json!({})).await.status, 200);
    assert_eq!(tab.post("/refresh", json!({})).await.status, 200);
    assert_eq!(page.cookie, tab.cookie);
    app.clock.advance(60);
    assert_eq!(page.post("/refresh", json!({})).await.status, 200);
    let mut thief = Page { cookie: stolen, ..self::page(&app) };
    refused(&thief.post("/refresh", json!({})).await, 401, "invalid_grant");
    refused(&page.post("/refresh", json!({})).await, 401, "invalid_grant");
    assert_eq!(sign_in(&mut page, PASSWORD).await.status, 200);

    row("a change takes both tokens");
    let cookie = page.cookie.take();
    let changes = json!({ "name": "Kim by one token" });
    let answer = page.send(Method::PATCH, "/me", changes.clone()).await;
    refused(&answer, 403, "refresh_token_required");
    page.cookie = cookie;
    assert_eq!(page.send(Method::PATCH, "/me", changes).await.status, 200);

    row("another password takes the present one, even where both are the same");
    let same = json!({ "password": ANOTHER, "current_password": ANOTHER });
    assert!(page.send(Method::PATCH, "/me", same).await.status.is_client_error());
    refused(&sign_in(&mut page, ANOTHER).await, 401, "invalid_credentials");

    row("signing out needs no token that is still good, clears the cookie, and may be repeated");
    page.access = None;
    assert_eq!(page.post("/logout", json!({})).await.status, 204);
    assert_eq!(page.cookie, None);
    assert_eq!(page.post("/logout", json!({})).await.status, 204);
}

#[tokio::test(flavor = "multi_thread")]
async fn fields_of_its_own_and_keys_to_check_with() {
    let app = TestApp::builder().config(KRYPTON).start().await;
    app.add_user("kim", &[]).await;
    let mut page = page(&app);

    row("custom attributes reach the app");
    crate::refresh::outside::execute(
        &app,
        "INSERT INTO user_attributes (user_id, name, value, updated_at) \
         SELECT id, 'age', '42', 0 FROM users",
    )
    .await;
    assert_eq!(sign_in(&mut page, "kim-password").await.status, 200);
    let bearer = format!("Bearer {}", page.access.clone().unwrap());
    let claims = app.get("/userinfo", Some(&bearer)).await.json();
    assert_eq!((&claims["age"], &claims["_id"]), (&json!(42), &claims["sub"]));

    row("keys with their ids, for whoever checks the token");
    let keys = app.get("/.well-known/jwks.json", None).await.json();
    let (header, _) = keywright::keys::parse_unverified(&page.access.unwrap()).unwrap();
    let mut keys = keys["keys"].as_array().unwrap().iter();
    let key = keys.find(|key| key["kid"] == header["kid"]).unwrap();
    assert!(key["alg"].is_string() && key["use"] == "sig");
}
