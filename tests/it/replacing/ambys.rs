//! A web API with its pages in one container: people by username, without an address, two roles, and
//! tokens for scripts.

use axum::http::Method;
use serde_json::{Value, json};

use super::{ANOTHER, PASSWORD, System, Tokens, refused, row};
use crate::{
    refresh::outside::{user_verb, verb},
    sessions::form_token,
    support::app::TestApp,
};

const AMBYS: &str = r#"
[signup]
local = "open"
email = "off"

[rate_limits]
sign_in_per_minute = 1000

[[clients]]
id = "ambys"
name = "Ambys"
type = "native"
redirect_uris = ["http://127.0.0.1/cb"]
api = true

[[clients]]
id = "ambys-api"
name = "Ambys"
secret = "ambys-api-secret-0123456789"
redirect_uris = ["https://web.test/cb"]
"#;
/// `correct horse battery`, as ASP.NET Identity hashes it.
const FOREIGN_HASH: &str = "$aspnet-identity$AQAAAAIAAYagAAAAEAABAgMEBQYHCAkKCwwNDg/F82/mx+OwWr0QHAWyuVqjzKcjb7NkOUseLhxacRgqVQ==";

async fn seen(app: &TestApp, token: &str) -> Value {
    app.post_as("ambys-api", "/introspect", &[("token", token)]).await.json()
}

/// A token for a script, from the page of the person's own account.
async fn personal_token(app: &TestApp, username: &str, password: &str) -> String {
    let mut browser = app.browser();
    let page = browser.visit("/account").await.last().clone();
    let form = page.form_to("/login").fill("username", username).fill("password", password);
    let answer = browser.submit(&page, &form).await;
    browser.follow(answer).await;
    let csrf = form_token(&mut browser).await;
    let fields = [
        ("csrf", csrf.as_str()),
        ("name", "backup script"),
        ("lifetime", "30d"),
        ("scope.openid", "yes"),
        ("scope.groups", "yes"),
    ];
    let page = browser.post_form("/account/tokens", &fields).await;
    assert_eq!(page.status, 200, "{}", page.text());
    let text = page.text();
    let (_, rest) = text.split_once("<pre id=\"token\" dir=\"ltr\">").expect("a new token");
    rest.split('<').next().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn people_come_by_username_and_hold_roles() {
    let app = TestApp::builder().config(AMBYS).start().await;
    let system = System { app: &app, client: "ambys" };

    row("accounts without an address, by one policy");
    refused(&system.sign_up("ada", "short").await, 422, "password_unfit");
    assert_eq!(system.sign_up("ada", PASSWORD).await.status, 201);
    assert_eq!(system.sign_up("bea", PASSWORD).await.status, 201);
    assert_eq!(app.count("users WHERE email IS NULL").await, 2);

    row("one answer for an unknown name and a wrong password");
    let wrong = system.sign_in("ada", "not it").await;
    let unknown = system.sign_in("nobody", "not it").await;
    refused(&wrong, 401, "invalid_credentials");
    let without_trace = |answer: &crate::support::app::Answer| {
        let mut json = answer.json();
        json.as_object_mut().unwrap().remove("trace_id");
        json
    };
    assert_eq!(without_trace(&wrong), without_trace(&unknown));

    row("the sign-up switch, while the server runs");
    verb(&app, &["signup", "set", "--local", "closed"], "").await;
    app.app.rules.look(&app.app.store).await.unwrap();
    assert_eq!(system.sign_up("carl", PASSWORD).await.status, 403);
    assert_eq!(app.count("users").await, 2);

    row("nobody administers by coming first; a role is given, and told in the token");
    let tokens = system.tokens("ada", PASSWORD).await;
    assert_eq!(tokens.claims().get("roles"), None);
    user_verb(&app, &["grant", "ada", "--role", "admin"], "").await;
    user_verb(&app, &["grant", "bea", "--role", "admin"], "").await;
    let next = Tokens::of(&system.refresh(&tokens.refresh).await);
    let claims = next.claims();
    assert_eq!(claims["roles"], json!(["admin"]));
    assert!(claims["sub"].is_string() && claims["jti"].is_string());

    row("a role that is taken away is gone from sessions and scripts at once");
    let script = personal_token(&app, "ada", PASSWORD).await;
    assert_eq!(seen(&app, &script).await["roles"], json!(["admin"]));
    user_verb(&app, &["revoke", "ada", "--role", "admin"], "").await;
    assert!(seen(&app, &script).await["roles"].as_array().is_none_or(Vec::is_empty));
    let next = Tokens::of(&system.refresh(&next.refresh).await);
    assert!(next.claims().get("roles").is_none_or(|roles| roles == &json!([])));

    row("a script's token says whose it is, and changes nothing of an account");
    assert_eq!(seen(&app, &script).await["username"], "ada");
    let changes = json!({ "name": "Somebody else", "refresh_token": next.refresh });
    assert_eq!(system.me(Method::PATCH, &script, &changes).await.status, 401);
    assert_eq!(system.me(Method::DELETE, &script, &changes).await.status, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn people_are_taken_over_and_go() {
    let app = TestApp::builder().config(AMBYS).start().await;
    let system = System { app: &app, client: "ambys" };

    row("people of before keep their passwords, which are hashed anew");
    let dora = json!({ "username": "dora", "password_hash": FOREIGN_HASH }).to_string();
    user_verb(&app, &["import", "-"], &dora).await;
    let first = system.tokens("dora", "correct horse battery").await;
    assert_eq!(app.count("users WHERE password_hash LIKE '$argon2id$%'").await, 1);

    row("another password takes the present one and both tokens, and ends everybody else");
    let second = system.tokens("dora", "correct horse battery").await;
    let changes = json!({
        "password": PASSWORD, "current_password": "not it", "refresh_token": second.refresh,
    });
    assert!(system.me(Method::PATCH, &second.access, &changes).await.status.is_client_error());
    let changes = json!({
        "password": PASSWORD, "current_password": "correct horse battery",
        "refresh_token": second.refresh,
    });
    let second = Tokens::of(&system.me(Method::PATCH, &second.access, &changes).await);
    refused(&system.refresh(&first.refresh).await, 401, "invalid_grant");

    row("signing out ends this device, and no other");
    let third = system.tokens("dora", PASSWORD).await;
    let body = json!({ "refresh_token": third.refresh });
    for _ in 0..2 {
        assert_eq!(system.post("/logout", body.clone()).await.status, 204);
    }
    refused(&system.refresh(&third.refresh).await, 401, "invalid_grant");
    let second = Tokens::of(&system.refresh(&second.refresh).await);

    row("an administrator lists, shuts, opens and replaces a password that nobody learns");
    let listed = verb(&app, &["user", "list", "--json"], "").await;
    let listed: Value = serde_json::from_str(&listed).unwrap();
    assert_eq!(listed[0]["username"], "dora");
    user_verb(&app, &["disable", "dora"], "").await;
    refused(&system.refresh(&second.refresh).await, 401, "invalid_grant");
    refused(&system.sign_in("dora", PASSWORD).await, 401, "invalid_credentials");
    user_verb(&app, &["enable", "dora"], "").await;
    let link = verb(&app, &["user", "recover", "dora", "--json"], "").await;
    let link: Value = serde_json::from_str(&link).unwrap();
    let mut browser = app.browser();
    let page = browser.visit(link["link"].as_str().unwrap()).await.last().clone();
    let form = page.form_to("/recovery/password").fill("password", ANOTHER);
    assert_eq!(browser.submit(&page, &form).await.status, 200);
    refused(&system.sign_in("dora", PASSWORD).await, 401, "invalid_credentials");
    let tokens = system.tokens("dora", ANOTHER).await;

    row("whoever leaves says so with their password");
    let leaving =
        |password: &str| json!({ "current_password": password, "refresh_token": tokens.refresh });
    let answer = system.me(Method::DELETE, &tokens.access, &leaving("not it")).await;
    assert!(answer.status.is_client_error(), "{answer:?}");
    let answer = system.me(Method::DELETE, &tokens.access, &leaving(ANOTHER)).await;
    assert!(answer.status.is_success(), "{answer:?}");
    refused(&system.sign_in("dora", ANOTHER).await, 401, "invalid_credentials");
}
