//! The listed attacks against the independent client. It is careful but not complete: what it is
//! known to let through is named here, which also proves that those attacks are otherwise valid.

use std::collections::BTreeSet;

use serde_json::json;

use super::relying_party::sign_in;
use crate::support::fake_upstream::attacks::{self, Attack};
use crate::support::fake_upstream::{Algorithm, Endpoint, FakeUpstream};

/// Attacks one after the other and compares those that get through with the known ones. An honest
/// sign-in has to work before and after.
async fn attack(upstream: &FakeUpstream, attacks: Vec<Attack>, known: &[&str]) {
    assert!(!attacks.is_empty());
    sign_in(upstream).await.expect("an honest sign-in before the attacks");
    let mut through = BTreeSet::new();
    for attack in attacks {
        attack.apply(upstream);
        match sign_in(upstream).await {
            Ok(_) => drop(through.insert(attack.name)),
            Err(reason) => println!("{}: {reason}", attack.name),
        }
    }
    upstream.behave();
    sign_in(upstream).await.expect("an honest sign-in after the attacks");
    let known: BTreeSet<String> = known.iter().map(|name| (*name).to_owned()).collect();
    assert_eq!(through, known);
}

#[tokio::test]
async fn signatures_that_prove_nothing() {
    let upstream = FakeUpstream::start().await;
    attack(&upstream, attacks::id_token_signatures(), &[]).await;
    assert_eq!(upstream.count(Endpoint::AttackerJwks), 0);
    assert_eq!(upstream.count(Endpoint::AttackerCertificate), 0);
}

#[tokio::test]
async fn elliptic_signatures_that_prove_nothing() {
    let upstream = FakeUpstream::start_with(Algorithm::Es256).await;
    attack(&upstream, attacks::ecdsa_signatures(), &[]).await;
}

/// The client does not judge the quality of keys. That these pass proves that they work.
#[tokio::test]
async fn key_sets_without_a_fit_key() {
    let upstream = FakeUpstream::start().await;
    let known = [
        "JWKS with Ed25519Identity",
        "JWKS with Rsa1024",
        "JWKS: NotForVerifying",
        "JWKS: WithPrivateMembers",
    ];
    attack(&upstream, attacks::key_sets(), &known).await;
}

#[tokio::test]
async fn headers_that_do_not_fit() {
    let upstream = FakeUpstream::start().await;
    let long = format!("header padding = \"{}", "x".repeat(59));
    attack(&upstream, attacks::id_token_headers(), &["header b64 = false", &long]).await;
}

/// The client checks neither `nbf`, `azp` nor the age of a token, and takes any text as subject.
#[tokio::test]
async fn claims_that_do_not_fit() {
    let upstream = FakeUpstream::start().await;
    let long = format!("sub = \"{}", "s".repeat(59));
    let known = [
        "azp = \"another-client\"",
        "exp = now +315360000 s",
        "iat = now +600 s",
        "nbf = \"1\"",
        "nbf = 1e+300",
        "nbf = [1]",
        "nbf = now +600 s",
        "nbf = null",
        "sub = \"\"",
        "sub = \"alice\\nbob\"",
        "sub = \"alice\\u0000\"",
        "sub = \"älice\"",
        &long,
    ];
    attack(&upstream, attacks::id_token_claims(), &known).await;
}

#[tokio::test]
async fn things_that_are_no_id_token() {
    let upstream = FakeUpstream::start().await;
    attack(&upstream, attacks::id_token_shapes(), &[]).await;
}

#[tokio::test]
async fn responses_that_do_not_fit() {
    let upstream = FakeUpstream::start().await;
    let all = [
        attacks::metadata(),
        attacks::authorization_responses(),
        attacks::token_responses(),
        attacks::userinfo(),
    ];
    attack(&upstream, all.into_iter().flatten().collect(), &[]).await;
}

#[tokio::test]
async fn broken_documents() {
    let upstream = FakeUpstream::start().await;
    let endpoints = [Endpoint::Discovery, Endpoint::Jwks, Endpoint::Token, Endpoint::Userinfo];
    let all = endpoints.into_iter().flat_map(attacks::broken_documents).collect();
    attack(&upstream, all, &[]).await;
}

#[tokio::test]
async fn answers_that_do_not_come_in_time() {
    let upstream = FakeUpstream::start().await;
    attack(&upstream, attacks::slow_or_endless(Endpoint::Jwks), &[]).await;
}

#[tokio::test]
async fn flags_that_do_not_verify_an_address_reach_the_client() {
    let upstream = FakeUpstream::start().await;
    for flag in attacks::unverified_email_flags() {
        assert_ne!(flag, json!(true));
        upstream.set_person(json!({"sub": "bob", "email_verified": flag}));
        // The client refuses some of these outright; those it takes arrive unchanged.
        if let Ok(signed_in) = sign_in(&upstream).await {
            assert_eq!(super::wire::payload(&signed_in.id_token)["email_verified"], flag);
        }
    }
}
