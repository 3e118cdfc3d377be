//! Every listed lie of an upstream, told to the real thing.

use super::{fails, fend_off, gets_in};
use crate::support::{
    app::TestApp,
    fake_upstream::{Algorithm, Endpoint, FakeUpstream, Placement, attacks},
};

/// Longer than any kept document is used.
const LONG: i64 = 25 * 3_600;

/// UP-13: an ID token that is not good is the end; UserInfo is not asked to make up for it.
fn assert_userinfo_was_not_asked(upstream: &FakeUpstream) {
    assert_eq!(upstream.count(Endpoint::Userinfo), 0);
}

/// An app whose upstream says everything in the ID token.
async fn with_full_id_tokens(algorithm: Algorithm) -> (TestApp, FakeUpstream) {
    let upstream = FakeUpstream::start_with(algorithm).await;
    let app = TestApp::builder().upstream("kc", &upstream, "").start().await;
    (app, upstream)
}

/// JW-01, JW-02, JW-03, JW-04, JW-08, UP-09, UP-13.
#[tokio::test(flavor = "multi_thread")]
async fn signatures_that_prove_nothing_sign_nobody_in() {
    let (app, upstream) = with_full_id_tokens(Algorithm::Rs256).await;
    let reasons = fend_off(&app, &upstream, attacks::id_token_signatures(), || {}).await;
    for expected in ["id_token_algorithm", "id_token_signature"] {
        assert!(reasons.iter().any(|reason| reason == expected), "{reasons:?}");
    }
    assert_eq!(upstream.count(Endpoint::AttackerJwks), 0);
    assert_eq!(upstream.count(Endpoint::AttackerCertificate), 0);
    assert_userinfo_was_not_asked(&upstream);
}

/// JW-08.
#[tokio::test(flavor = "multi_thread")]
async fn degenerate_ecdsa_signatures_sign_nobody_in() {
    let (app, upstream) = with_full_id_tokens(Algorithm::Es256).await;
    let reasons = fend_off(&app, &upstream, attacks::ecdsa_signatures(), || {}).await;
    assert!(reasons.iter().all(|reason| reason == "id_token_signature"), "{reasons:?}");
    assert_userinfo_was_not_asked(&upstream);
}

/// JW-05, JW-07, JW-17, UP-09, UP-13.
#[tokio::test(flavor = "multi_thread")]
async fn headers_of_id_tokens_choose_nothing() {
    let (app, upstream) = with_full_id_tokens(Algorithm::Rs256).await;
    let reasons = fend_off(&app, &upstream, attacks::id_token_headers(), || {}).await;
    for expected in ["id_token_key_unknown", "id_token_malformed", "id_token_type"] {
        assert!(reasons.iter().any(|reason| reason == expected), "{reasons:?}");
    }
    assert_eq!(upstream.count(Endpoint::Unknown), 0, "no name of a key is an address");
    assert_userinfo_was_not_asked(&upstream);
}

/// UP-09, UP-10, JW-13, JW-14, JW-15, JW-16, JW-19, JW-24: each fault has a reason of its own.
#[tokio::test(flavor = "multi_thread")]
async fn claims_that_do_not_fit_sign_nobody_in() {
    let (app, upstream) = with_full_id_tokens(Algorithm::Rs256).await;
    let reasons = fend_off(&app, &upstream, attacks::id_token_claims(), || {}).await;
    for expected in [
        "id_token_issuer",
        "id_token_audience",
        "id_token_expired",
        "id_token_issued_at",
        "id_token_not_yet_valid",
        "id_token_nonce",
        "id_token_at_hash",
        "id_token_subject",
        "id_token_malformed",
    ] {
        assert!(reasons.iter().any(|reason| reason == expected), "{expected}: {reasons:?}");
    }
    assert_userinfo_was_not_asked(&upstream);
}

/// JW-11, JW-12, UP-13.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_signed_token_signs_nobody_in() {
    let (app, upstream) = with_full_id_tokens(Algorithm::Rs256).await;
    fend_off(&app, &upstream, attacks::id_token_shapes(), || {}).await;
    assert_userinfo_was_not_asked(&upstream);
}

/// JW-09: the key is ignored, and the token that needs it refused.
#[tokio::test(flavor = "multi_thread")]
async fn key_sets_without_a_fit_key_sign_nobody_in() {
    let (app, upstream) = with_full_id_tokens(Algorithm::Rs256).await;
    let reasons = fend_off(&app, &upstream, attacks::key_sets(), || app.clock.advance(LONG)).await;
    assert!(reasons.iter().any(|reason| reason == "upstream_jwks_empty"), "{reasons:?}");
    assert_userinfo_was_not_asked(&upstream);
}

/// UP-08, FT-38.
#[tokio::test(flavor = "multi_thread")]
async fn metadata_that_does_not_fit_signs_nobody_in() {
    let (app, upstream) = TestApp::with_upstream().await;
    let mut all = attacks::metadata();
    // An issuer that was typed without its slash is found out, and kept for an hour.
    let (slash, all): (Vec<_>, Vec<_>) =
        all.drain(..).partition(|attack| attack.name == "issuer with a slash more");
    let reasons = fend_off(&app, &upstream, all, || app.clock.advance(LONG)).await;
    app.clock.advance(LONG);
    slash[0].apply(&upstream);
    fails(&app, &upstream, "kc").await.unwrap();
    upstream.behave();
    app.clock.advance(3_600);
    gets_in(&app, "kc").await.unwrap();
    for expected in ["upstream_issuer_mismatch", "upstream_discovery_malformed"] {
        assert!(reasons.iter().any(|reason| reason == expected), "{reasons:?}");
    }
}

/// UP-01, UP-05: nothing is redeemed for an answer that is not this upstream's.
#[tokio::test(flavor = "multi_thread")]
async fn answers_that_do_not_fit_sign_nobody_in() {
    let (app, upstream) = TestApp::with_upstream().await;
    for attack in attacks::authorization_responses() {
        gets_in(&app, "kc").await.unwrap();
        attack.apply(&upstream);
        upstream.clear_requests();
        fails(&app, &upstream, "kc")
            .await
            .unwrap_or_else(|fault| panic!("{}: {fault}", attack.name));
        let redeemed = upstream.count(Endpoint::Token);
        assert_eq!(redeemed, usize::from(attack.name == "unknown code"), "{}", attack.name);
        upstream.behave();
    }
    gets_in(&app, "kc").await.unwrap();
}

/// UP-13, FT-39: whatever the token endpoint says, it is asked once.
#[tokio::test(flavor = "multi_thread")]
async fn token_answers_that_do_not_fit_sign_nobody_in() {
    let (app, upstream) = TestApp::with_upstream().await;
    let mut all = attacks::token_responses();
    all.extend(attacks::broken_documents(Endpoint::Token));
    for attack in all {
        gets_in(&app, "kc").await.unwrap();
        attack.apply(&upstream);
        upstream.clear_requests();
        fails(&app, &upstream, "kc")
            .await
            .unwrap_or_else(|fault| panic!("{}: {fault}", attack.name));
        assert_eq!(upstream.count(Endpoint::Token), 1, "{}", attack.name);
        assert_userinfo_was_not_asked(&upstream);
        upstream.behave();
    }
    gets_in(&app, "kc").await.unwrap();
}

/// UP-12.
#[tokio::test(flavor = "multi_thread")]
async fn userinfo_about_somebody_else_signs_nobody_in() {
    let (app, upstream) = TestApp::with_upstream().await;
    upstream.place_claims(Placement::UserinfoOnly);
    let mut all = attacks::userinfo();
    all.extend(attacks::broken_documents(Endpoint::Userinfo));
    let reasons = fend_off(&app, &upstream, all, || {}).await;
    for expected in ["upstream_userinfo_subject", "upstream_userinfo_malformed"] {
        assert!(reasons.iter().any(|reason| reason == expected), "{reasons:?}");
    }
}

/// FT-38: no such answer is ever believed, followed or read to its end.
#[tokio::test(flavor = "multi_thread")]
async fn broken_discovery_and_key_sets_sign_nobody_in() {
    let (app, upstream) = TestApp::with_upstream().await;
    for endpoint in [Endpoint::Discovery, Endpoint::Jwks] {
        let all = attacks::broken_documents(endpoint);
        fend_off(&app, &upstream, all, || app.clock.advance(LONG)).await;
    }
    assert_eq!(upstream.count(Endpoint::Unknown), 0);
}
