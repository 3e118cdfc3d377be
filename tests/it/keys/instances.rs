//! Several instances on one database, without a leader.

use std::sync::Arc;

use keywright::{
    foundation::clock::Span,
    keys::KeyError,
    protocol::jwa::SigningAlgorithm::{EdDsa, Es256},
};

use super::{ALL, DAY, HOUR, Instance, MINUTE, Settings, at, kids};
use crate::support::database::TestDatabase;

async fn two(settings: &Settings) -> (Instance, Instance, TestDatabase) {
    let database = TestDatabase::new().await;
    let one = Instance::start(&database, settings, at(0)).await;
    let two = Instance::start(&database, settings, at(0)).await;
    (one, two, database)
}

#[tokio::test(flavor = "multi_thread")]
async fn all_sign_with_the_same_keys_and_verify_each_others_tokens() {
    let (one, two, _database) = two(&Settings::default()).await;
    for alg in ALL {
        assert_eq!(one.signer(*alg, at(0)), two.signer(*alg, at(0)));
        assert!(two.verifies(&one.sign(*alg, at(0)).unwrap(), at(1)));
    }
    assert_eq!(one.keys.jwks(at(0)).0.etag, two.keys.jwks(at(0)).0.etag);
}

#[tokio::test(flavor = "multi_thread")]
async fn when_all_find_a_successor_due_only_one_is_made() {
    let (one, other, database) = two(&Settings::default()).await;
    let mut all = vec![one, other];
    for _ in 0..4 {
        all.push(Instance::start(&database, &Settings::default(), at(0)).await);
    }
    let due = at(89 * DAY + HOUR);
    let all: Vec<Arc<Instance>> = all.into_iter().map(Arc::new).collect();
    let tending = all.iter().map(|instance| {
        let instance = Arc::clone(instance);
        tokio::spawn(async move { instance.tend(due).await })
    });
    for done in tending.collect::<Vec<_>>() {
        done.await.unwrap();
    }
    for alg in ALL {
        let rows = all[0].rows(*alg).await;
        assert_eq!(rows.len(), 2, "{alg}");
        assert_eq!(rows[0].signs_until, Some(rows[1].signs_from));
        assert_eq!((rows[0].generation, rows[1].generation), (1, 2));
    }
    let later = at(91 * DAY);
    for instance in &all {
        instance.refresh(later).await;
        assert_eq!(instance.signer(Es256, later), all[0].rows(Es256).await[1].id);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn when_all_rotate_by_hand_at_once_only_one_is_made() {
    let (one, other, _database) = two(&Settings::default()).await;
    let (first, second) = tokio::join!(one.rotate(EdDsa, at(5)), other.rotate(EdDsa, at(5)));
    assert_eq!([&first, &second].into_iter().flatten().count(), 1, "{first:?} {second:?}");
    assert_eq!(one.rows(EdDsa).await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_learns_of_a_change_at_its_next_look() {
    let (one, other, _database) = two(&Settings::default()).await;
    let new = one.rotate(Es256, at(0)).await.unwrap();
    let takes_over = one.row(&new).await.signs_from;
    other.refresh(at(1)).await;
    assert!(kids(&other.keys.jwks(at(10 * MINUTE)).0).contains(&new));
    other.refresh(takes_over).await;
    assert_eq!(other.signer(Es256, takes_over), new);
}

/// An instance that cannot read the database must stop signing before another can have taken its
/// keys away, and takes up work again by itself.
#[tokio::test(flavor = "multi_thread")]
async fn an_instance_that_was_cut_off_for_long_stops_signing() {
    let (one, cut_off, _database) = two(&Settings::default()).await;
    // As long as everything that is made would be announced first, it need not stop.
    cut_off.sign(Es256, at(2 * MINUTE)).unwrap();
    let new = one.rotate(Es256, at(1)).await.unwrap();
    let row = one.row(&new).await;
    for later in [row.signs_from, row.signs_from.plus(Span::from_days(30))] {
        for alg in ALL {
            let refused = cut_off.sign(*alg, later);
            assert!(matches!(refused, Err(KeyError::Stale)), "{alg} at {later:?}");
        }
        assert!(!cut_off.keys.is_ready(later));
    }
    cut_off.refresh(row.signs_from).await;
    assert!(cut_off.keys.is_ready(row.signs_from));
    assert_eq!(cut_off.signer(Es256, row.signs_from), new);
}

/// The other instance may be configured to prepare its keys in a shorter time than this one.
#[tokio::test(flavor = "multi_thread")]
async fn an_instance_does_not_rely_on_others_being_as_patient_as_itself() {
    let database = TestDatabase::new().await;
    let patient = Instance::start(&database, &Settings::default(), at(0)).await;
    let mut settings = Settings::default();
    settings.keys.publish_lead = Span::ZERO;
    let hasty = Instance::start(&database, &settings, at(0)).await;
    let new = hasty.rotate(Es256, at(1)).await.unwrap();
    let takes_over = hasty.row(&new).await.signs_from;
    assert!(takes_over < at(HOUR));
    let refused = patient.sign(Es256, takes_over);
    assert!(matches!(refused, Err(KeyError::Stale)), "it signs with a key that has ended");
}

/// A JWKS without a key that somebody signs with is an unknown `kid` at whoever fetched it.
#[tokio::test(flavor = "multi_thread")]
async fn an_instance_that_was_cut_off_does_not_let_its_jwks_be_cached_for_too_long() {
    let mut settings = Settings::default();
    settings.keys.publish_lead = Span::ZERO;
    let (one, cut_off, _database) = two(&settings).await;
    let new = one.rotate(Es256, at(1)).await.unwrap();
    let takes_over = one.row(&new).await.signs_from;
    for seconds in 0..takes_over.since(at(0)).seconds() {
        let now = at(seconds);
        let (jwks, max_age) = cut_off.keys.jwks(now);
        assert!(!kids(&jwks).contains(&new), "it cannot know of it");
        let cached_until = now.plus(max_age);
        assert!(cached_until <= takes_over, "fetched at {now:?}, cached until {cached_until:?}");
    }
}

/// Tokens that live longer from now on need their key for longer, whoever planned its end.
#[tokio::test(flavor = "multi_thread")]
async fn longer_lifetimes_keep_a_key_that_still_signs_for_longer() {
    let database = TestDatabase::new().await;
    let one = Instance::start(&database, &Settings::default(), at(0)).await;
    let old = one.signer(Es256, at(0));
    one.rotate(Es256, at(0)).await.unwrap();
    let planned = one.row(&old).await;
    let long = Settings { token_lifetime: Span::from_hours(24), ..Settings::default() };
    let other = Instance::start(&database, &long, at(HOUR)).await;
    let moved = one.row(&old).await;
    assert_eq!(moved.signs_until, planned.signs_until);
    assert!(moved.gone_at.unwrap() > moved.signs_until.unwrap().plus(long.token_lifetime));

    let last = moved.signs_until.unwrap().minus(Span::from_seconds(1));
    other.refresh(last).await;
    let token = other.sign(Es256, last).unwrap();
    one.refresh(last).await;
    let expires = last.plus(long.token_lifetime);
    assert!(one.verifies(&token, expires) && other.verifies(&token, expires));

    // Shorter ones change nothing: there may be long-lived tokens about.
    let short = Settings { token_lifetime: Span::from_minutes(1), ..Settings::default() };
    Instance::start(&database, &short, at(2 * HOUR)).await;
    assert_eq!(one.row(&old).await.gone_at, moved.gone_at);
}

/// Whoever was once allowed to cache for long may still do so.
#[tokio::test(flavor = "multi_thread")]
async fn the_longest_lifetime_of_the_jwks_ever_handed_out_counts() {
    let database = TestDatabase::new().await;
    let mut long = Settings::default();
    long.keys.publish_lead = Span::ZERO;
    long.keys.jwks_max_age = Span::from_hours(12);
    let one = Instance::start(&database, &long, at(0)).await;
    assert_eq!(one.keys.jwks(at(0)).1, Span::from_hours(12));
    drop(one);
    let mut short = long.clone();
    short.keys.jwks_max_age = Span::from_minutes(1);
    let one = Instance::start(&database, &short, at(MINUTE)).await;
    let new = one.rotate(Es256, at(MINUTE)).await.unwrap();
    let row = one.row(&new).await;
    assert!(row.signs_from.since(row.published_at) >= Span::from_hours(12));
}
