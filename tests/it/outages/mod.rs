//! When a store is away: what goes on, what stops and says so, and that nothing is lost or left
//! half done when it is back.

mod database;
mod flushed;
mod line;
mod redis;

use axum::http::header;

use crate::support::{
    app::{Answer, TestApp, basic},
    browser::Page,
    journey::{is_active, refresh},
};

/// A new sign-in is not possible, and the page says so, says that it will pass, and names a trace.
fn assert_sign_in_is_not_possible(page: &Page) {
    let text = page.text();
    assert_eq!(page.status, 503, "{} {text}", page.url);
    assert_eq!(page.headers[header::CACHE_CONTROL], "no-store");
    let seconds: u32 = page.header("retry-after").expect("Retry-After").parse().unwrap();
    assert!((1..=60).contains(&seconds));
    assert!(text.contains("Sign-in is not possible right now"), "{text}");
    assert!(text.contains("Nothing is wrong with your account"), "{text}");
    assert!(text.contains("code: temporarily_unavailable") && text.contains("trace: "), "{text}");
}

/// An app is told to come back (RFC 6749 §4.1.2.1 names the word).
fn assert_come_back(answer: &Answer) {
    answer.assert_error(503, "temporarily_unavailable");
    assert!(answer.headers.contains_key(header::RETRY_AFTER), "{answer:?}");
}

/// What apps do without the short-lived state: refreshing, tokens for themselves, introspection,
/// UserInfo, keys and metadata. Answers the new refresh token.
async fn assert_apps_work(app: &TestApp, access_token: &str, refresh_token: &str) -> String {
    let fresh = refresh(app, "web", refresh_token).await;
    assert_eq!(fresh.status, 200, "{fresh:?}");
    assert!(is_active(app, "web", access_token).await);
    assert!(is_active(app, "web", &fresh.text("refresh_token")).await);
    let bearer = format!("Bearer {}", fresh.text("access_token"));
    let userinfo = app.get("/userinfo", Some(&bearer)).await;
    assert_eq!(userinfo.status, 200, "{userinfo:?}");
    assert_eq!(userinfo.json()["preferred_username"], "bob");
    assert_documents_work(app).await;
    fresh.text("refresh_token")
}

/// What needs no store at all.
async fn assert_documents_work(app: &TestApp) {
    let form = [("grant_type", "client_credentials")];
    let own = app.post("/token", &form, &[("authorization", &basic("m2m"))]).await;
    assert_eq!(own.status, 200, "{own:?}");
    let keys = app.get("/.well-known/jwks.json", None).await;
    assert_eq!(keys.status, 200);
    assert!(!keys.json()["keys"].as_array().unwrap().is_empty());
    let document = app.get("/.well-known/openid-configuration", None).await;
    assert_eq!(document.json()["issuer"], "https://id.test");
}
