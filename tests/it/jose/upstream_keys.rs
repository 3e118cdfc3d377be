//! Keys of an upstream: fetched when they have to be, and not when a token wants them to be.

use tokio::task::JoinSet;

use crate::{
    support::{
        app::TestApp,
        fake_upstream::{Endpoint, FakeUpstream},
    },
    upstream::{Away, fails, gets_in},
};

/// Signs every ID token under a name of a key that nobody has heard before.
fn invent_names(upstream: &FakeUpstream) {
    let count = std::sync::atomic::AtomicU64::new(0);
    upstream.misbehave(|lies| {
        lies.transform_id_token(move |header, _| {
            let number = count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            header.insert("kid".to_owned(), format!("invented-{number}").into());
        });
    });
}

/// JW-06: at one moment, any number of unknown names costs one look.
#[tokio::test(flavor = "multi_thread")]
async fn many_unknown_names_at_once_cost_one_look() {
    let (app, upstream) = TestApp::with_upstream().await;
    gets_in(&app, "kc").await.unwrap();
    invent_names(&upstream);
    upstream.clear_requests();
    for _ in 0..20 {
        let event = fails(&app, &upstream, "kc").await.unwrap();
        assert_eq!(event.reason.as_deref(), Some("id_token_key_unknown"));
    }
    assert!(upstream.count(Endpoint::Jwks) <= 1, "{} looks", upstream.count(Endpoint::Jwks));
}

/// JW-06: over time, at most one look each half minute; and a real rotation is found in a minute.
#[tokio::test(flavor = "multi_thread")]
async fn unknown_names_over_time_cost_two_looks_a_minute() {
    let (app, upstream) = TestApp::with_upstream().await;
    gets_in(&app, "kc").await.unwrap();
    invent_names(&upstream);
    upstream.clear_requests();
    for _ in 0..60 {
        app.clock.advance(1);
        fails(&app, &upstream, "kc").await.unwrap();
    }
    let looks = upstream.count(Endpoint::Jwks);
    assert!((1..=3).contains(&looks), "{looks} looks");
    upstream.behave();
    upstream.replace_keys();
    app.clock.advance(30);
    gets_in(&app, "kc").await.unwrap();
}

/// FT-36: people who come back together right after a rotation all get in, for one look.
#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_costs_one_look_for_everybody() {
    let (app, upstream) = TestApp::with_upstream().await;
    gets_in(&app, "kc").await.unwrap();
    let mut all = Vec::new();
    for _ in 0..10 {
        all.push(Away::at(&app, "kc").await);
    }
    upstream.replace_keys();
    app.clock.advance(31);
    upstream.clear_requests();
    let mut coming = JoinSet::new();
    for mut away in all {
        coming.spawn(async move { away.come_back().await.status });
    }
    assert_eq!(coming.join_all().await, vec![303; 10]);
    assert_eq!(upstream.count(Endpoint::Jwks), 1);
}
