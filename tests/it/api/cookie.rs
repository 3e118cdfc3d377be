//! Browser apps whose pages see no refresh token: here too it is a cookie.

use axum::http::{Method, header};
use serde_json::{Value, json};

use super::{APPS, FULL, assert_problem, send, start_with};
use crate::support::app::{Answer, TestApp};

const BOARD: &str = "[[clients]]\nid = \"board\"\nname = \"Board\"\ntype = \"public\"\n\
                     redirect_uris = [\"https://board.test/cb\"]\nsession_token = true\napi = true\n";

async fn call(
    app: &TestApp,
    (method, path): (Method, &str),
    more: &[(&str, &str)],
    body: &Value,
) -> Answer {
    let mut headers = vec![
        super::JSON,
        ("origin", "https://board.test"),
        ("sec-fetch-site", "same-site"),
        ("x-keywright-request", "1"),
    ];
    headers.extend(more);
    send(app, method, path, &headers, body.to_string()).await
}

fn cookie(answer: &Answer) -> String {
    let line = answer.headers[header::SET_COOKIE].to_str().unwrap();
    assert!(line.contains("HttpOnly; SameSite=Strict; Secure"), "{line}");
    line.split(';').next().unwrap().to_owned()
}

/// The Krypton way: the access token in the page, the refresh token in the cookie, both for a change.
#[tokio::test(flavor = "multi_thread")]
async fn the_page_never_sees_the_refresh_token() {
    let app = start_with(BOARD).await;
    let mut body = super::signing_in("board", "bob", "bob-password");
    let answer = call(&app, (Method::POST, "/signin"), &[], &body).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(answer.json().get("refresh_token").is_none());
    assert_eq!(answer.text("scope"), FULL);
    assert_eq!(answer.headers["access-control-allow-credentials"], "true");
    let first = cookie(&answer);

    let own = json!({ "client_id": "board" });
    let answer = call(&app, (Method::POST, "/refresh"), &[("cookie", &first)], &own).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(answer.json().get("refresh_token").is_none());
    let (second, bearer) = (cookie(&answer), format!("Bearer {}", answer.text("access_token")));

    let changes = json!({ "name": "Bob by cookie" });
    let with_token = [("authorization", bearer.as_str())];
    let answer = call(&app, (Method::PATCH, "/me"), &with_token, &changes).await;
    assert_problem(&answer, 403, "refresh_token_required");
    let both = [("authorization", bearer.as_str()), ("cookie", second.as_str())];
    let answer = call(&app, (Method::PATCH, "/me"), &both, &changes).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(answer.json().get("refresh_token").is_none());
    let third = cookie(&answer);
    assert_eq!(app.count("users WHERE name = 'Bob by cookie'").await, 1);

    let answer = call(&app, (Method::POST, "/logout"), &[("cookie", &third)], &own).await;
    assert_eq!(answer.status, 204, "{answer:?}");
    assert!(answer.headers[header::SET_COOKIE].to_str().unwrap().contains("Max-Age=0"));
    assert_eq!(app.count("sessions WHERE ended_at IS NULL").await, 0);
    // A body that names one is a mistake, and no cookie is no token.
    body = json!({ "client_id": "board", "refresh_token": "kw_rt_x" });
    let answer = call(&app, (Method::POST, "/refresh"), &[], &body).await;
    assert_problem(&answer, 422, "invalid_request");
    let answer = call(&app, (Method::POST, "/refresh"), &[], &own).await;
    assert_problem(&answer, 401, "invalid_grant");
}

/// SS-05: a cookie comes along with whatever the browser sends; only the app's own page counts.
#[tokio::test(flavor = "multi_thread")]
async fn other_pages_are_refused() {
    let app = start_with(BOARD).await;
    assert!(APPS.contains("page.test"));
    let body = super::signing_in("board", "bob", "bob-password");
    let good = call(&app, (Method::POST, "/signin"), &[], &body).await;
    let kept = cookie(&good);
    let own = json!({ "client_id": "board" }).to_string();
    let json = super::JSON;
    let (origin, mark) = (("origin", "https://board.test"), ("x-keywright-request", "1"));
    for (headers, code) in [
        (vec![json, mark], "invalid_request"),
        (vec![json, origin], "invalid_request"),
        (vec![json, ("origin", "https://page.test"), mark], "origin_not_allowed"),
        (vec![json, origin, mark, ("sec-fetch-site", "cross-site")], "invalid_request"),
    ] {
        for path in ["/refresh", "/logout"] {
            let mut headers = headers.clone();
            headers.push(("cookie", &kept));
            let answer = send(&app, Method::POST, path, &headers, own.clone()).await;
            assert_problem(&answer, 403, code);
        }
    }
    let answer = call(
        &app,
        (Method::POST, "/refresh"),
        &[("cookie", &kept)],
        &json!({ "client_id": "board" }),
    )
    .await;
    assert_eq!(answer.status, 200, "nothing was used up: {answer:?}");
}
