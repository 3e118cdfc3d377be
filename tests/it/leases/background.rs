//! Leases of sessions that nobody uses: renewed, or ended, in the background.

use std::time::Duration;

use keywright::leases;
use tokio::time::timeout;

use super::{Scene, TEN_MINUTES, person};
use crate::{
    support::{
        app::TestApp,
        fake_upstream::{Endpoint, FakeUpstream, Fault, Refreshes},
    },
    upstream::sign_in_at,
};

async fn tend(scene: &Scene) {
    leases::tend(&scene.app.app).await.unwrap();
}

/// The job asks when half of the time has passed, and not before; the session lives on.
#[tokio::test(flavor = "multi_thread")]
async fn leases_are_renewed_in_the_background() {
    let scene = Scene::set(Refreshes::Rotating).await;
    let begin = scene.confirmed_at().await;
    for second in (0..=1_500).step_by(100) {
        tend(&scene).await;
        assert_eq!(scene.asked(), second / 300, "second {second}");
        scene.app.clock.advance(100);
    }
    assert_eq!(scene.confirmed_at().await, begin + 1_500);
}

/// Somebody who is gone there is signed out here although nobody asks for anything.
#[tokio::test(flavor = "multi_thread")]
async fn an_idle_session_ends_when_the_upstream_says_no() {
    let mut scene = Scene::set(Refreshes::Rotating).await;
    scene.upstream.expel();
    scene.app.clock.advance(300);
    tend(&scene).await;
    scene.assert_ended("upstream_refresh_refused").await;
    tend(&scene).await;
    assert_eq!(scene.asked(), 1, "and is left alone from then on");
}

/// An upstream that is away for a while costs nobody their session; one that stays away does.
#[tokio::test(flavor = "multi_thread")]
async fn a_short_outage_ends_nothing_and_a_long_one_everything() {
    let mut scene = Scene::set(Refreshes::Rotating).await;
    scene.upstream.misbehave(|lies| lies.fault(Endpoint::Token, Fault::Status(503)));
    scene.app.clock.advance(300);
    tend(&scene).await;
    tend(&scene).await;
    assert_eq!(scene.asked(), 1, "the next try is ten seconds later");
    scene.app.clock.advance(200);
    tend(&scene).await;
    assert_eq!(scene.asked(), 2);
    scene.upstream.behave();
    scene.app.clock.advance(10);
    tend(&scene).await;
    let renewed = scene.app.app.now().unix();
    assert_eq!((scene.asked(), scene.confirmed_at().await), (3, renewed));

    scene.upstream.misbehave(|lies| lies.fault(Endpoint::Token, Fault::Status(503)));
    scene.app.clock.advance(599);
    tend(&scene).await;
    assert_eq!(scene.app.count("sessions WHERE ended_at IS NULL").await, 1);
    scene.app.clock.advance(10);
    tend(&scene).await;
    scene.assert_ended("lease_run_out").await;
}

/// For one person with more sessions than one would have.
const MANY_SESSIONS: &str = "[sessions]\nmax_per_person = 100";

/// However many sessions of an upstream that is switched off wait for their end, a round ends, and
/// the others are looked after.
#[tokio::test(flavor = "multi_thread")]
async fn many_leases_that_nobody_can_renew_hold_up_nobody() {
    let off = FakeUpstream::start().await;
    let scene = Scene::set(Refreshes::Rotating).await;
    let Scene { app, upstream, browser, tokens: _ } = scene;
    drop(browser);
    let slow = "max_staleness = \"10m\"";
    let both = |builder: crate::support::app::Builder, settings: &str| {
        let builder = builder.config(MANY_SESSIONS);
        builder.upstream("kc", &upstream, TEN_MINUTES).upstream("off", &off, settings)
    };
    let app = both(crate::sessions::stop(app).await, slow).start().await;
    for _ in 0..65 {
        sign_in_at(&mut app.browser(), "off").await.landing();
    }
    let off_now = format!("enabled = false\n{slow}");
    let app = both(crate::sessions::stop(app).await, &off_now).start().await;
    app.clock.advance(300);
    leases::tend(&app.app).await.unwrap();
    assert_eq!(upstream.count(Endpoint::Token), 1, "the other upstream was asked");
    assert_eq!(app.count("sessions WHERE ended_at IS NULL").await, 66);
    app.clock.advance(300);
    leases::tend(&app.app).await.unwrap();
    assert_eq!(app.count("sessions WHERE ended_at IS NULL").await, 1);
}

/// Sessions from before `max_staleness` was switched on have nothing that could confirm them: they
/// end when the time has passed, and the person signs in once more.
#[tokio::test(flavor = "multi_thread")]
async fn sessions_from_before_the_limit_end_too() {
    let scene = Scene::with(Refreshes::Rotating, "", "").await;
    let Scene { app, upstream, browser, tokens: _ } = scene;
    drop(browser);
    let next = crate::sessions::stop(app).await.upstream("kc", &upstream, TEN_MINUTES);
    let app = next.start().await;
    app.clock.advance(599);
    leases::tend(&app.app).await.unwrap();
    assert_eq!(app.count("sessions WHERE ended_at IS NULL").await, 1);
    app.clock.advance(1);
    leases::tend(&app.app).await.unwrap();
    assert_eq!(app.count("sessions WHERE ended_at IS NULL").await, 0);
}

/// Many instances ask once: a refresh token that rotates must never be used twice.
#[tokio::test(flavor = "multi_thread")]
async fn of_many_who_look_one_asks() {
    let scene = Scene::set(Refreshes::Rotating).await;
    scene.app.clock.advance(300);
    let jobs = (0..8).map(|_| leases::tend(&scene.app.app));
    for job in futures_util::future::join_all(jobs).await {
        job.unwrap();
    }
    assert_eq!(scene.asked(), 1);
    assert_eq!(scene.app.count("sessions WHERE ended_at IS NULL").await, 1);
}

/// Each upstream has a queue of its own: one that hangs does not keep another's word from being heard.
#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_that_hangs_holds_up_nobody_elses() {
    let (hanging, other) = (FakeUpstream::start().await, FakeUpstream::start().await);
    let app = TestApp::builder().upstream("kc", &hanging, TEN_MINUTES);
    let app = app.upstream("other", &other, TEN_MINUTES).start().await;
    for upstream in [&hanging, &other] {
        upstream.set_refreshes(Refreshes::Rotating);
        upstream.set_person(person(&[]));
    }
    for slug in ["kc"; 9].into_iter().chain(["other"]) {
        sign_in_at(&mut app.browser(), slug).await;
    }
    hanging.misbehave(|lies| lies.fault(Endpoint::Token, Fault::Hang));
    other.expel();
    app.clock.advance(300);
    let heard = async {
        while app.refusals("lease").await.is_empty() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    // Less than the time-out of a single request.
    tokio::select! {
        _ = leases::tend(&app.app) => panic!("nothing hangs"),
        heard = timeout(Duration::from_secs(4), heard) => heard.unwrap(),
    }
    assert_eq!(app.count("sessions WHERE ended_at IS NULL").await, 9);
}

/// A round has an end, however many looks lead to nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_batch_of_leases_of_an_upstream_that_is_switched_off_is_looked_at_once() {
    let Scene { app, upstream, browser, .. } =
        Scene::with(Refreshes::Rotating, TEN_MINUTES, MANY_SESSIONS).await;
    drop(browser);
    for _ in 0..64 {
        sign_in_at(&mut app.browser(), "kc").await;
    }
    let settings = format!("enabled = false\n{TEN_MINUTES}");
    let app = crate::sessions::stop(app).await.upstream("kc", &upstream, &settings).start().await;
    for (second, left) in [(300, 65), (299, 65), (1, 0)] {
        app.clock.advance(second);
        timeout(Duration::from_secs(30), leases::tend(&app.app)).await.unwrap().unwrap();
        assert_eq!(app.count("sessions WHERE ended_at IS NULL").await, left);
    }
}
