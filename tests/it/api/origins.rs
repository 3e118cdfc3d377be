//! Pages of other origins: exactly those of the client that is named.

use axum::http::Method;
use serde_json::json;

use super::{JSON, assert_problem, send, signing_in, start};

/// SS-19: each client's calls come from its own origins, or from no page at all.
#[tokio::test(flavor = "multi_thread")]
async fn a_page_calls_for_its_own_client() {
    let app = start().await;
    let body = signing_in("page", "bob", "bob-password").to_string();
    let own = [JSON, ("origin", "https://page.test")];
    let answer = send(&app, Method::POST, "/signin", &own, body.clone()).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.headers["access-control-allow-origin"], "https://page.test");
    assert_eq!(answer.headers["vary"], "origin");
    assert!(!answer.headers.contains_key("access-control-allow-credentials"));
    // A refusal is read as well.
    let wrong = signing_in("page", "bob", "wrong").to_string();
    let answer = send(&app, Method::POST, "/signin", &own, wrong).await;
    assert_problem(&answer, 401, "invalid_credentials");
    assert_eq!(answer.headers["access-control-allow-origin"], "https://page.test");

    let sessions = app.count("sessions").await;
    for (client, origin) in [
        ("page", "https://evil.test"),
        ("page", "https://spa.test"),
        ("page", "http://page.test"),
        ("page", "https://page.test:444"),
        ("page", "https://page.test.evil.test"),
        ("page", "null"),
        ("own", "https://page.test"),
    ] {
        let body = signing_in(client, "bob", "bob-password").to_string();
        let headers = [JSON, ("origin", origin)];
        let answer = send(&app, Method::POST, "/signin", &headers, body).await;
        assert_problem(&answer, 403, "origin_not_allowed");
        let readable = answer.headers.contains_key("access-control-allow-origin");
        assert_eq!(readable, origin == "https://page.test", "{origin}");
    }
    assert_eq!(app.count("sessions").await, sessions);
    assert_eq!(app.refusals("api").await.len(), 7);
}

/// The question before a call is answered for pages of clients that may use the API, and for no other.
#[tokio::test(flavor = "multi_thread")]
async fn the_question_before_is_answered() {
    let app = start().await;
    let ask = async |origin: &'static str| {
        let headers = [
            ("origin", origin),
            ("access-control-request-method", "PATCH"),
            ("access-control-request-headers", "authorization, content-type"),
        ];
        send(&app, Method::OPTIONS, "/me", &headers, "").await
    };
    let answer = ask("https://page.test").await;
    assert_eq!((answer.status.as_u16(), answer.body.len()), (204, 0));
    assert_eq!(answer.headers["access-control-allow-methods"], "GET, POST, PATCH, DELETE");
    assert_eq!(answer.headers["access-control-allow-origin"], "https://page.test");
    for origin in ["https://spa.test", "https://evil.test", "null"] {
        let answer = ask(origin).await;
        assert!(!answer.headers.contains_key("access-control-allow-origin"), "{origin}");
        assert!(!answer.headers.contains_key("access-control-allow-methods"), "{origin}");
    }
    let body = json!({ "client_id": "spa", "username": "bob", "password": "bob-password" });
    let headers = [JSON, ("origin", "https://spa.test")];
    let answer = send(&app, Method::POST, "/signin", &headers, body.to_string()).await;
    assert_problem(&answer, 403, "unauthorized_client");
    assert!(!answer.headers.contains_key("access-control-allow-origin"));
}
