//! For whom an assertion is (RFC 7523 §3, item 3, and its revision).

use serde_json::{Value, json};

use super::{ASSERTION_TYPE, app_with_signer, claims_with, present, present_at, refused};
use crate::support::app::ISSUER;

fn at(path: &str) -> String {
    format!("{ISSUER}{path}")
}

/// TK-09: with `assertion_audience = "issuer"` nothing but the issuer as one text is us: whatever an
/// attacker's metadata can talk a client into is not.
#[tokio::test(flavor = "multi_thread")]
async fn a_strict_client_names_the_issuer_and_nothing_else() {
    let (app, key) = app_with_signer("assertion_audience = \"issuer\"").await;
    let to = |audience: Value| key.jwt(&claims_with(&app, "signer", &json!({ "aud": audience })));
    assert_eq!(present(&app, &to(json!(ISSUER))).await.status, 200);
    for audience in [
        json!(at("/token")),
        json!(at("/par")),
        json!([ISSUER]),
        json!([ISSUER, at("/token")]),
        json!(at("/")),
        json!(ISSUER.to_uppercase()),
        json!(format!("{ISSUER}:443")),
        json!("https://id.test.evil.test"),
        json!(""),
        json!([]),
        json!(7),
    ] {
        refused(&app, &to(audience), "aud does not name us").await;
    }
    let without = key.jwt(&claims_with(&app, "signer", &json!({ "aud": null })));
    refused(&app, &without, "aud does not name us").await;
}

/// TK-09, JW-15: otherwise our own addresses are us as well, and still nobody else is, not even beside
/// us.
#[tokio::test(flavor = "multi_thread")]
async fn an_audience_is_ours_and_nobody_elses() {
    let (app, key) = app_with_signer("").await;
    let to = |audience: Value| key.jwt(&claims_with(&app, "signer", &json!({ "aud": audience })));
    for audience in [
        json!(ISSUER),
        json!(at("/token")),
        json!([ISSUER]),
        json!([at("/token")]),
        json!([ISSUER, at("/token")]),
    ] {
        assert_eq!(present(&app, &to(audience.clone())).await.status, 200, "{audience}");
    }
    let revoke = [json!(at("/revoke")), json!(at("/token")), json!(ISSUER)];
    for audience in revoke {
        let answer = present_at(&app, "/revoke", &to(audience.clone()), &[]).await;
        assert_eq!(answer.status, 200, "{audience}");
    }
    for audience in [
        json!(at("/revoke")),
        json!(at("/")),
        json!(at("/token/")),
        json!(at("/token?x")),
        json!("https://evil.test/token"),
        json!([ISSUER, "https://evil.test"]),
        json!([ISSUER, [ISSUER]]),
        json!([ISSUER, null]),
        json!([]),
        json!({ "aud": ISSUER }),
        json!("signer"),
    ] {
        refused(&app, &to(audience), "aud does not name us").await;
    }
    // What a request calls us changes nothing.
    let assertion = to(json!("https://evil.test/token"));
    let form = [
        ("grant_type", "client_credentials"),
        ("client_assertion_type", ASSERTION_TYPE),
        ("client_assertion", &*assertion),
    ];
    let headers = [("host", "evil.test"), ("x-forwarded-host", "evil.test")];
    app.post("/token", &form, &headers).await.assert_error(401, "invalid_client");
}
