//! RFC 9449: tokens of an upstream that are bound to a key of ours, where the administrator wants that.

use std::collections::BTreeSet;

use keywright::keys::parse_unverified;
use serde_json::{Map, Value, json};

use super::{fails, gets_in};
use crate::support::{
    app::TestApp,
    fake_upstream::{Endpoint, FakeUpstream, Fault, Placement, Recorded, Refreshes},
};

const DPOP: &str = "dpop = \"auto\"\ngroups = { claim = \"groups\" }";

/// An upstream that binds tokens and tells by UserInfo alone who it is about.
async fn binding() -> FakeUpstream {
    let upstream = FakeUpstream::start().await;
    upstream.bind_tokens();
    upstream.place_claims(Placement::UserinfoOnly);
    upstream
}

async fn start(settings: &str) -> (TestApp, FakeUpstream) {
    let upstream = binding().await;
    let app = TestApp::builder().upstream("kc", &upstream, settings).start().await;
    (app, upstream)
}

/// Header and claims of the proof that a request carries.
fn proof(request: &Recorded) -> (Map<String, Value>, Map<String, Value>) {
    parse_unverified(request.header("dpop").unwrap()).unwrap()
}

/// RFC 9449 §4.2, §5, §7.1: a fresh key for each sign-in, and with it a proof for each request. The
/// server checks them to the letter.
#[tokio::test(flavor = "multi_thread")]
async fn tokens_are_bound_to_a_key_of_each_sign_in() {
    let (app, upstream) = start(DPOP).await;
    let mut keys = BTreeSet::new();
    for _ in 0..2 {
        upstream.clear_requests();
        gets_in(&app, "kc").await.unwrap();
        let token = upstream.requests_to(Endpoint::Token).pop().unwrap();
        let userinfo = upstream.requests_to(Endpoint::Userinfo).pop().unwrap();
        let ((first, claims), (second, about)) = (proof(&token), proof(&userinfo));
        assert_eq!(first["jwk"], second["jwk"]);
        assert_eq!(claims["htu"], json!(upstream.url(Endpoint::Token)));
        assert!(claims.get("ath").is_none() && about["ath"].is_string());
        assert_ne!(claims["jti"], about["jti"]);
        assert!(userinfo.header("authorization").unwrap().starts_with("DPoP upstream-access"));
        keys.insert(first["jwk"].to_string());
    }
    assert_eq!(keys.len(), 2);
}

/// Nobody is shown a key unless the administrator wants it and the upstream takes it.
#[tokio::test(flavor = "multi_thread")]
async fn without_need_no_key_is_shown() {
    let (app, upstream) = start("").await;
    gets_in(&app, "kc").await.unwrap();
    let plain = FakeUpstream::start().await;
    plain.place_claims(Placement::UserinfoOnly);
    let other = TestApp::builder().upstream("kc", &plain, DPOP).start().await;
    gets_in(&other, "kc").await.unwrap();
    // One that takes other algorithms only.
    plain.misbehave(|lies| {
        lies.metadata.set("dpop_signing_alg_values_supported", json!(["RS256"]));
    });
    let third = TestApp::builder().upstream("kc", &plain, DPOP).start().await;
    gets_in(&third, "kc").await.unwrap();
    for request in upstream.requests().iter().chain(&plain.requests()) {
        assert_eq!(request.header("dpop"), None, "{:?}", request.endpoint);
    }
}

/// RFC 9449 §8, §9: a server that wants a nonce is answered with it, once.
#[tokio::test(flavor = "multi_thread")]
async fn a_nonce_that_is_wanted_is_sent() {
    let (app, upstream) = start(DPOP).await;
    upstream.want_nonce("n-0S6_WzA2Mj");
    gets_in(&app, "kc").await.unwrap();
    for endpoint in [Endpoint::Token, Endpoint::Userinfo] {
        let requests = upstream.requests_to(endpoint);
        let nonces: Vec<Option<Value>> =
            requests.iter().map(|r| proof(r).1.get("nonce").cloned()).collect();
        assert_eq!(nonces, [None, Some(json!("n-0S6_WzA2Mj"))], "{endpoint:?}");
        let [first, second] = [0, 1].map(|at| proof(&requests[at]).1["jti"].clone());
        assert_ne!(first, second, "each proof counts once");
    }
}

/// A nonce for ever, and one that could not be sent: the sign-in fails, and nothing is tried for ever.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_never_content_is_left() {
    let (app, upstream) = start(DPOP).await;
    upstream.want_nonce("first");
    upstream.misbehave(|lies| {
        lies.fault(Endpoint::Token, Fault::oauth_error(400, "use_dpop_nonce"));
    });
    let event = fails(&app, &upstream, "kc").await.unwrap();
    assert_eq!(event.reason.as_deref(), Some("upstream_token_malformed"), "no nonce came with it");
    assert_eq!(upstream.count(Endpoint::Token), 1);
    upstream.behave();
    upstream.clear_requests();
    upstream.want_nonce("not fit");
    let event = fails(&app, &upstream, "kc").await.unwrap();
    assert_eq!(event.reason.as_deref(), Some("upstream_token_malformed"));
    upstream.clear_requests();
    upstream.want_nonce_that_changes();
    let event = fails(&app, &upstream, "kc").await.unwrap();
    assert_eq!(event.reason.as_deref(), Some("upstream_token_refused"));
    assert_eq!(upstream.count(Endpoint::Token), 2);
}

/// RFC 9449 §5: a server that answers with a bearer token has bound nothing, and it is used as one; one
/// that speaks of `DPoP` although no key was shown is not understood.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_server_says_of_its_tokens_counts() {
    let (app, upstream) = start(DPOP).await;
    upstream.answer_with_bearer_tokens();
    gets_in(&app, "kc").await.unwrap();
    let userinfo = upstream.requests_to(Endpoint::Userinfo).pop().unwrap();
    assert!(userinfo.header("authorization").unwrap().starts_with("Bearer "));
    assert_eq!(userinfo.header("dpop"), None);

    let (app, upstream) = start("").await;
    upstream.misbehave(|lies| {
        lies.token_response.set("token_type", json!("DPoP"));
    });
    let event = fails(&app, &upstream, "kc").await.unwrap();
    assert_eq!(event.reason.as_deref(), Some("upstream_token_malformed"));
}

/// RFC 9449 §5: the key goes with the tokens: a lease is renewed with the key of its sign-in, by
/// refresh tokens and by UserInfo, also after the instance was replaced by another.
#[tokio::test(flavor = "multi_thread")]
async fn leases_are_renewed_with_the_key_of_the_sign_in() {
    // The access token lives for five minutes, and clocks may differ by one.
    for (refreshes, asked, rounds) in
        [(Refreshes::Rotating, Endpoint::Token, 3), (Refreshes::None, Endpoint::Userinfo, 1)]
    {
        let upstream = binding().await;
        upstream.set_refreshes(refreshes);
        upstream.set_person(json!({ "sub": "7", "preferred_username": "carol", "groups": ["a"] }));
        let settings = format!("{DPOP}\nmax_staleness = \"3m\"");
        let app = TestApp::builder().upstream("kc", &upstream, &settings).start().await;
        gets_in(&app, "kc").await.unwrap();
        let at_first = proof(&upstream.requests_to(Endpoint::Token)[0]).0["jwk"].clone();
        let app = crate::sessions::stop(app).await.upstream("kc", &upstream, &settings);
        let app = app.start().await;
        for _ in 0..rounds {
            upstream.clear_requests();
            app.clock.advance(90);
            keywright::leases::tend(&app.app).await.unwrap();
            let request = upstream.requests_to(asked).pop().unwrap();
            assert_eq!(proof(&request).0["jwk"], at_first, "{refreshes:?}");
        }
        assert_eq!(app.refusals("lease").await, Vec::<String>::new());
        let text = app.app.metrics.render().unwrap();
        let confirmed = format!("outcome=\"confirmed\"}} {rounds}");
        assert!(text.contains(&confirmed), "{text}");
        upstream.expel();
        app.clock.advance(90);
        keywright::leases::tend(&app.app).await.unwrap();
        assert_eq!(app.refusals("lease").await.len(), 1);
    }
}

/// Proofs are refused when clocks differ: that is no word about the person, and ends no session.
#[tokio::test(flavor = "multi_thread")]
async fn a_proof_that_is_refused_is_not_held_against_the_person() {
    let upstream = binding().await;
    let settings = format!("{DPOP}\nmax_staleness = \"3m\"");
    let app = TestApp::builder().upstream("kc", &upstream, &settings).start().await;
    gets_in(&app, "kc").await.unwrap();
    app.clock.advance(90);
    let differ = |seconds: i64| {
        let clock = std::sync::Arc::clone(&app.clock);
        upstream.set_clock(move || clock.unix() + seconds);
    };
    differ(30);
    upstream.clear_requests();
    keywright::leases::tend(&app.app).await.unwrap();
    assert_eq!(upstream.count(Endpoint::Userinfo), 1);
    assert_eq!(app.refusals("lease").await, Vec::<String>::new());
    differ(0);
    app.clock.advance(10);
    keywright::leases::tend(&app.app).await.unwrap();
    let text = app.app.metrics.render().unwrap();
    for outcome in ["away", "confirmed"] {
        assert!(text.contains(&format!("outcome=\"{outcome}\"}} 1")), "{text}");
    }
    // A sign-in that cannot be proved says why.
    differ(30);
    let event = fails(&app, &upstream, "kc").await.unwrap();
    assert_eq!(event.reason.as_deref(), Some("upstream_token_refused"));
    assert!(event.detail.contains("invalid_dpop_proof"), "{}", event.detail);
}

/// RFC 9449 §5: a refresh token may be bound where the access token beside it is not: the key is kept,
/// and shown for refresh tokens alone.
#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_token_may_be_bound_alone() {
    let upstream = binding().await;
    upstream.bind_refresh_tokens();
    upstream.set_refreshes(Refreshes::Rotating);
    let settings = format!("{DPOP}\nmax_staleness = \"3m\"");
    let app = TestApp::builder().upstream("kc", &upstream, &settings).start().await;
    gets_in(&app, "kc").await.unwrap();
    let at_first = proof(&upstream.requests_to(Endpoint::Token)[0]).0["jwk"].clone();
    for _ in 0..2 {
        upstream.clear_requests();
        app.clock.advance(90);
        keywright::leases::tend(&app.app).await.unwrap();
        let request = upstream.requests_to(Endpoint::Token).pop().unwrap();
        assert_eq!(proof(&request).0["jwk"], at_first);
        let userinfo = upstream.requests_to(Endpoint::Userinfo).pop().unwrap();
        assert!(userinfo.header("authorization").unwrap().starts_with("Bearer "));
        assert_eq!(userinfo.header("dpop"), None);
    }
    assert_eq!(app.refusals("lease").await, Vec::<String>::new());
    let text = app.app.metrics.render().unwrap();
    assert!(text.contains("outcome=\"confirmed\"} 2"), "{text}");
}
