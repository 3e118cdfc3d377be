//! A page of an app in the browser that keeps its refresh token in a cookie.

use axum::http::{Method, header};
use serde_json::{Value, json};

use super::call;
use crate::support::app::{Answer, TestApp};

/// A page of the app: what its script and its browser send.
#[derive(Clone)]
pub(super) struct Page<'a> {
    pub(super) app: &'a TestApp,
    pub(super) client: &'static str,
    pub(super) origin: &'static str,
    pub(super) cookie: Option<String>,
    pub(super) access: Option<String>,
}

impl Page<'_> {
    pub(super) async fn send(&mut self, method: Method, path: &str, body: Value) -> Answer {
        let bearer = self.access.as_ref().map(|access| format!("Bearer {access}"));
        let mut headers = vec![
            ("origin", self.origin),
            ("sec-fetch-site", "same-site"),
            ("x-keywright-request", "1"),
        ];
        headers.extend(self.cookie.as_deref().map(|cookie| ("cookie", cookie)));
        let with_token = path == "/me";
        headers.extend(bearer.as_deref().filter(|_| with_token).map(|b| ("authorization", b)));
        let answer = call(self.app, (method, path), &headers, &body).await;
        for line in answer.headers.get_all(header::SET_COOKIE) {
            let (pair, attributes) = line.to_str().unwrap().split_once(';').unwrap();
            assert!(attributes.contains("HttpOnly"), "{attributes}");
            assert!(attributes.contains("SameSite=Strict"), "{attributes}");
            self.cookie = (!attributes.contains("Max-Age=0;")).then(|| pair.to_owned());
        }
        if answer.status == 200 && answer.json()["access_token"].is_string() {
            assert!(answer.json().get("refresh_token").is_none());
            self.access = Some(answer.text("access_token"));
        }
        answer
    }

    pub(super) async fn post(&mut self, path: &str, body: Value) -> Answer {
        let mut body = body;
        body["client_id"] = json!(self.client);
        self.send(Method::POST, path, body).await
    }

    pub(super) async fn sign_in(&mut self, username: &str, password: &str) -> Answer {
        let scope = "openid profile email offline_access";
        let body = json!({ "username": username, "password": password, "scope": scope });
        self.post("/signin", body).await
    }
}
