//! Throwing a key away at once.

use keywright::{
    foundation::{
        clock::{Span, Timestamp},
        ids::KeyId,
    },
    protocol::jwa::SigningAlgorithm::{self, Es256},
};

use super::{ALL, DAY, HOUR, Instance, MINUTE, Settings, at, kids};
use crate::support::database::TestDatabase;

async fn start() -> (Instance, TestDatabase) {
    let database = TestDatabase::new().await;
    let one = Instance::start(&database, &Settings::default(), at(0)).await;
    (one, database)
}

/// Asserts that a key is good for nothing any more, and that signing goes on without it.
fn assert_dropped(one: &Instance, dropped: &KeyId, token: &str, now: Timestamp) {
    assert!(!one.verifies(token, now), "what it signed is still accepted");
    assert!(!kids(&one.keys.jwks(now).0).contains(dropped), "it still stands in the JWKS");
    assert!(one.keys.is_ready(now), "nothing signs any more");
    for alg in ALL {
        let fresh = one.sign(*alg, now).unwrap();
        let signer = super::kid(&fresh);
        assert_ne!(signer, *dropped);
        assert!(kids(&one.keys.jwks(now).0).contains(&signer), "{alg}");
        assert!(one.verifies(&fresh, now));
    }
}

/// Asserts that an algorithm goes on to be looked after: it signs at any time of the next year.
async fn assert_goes_on(one: &Instance, alg: SigningAlgorithm, from: i64) {
    for hours in (0..360 * 24).step_by(11) {
        let now = at(from + hours * HOUR);
        one.tend(now).await;
        assert!(one.sign(alg, now).is_ok(), "no {alg} key signs {hours} hours later");
    }
    assert!(one.rows(alg).await.len() > 3, "it was never rotated again");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_only_key_is_replaced_at_once() {
    let (one, _database) = start().await;
    for alg in ALL {
        let dropped = one.signer(*alg, at(0));
        let token = one.sign(*alg, at(0)).unwrap();
        let next = one.drop_key(&dropped, at(1)).await.unwrap();
        assert_dropped(&one, &dropped, &token, at(1));
        assert_eq!(one.signer(*alg, at(1)), next);
        assert!(one.row(&dropped).await.dropped_at.is_some());
    }
    assert_goes_on(&one, Es256, HOUR).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_waiting_successor_takes_over_at_once() {
    let (one, _database) = start().await;
    let dropped = one.signer(Es256, at(0));
    let token = one.sign(Es256, at(0)).unwrap();
    let waiting = one.rotate(Es256, at(MINUTE)).await.unwrap();
    assert_eq!(one.drop_key(&dropped, at(HOUR)).await, Some(waiting.clone()));
    assert_dropped(&one, &dropped, &token, at(HOUR));
    assert_eq!(one.signer(Es256, at(HOUR)), waiting);
    assert_goes_on(&one, Es256, HOUR).await;
}

/// The key that waits is the leaked one.
#[tokio::test(flavor = "multi_thread")]
async fn when_a_waiting_successor_is_thrown_away_its_predecessor_goes_on() {
    let (one, _database) = start().await;
    let signing = one.signer(Es256, at(0));
    let token = one.sign(Es256, at(0)).unwrap();
    let waiting = one.rotate(Es256, at(MINUTE)).await.unwrap();
    assert_eq!(one.drop_key(&waiting, at(HOUR)).await, Some(signing.clone()));
    assert_eq!(one.signer(Es256, at(HOUR)), signing);
    assert!(one.verifies(&token, at(HOUR)));
    assert!(!kids(&one.keys.jwks(at(HOUR)).0).contains(&waiting));
    assert_goes_on(&one, Es256, HOUR).await;
}

/// A key that no longer signs cannot take over.
#[tokio::test(flavor = "multi_thread")]
async fn a_retired_predecessor_does_not_stand_in_the_way_of_a_fresh_key() {
    for days_later in [0, 3] {
        let (one, _database) = start().await;
        let new = one.rotate(Es256, at(0)).await.unwrap();
        let now = one.row(&new).await.signs_from.unix() - at(0).unix() + MINUTE + days_later * DAY;
        one.tend(at(now)).await;
        let token = one.sign(Es256, at(now)).unwrap();
        assert_eq!(super::kid(&token), new);
        let next = one.drop_key(&new, at(now + 1)).await.unwrap();
        assert_dropped(&one, &new, &token, at(now + 1));
        assert_eq!(one.signer(Es256, at(now + 1)), next, "the one that was named signs");
        assert_goes_on(&one, Es256, now + HOUR).await;
    }
}

/// A retired key is thrown away while another rotation is under way: that one keeps its schedule.
#[tokio::test(flavor = "multi_thread")]
async fn throwing_a_retired_key_away_hurries_nobody() {
    let mut settings = Settings { token_lifetime: Span::from_hours(24), ..Settings::default() };
    settings.keys.publish_lead = Span::from_hours(1);
    let database = TestDatabase::new().await;
    let one = Instance::start(&database, &settings, at(0)).await;
    let retired = one.signer(Es256, at(0));
    let signing = one.rotate(Es256, at(0)).await.unwrap();
    one.tend(at(2 * HOUR)).await;
    assert_eq!(one.signer(Es256, at(2 * HOUR)), signing);
    let waiting = one.rotate(Es256, at(2 * HOUR)).await.unwrap();
    let planned = one.row(&waiting).await;
    let now = at(2 * HOUR + MINUTE);
    assert_eq!(one.drop_key(&retired, now).await, Some(signing.clone()));
    assert!(!kids(&one.keys.jwks(now).0).contains(&retired));
    assert_eq!(one.signer(Es256, now), signing);
    assert_eq!(one.row(&waiting).await.signs_from, planned.signs_from);
    assert_eq!(one.row(&waiting).await.published_at, planned.published_at);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_living_key_cannot_be_thrown_away() {
    let (one, _database) = start().await;
    let before = one.rows(Es256).await.len();
    assert_eq!(one.drop_key(&KeyId::new("no-such-key"), at(1)).await, None);
    let dropped = one.signer(Es256, at(0));
    assert!(one.drop_key(&dropped, at(1)).await.is_some());
    assert_eq!(one.drop_key(&dropped, at(2)).await, None, "it was thrown away before");
    assert_eq!(one.rows(Es256).await.len(), before + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn other_instances_follow_at_their_next_look() {
    let (one, database) = start().await;
    let other = Instance::start(&database, &Settings::default(), at(0)).await;
    let dropped = one.signer(Es256, at(0));
    let token = other.sign(Es256, at(0)).unwrap();
    let next = one.drop_key(&dropped, at(1)).await.unwrap();
    other.refresh(at(2)).await;
    assert_dropped(&other, &dropped, &token, at(2));
    assert_eq!(other.signer(Es256, at(2)), next);
}
