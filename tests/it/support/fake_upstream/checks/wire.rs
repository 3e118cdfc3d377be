//! What the provider sends, seen without any relying party.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use josekit::jws::{ES256, HS256, JwsVerifier as _};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::relying_party::REDIRECT_URI;
use crate::support::browser::{Browser, Page};
use crate::support::fake_upstream::{
    Algorithm, CLIENT_ID, CLIENT_SECRET, Endpoint, FakeUpstream, Fault, Lure, PublicKeyForm,
    Signature,
};

const VERIFIER: &str = "a-verifier-of-at-least-forty-three-characters";

/// The claims of a token, unverified.
pub(super) fn payload(token: &str) -> Value {
    part(token, 1)
}

fn part(token: &str, index: usize) -> Value {
    let text = token.split('.').nth(index).expect("a part");
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).expect("base64url")).expect("JSON")
}

/// The `kid`s of the published keys.
pub(super) async fn key_ids(upstream: &FakeUpstream) -> Vec<String> {
    let document = Browser::over_network(&upstream.origin()).get("/jwks").await.json();
    let keys = document["keys"].as_array().expect("keys").iter();
    keys.map(|key| key["kid"].as_str().expect("a kid").to_owned()).collect()
}

async fn authorize(upstream: &FakeUpstream, more: &str) -> Page {
    let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(VERIFIER));
    let url = format!(
        "/authorize?response_type=code&client_id={CLIENT_ID}&redirect_uri={REDIRECT_URI}\
         &scope=openid&state=s&nonce=n&code_challenge={challenge}&code_challenge_method=S256{more}"
    );
    Browser::over_network(&upstream.origin()).get(&url).await
}

async fn redeem(upstream: &FakeUpstream, code: &str, changes: &[(&str, &str)]) -> Page {
    let mut form = vec![
        ("grant_type", "authorization_code"),
        ("client_id", CLIENT_ID),
        ("client_secret", CLIENT_SECRET),
        ("redirect_uri", REDIRECT_URI),
        ("code_verifier", VERIFIER),
        ("code", code),
    ];
    for (name, value) in changes {
        form.retain(|(other, _)| other != name);
        form.push((name, value));
    }
    Browser::over_network(&upstream.origin()).post_form("/token", &form).await
}

async fn id_token(upstream: &FakeUpstream) -> String {
    let code = authorize(upstream, "").await.location_param("code").expect("a code");
    let response = redeem(upstream, &code, &[]).await.json();
    response["id_token"].as_str().expect("an ID token").to_owned()
}

#[tokio::test]
async fn a_code_works_once_and_only_for_its_request() {
    let upstream = FakeUpstream::start().await;
    let wrong = [
        ("code_verifier", "wrong"),
        ("redirect_uri", "https://rp.test/other"),
        ("code", "unknown"),
        ("client_secret", "wrong"),
        ("grant_type", "password"),
    ];
    for change in wrong {
        let code = authorize(&upstream, "").await.location_param("code").unwrap();
        let page = redeem(&upstream, &code, &[change]).await;
        assert!(matches!(page.status, 400 | 401), "{change:?}");
    }
    let code = authorize(&upstream, "").await.location_param("code").unwrap();
    assert_eq!(redeem(&upstream, &code, &[]).await.status, 200);
    assert_eq!(redeem(&upstream, &code, &[]).await.json()["error"], "invalid_grant");
    upstream.misbehave(|lies| lies.accept_used_codes = true);
    assert_eq!(redeem(&upstream, &code, &[]).await.status, 200);
}

#[tokio::test]
async fn a_code_is_bound_to_its_client() {
    let upstream = FakeUpstream::start().await;
    upstream.add_client("other", "other-secret");
    let code = authorize(&upstream, "").await.location_param("code").unwrap();
    let other = [("client_id", "other"), ("client_secret", "other-secret")];
    assert_eq!(redeem(&upstream, &code, &other).await.json()["error"], "invalid_grant");
    let body = &upstream.requests_to(Endpoint::Token)[0].body;
    assert!(body.windows(12).any(|window| window == b"other-secret"));
}

#[tokio::test]
async fn hooks_change_anything_before_signing() {
    let upstream = FakeUpstream::start().await;
    upstream.misbehave(|lies| {
        lies.transform_id_token(|header, claims| {
            header.insert("x".into(), json!(1));
            claims.insert("sub".into(), json!("mallory"));
        });
        lies.transform_key_set(|mut document| {
            document["more"] = json!(true);
            document
        });
    });
    let token = id_token(&upstream).await;
    assert_eq!(part(&token, 0)["x"], 1);
    assert_eq!(payload(&token)["sub"], "mallory");
    let document = Browser::over_network(&upstream.origin()).get("/jwks").await.json();
    assert_eq!(document["more"], true);
}

#[tokio::test]
async fn authorization_requests_are_checked() {
    let upstream = FakeUpstream::start().await;
    let page = Browser::over_network(&upstream.origin()).get("/authorize?client_id=nobody").await;
    assert_eq!(page.status, 400);
    let url = format!(
        "/authorize?response_type=code&client_id={CLIENT_ID}&redirect_uri={REDIRECT_URI}&scope=openid"
    );
    let page = Browser::over_network(&upstream.origin()).get(&url).await;
    let description = page.location_param("error_description").unwrap();
    assert!(description.contains("code_challenge"), "{description}");
}

#[tokio::test]
async fn logout_ends_the_session_that_prompt_none_asks_for() {
    let upstream = FakeUpstream::start().await;
    assert!(authorize(&upstream, "&prompt=none").await.location_param("code").is_some());
    let mut browser = Browser::over_network(&upstream.origin());
    let page = browser.get("/end_session?post_logout_redirect_uri=https://rp.test/&state=x").await;
    assert_eq!(page.location().unwrap().as_str(), "https://rp.test/?state=x");
    let refused = authorize(&upstream, "&prompt=none").await;
    upstream.set_signed_in(true);
    assert!(authorize(&upstream, "&prompt=none").await.location_param("code").is_some());
    assert_eq!(refused.location_param("error").as_deref(), Some("login_required"));
    assert_eq!(refused.location_param("iss"), Some(upstream.issuer()));
}

/// Without this, a relying party that trusts such keys would pass the tests by luck.
#[tokio::test]
async fn forged_signatures_are_valid_for_whoever_trusts_their_key() {
    let upstream = FakeUpstream::start_with(Algorithm::Es256).await;
    upstream.misbehave(|lies| lies.signature = Signature::Attacker(Lure::Jwk));
    let token = id_token(&upstream).await;
    let (input, signature) = token.rsplit_once('.').unwrap();
    let jwk = serde_json::from_value(part(&token, 0)["jwk"].clone()).unwrap();
    let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
    ES256.verifier_from_jwk(&jwk).unwrap().verify(input.as_bytes(), &signature).unwrap();

    let form = Signature::HmacOfPublicKey(PublicKeyForm::Jwk);
    upstream.misbehave(|lies| lies.signature = form);
    let token = id_token(&upstream).await;
    let (input, signature) = token.rsplit_once('.').unwrap();
    let secret = json!(upstream.signing_key().public_jwk()).to_string();
    let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
    HS256.verifier_from_bytes(secret).unwrap().verify(input.as_bytes(), &signature).unwrap();

    upstream.misbehave(|lies| lies.signature = Signature::Attacker(Lure::Jku));
    let jku = part(&id_token(&upstream).await, 0)["jku"].clone();
    assert_eq!(jku, upstream.url(Endpoint::AttackerJwks));
    let kid = upstream.signing_key().kid().to_owned();
    let page = Browser::over_network(&upstream.origin()).get(jku.as_str().unwrap()).await;
    assert_eq!(page.json()["keys"][0]["kid"], kid);
}

#[tokio::test]
async fn a_fault_strikes_as_often_as_it_was_told() {
    let upstream = FakeUpstream::start().await;
    upstream.misbehave(|lies| lies.fault_times(Endpoint::Jwks, 2, Fault::Status(503)));
    let mut browser = Browser::over_network(&upstream.origin());
    for expected in [503, 503, 200] {
        assert_eq!(browser.get("/jwks").await.status, expected);
    }
    upstream.misbehave(|lies| lies.fault(Endpoint::Jwks, Fault::Delay(Duration::from_millis(80))));
    let start = tokio::time::Instant::now();
    assert_eq!(browser.get("/jwks").await.status, 200);
    assert!(start.elapsed() >= Duration::from_millis(80));
    let elsewhere = Fault::Redirect(307, "https://attacker.test/jwks".into());
    upstream.misbehave(|lies| lies.fault(Endpoint::Jwks, elsewhere));
    let target = browser.get("/jwks").await.location();
    assert_eq!(target.unwrap().as_str(), "https://attacker.test/jwks");
    upstream.misbehave(|lies| lies.fault(Endpoint::Jwks, Fault::Padded(1_000_000)));
    let page = browser.get("/jwks").await;
    assert!(page.body.len() > 1_000_000);
    assert!(page.json()["keys"].is_array());
}

#[tokio::test]
async fn logout_tokens_can_be_signed() {
    let upstream = FakeUpstream::start_with(Algorithm::EdDsa).await;
    let token = upstream.sign("logout+jwt", &json!({"sub": "alice"}));
    assert_eq!(part(&token, 0)["typ"], "logout+jwt");
    assert_eq!(payload(&token), json!({"sub": "alice"}));
}
