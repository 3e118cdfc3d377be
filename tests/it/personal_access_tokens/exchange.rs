//! Token exchange (RFC 8693): a personal access token for a short access token.

use keywright::keys::parse_unverified;
use serde_json::json;

use super::{ACCESS_TOKEN, EXCHANGE, assert_dead, exchange_as, full_token, house, make, signed_in};
use crate::support::app::TestApp;

/// RFC 8693 §2.2.1: what comes of it is short, for the client that asks, and says nothing of a sign-in.
#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_exchanged_for_a_short_one() {
    let app = house().await;
    let token = full_token(&app).await;
    let answer = exchange_as(&app, "notes", &token, &[]).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.headers["cache-control"], "no-store");
    let body = answer.json();
    assert_eq!(body["issued_token_type"], ACCESS_TOKEN);
    assert_eq!((&body["token_type"], &body["expires_in"]), (&json!("Bearer"), &json!(600)));
    assert_eq!(body["scope"], "openid profile groups notes:read notes:write");
    assert!(body.get("refresh_token").is_none() && body.get("id_token").is_none());
    let jwt = answer.text("access_token");
    let (header, claims) = parse_unverified(&jwt).unwrap();
    assert_eq!(header["typ"], "at+jwt");
    assert_eq!((&claims["aud"], &claims["client_id"]), (&json!("notes"), &json!("notes")));
    assert_eq!(claims["groups"], json!(["admins"]));
    for absent in ["auth_time", "acr", "amr", "sid", "act"] {
        assert!(!claims.contains_key(absent), "{absent}");
    }
    assert!(!jwt.contains(&token[7..]));
    // UserInfo and introspection know it.
    let told = app.get("/userinfo", Some(&format!("Bearer {jwt}"))).await.json();
    assert_eq!((&told["sub"], &told["preferred_username"]), (&claims["sub"], &json!("alice")));
    let seen = super::seen_by(&app, "notes", &jwt).await;
    assert_eq!((&seen["active"], &seen["sub"]), (&json!(true), &claims["sub"]));
}

/// TX-01: never more than was asked, and never longer than the token itself.
#[tokio::test(flavor = "multi_thread")]
async fn what_comes_of_it_is_no_more_than_the_token() {
    let app = house().await;
    let token = full_token(&app).await;
    let answer = exchange_as(&app, "notes", &token, &[("scope", "notes:read")]).await;
    assert_eq!(answer.text("scope"), "notes:read");
    let (_, claims) = parse_unverified(&answer.text("access_token")).unwrap();
    assert_eq!(claims["scope"], "notes:read");
    assert!(!claims.contains_key("groups"));
    let narrow = make(&mut signed_in(&app, "alice").await, "narrow", &["notes:read"]).await;
    for scope in ["notes:write", "notes:read openid", "offline_access", "vault:open", "*", "\u{e9}"]
    {
        let refused = exchange_as(&app, "notes", &narrow, &[("scope", scope)]).await;
        refused.assert_error(400, "invalid_scope");
    }
    // Nothing of it is for the vault.
    exchange_as(&app, "vault", &narrow, &[]).await.assert_error(400, "invalid_request");
    assert_eq!(app.refusals("token").await, ["scope_of_other_apps"]);

    app.clock.advance(30 * 86_400 - 100);
    let answer = exchange_as(&app, "notes", &narrow, &[]).await;
    assert_eq!(answer.json()["expires_in"], 100);
    let jwt = answer.text("access_token");
    app.clock.advance(100);
    assert_dead(&app, &narrow).await;
    assert_eq!(super::seen_by(&app, "notes", &jwt).await, json!({ "active": false }));
}

/// TX-01: what we do not do is refused, and never done half.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_offered_is_refused() {
    let app = house().await;
    let token = full_token(&app).await;
    let base = [
        ("grant_type", EXCHANGE),
        ("subject_token", token.as_str()),
        ("subject_token_type", ACCESS_TOKEN),
    ];
    let kind = |word: &str| format!("urn:ietf:params:oauth:token-type:{word}");
    let (id, refresh, saml) = (kind("id_token"), kind("refresh_token"), kind("saml2"));
    for (changed, error) in [
        (("subject_token", ""), "invalid_request"),
        (("subject_token", "x"), "invalid_request"),
        (("subject_token_type", ""), "invalid_request"),
        (("subject_token_type", id.as_str()), "invalid_request"),
        (("subject_token_type", "access_token"), "invalid_request"),
        (("requested_token_type", id.as_str()), "invalid_request"),
        (("requested_token_type", refresh.as_str()), "invalid_request"),
        (("requested_token_type", saml.as_str()), "invalid_request"),
        (("actor_token", token.as_str()), "invalid_request"),
        (("actor_token_type", ACCESS_TOKEN), "invalid_request"),
        (("audience", "vault"), "invalid_target"),
        (("audience", "https://elsewhere.test"), "invalid_target"),
        (("resource", "https://notes.test/"), "invalid_target"),
    ] {
        let mut form = base.to_vec();
        form.retain(|(name, _)| *name != changed.0);
        form.push(changed);
        app.post_as("notes", "/token", &form).await.assert_error(400, error);
    }
    for good in [("audience", "notes"), ("requested_token_type", ACCESS_TOKEN)] {
        assert_eq!(exchange_as(&app, "notes", &token, &[good]).await.status, 200, "{good:?}");
    }
}

/// TX-01: an app takes part only if its administrator says so, and only as itself.
#[tokio::test(flavor = "multi_thread")]
async fn an_app_takes_part_only_if_it_may() {
    let app = house().await;
    let token = full_token(&app).await;
    for client in ["web", "evil", "m2m"] {
        exchange_as(&app, client, &token, &[]).await.assert_error(400, "unauthorized_client");
    }
    let form = [
        ("grant_type", EXCHANGE),
        ("subject_token", token.as_str()),
        ("subject_token_type", ACCESS_TOKEN),
    ];
    app.post("/token", &form, &[]).await.assert_error(401, "invalid_client");
    let nameless = [&form[..], &[("client_id", "notes")]].concat();
    app.post("/token", &nameless, &[]).await.assert_error(401, "invalid_client");
}

/// TX-01: access tokens of other kinds are not exchanged, ours or not.
#[tokio::test(flavor = "multi_thread")]
async fn only_personal_access_tokens_are_exchanged() {
    let app: TestApp = house().await;
    let token = full_token(&app).await;
    let jwt = exchange_as(&app, "notes", &token, &[]).await.text("access_token");
    let own = app.post_as("m2m", "/token", &[("grant_type", "client_credentials")]).await;
    let signed_in = crate::refresh::family::sign_in(&app, "web", "alice").await;
    let id = signed_in.id.unwrap();
    for other in [&jwt, &own.text("access_token"), &signed_in.access, &signed_in.refresh, &id] {
        exchange_as(&app, "notes", other, &[]).await.assert_error(400, "invalid_request");
    }
    assert_eq!(app.refusals("token").await, ["token_malformed"; 5]);
}
