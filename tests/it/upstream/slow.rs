//! Upstreams that do not answer in time. Their time-out is the shortest that can be set.

use tokio::task::JoinSet;

use super::{Away, Witness, fails, gets_in, is_refusal_page, no_session_cookie, start_at};
use crate::support::{
    app::{TestApp, breathe},
    browser::Browser,
    fake_upstream::{Endpoint, FakeUpstream, Fault, Placement, attacks},
};

async fn impatient() -> (TestApp, FakeUpstream) {
    let upstream = FakeUpstream::start().await;
    let app = TestApp::builder().upstream("kc", &upstream, "timeout = \"1s\"").start().await;
    (app, upstream)
}

async fn fend_off_slowness(endpoint: Endpoint) {
    let (app, upstream) = impatient().await;
    upstream.place_claims(Placement::UserinfoOnly);
    for attack in attacks::slow_or_endless(endpoint) {
        app.clock.advance(25 * 3_600);
        attack.apply(&upstream);
        let event = fails(&app, &upstream, "kc").await;
        let reason = event.unwrap_or_else(|fault| panic!("{}: {fault}", attack.name)).reason;
        let reasons = ["upstream_slow", "upstream_answer_too_large"];
        assert!(reasons.contains(&reason.as_deref().unwrap()), "{}: {reason:?}", attack.name);
        upstream.behave();
    }
    gets_in(&app, "kc").await.unwrap();
}

/// FT-35, SF-04.
#[tokio::test(flavor = "multi_thread")]
async fn slow_metadata_is_not_waited_for() {
    fend_off_slowness(Endpoint::Discovery).await;
}

/// FT-35, SF-04.
#[tokio::test(flavor = "multi_thread")]
async fn slow_keys_are_not_waited_for() {
    fend_off_slowness(Endpoint::Jwks).await;
}

/// FT-35, SF-04.
#[tokio::test(flavor = "multi_thread")]
async fn slow_tokens_are_not_waited_for() {
    fend_off_slowness(Endpoint::Token).await;
}

/// FT-35, SF-04.
#[tokio::test(flavor = "multi_thread")]
async fn slow_userinfo_is_not_waited_for() {
    fend_off_slowness(Endpoint::Userinfo).await;
}

/// FT-35: who waits for a slow upstream holds up nobody else, and a late answer changes nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_slow_sign_in_holds_up_nobody_else() {
    let (app, upstream) = impatient().await;
    gets_in(&app, "kc").await.unwrap();
    let mut slow = Away::at(&app, "kc").await;
    let witness = Witness::of(&app).await;
    upstream.clear_requests();
    upstream.misbehave(|lies| {
        let late = Fault::Delay(std::time::Duration::from_secs(3));
        lies.fault_times(Endpoint::Token, 1, late);
    });
    let mut waiting = JoinSet::new();
    waiting.spawn(async move {
        let page = slow.come_back().await;
        (page, slow)
    });
    while upstream.count(Endpoint::Token) == 0 {
        breathe().await;
    }
    assert_eq!(app.get("/.well-known/jwks.json", None).await.status, 200);
    assert_eq!(start_at(&mut app.browser(), "kc").await.status, 303);
    let (page, mut slow) = waiting.join_next().await.unwrap().unwrap();
    let event = witness.only_refusal().await.unwrap();
    is_refusal_page(&page, 400, &event).unwrap();
    assert_eq!(event.reason.as_deref(), Some("upstream_slow"));
    no_session_cookie(&slow.browser).unwrap();
    assert_eq!(slow.come_back().await.status, 400, "the state is used up");
    assert_eq!(upstream.count(Endpoint::Token), 1);
}

/// FT-34: many who meet an upstream that hangs wait for one question, not one after the other.
#[tokio::test(flavor = "multi_thread")]
async fn whoever_waits_for_the_same_document_shares_its_failure() {
    let (app, upstream) = impatient().await;
    upstream.misbehave(|lies| lies.fault(Endpoint::Discovery, Fault::Hang));
    let mut waiting = JoinSet::new();
    for _ in 0..8 {
        let mut browser: Browser = app.browser();
        let path = crate::support::journey::authorize_path("web", &[]);
        waiting.spawn(async move { browser.get(&path).await.status });
    }
    assert_eq!(waiting.join_all().await, vec![503; 8]);
    let asked = upstream.count(Endpoint::Discovery);
    assert!(asked <= 2, "eight people cost {asked} time-outs, one after the other");
}
