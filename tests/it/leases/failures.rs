//! Answers that confirm nobody.

use keywright::{foundation::ids::UserId, leases};
use serde_json::json;

use super::{Scene, TEN_MINUTES, person};
use crate::support::{
    fake_upstream::{Endpoint, Fault, Lure, Misbehaviour, Refreshes, Signature},
    journey::refresh,
};

/// UP-36, OIDC Core §12.2: a refreshed ID token about somebody else ends the session.
#[tokio::test(flavor = "multi_thread")]
async fn a_refreshed_token_about_somebody_else_ends_the_session() {
    let mut scene = Scene::set(Refreshes::Rotating).await;
    scene.upstream.misbehave(|lies| lies.other_subject_at_refresh = true);
    scene.upstream.set_person(json!({ "sub": "8", "preferred_username": "mallory" }));
    scene.app.clock.advance(300);
    scene.assert_gone("upstream_refresh_subject").await;
    assert_eq!(scene.app.count("users").await, 1);
}

/// A refreshed ID token that is not acceptable ends the session: of another issuer, for another client,
/// with another nonce.
#[tokio::test(flavor = "multi_thread")]
async fn a_refreshed_token_that_is_not_acceptable_ends_the_session() {
    for (claim, value, reason) in [
        ("iss", json!("https://evil.test"), "id_token_issuer"),
        ("aud", json!("another"), "id_token_audience"),
        ("nonce", json!("another"), "id_token_nonce"),
    ] {
        let mut scene = Scene::set(Refreshes::Rotating).await;
        scene.upstream.misbehave(|lies| {
            lies.claims.set(claim, value);
        });
        scene.app.clock.advance(300);
        scene.assert_gone(reason).await;
    }
}

/// A clock that drifts, there or here, signs nobody out: what was just made and is not valid for its
/// times confirms nobody, its tokens are kept, and the lease runs out if it stays so.
#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_drifts_is_not_held_against_the_person() {
    for (claim, seconds) in [("exp", -120), ("iat", 120), ("nbf", 120)] {
        let mut scene = Scene::set(Refreshes::Rotating).await;
        let drift = |lies: &mut Misbehaviour| {
            lies.claims.set_from_now(claim, seconds);
        };
        scene.upstream.misbehave(drift);
        scene.app.clock.advance(300);
        scene.refresh().await;
        assert_eq!((scene.life(), scene.asked()), (300, 1), "{claim}");
        scene.upstream.behave();
        scene.app.clock.advance(10);
        scene.refresh().await;
        assert_eq!((scene.life(), scene.asked()), (600, 2), "{claim}");
        scene.upstream.misbehave(drift);
        scene.app.clock.advance(600);
        scene.assert_gone("lease_run_out").await;
    }
}

/// OIDC Core §12.2: a refreshed ID token need not carry the nonce, and need not come at all.
#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_may_bring_less() {
    let mut scene = Scene::set(Refreshes::Steady).await;
    scene.upstream.misbehave(|lies| {
        lies.claims.remove("nonce");
    });
    scene.app.clock.advance(300);
    scene.refresh().await;
    scene.upstream.misbehave(|lies| {
        lies.token_response.remove("id_token");
    });
    scene.app.clock.advance(300);
    scene.refresh().await;
    assert_eq!(scene.claims()["groups"], json!(["staff"]));
    assert_eq!((scene.life(), scene.asked()), (600, 2));
}

/// A refresh token that was spent is not lost because the keys or UserInfo could not be read.
#[tokio::test(flavor = "multi_thread")]
async fn a_confirmation_without_details_is_one() {
    let mut scene = Scene::set(Refreshes::Rotating).await;
    scene.app.clock.advance(3_600);
    scene.app.app.keys.refresh(&scene.app.app.store, scene.app.app.now()).await.unwrap();
    // The kept keys are too old by now.
    scene.upstream.misbehave(|lies| lies.fault(Endpoint::Jwks, Fault::Status(500)));
    scene.refresh().await;
    scene.upstream.behave();
    scene.app.clock.advance(300);
    scene.refresh().await;
    assert_eq!(scene.asked(), 2);
}

/// While the upstream is away the lease goes on, and tokens end with it; nobody waits for the next
/// try in vain.
#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_that_is_away_costs_nobody_anything_at_first() {
    let mut scene = Scene::set(Refreshes::Rotating).await;
    for fault in [Fault::Status(500), Fault::Drop, Fault::Status(429)] {
        scene.upstream.misbehave(|lies| lies.fault(Endpoint::Token, fault));
        scene.app.clock.advance(if scene.life() == 600 { 300 } else { 60 });
        scene.refresh().await;
    }
    assert_eq!(scene.life(), 180);
    // Our own credentials there are wrong: that is not the person's fault.
    scene.upstream.misbehave(|lies| lies.fault(Endpoint::Token, Fault::Status(401)));
    scene.app.clock.advance(60);
    scene.refresh().await;
    scene.upstream.behave();
    scene.refresh().await;
    assert_eq!((scene.life(), scene.asked()), (120, 4), "asked in vain a moment ago");
    scene.app.clock.advance(10);
    scene.refresh().await;
    assert_eq!((scene.life(), scene.asked()), (600, 5));
}

/// JW-06: a signature by a key that cannot be found confirms nobody, and is no proof against the
/// person either: keys change, and are read late. The new refresh token is kept all the same.
#[tokio::test(flavor = "multi_thread")]
async fn a_signature_that_cannot_be_checked_decides_nothing() {
    let mut scene = Scene::set(Refreshes::Rotating).await;
    scene.upstream.misbehave(|lies| lies.signature = Signature::Attacker(Lure::Nothing));
    scene.app.clock.advance(300);
    scene.refresh().await;
    assert_eq!((scene.life(), scene.asked()), (300, 1));
    scene.upstream.behave();
    scene.app.clock.advance(10);
    scene.refresh().await;
    assert_eq!((scene.life(), scene.asked()), (600, 2));
    scene.upstream.misbehave(|lies| lies.signature = Signature::Attacker(Lure::Nothing));
    scene.app.clock.advance(600);
    scene.assert_gone("lease_run_out").await;
}

/// FT-39: the upstream has taken the refresh token, and its answer is lost. That it refuses the old
/// one from then on proves nothing: the lease runs out, and does not end at once.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_was_lost_is_not_held_against_the_person() {
    for fault in [Fault::DropMidBody, Fault::Lost(504), Fault::Lost(200), Fault::Padded(600 * 1024)]
    {
        let mut scene = Scene::set(Refreshes::Rotating).await;
        scene.upstream.misbehave(|lies| lies.fault_times(Endpoint::Token, 1, fault));
        scene.app.clock.advance(300);
        scene.refresh().await;
        assert_eq!((scene.life(), scene.asked()), (300, 1));
        scene.app.clock.advance(10);
        scene.refresh().await;
        assert_eq!((scene.life(), scene.asked()), (290, 2));
        assert_eq!(scene.app.refusals("lease").await, Vec::<String>::new());
        scene.app.clock.advance(289);
        scene.refresh().await;
        scene.app.clock.advance(1);
        scene.assert_gone("lease_run_out").await;
    }
}

/// An answer that the upstream itself has given, and with which it has spent nothing, leaves its next
/// no what it is.
#[tokio::test(flavor = "multi_thread")]
async fn a_no_after_a_refusal_that_spent_nothing_counts() {
    for fault in [Fault::Status(429), Fault::oauth_error(401, "invalid_client")] {
        let mut scene = Scene::set(Refreshes::Rotating).await;
        scene.upstream.misbehave(|lies| lies.fault_times(Endpoint::Token, 1, fault));
        scene.app.clock.advance(300);
        scene.refresh().await;
        scene.upstream.expel();
        scene.app.clock.advance(10);
        scene.assert_gone("upstream_refresh_refused").await;
    }
}

/// A client that goes away does not cut off the question: what the upstream answers is kept.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_goes_away_loses_nothing() {
    let mut scene = Scene::set(Refreshes::Rotating).await;
    let pause = std::time::Duration::from_secs(2);
    scene.upstream.misbehave(|lies| lies.fault_times(Endpoint::Token, 1, Fault::Delay(pause)));
    scene.app.clock.advance(300);
    let token = scene.tokens.text("refresh_token");
    tokio::select! {
        biased;
        () = scene.upstream.until_asked(Endpoint::Token) => {} // and the client goes
        answer = refresh(&scene.app, "web", &token) => panic!("an answer at once: {answer:?}"),
    }
    scene.app.app.questions.close();
    scene.app.app.questions.wait().await;
    assert_eq!(scene.confirmed_at().await, scene.app.app.now().unix());
    scene.refresh().await;
    assert_eq!((scene.life(), scene.asked()), (600, 1));
}

/// Fifty refreshes at once ask the upstream once; each gets an answer.
#[tokio::test(flavor = "multi_thread")]
async fn many_who_need_the_lease_at_once_wait_for_one() {
    let scene = Scene::set(Refreshes::Rotating).await;
    scene.app.clock.advance(600);
    let token = scene.tokens.text("refresh_token");
    let tries = (0..10).map(|_| refresh(&scene.app, "web", &token));
    let answers = futures_util::future::join_all(tries).await;
    // All are within the grace of one rotation.
    assert!(answers.iter().all(|answer| answer.status == 200), "{answers:?}");
    assert_eq!(scene.asked(), 1);
}

/// A person whose account was shut here is not confirmed, whatever the upstream says.
#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_is_shut_here_is_not_confirmed() {
    let mut scene = Scene::set(Refreshes::Rotating).await;
    let mut connection = scene.app.app.connection().await.unwrap();
    let user = UserId::new(scene.claims()["sub"].as_str().unwrap());
    let now = scene.app.app.now();
    assert!(keywright::store::users::disable(&mut connection, &user, now).await.unwrap());
    drop(connection);
    scene.app.clock.advance(300);
    leases::tend(&scene.app.app).await.unwrap();
    scene.assert_ended("account_disabled").await;
}

/// UP-33: whoever no longer meets the upstream's gate is not confirmed.
#[tokio::test(flavor = "multi_thread")]
async fn a_gate_that_is_no_longer_met_ends_the_session() {
    let gate = format!("{TEN_MINUTES}\nadmit = {{ groups = [\"staff\"] }}");
    let mut scene = Scene::with(Refreshes::Rotating, &gate, "").await;
    scene.upstream.set_person(person(&["guests"]));
    scene.app.clock.advance(300);
    scene.assert_gone("not_admitted").await;
}
