//! The JSON API for apps that draw their own forms.

mod change;
mod cookie;
mod document;
mod documented;
mod entering;
mod families;
mod leaving;
mod origins;
mod recovery;
mod requests;
mod second_factor;
mod signup;

use axum::http::{Method, Request, header};
use bytes::Bytes;
use serde_json::{Value, json};

use crate::support::app::{Answer, Builder, ISSUER, TestApp, basic};

/// Apps of every kind that may use the API; the brake of the network is not what most of this is about.
const APPS: &str = r#"
[rate_limits]
sign_in_per_minute = 100000

[[clients]]
id = "own"
name = "Own app"
type = "native"
redirect_uris = ["http://127.0.0.1/cb"]
api = true

[[clients]]
id = "page"
name = "Page"
type = "public"
redirect_uris = ["https://page.test/cb"]
api = true

[[clients]]
id = "backend"
name = "Backend"
secret = "backend-secret-0123456789"
grant_types = ["refresh_token"]
api = true

[[clients]]
id = "staff"
name = "Staff"
type = "native"
redirect_uris = ["http://127.0.0.1/cb"]
allowed_groups = ["staff"]
api = true

[[clients]]
id = "strong"
name = "Strong"
type = "native"
redirect_uris = ["http://127.0.0.1/cb"]
require_acr = "mfa"
api = true
"#;
const FULL: &str = "openid profile email offline_access";
const NEW: &str = "eleven quiet Otters 93";

fn builder(more: &str) -> Builder {
    TestApp::builder().config(APPS).config(more)
}

/// A house with bob in it.
async fn start_with(more: &str) -> TestApp {
    let app = builder(more).start().await;
    app.add_user("bob", &[]).await;
    app
}

async fn start() -> TestApp {
    start_with("").await
}

/// Sends anything.
async fn send(
    app: &TestApp,
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
    body: impl Into<Bytes>,
) -> Answer {
    let mut request = Request::builder().method(method).uri(format!("{ISSUER}/api/v1{path}"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    app.send(request.body(body.into()).unwrap()).await
}

const JSON: (&str, &str) = ("content-type", "application/json");

/// Posts JSON.
async fn post(app: &TestApp, path: &str, body: &Value) -> Answer {
    send(app, Method::POST, path, &[JSON], body.to_string()).await
}

/// Posts JSON as the confidential client.
async fn post_as_backend(app: &TestApp, path: &str, body: &Value) -> Answer {
    let basic = basic("backend");
    let headers = [JSON, ("authorization", basic.as_str())];
    send(app, Method::POST, path, &headers, body.to_string()).await
}

/// Calls `/me` with an access token.
async fn me(app: &TestApp, method: Method, token: &str, body: &Value) -> Answer {
    let bearer = format!("Bearer {token}");
    let headers = [JSON, ("authorization", bearer.as_str())];
    let body = if method == Method::GET { String::new() } else { body.to_string() };
    send(app, method, "/me", &headers, body).await
}

fn signing_in(client: &str, username: &str, password: &str) -> Value {
    json!({ "client_id": client, "username": username, "password": password, "scope": FULL })
}

/// Signs in by a password.
async fn sign_in(app: &TestApp, client: &str, username: &str, password: &str) -> Answer {
    post(app, "/signin", &signing_in(client, username, password)).await
}

/// The tokens of who gets in: access and refresh.
async fn tokens(app: &TestApp, client: &str, username: &str) -> (String, String) {
    let answer = sign_in(app, client, username, &format!("{username}-password")).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    (answer.text("access_token"), answer.text("refresh_token"))
}

async fn refresh(app: &TestApp, client: &str, token: &str) -> Answer {
    post(app, "/refresh", &json!({ "client_id": client, "refresh_token": token })).await
}

/// Asserts a refusal (RFC 9457), with all that belongs to one.
fn assert_problem(answer: &Answer, status: u16, code: &str) {
    let json = answer.json();
    assert_eq!((answer.status.as_u16(), json["code"].as_str()), (status, Some(code)), "{json}");
    assert_eq!(answer.headers[header::CONTENT_TYPE], "application/problem+json");
    assert_eq!(answer.headers[header::CACHE_CONTROL], "no-store");
    assert_eq!(json["status"], status);
    assert!(json["type"].as_str().unwrap().ends_with(&format!("/openapi.json#{code}")), "{json}");
    assert!(json["trace_id"].as_str().is_some_and(|trace| !trace.is_empty()), "{json}");
    assert!(json["title"].is_string() && json["detail"].is_string(), "{json}");
    assert!(json.get("access_token").is_none() && json.get("refresh_token").is_none());
    assert_eq!(answer.headers.contains_key("www-authenticate"), status == 401, "RFC 9110 §11.6.1");
    assert_eq!(answer.headers.contains_key("retry-after"), matches!(status, 429 | 503));
}
