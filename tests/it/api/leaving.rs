//! The end of one's own account.

use axum::http::Method;
use serde_json::json;

use super::{assert_problem, me, refresh, sign_in, start, start_with, tokens};
use crate::refresh::outside::execute;

/// An account is shut at once and erased later; nothing of it goes on.
#[tokio::test(flavor = "multi_thread")]
async fn an_account_is_deleted() {
    let app = start().await;
    let (access, token) = tokens(&app, "own", "bob").await;
    let body = json!({ "refresh_token": token, "current_password": "bob-password" });
    let answer = me(&app, Method::DELETE, &access, &body).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(answer.text("erased_at").contains('T'));
    assert_problem(&me(&app, Method::GET, &access, &json!({})).await, 401, "invalid_token");
    assert_problem(&refresh(&app, "own", &token).await, 401, "invalid_grant");
    assert_problem(&sign_in(&app, "own", "bob", "bob-password").await, 401, "invalid_credentials");
    let events = app.events().await;
    let event = events.iter().find(|event| event.action == "account_deletion").unwrap();
    assert_eq!(event.client_id.as_ref().unwrap().as_str(), "own");
}

/// Whatever is missing, the account stays as it is.
#[tokio::test(flavor = "multi_thread")]
async fn an_account_stays() {
    let app = start().await;
    app.add_user("eve", &[]).await;
    let (access, token) = tokens(&app, "own", "bob").await;
    let (_, foreign) = tokens(&app, "own", "eve").await;
    for (body, status, code) in [
        (json!({ "refresh_token": token }), 403, "current_password_required"),
        (json!({ "refresh_token": token, "current_password": "x" }), 403, "wrong_password"),
        (json!({ "current_password": "bob-password" }), 422, "invalid_request"),
        (
            json!({ "refresh_token": foreign, "current_password": "bob-password" }),
            403,
            "refresh_token_required",
        ),
        (
            json!({ "refresh_token": token, "current_password": "bob-password", "sub": "x" }),
            422,
            "invalid_request",
        ),
    ] {
        assert_problem(&me(&app, Method::DELETE, &access, &body).await, status, code);
    }
    // AD-06: the last administrator stays, and goes on with the token they have.
    execute(&app, "UPDATE users SET roles = '[\"admin\"]' WHERE username = 'bob'").await;
    let body = json!({ "refresh_token": token, "current_password": "bob-password" });
    assert_problem(&me(&app, Method::DELETE, &access, &body).await, 409, "last_administrator");
    assert_eq!(app.count("users WHERE disabled_at IS NULL").await, 2);
    assert_eq!(refresh(&app, "own", &token).await.status, 200);

    let off = start_with("[accounts]\nself_deletion = false").await;
    let (access, token) = tokens(&off, "own", "bob").await;
    let body = json!({ "refresh_token": token, "current_password": "bob-password" });
    assert_problem(&me(&off, Method::DELETE, &access, &body).await, 403, "deletion_off");
    assert_eq!(off.refusals("account_deletion").await, ["deletion_off"]);
    assert_eq!(off.count("users WHERE disabled_at IS NULL").await, 1);
}
