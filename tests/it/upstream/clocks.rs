//! Clocks of upstreams: measured, and named where they are the reason.

use std::sync::Arc;

use super::{fails, gets_in};
use crate::support::{
    app::TestApp,
    fake_upstream::{Endpoint, FakeUpstream, Fault},
};

/// Sets the clock of an upstream against ours.
fn set_clock(app: &TestApp, upstream: &FakeUpstream, ahead: i64) {
    let clock = Arc::clone(&app.clock);
    upstream.set_clock(move || clock.unix() + ahead);
}

async fn two() -> (TestApp, FakeUpstream, FakeUpstream) {
    let (kc, other) = (FakeUpstream::start().await, FakeUpstream::start().await);
    let app = TestApp::builder().upstream("kc", &kc, "").upstream("other", &other, "");
    (app.start().await, kc, other)
}

/// FT-37: a token that is refused for its times names the difference, and the clock to look at.
#[tokio::test(flavor = "multi_thread")]
async fn the_story_names_the_clock() {
    let (app, kc, other) = two().await;
    for (ahead, said) in [
        (-600, "its clock is 600 s behind ours: "),
        (61, "its clock is 61 s ahead of ours: "),
        (600, "its clock is 600 s ahead of ours: "),
    ] {
        set_clock(&app, &kc, ahead);
        let event = fails(&app, &kc, "kc").await.unwrap();
        assert!(event.detail.contains(said), "{ahead}: {}", event.detail);
        assert!(event.detail.contains("compare the clocks"), "{}", event.detail);
        assert_eq!(app.app.upstreams.find("kc").unwrap().clock_ahead(), Some(ahead));
    }
    // As long as nobody else has said what time it is, nobody knows whose clock it is.
    assert_eq!(app.app.upstreams.find("other").unwrap().clock_ahead(), None);
    let event = fails(&app, &kc, "kc").await.unwrap();
    assert!(event.detail.contains("compare both with a time server"), "{}", event.detail);
    gets_in(&app, "other").await.unwrap();
    let event = fails(&app, &kc, "kc").await.unwrap();
    let there = "the clock of other agrees with ours, so look at the clock there";
    assert!(event.detail.contains(there), "{}", event.detail);
    set_clock(&app, &other, 598);
    fails(&app, &other, "other").await.unwrap();
    let event = fails(&app, &kc, "kc").await.unwrap();
    let here = "so is that of other, so look at the clock of this server";
    assert!(event.detail.contains(here), "{}", event.detail);
}

/// A clock that has nothing to do with it is not blamed.
#[tokio::test(flavor = "multi_thread")]
async fn only_a_clock_that_explains_it_is_named() {
    let (app, kc, _other) = two().await;
    let cases = [("exp", -61, 0), ("exp", -600, 30), ("iat", 600, -30), ("iat", 600, 5)];
    for (claim, seconds, ahead) in cases {
        kc.behave();
        set_clock(&app, &kc, ahead);
        kc.misbehave(|lies| {
            lies.claims.set_from_now(claim, seconds);
        });
        let event = fails(&app, &kc, "kc").await.unwrap();
        assert!(!event.detail.contains("its clock is"), "{claim} {ahead}: {}", event.detail);
    }
    kc.behave();
    set_clock(&app, &kc, -30);
    kc.misbehave(|lies| {
        lies.claims.set("aud", serde_json::json!("another"));
    });
    let event = fails(&app, &kc, "kc").await.unwrap();
    assert!(!event.detail.contains("clock"), "{}", event.detail);
}

/// An answer that takes long is not taken for a clock that is slow, and what a cache has kept is as
/// old as it says.
#[tokio::test(flavor = "multi_thread")]
async fn slow_answers_are_no_slow_clocks() {
    let (app, kc, _other) = two().await;
    // Written before, sent late: the fake's clock is read after the pause, ours stands before it.
    let late = Fault::Delay(std::time::Duration::from_secs(2));
    kc.misbehave(|lies| lies.fault(Endpoint::Discovery, late));
    let at_start = app.clock.unix();
    kc.set_clock(move || at_start + 4);
    kc.clear_requests();
    let meanwhile = async {
        kc.until_asked(Endpoint::Discovery).await;
        app.clock.advance(20);
    };
    let (looked, ()) = tokio::join!(keywright::jobs::look_after_upstreams(&app.app), meanwhile);
    looked.unwrap();
    let ahead = app.app.upstreams.find("kc").unwrap().clock_ahead();
    assert_eq!(ahead, Some(0), "said between our asking and our hearing");
}
