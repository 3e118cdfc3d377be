//! Two upstreams, one of them hostile: what belongs to one never reaches the other.

use std::collections::BTreeSet;

use base64::Engine as _;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::{
    Away, Witness, fails, gets_in, is_refusal_page, no_session_cookie, rebuilt, sign_in_at,
    start_at,
};
use crate::support::{
    app::TestApp,
    fake_upstream::{Endpoint, FakeUpstream},
};

async fn honest_and_hostile() -> (TestApp, FakeUpstream, FakeUpstream) {
    let (kc, eve) = (FakeUpstream::start().await, FakeUpstream::start().await);
    let builder = TestApp::builder().upstream("kc", &kc, "").upstream("eve", &eve, "");
    (builder.start().await, kc, eve)
}

/// UP-04: an answer on the other upstream's callback. Each upstream has an address of its own.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_at_the_callback_of_another_upstream_is_refused() {
    let (app, kc, eve) = honest_and_hostile().await;
    for (from, to) in [("kc", "eve"), ("eve", "kc")] {
        let mut away = Away::at(&app, from).await;
        let mut wrong = away.callback.clone();
        wrong.set_path(&format!("/upstream/{to}/callback"));
        let witness = Witness::of(&app).await;
        let page = away.browser.get(wrong.as_str()).await;
        let event = witness.only_refusal().await.unwrap();
        is_refusal_page(&page, 400, &event).unwrap();
        assert_eq!(event.reason.as_deref(), Some("upstream_mix_up"));
        no_session_cookie(&away.browser).unwrap();
        assert_eq!(away.come_back().await.status, 400, "the state is used up");
    }
    assert_eq!((kc.count(Endpoint::Token), eve.count(Endpoint::Token)), (0, 0));
    let of = |upstream: &FakeUpstream| {
        let asked = upstream.requests_to(Endpoint::Authorize);
        asked[0].param("redirect_uri").unwrap().to_owned()
    };
    assert_eq!(of(&kc), "https://id.test/upstream/kc/callback");
    assert_eq!(of(&eve), "https://id.test/upstream/eve/callback");
}

/// UP-06: metadata that points at another configured upstream is not used at all.
#[tokio::test(flavor = "multi_thread")]
async fn metadata_that_points_at_another_upstream_is_not_used() {
    let endpoints = [
        ("authorization_endpoint", Endpoint::Authorize),
        ("token_endpoint", Endpoint::Token),
        ("userinfo_endpoint", Endpoint::Userinfo),
        ("jwks_uri", Endpoint::Jwks),
    ];
    for (name, endpoint) in endpoints {
        let (app, kc, eve) = honest_and_hostile().await;
        eve.misbehave(|lies| {
            lies.metadata.set(name, kc.url(endpoint));
        });
        let event = fails(&app, &eve, "eve").await.unwrap();
        assert_eq!(event.reason.as_deref(), Some("upstream_mix_up"), "{name}");
        assert_eq!(kc.requests().len(), 0, "{name}");
        assert_eq!(eve.count(Endpoint::Token), 0, "{name}");
        gets_in(&app, "kc").await.unwrap();
    }
}

/// UP-05, UP-06: eve sends people to a third provider and wants the code that comes of it. The
/// answer names that provider, so the code goes nowhere.
#[tokio::test(flavor = "multi_thread")]
async fn a_code_of_another_provider_is_never_sent_to_the_hostile_one() {
    let (app, _kc, eve) = honest_and_hostile().await;
    let third = FakeUpstream::start().await;
    for promised in [true, false] {
        app.clock.advance(25 * 3_600);
        eve.misbehave(|lies| {
            lies.metadata.set("authorization_endpoint", third.url(Endpoint::Authorize));
            lies.metadata.set("authorization_response_iss_parameter_supported", promised);
        });
        let event = fails(&app, &eve, "eve").await.unwrap();
        assert_eq!(event.reason.as_deref(), Some("upstream_mix_up"));
    }
    assert_eq!(third.count(Endpoint::Authorize), 2);
    assert_eq!(eve.count(Endpoint::Token), 0);
}

/// UP-05: a provider that does not promise `iss` may leave it out.
#[tokio::test(flavor = "multi_thread")]
async fn iss_may_be_missing_where_it_is_not_promised() {
    let (app, upstream) = TestApp::with_upstream().await;
    upstream.misbehave(|lies| {
        lies.metadata.remove("authorization_response_iss_parameter_supported");
        lies.authorization_response.remove("iss");
    });
    gets_in(&app, "kc").await.unwrap();
}

/// UP-11: PKCE with S256 always, a new verifier each time, sent once and only to the same upstream.
#[tokio::test(flavor = "multi_thread")]
async fn every_trip_to_an_upstream_is_bound_by_pkce() {
    let (app, kc, eve) = honest_and_hostile().await;
    for slug in ["kc", "eve", "kc"] {
        gets_in(&app, slug).await.unwrap();
    }
    let mut verifiers = BTreeSet::new();
    let mut marks = BTreeSet::new();
    for upstream in [&kc, &eve] {
        let asked = upstream.requests_to(Endpoint::Authorize);
        let redeemed = upstream.requests_to(Endpoint::Token);
        assert_eq!(asked.len(), redeemed.len());
        for (asked, redeemed) in asked.iter().zip(&redeemed) {
            let verifier = redeemed.param("code_verifier").unwrap();
            let digest = Sha256::digest(verifier);
            let challenge = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(digest);
            assert_eq!(asked.param("code_challenge"), Some(challenge.as_str()));
            assert_eq!(asked.param("code_challenge_method"), Some("S256"));
            assert!(verifier.len() >= 43);
            assert!(verifiers.insert(verifier.to_owned()), "a verifier is used once");
            for name in ["state", "nonce"] {
                let mark = asked.param(name).unwrap();
                assert!(mark.len() >= 22 && marks.insert(mark.to_owned()), "{name}: {mark}");
            }
        }
    }
    assert_eq!(verifiers.len(), 3);
}

/// UP-18, UP-19: an issuer comes from the configuration, byte by byte: not from a token, and not
/// from a template with holes.
#[tokio::test(flavor = "multi_thread")]
async fn templates_and_issuers_of_tokens_are_not_followed() {
    let (app, upstream) = TestApp::with_upstream().await;
    let template = format!("{}/{{tenantid}}/v2.0", upstream.origin());
    upstream.misbehave(|lies| {
        lies.metadata.set("issuer", template);
    });
    let event = fails(&app, &upstream, "kc").await.unwrap();
    assert_eq!(event.reason.as_deref(), Some("upstream_issuer_mismatch"));
    upstream.behave();
    let stranger = FakeUpstream::start().await;
    let issuer = stranger.issuer();
    upstream.misbehave(|lies| {
        lies.claims.set("iss", issuer).set("tid", "another-tenant");
    });
    let event = fails(&app, &upstream, "kc").await.unwrap();
    assert_eq!(event.reason.as_deref(), Some("id_token_issuer"));
    assert_eq!(stranger.requests().len(), 0);
}

/// UP-16: the same subject at two upstreams is two people; an upstream that is made again under the
/// same short name, at another issuer, does not inherit anybody.
#[tokio::test(flavor = "multi_thread")]
async fn the_same_subject_at_two_upstreams_is_two_people() {
    let (app, kc, eve) = honest_and_hostile().await;
    let successor = FakeUpstream::start().await;
    let person = json!({"sub": "7", "preferred_username": "seven"});
    for upstream in [&kc, &eve, &successor] {
        upstream.set_person(person.clone());
    }
    let mut subjects = BTreeSet::new();
    for slug in ["kc", "eve"] {
        let claims = super::claims_of_sign_in(&app, slug).await;
        subjects.insert(claims["sub"].as_str().unwrap().to_owned());
    }
    let again = rebuilt(app, |builder| builder.upstream("kc", &successor, "")).await;
    let claims = super::claims_of_sign_in(&again, "kc").await;
    subjects.insert(claims["sub"].as_str().unwrap().to_owned());
    assert_eq!(subjects.len(), 3);
    assert_eq!((again.count("users").await, again.count("identities").await), (3, 3));
}

/// UP-28: nobody else begins a sign-in for us, and no parameter of the start says where it ends.
#[tokio::test(flavor = "multi_thread")]
async fn a_sign_in_that_no_app_began_does_not_begin() {
    let (app, kc, eve) = honest_and_hostile().await;
    let mut browser = app.browser();
    let iss = kc.issuer();
    for query in [String::new(), format!("?iss={iss}&target_link_uri=https://evil.test/")] {
        let page = browser.get(&format!("/upstream/kc/start{query}")).await;
        assert_eq!((page.status, page.location()), (400, None));
    }
    assert_eq!(kc.requests().len(), 0);
    let page = start_at(&mut browser, "kc").await;
    let begun = page.location().unwrap();
    let mut tampered = page.url.clone();
    tampered.query_pairs_mut().extend_pairs([
        ("scope", "admin"),
        ("prompt", "none"),
        ("redirect_uri", "https://evil.test/"),
    ]);
    let again = browser.get(tampered.as_str()).await.location().unwrap();
    let value = |url: &url::Url, name: &str| {
        let found = url.query_pairs().find(|(key, _)| key == name);
        found.map(|(_, value)| value.into_owned())
    };
    for name in ["scope", "prompt", "redirect_uri", "client_id"] {
        assert_eq!(value(&again, name), value(&begun, name), "{name}");
    }
    assert_eq!(eve.requests().len(), 0);
    sign_in_at(&mut browser, "kc").await.landing();
}
