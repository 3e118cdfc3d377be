//! One token after another: what is answered to the previous one, and when its return is theft.

use keywright::foundation::ids::ClientId;

use crate::{
    refresh::{
        family::{Tokens, present, sign_in},
        outside::restarted,
    },
    support::app::TestApp,
};

const STRICT: &str = "[tokens]\nrefresh_grace = \"0s\"";

/// Signs bob in at `web` and refreshes so many times: the tokens of every generation.
async fn generations(app: &TestApp, count: usize) -> Vec<Tokens> {
    let mut all = vec![sign_in(app, "web", "bob").await];
    for _ in 0..count {
        let next = all.last().unwrap().refreshed(app).await;
        all.push(next);
    }
    all
}

/// How many refusals there were for reuse, and how many in all.
async fn reuses_and_all(app: &TestApp) -> (usize, usize) {
    let reasons = app.refusals("token").await;
    (reasons.iter().filter(|reason| *reason == "refresh_reuse").count(), reasons.len())
}

/// Presents a used token and asserts that it is taken for stolen, and its family ended.
async fn assert_reuse_ends(app: &TestApp, used: &Tokens, family: &[Tokens]) {
    let rows = app.count("refresh_tokens").await;
    let before = reuses_and_all(app).await;
    used.try_refresh(app).await.assert_error(400, "invalid_grant");
    assert_eq!(reuses_and_all(app).await, (before.0 + 1, before.1 + 1));
    assert_eq!(app.count("refresh_tokens").await, rows);
    for tokens in family {
        tokens.assert_dead(app).await;
    }
}

/// RT-01: a used token that comes back after the grace ends its family, and no other.
#[tokio::test(flavor = "multi_thread")]
async fn a_used_token_after_the_grace_ends_the_family() {
    let app = TestApp::start().await;
    let bob = app.add_user("bob", &[]).await;
    let elsewhere = sign_in(&app, "web", "bob").await;
    let family = generations(&app, 1).await;
    app.clock.advance(10);

    assert_reuse_ends(&app, &family[0], &family).await;
    elsewhere.assert_alive(&app).await;
    let event = app.events().await;
    let event = event.iter().find(|event| event.reason.as_deref() == Some("refresh_reuse"));
    let event = event.unwrap();
    assert_eq!(event.user_id.as_ref(), Some(&bob.id));
    assert_eq!(event.client_id.as_ref().map(ClientId::as_str), Some("web"));
    assert!(event.trace_id.is_some() && event.address.is_some());
}

/// RT-01, strict: without a grace even the very next return of a used token is theft.
#[tokio::test(flavor = "multi_thread")]
async fn without_a_grace_a_used_token_ends_the_family_at_once() {
    let app = TestApp::builder().config(STRICT).start().await;
    app.add_user("bob", &[]).await;
    let family = generations(&app, 1).await;
    assert_reuse_ends(&app, &family[0], &family).await;
}

/// RT-04: within the grace only the immediately previous token is answered.
#[tokio::test(flavor = "multi_thread")]
async fn a_token_before_the_previous_one_ends_the_family_even_within_the_grace() {
    let app = TestApp::start().await;
    app.add_user("bob", &[]).await;
    let mut family = vec![sign_in(&app, "web", "bob").await];
    app.clock.advance(2);
    family.push(family[0].refreshed(&app).await);
    app.clock.advance(2);
    family.push(family[1].refreshed(&app).await);
    app.clock.advance(1);
    assert_reuse_ends(&app, &family[0], &family).await;
}

/// RT-05: the grace counts from the first use; coming again does not make it longer.
#[tokio::test(flavor = "multi_thread")]
async fn the_grace_does_not_slide() {
    let app = TestApp::start().await;
    app.add_user("bob", &[]).await;
    let first = sign_in(&app, "web", "bob").await;
    let successor = first.refreshed(&app).await;
    for _ in 0..2 {
        app.clock.advance(4);
        let again = first.refreshed(&app).await;
        assert_eq!(again.refresh, successor.refresh);
        again.assert_alive(&app).await;
    }
    assert_eq!(app.count("refresh_tokens").await, 2);
    app.clock.advance(4);
    assert_reuse_ends(&app, &first, &[first.clone(), successor]).await;
}

/// RT-06: rotations within one second are told apart; nothing is ordered by time.
#[tokio::test(flavor = "multi_thread")]
async fn each_old_token_ends_the_family_when_all_rotations_fall_into_one_second() {
    for (config, old_ones) in [(STRICT, 5), ("", 4)] {
        let limits = "[rate_limits]\nsign_in_per_minute = 100\n";
        let app = TestApp::builder().config(&format!("{limits}{config}")).start().await;
        app.add_user("bob", &[]).await;
        for old in 0..old_ones {
            let family = generations(&app, 5).await;
            assert_reuse_ends(&app, &family[old], &family).await;
        }
    }
}

/// RT-03, RT-06: with a grace, the previous token gets the one successor there is.
#[tokio::test(flavor = "multi_thread")]
async fn the_previous_token_gets_the_same_successor_again() {
    let app = TestApp::start().await;
    app.add_user("bob", &[]).await;
    let family = generations(&app, 5).await;
    let again = family[4].refreshed(&app).await;
    assert_eq!(again.refresh, family[5].refresh);
    assert_ne!(again.access, family[5].access);
    let next = again.refreshed(&app).await;
    family[5].refreshed(&app).await.assert_alive(&app).await;
    next.assert_alive(&app).await;
    assert_eq!(app.count("refresh_tokens").await, 7);
    assert_eq!(app.count("refresh_tokens WHERE consumed_at IS NULL").await, 1);
}

/// RT-07: a restart, and the loss of all short-lived state, forget no rotation.
#[tokio::test(flavor = "multi_thread")]
async fn a_restart_forgets_no_rotation() {
    let app = TestApp::start().await;
    app.add_user("bob", &[]).await;
    let family = generations(&app, 1).await;
    // State of its own and empty, as after FLUSHALL.
    let app = restarted(app, |builder| builder.state_url("memory:")).await;
    app.clock.advance(11);
    assert_reuse_ends(&app, &family[0], &family).await;
}

/// RT-07: what a lost reply had promised, it promises after a restart too.
#[tokio::test(flavor = "multi_thread")]
async fn after_a_restart_a_lost_reply_is_given_again() {
    let app = TestApp::start().await;
    app.add_user("bob", &[]).await;
    let family = generations(&app, 1).await;
    let app = restarted(app, |builder| builder.state_url("memory:")).await;
    app.clock.advance(9);
    assert_eq!(family[0].refreshed(&app).await.refresh, family[1].refresh);
}

/// RT-07: a rotated `secret_key` neither signs anybody out nor makes a second branch.
#[tokio::test(flavor = "multi_thread")]
async fn a_rotated_secret_key_gives_a_lost_reply_again() {
    let app = TestApp::start().await;
    app.add_user("bob", &[]).await;
    let family = generations(&app, 1).await;
    let secrets = format!(
        "[secrets]\nsecret_key = \"another-secret-key-0123456789-abcdef\"\n\
         previous_secret_keys = [{:?}]",
        crate::support::database::SECRET_KEY,
    );
    let app = restarted(app, |builder| builder.config(&secrets)).await;
    assert_eq!(family[0].refreshed(&app).await.refresh, family[1].refresh);
    family[1].refreshed(&app).await.assert_alive(&app).await;
}

/// RT-09: another client's token is unknown to a client, and does not suffer from it.
#[tokio::test(flavor = "multi_thread")]
async fn another_clients_token_is_refused_and_unharmed() {
    let app = TestApp::start().await;
    app.add_user("bob", &[]).await;
    let family = generations(&app, 1).await;
    for thief in ["evil", "spa", "members"] {
        for token in &family {
            let answer = present(&app, thief, &token.refresh).await;
            answer.assert_error(400, "invalid_grant");
        }
    }
    assert_eq!(app.refusals("token").await, ["refresh_token_of_another_client"; 6]);
    let events = app.events().await;
    let refused = events.iter().filter(|event| event.reason.is_some());
    let mut thieves: Vec<&str> =
        refused.map(|event| event.client_id.as_ref().unwrap().as_str()).collect();
    thieves.sort_unstable();
    assert_eq!(thieves, ["evil", "evil", "members", "members", "spa", "spa"]);
    // Not even the used one counts as theft when somebody else brings it.
    family[1].assert_alive(&app).await;
    family[1].refreshed(&app).await.assert_alive(&app).await;
}

/// FT-56: a clock that is set back begins no grace anew.
#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_goes_back_begins_no_grace_anew() {
    let app = TestApp::start().await;
    app.add_user("bob", &[]).await;
    app.clock.advance(3_600);
    let family = generations(&app, 1).await;
    app.clock.advance(-3_600);
    assert_reuse_ends(&app, &family[0], &family).await;
}
