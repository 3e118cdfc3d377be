//! Upstreams that are away, change their keys, or have another clock.

use serde_json::json;

use super::{Away, Witness, claims_of_sign_in, fails, gets_in, is_refusal_page, sign_in_at};
use crate::support::{
    app::TestApp,
    fake_upstream::{Algorithm, Endpoint, FakeUpstream, Fault},
    journey::{code_by_session, code_for, redeem, refresh},
};

const HOUR: i64 = 3_600;

/// FT-34: an upstream that refuses connections stops its own button and nothing else.
#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_that_is_gone_stops_nobody_else() {
    let (kc, other) = (FakeUpstream::start().await, FakeUpstream::start().await);
    let gone = FakeUpstream::start().await;
    let app = TestApp::builder().upstream("kc", &kc, "").upstream("other", &other, "");
    let app = app.upstream("gone", &gone, "").start().await;
    app.add_user("bob", &[]).await;
    let mut known = app.browser();
    let journey = sign_in_at(&mut known, "kc").await;
    let tokens = redeem(&app, "web", &journey.param("code").unwrap()).await;
    drop((kc, gone));
    // It is asked three times, and then nobody waits for it any more.
    for reason in ["upstream_unreachable"; 3].into_iter().chain(["upstream_away"]) {
        let witness = Witness::of(&app).await;
        let mut browser = app.browser();
        let journey = sign_in_at(&mut browser, "gone").await;
        let event = witness.only_refusal().await.unwrap();
        is_refusal_page(journey.last(), 503, &event).unwrap();
        assert_eq!(event.reason.as_deref(), Some(reason));
        assert!(journey.last().header("retry-after").is_some());
        // The page leads back to the other ways.
        let back = journey.last().links().into_iter().find(|link| link.path() == "/login");
        assert_eq!(browser.get(back.unwrap().as_str()).await.status, 200);
    }
    gets_in(&app, "other").await.unwrap();
    code_for(&mut app.browser(), "web", "bob", &[]).await;
    code_by_session(&mut known, "web", &[]).await;
    let again = refresh(&app, "web", &tokens.text("refresh_token")).await;
    assert_eq!(again.status, 200, "{again:?}");
}

/// FT-34: gone while the person was there.
#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_that_goes_while_the_person_is_there_signs_nobody_in() {
    let (app, upstream) = TestApp::with_upstream().await;
    let mut away = Away::at(&app, "kc").await;
    drop(upstream);
    let witness = Witness::of(&app).await;
    let page = away.come_back().await;
    let event = witness.only_refusal().await.unwrap();
    is_refusal_page(&page, 400, &event).unwrap();
    assert_eq!(event.reason.as_deref(), Some("upstream_unreachable"));
    assert_eq!(away.come_back().await.status, 400);
}

/// FT-36: new keys, the old ones gone at once: the next sign-in works.
#[tokio::test(flavor = "multi_thread")]
async fn new_keys_of_an_upstream_are_found_at_once() {
    for algorithm in [Algorithm::Rs256, Algorithm::Es256, Algorithm::EdDsa, Algorithm::Ps256] {
        let upstream = FakeUpstream::start_with(algorithm).await;
        let app = TestApp::builder().upstream("kc", &upstream, "").start().await;
        gets_in(&app, "kc").await.unwrap();
        for round in 0..3 {
            app.clock.advance(31);
            if round == 0 {
                upstream.rotate_keys();
            } else {
                upstream.replace_keys();
            }
            upstream.clear_requests();
            gets_in(&app, "kc").await.unwrap_or_else(|fault| panic!("{algorithm:?}: {fault}"));
            gets_in(&app, "kc").await.unwrap();
            assert_eq!(upstream.count(Endpoint::Jwks), 1, "{algorithm:?}");
        }
    }
}

/// FT-36: rotated between our reading the keys and the signing of this very token.
#[tokio::test(flavor = "multi_thread")]
async fn keys_that_change_just_before_signing_are_found() {
    let (app, upstream) = TestApp::with_upstream().await;
    gets_in(&app, "kc").await.unwrap();
    let mut away = Away::at(&app, "kc").await;
    upstream.replace_keys();
    app.clock.advance(1);
    assert_eq!(away.come_back().await.status, 303);
}

/// FT-36: the same `kid` with another key.
#[tokio::test(flavor = "multi_thread")]
async fn another_key_under_the_same_name_is_found() {
    let (app, upstream) = TestApp::with_upstream().await;
    let rename = |upstream: &FakeUpstream| {
        upstream.misbehave(|lies| {
            lies.header.set("kid", "the only name");
            lies.transform_key_set(|mut set| {
                set["keys"][0]["kid"] = json!("the only name");
                set
            });
        });
    };
    rename(&upstream);
    gets_in(&app, "kc").await.unwrap();
    upstream.replace_keys();
    app.clock.advance(31);
    gets_in(&app, "kc").await.unwrap();
}

/// UP-09: a token without `kid` is good while only one key would do.
#[tokio::test(flavor = "multi_thread")]
async fn a_token_without_kid_needs_a_single_key() {
    let (app, upstream) = TestApp::with_upstream().await;
    upstream.misbehave(|lies| {
        lies.header.remove("kid");
    });
    gets_in(&app, "kc").await.unwrap();
    upstream.misbehave(|lies| lies.key_set = crate::support::fake_upstream::KeySet::WithoutKids);
    app.clock.advance(2 * HOUR);
    gets_in(&app, "kc").await.unwrap();
    upstream.rotate_keys();
    app.clock.advance(2 * HOUR);
    let event = fails(&app, &upstream, "kc").await.unwrap();
    assert_eq!(event.reason.as_deref(), Some("id_token_key_unknown"));
}

/// FT-37, JW-14: clocks that differ by up to a minute.
#[tokio::test(flavor = "multi_thread")]
async fn clocks_may_differ_by_a_minute() {
    // The provider's clock against ours, and why a token of it is refused.
    let clocks = [
        (-600, Some("id_token_expired")),
        (-361, Some("id_token_expired")),
        (-359, None),
        (-61, None),
        (-59, None),
        (0, None),
        (59, None),
        (60, None),
        (61, Some("id_token_issued_at")),
        (600, Some("id_token_issued_at")),
    ];
    let (app, upstream) = TestApp::with_upstream().await;
    for (skew, refused) in clocks {
        let clock = std::sync::Arc::clone(&app.clock);
        upstream.set_clock(move || clock.unix() + skew);
        match refused {
            None => gets_in(&app, "kc").await.unwrap_or_else(|fault| panic!("{skew}: {fault}")),
            Some(reason) => {
                let event = fails(&app, &upstream, "kc").await;
                let event = event.unwrap_or_else(|fault| panic!("{skew}: {fault}"));
                assert_eq!(event.reason.as_deref(), Some(reason), "{skew}");
                assert!(event.detail.contains("compare the clocks"), "{}", event.detail);
            }
        }
    }
}

/// FT-37, JW-14: the minute, claim by claim.
#[tokio::test(flavor = "multi_thread")]
async fn each_time_has_a_minute_of_leeway() {
    let (app, upstream) = TestApp::with_upstream().await;
    let cases = [
        ("exp", -60, None),
        ("exp", -61, Some("id_token_expired")),
        ("nbf", 8, None),
        ("nbf", 60, None),
        ("nbf", 61, Some("id_token_not_yet_valid")),
        ("iat", 60, None),
        ("iat", 61, Some("id_token_issued_at")),
        ("exp", 86_400, None),
        ("exp", 86_401, Some("id_token_expired")),
    ];
    for (claim, seconds, refused) in cases {
        upstream.behave();
        upstream.misbehave(|lies| {
            lies.claims.set_from_now(claim, seconds);
        });
        let done = match refused {
            None => gets_in(&app, "kc").await,
            Some(reason) => fails(&app, &upstream, "kc").await.and_then(|event| {
                let same = event.reason.as_deref() == Some(reason);
                if same { Ok(()) } else { Err(format!("{event:?}")) }
            }),
        };
        done.unwrap_or_else(|fault| panic!("{claim} {seconds}: {fault}"));
    }
}

/// FT-38: the last good copy of a document does for a day, and no longer. Other upstreams do not
/// notice.
#[tokio::test(flavor = "multi_thread")]
async fn good_copies_outlive_bad_documents_for_a_day() {
    for endpoint in [Endpoint::Discovery, Endpoint::Jwks] {
        let (kc, other) = (FakeUpstream::start().await, FakeUpstream::start().await);
        let app = TestApp::builder().upstream("kc", &kc, "").upstream("other", &other, "");
        let app = app.start().await;
        gets_in(&app, "kc").await.unwrap();
        let broken = [Fault::html(), Fault::invalid_json(), Fault::Status(500), Fault::Drop];
        for fault in broken {
            kc.behave();
            kc.misbehave(|lies| lies.fault(endpoint, fault.clone()));
            app.clock.advance(2 * HOUR);
            gets_in(&app, "kc").await.unwrap_or_else(|said| panic!("{fault:?}: {said}"));
        }
        app.clock.advance(20 * HOUR);
        fails(&app, &kc, "kc").await.unwrap();
        gets_in(&app, "other").await.unwrap();
        kc.behave();
        gets_in(&app, "kc").await.unwrap();
    }
}

/// FT-38: a document that is in order and huge is not read to its end; the copy goes on.
#[tokio::test(flavor = "multi_thread")]
async fn huge_documents_are_not_read() {
    let (app, upstream) = TestApp::with_upstream().await;
    gets_in(&app, "kc").await.unwrap();
    for (endpoint, fault) in [
        (Endpoint::Discovery, Fault::Padded(50 * 1_024 * 1_024)),
        (Endpoint::Jwks, Fault::Padded(50 * 1_024 * 1_024)),
        (Endpoint::Jwks, Fault::Endless),
    ] {
        upstream.behave();
        upstream.misbehave(|lies| lies.fault(endpoint, fault));
        app.clock.advance(2 * HOUR);
        upstream.clear_requests();
        gets_in(&app, "kc").await.unwrap();
        assert_eq!(upstream.count(endpoint), 1, "asked once, and then left alone for a while");
    }
}

/// FT-39: a code is sent once, whatever comes back, and the page says how to go on.
#[tokio::test(flavor = "multi_thread")]
async fn a_code_is_never_sent_twice() {
    let (app, upstream) = TestApp::with_upstream().await;
    gets_in(&app, "kc").await.unwrap();
    let faults = [
        Fault::Status(500),
        Fault::Status(502),
        Fault::Status(503),
        Fault::Status(429),
        Fault::Drop,
        Fault::DropMidBody,
    ];
    for fault in faults {
        upstream.clear_requests();
        upstream.misbehave(|lies| lies.fault_times(Endpoint::Token, 1, fault.clone()));
        let witness = Witness::of(&app).await;
        let mut browser = app.browser();
        let journey = sign_in_at(&mut browser, "kc").await;
        assert_eq!(journey.last().status, 400, "{fault:?}");
        assert_eq!(upstream.count(Endpoint::Token), 1, "{fault:?}");
        let event = witness.only_refusal().await.unwrap();
        let reason = event.reason.unwrap();
        let away = ["upstream_token_failed", "upstream_token_busy", "upstream_unreachable"];
        assert!(away.contains(&reason.as_str()));
        // "Try again" leads to a new trip with a new code.
        let again = journey.last().links().into_iter().find(|link| link.path() == "/login");
        let page = browser.get(again.unwrap().as_str()).await;
        let button = page.links().into_iter().find(|link| link.path().ends_with("/start"));
        browser.visit(button.unwrap().as_str()).await.landing();
        let codes = upstream.requests_to(Endpoint::Token);
        assert_eq!(codes.len(), 2);
        assert_ne!(codes[0].param("code"), codes[1].param("code"));
        upstream.behave();
    }
}

/// A provider that signs with the client secret is refused, and the story says what to do there.
#[tokio::test(flavor = "multi_thread")]
async fn a_provider_without_signing_keys_is_explained() {
    let upstream = FakeUpstream::start_with(Algorithm::Hs256).await;
    let app = TestApp::builder().upstream("kc", &upstream, "").start().await;
    let event = fails(&app, &upstream, "kc").await.unwrap();
    assert!(event.detail.contains("signing key"), "{}", event.detail);
}

/// Providers that differ in habit and not in honesty: issuer paths, slashes, claims in UserInfo.
#[tokio::test(flavor = "multi_thread")]
async fn honest_habits_are_no_fault() {
    for (served, typed) in
        [("/realms/a", "/realms/a"), ("/application/o/a/", "/application/o/a"), ("/x", "/x/")]
    {
        let upstream = FakeUpstream::start().await;
        upstream.set_issuer_path(typed);
        let builder = TestApp::builder().upstream("kc", &upstream, "");
        upstream.set_issuer_path(served);
        upstream.place_claims(crate::support::fake_upstream::Placement::UserinfoOnly);
        let app = builder.start().await;
        let claims = claims_of_sign_in(&app, "kc").await;
        assert_eq!(claims["email"], "alice@corp.test", "{served} typed as {typed}");
    }
}
