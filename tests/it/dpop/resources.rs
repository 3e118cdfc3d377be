//! How a bound token is shown at a resource (RFC 9449 §7).

use axum::http::{Method, Request};
use bytes::Bytes;
use serde_json::json;

use super::{Holder, bound_tokens, hash, userinfo};
use crate::support::{
    app::{Answer, ISSUER, TestApp},
    journey::{code_by_session, code_for},
};

fn challenges(answer: &Answer) -> Vec<&str> {
    let lines = answer.headers.get_all("www-authenticate").iter();
    lines.map(|line| line.to_str().unwrap()).collect()
}

async fn shows(app: &TestApp, token: &str, proof: &str) -> Answer {
    let authorization = format!("DPoP {token}");
    userinfo(app, &[("authorization", &authorization), ("dpop", proof)]).await
}

/// RFC 9449 §7.1: with a proof of its key, for this very request and token, once.
#[tokio::test(flavor = "multi_thread")]
async fn a_bound_token_is_shown_with_its_proof() {
    let app = TestApp::start().await;
    let holder = Holder::new();
    let token = bound_tokens(&app, &holder).await.text("access_token");
    let proof = holder.for_userinfo(&app, &token);
    let answer = shows(&app, &token, &proof).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    // DP-01.
    let again = shows(&app, &token, &proof).await;
    again.assert_error(401, "invalid_dpop_proof");
    assert!(challenges(&again)[0].starts_with("DPoP "), "{again:?}");
    // By POST as well, and with the scheme in any case.
    let proof = holder.proof(&app, ("POST", "/userinfo"), &json!({ "ath": hash(&token) }));
    let request = Request::builder()
        .method(Method::POST)
        .uri(format!("{ISSUER}/userinfo"))
        .header("authorization", format!("dPoP {token}"))
        .header("dpop", proof);
    assert_eq!(app.send(request.body(Bytes::new()).unwrap()).await.status, 200);
}

/// DP-02, RFC 9449 §7.2: without the key a token is worth nothing, however it is shown.
#[tokio::test(flavor = "multi_thread")]
async fn a_bound_token_without_its_key_opens_nothing() {
    let app = TestApp::start().await;
    let (holder, thief) = (Holder::new(), Holder::new());
    let token = bound_tokens(&app, &holder).await.text("access_token");
    let bearer = format!("Bearer {token}");
    let good = holder.for_userinfo(&app, &token);
    for headers in
        [vec![("authorization", &*bearer)], vec![("authorization", &*bearer), ("dpop", &*good)]]
    {
        let answer = userinfo(&app, &headers).await;
        answer.assert_error(401, "invalid_token");
        let challenge = challenges(&answer)[0];
        assert!(challenge.starts_with("DPoP ") && challenge.contains("algs=\""), "{challenge}");
    }
    let bound = format!("DPoP {token}");
    let answer = userinfo(&app, &[("authorization", &bound)]).await;
    answer.assert_error(401, "invalid_dpop_proof");
    shows(&app, &token, &thief.for_userinfo(&app, &token)).await.assert_error(401, "invalid_token");
    let at = ("GET", "/userinfo");
    for changes in [
        json!({}),
        json!({"ath": hash("another token")}),
        json!({"ath": 7}),
        json!({"ath": hash(&token), "htm": "POST"}),
        json!({"ath": hash(&token), "htu": format!("{ISSUER}/token")}),
        json!({"ath": hash(&token), "iat": app.clock.unix() - 61}),
        json!({"ath": hash(&token), "iat": app.clock.unix() + 61}),
    ] {
        let answer = shows(&app, &token, &holder.proof(&app, at, &changes)).await;
        answer.assert_error(401, "invalid_dpop_proof");
        let challenge = challenges(&answer)[0];
        assert!(challenge.contains("error=\"invalid_dpop_proof\""), "{changes}: {challenge}");
    }
    // A proof of the token endpoint opens no resource.
    shows(&app, &token, &holder.for_tokens(&app)).await.assert_error(401, "invalid_dpop_proof");
    assert_eq!(shows(&app, &token, &good).await.status, 200, "nothing of it was used up");
    // RFC 9449 §7.2: nor at our own API, which knows bearer tokens alone.
    let me = |authorization: String| {
        let request = Request::builder()
            .uri(format!("{ISSUER}/api/v1/me"))
            .header("authorization", authorization)
            .header("dpop", holder.for_userinfo(&app, &token));
        app.send(request.body(Bytes::new()).unwrap())
    };
    assert_eq!(me(bearer).await.status, 401);
    assert_eq!(me(bound).await.status, 401);
}

/// RFC 9449 §7.1: a token that is bound to nothing is a bearer token, and nothing else.
#[tokio::test(flavor = "multi_thread")]
async fn a_bearer_token_is_not_shown_as_a_bound_one() {
    let app = TestApp::start().await;
    app.add_user("bob", &[]).await;
    let mut browser = app.browser();
    let code = code_for(&mut browser, "spa", "bob", &[]).await;
    let token = super::redeem(&app, &code, None).await.text("access_token");
    let holder = Holder::new();
    let proof = holder.for_userinfo(&app, &token);
    shows(&app, &token, &proof).await.assert_error(401, "invalid_token");
    let bearer = format!("Bearer {token}");
    assert_eq!(userinfo(&app, &[("authorization", &bearer)]).await.status, 200);
    let code = code_by_session(&mut browser, "spa", &[]).await;
    let proof = holder.for_tokens(&app);
    assert_eq!(super::redeem(&app, &code, Some(&proof)).await.status, 200);
}

/// RFC 9449 §7.1: who comes without a token is told both ways, and the algorithms are those of the
/// metadata.
#[tokio::test(flavor = "multi_thread")]
async fn the_challenge_names_both_ways() {
    let app = TestApp::start().await;
    let answer = userinfo(&app, &[]).await;
    assert_eq!(answer.status, 401);
    let said = challenges(&answer);
    assert!(said.len() == 2 && said[0].starts_with("Bearer ") && said[1].starts_with("DPoP "));
    let metadata = app.get("/.well-known/openid-configuration", None).await.json();
    let listed = metadata["dpop_signing_alg_values_supported"].as_array().unwrap();
    let listed: Vec<&str> = listed.iter().map(|alg| alg.as_str().unwrap()).collect();
    assert!(said[1].contains(&format!("algs=\"{}\"", listed.join(" "))), "{}", said[1]);
}

/// RFC 9449 §7.1: where proofs cannot be checked, bound tokens wait and bearer tokens do not.
#[tokio::test(flavor = "multi_thread")]
async fn without_the_short_lived_state_bound_tokens_wait() {
    let app = TestApp::builder().state_url("memory:").start().await;
    let holder = Holder::new();
    let token = bound_tokens(&app, &holder).await.text("access_token");
    let app = crate::sessions::stop(app).await.state_url("redis://127.0.0.1:1").start().await;
    let answer = shows(&app, &token, &holder.for_userinfo(&app, &token)).await;
    answer.assert_error(503, "temporarily_unavailable");
}
