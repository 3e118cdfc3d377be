//! An honest provider is one that an independent client accepts.

use serde_json::json;

use super::relying_party::sign_in;
use crate::support::fake_upstream::{
    Algorithm, ClientAuth, Endpoint, FakeUpstream, KeySet, Outcome, Placement, UserinfoShape,
};

#[tokio::test]
async fn an_independent_client_signs_in_with_every_asymmetric_algorithm() {
    let algorithms = [Algorithm::Rs256, Algorithm::Ps256, Algorithm::Es256, Algorithm::EdDsa];
    for algorithm in algorithms {
        let upstream = FakeUpstream::start_with(algorithm).await;
        let subject = sign_in(&upstream).await.map(|signed_in| signed_in.subject);
        assert_eq!(subject.as_deref(), Ok("alice-at-upstream"), "{algorithm:?}");
    }
}

#[tokio::test]
async fn a_sign_in_asks_every_endpoint_once() {
    let upstream = FakeUpstream::start().await;
    sign_in(&upstream).await.unwrap();
    let asked: Vec<Endpoint> = upstream.requests().iter().map(|request| request.endpoint).collect();
    let expected = [
        Endpoint::Discovery,
        Endpoint::Jwks,
        Endpoint::Authorize,
        Endpoint::Token,
        Endpoint::Userinfo,
    ];
    assert_eq!(asked, expected);
    let authorize = &upstream.requests_to(Endpoint::Authorize)[0];
    assert_eq!(authorize.param("code_challenge_method"), Some("S256"));
    let token = &upstream.requests_to(Endpoint::Token)[0];
    assert!(token.header("authorization").unwrap().starts_with("Basic "));
    assert!(token.param("code_verifier").unwrap().len() >= 43);
    upstream.clear_requests();
    assert_eq!(upstream.count(Endpoint::Token), 0);
}

#[tokio::test]
async fn an_issuer_may_have_a_path_with_a_trailing_slash_and_a_name() {
    let upstream = FakeUpstream::start().await;
    upstream.use_localhost();
    upstream.set_issuer_path("/application/o/app/");
    assert!(upstream.issuer().starts_with("http://localhost:"));
    assert!(upstream.issuer().ends_with("/application/o/app/"));
    sign_in(&upstream).await.unwrap();
}

#[tokio::test]
async fn the_person_and_the_place_of_the_claims_can_be_set() {
    let upstream = FakeUpstream::start().await;
    upstream.set_person(json!({"sub": "bob", "email": "bob@corp.test", "groups": ["staff"]}));
    for (placement, in_token, in_userinfo) in [
        (Placement::Both, true, true),
        (Placement::IdTokenOnly, true, false),
        (Placement::UserinfoOnly, false, true),
    ] {
        upstream.place_claims(placement);
        let signed_in = sign_in(&upstream).await.unwrap();
        assert_eq!(signed_in.subject, "bob");
        let claims = super::wire::payload(&signed_in.id_token);
        assert_eq!(claims.get("groups").is_some(), in_token, "{placement:?}");
        assert_eq!(signed_in.userinfo["email"].is_string(), in_userinfo, "{placement:?}");
    }
}

#[tokio::test]
async fn the_person_can_refuse_or_be_signed_out() {
    let upstream = FakeUpstream::start().await;
    let refuse = Outcome::Refuse { error: "access_denied".into(), description: None };
    upstream.set_outcome(refuse);
    assert_eq!(sign_in(&upstream).await.unwrap_err(), "access_denied");
    assert_eq!(upstream.count(Endpoint::Token), 0);
    upstream.set_outcome(Outcome::SignIn);
    sign_in(&upstream).await.unwrap();
}

#[tokio::test]
async fn rotated_keys_stay_published_and_replaced_keys_do_not() {
    let upstream = FakeUpstream::start().await;
    let first = upstream.signing_key().kid().to_owned();
    upstream.rotate_keys();
    sign_in(&upstream).await.unwrap();
    assert_eq!(super::wire::key_ids(&upstream).await.len(), 2);
    upstream.replace_keys();
    sign_in(&upstream).await.unwrap();
    let left = super::wire::key_ids(&upstream).await;
    assert_eq!(left, [upstream.signing_key().kid()]);
    assert_ne!(left, [first]);
}

#[tokio::test]
async fn two_living_providers_have_different_keys() {
    let one = FakeUpstream::start().await;
    let other = FakeUpstream::start().await;
    let modulus =
        |upstream: &FakeUpstream| upstream.signing_key().public_jwk().unwrap()["n"].clone();
    assert_ne!(modulus(&one), modulus(&other));
}

#[tokio::test]
async fn the_clock_can_be_replaced() {
    let upstream = FakeUpstream::start().await;
    upstream.set_clock(|| 1_000_000_000);
    let refused = sign_in(&upstream).await.unwrap_err();
    assert!(refused.contains("expired"), "{refused}");
}

#[tokio::test]
async fn client_authentication_can_be_restricted() {
    let upstream = FakeUpstream::start().await;
    upstream.set_client_auth(ClientAuth::Post);
    sign_in(&upstream).await.expect_err("the client sends Basic");
    upstream.set_client_auth(ClientAuth::Basic);
    sign_in(&upstream).await.unwrap();
}

#[tokio::test]
async fn what_the_specifications_allow_is_accepted() {
    let upstream = FakeUpstream::start().await;
    upstream.misbehave(|lies| {
        lies.header.remove("kid");
    });
    sign_in(&upstream).await.expect("one key needs no kid (OIDC Core §10.1)");
    upstream.misbehave(|lies| lies.key_set = KeySet::WithoutKids);
    sign_in(&upstream).await.expect("nor does the key itself");
    upstream.behave();
    upstream.misbehave(|lies| lies.userinfo_shape = UserinfoShape::Jwt);
    sign_in(&upstream).await.expect("userinfo may be a signed JWT (OIDC Core §5.3.2)");
}
