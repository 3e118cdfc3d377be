//! The end of one's own account.

use axum::http::Method;
use serde_json::json;

use super::{assert_problem, me, post, refresh, sign_in, start, start_with, tokens};
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

/// A sign-in without a refresh token ends by its access token, once and for all, and by nobody else's app.
#[tokio::test(flavor = "multi_thread")]
async fn a_sign_in_without_a_refresh_token_is_ended_by_its_access_token() {
    let app = start().await;
    let body = json!({ "client_id": "own", "username": "bob", "password": "bob-password" });
    let answer = post(&app, "/signin", &body).await;
    assert!(answer.json().get("refresh_token").is_none());
    let access = answer.text("access_token");
    let leave = |client: &str, token: &str| json!({ "client_id": client, "access_token": token });
    for (client, token) in [("staff", access.as_str()), ("own", "x")] {
        assert_eq!(post(&app, "/logout", &leave(client, token)).await.status, 204);
        assert_eq!(me(&app, Method::GET, &access, &json!({})).await.status, 200);
    }
    assert_eq!(app.refusals("sign_out").await, ["token_of_another_client"]);
    for _ in 0..2 {
        assert_eq!(post(&app, "/logout", &leave("own", &access)).await.status, 204);
        assert_problem(&me(&app, Method::GET, &access, &json!({})).await, 401, "invalid_token");
    }
    assert_eq!(app.count("sessions WHERE ended_at IS NULL").await, 0);
    let both = json!({ "client_id": "own", "access_token": access, "refresh_token": "x" });
    assert_eq!(post(&app, "/logout", &both).await.status, 204, "the refresh token counts");
}
