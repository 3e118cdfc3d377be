//! Systems that people run today, each without a sign-in of its own any more: every capability that it
//! had or was asked for, exercised the way the system would.

mod ambys;
mod graphql_auth;
mod journiv;
mod krypton;
mod page;
mod therappai;

use axum::http::{Method, Request, header};
use bytes::Bytes;
use keywright::keys::parse_unverified;
use serde_json::{Map, Value, json};

use crate::support::app::{Answer, ISSUER, TestApp};

/// A password that the house takes.
const PASSWORD: &str = "eleven quiet Otters 93";
const ANOTHER: &str = "seven loud Badgers 48";

/// What a system does with our JSON API, as one of our clients.
struct System<'a> {
    app: &'a TestApp,
    client: &'static str,
}

/// The tokens that a system keeps for somebody.
struct Tokens {
    access: String,
    refresh: String,
}

impl Tokens {
    fn of(answer: &Answer) -> Self {
        assert_eq!(answer.status, 200, "{answer:?}");
        Self { access: answer.text("access_token"), refresh: answer.text("refresh_token") }
    }

    /// What the access token says.
    fn claims(&self) -> Map<String, Value> {
        parse_unverified(&self.access).unwrap().1
    }
}

impl System<'_> {
    async fn post(&self, path: &str, body: Value) -> Answer {
        let mut body = body;
        body["client_id"] = json!(self.client);
        call(self.app, (Method::POST, path), &[], &body).await
    }

    async fn sign_up(&self, username: &str, password: &str) -> Answer {
        self.post("/signup", json!({ "username": username, "password": password })).await
    }

    async fn sign_in(&self, username: &str, password: &str) -> Answer {
        let scope = "openid profile email groups offline_access";
        let body = json!({ "username": username, "password": password, "scope": scope });
        self.post("/signin", body).await
    }

    async fn tokens(&self, username: &str, password: &str) -> Tokens {
        Tokens::of(&self.sign_in(username, password).await)
    }

    async fn refresh(&self, token: &str) -> Answer {
        self.post("/refresh", json!({ "refresh_token": token })).await
    }

    async fn me(&self, method: Method, access: &str, body: &Value) -> Answer {
        let bearer = format!("Bearer {access}");
        call(self.app, (method, "/me"), &[("authorization", &bearer)], body).await
    }
}

async fn call(
    app: &TestApp,
    (method, path): (Method, &str),
    headers: &[(&str, &str)],
    body: &Value,
) -> Answer {
    let reads = method == Method::GET;
    let mut request = Request::builder()
        .method(method)
        .uri(format!("{ISSUER}/api/v1{path}"))
        .header(header::CONTENT_TYPE, "application/json");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let body = if reads { Bytes::new() } else { Bytes::from(body.to_string()) };
    app.send(request.body(body).unwrap()).await
}

/// Asserts a refusal of the API.
fn refused(answer: &Answer, status: u16, code: &str) {
    assert_eq!((answer.status.as_u16(), answer.text("code").as_str()), (status, code));
}

/// Names the row of the table that is walked, for who reads why it failed.
fn row(capability: &str) {
    println!("- {capability}");
}
