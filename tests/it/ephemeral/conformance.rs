//! One test for both stores: the five methods, their ends, and their races.

use std::sync::Arc;

use keywright::{
    ephemeral::{EphemeralStore, Key, KeyKind},
    foundation::clock::Span,
};
use tokio::sync::Barrier;

use super::{Subject, fresh_key};

const LONG: Span = Span::from_minutes(10);
const SHORT: Span = Span::from_seconds(1);

fn key() -> Key {
    fresh_key(KeyKind::Interaction)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_store_in_this_process_keeps_every_promise() {
    keeps_every_promise(Subject::memory()).await;
}

/// Says nothing where the run has no Redis; `tests/setup/services.sh` gives it one.
#[tokio::test(flavor = "multi_thread")]
async fn redis_keeps_every_promise() {
    if let Some(redis) = Subject::redis() {
        keeps_every_promise(redis).await;
    }
}

pub(super) async fn keeps_every_promise(subject: Subject) {
    let store = &*subject.store;
    store.ping().await.unwrap();
    a_value_is_found_until_it_is_replaced_or_taken(store).await;
    a_new_value_is_inserted_once(store).await;
    a_counter_counts(store).await;
    any_bytes_are_kept_as_they_are(store).await;
    values_of_one_key_are_not_those_of_another(store).await;
    everything_ends(&subject).await;
    a_later_put_begins_a_new_life(&subject).await;
    of_fifty_takes_one_wins(&subject.store).await;
    of_fifty_inserts_one_wins(&subject.store).await;
    fifty_increments_are_all_counted(&subject.store).await;
}

async fn a_value_is_found_until_it_is_replaced_or_taken(store: &dyn EphemeralStore) {
    let key = key();
    assert_eq!(store.get(&key).await.unwrap(), None);
    assert_eq!(store.take(&key).await.unwrap(), None);
    store.put(&key, b"one", LONG).await.unwrap();
    assert_eq!(store.get(&key).await.unwrap().as_deref(), Some(&b"one"[..]));
    assert_eq!(store.get(&key).await.unwrap().as_deref(), Some(&b"one"[..]), "get keeps");
    store.put(&key, b"two", LONG).await.unwrap();
    assert_eq!(store.take(&key).await.unwrap().as_deref(), Some(&b"two"[..]));
    assert_eq!(store.get(&key).await.unwrap(), None);
    assert_eq!(store.take(&key).await.unwrap(), None);
}

async fn a_new_value_is_inserted_once(store: &dyn EphemeralStore) {
    let key = key();
    assert!(store.insert_new(&key, b"first", LONG).await.unwrap());
    assert!(!store.insert_new(&key, b"second", LONG).await.unwrap());
    assert_eq!(store.take(&key).await.unwrap().as_deref(), Some(&b"first"[..]));
    assert!(store.insert_new(&key, b"third", LONG).await.unwrap(), "a taken name is free again");
    store.put(&key, b"fourth", LONG).await.unwrap();
    assert!(!store.insert_new(&key, b"fifth", LONG).await.unwrap());
    assert_eq!(store.get(&key).await.unwrap().as_deref(), Some(&b"fourth"[..]));
}

async fn a_counter_counts(store: &dyn EphemeralStore) {
    let (one, other) = (fresh_key(KeyKind::CodeFailures), fresh_key(KeyKind::CodeFailures));
    for expected in 1..=5 {
        assert_eq!(store.increment(&one, LONG).await.unwrap(), expected);
    }
    assert_eq!(store.increment(&other, LONG).await.unwrap(), 1);
    assert!(store.take(&one).await.unwrap().is_some());
    assert_eq!(store.increment(&one, LONG).await.unwrap(), 1, "a taken counter begins anew");
}

async fn any_bytes_are_kept_as_they_are(store: &dyn EphemeralStore) {
    let all: Vec<u8> = (0..=255).cycle().take(70_000).collect();
    for value in [&b""[..], b"\0", b"\r\n$5\r\n", b"nil", all.as_slice()] {
        let key = key();
        store.put(&key, value, LONG).await.unwrap();
        assert_eq!(store.get(&key).await.unwrap().as_deref(), Some(value));
    }
}

async fn values_of_one_key_are_not_those_of_another(store: &dyn EphemeralStore) {
    let name = uuid::Uuid::new_v4().to_string();
    let flow = Key::of_text(KeyKind::Interaction, &name);
    let code = Key::of_text(KeyKind::AuthorizationCode, &name);
    store.put(&flow, b"flow", LONG).await.unwrap();
    assert_eq!(store.get(&code).await.unwrap(), None);
    assert!(store.insert_new(&code, b"code", LONG).await.unwrap());
    assert_eq!(store.take(&code).await.unwrap().as_deref(), Some(&b"code"[..]));
    assert_eq!(store.get(&flow).await.unwrap().as_deref(), Some(&b"flow"[..]));
}

async fn everything_ends(subject: &Subject) {
    let store = &*subject.store;
    let [put, new, taken, counter, lasting] = std::array::from_fn(|_| key());
    store.put(&put, b"x", SHORT).await.unwrap();
    store.put(&taken, b"x", SHORT).await.unwrap();
    store.put(&lasting, b"x", LONG).await.unwrap();
    assert!(store.insert_new(&new, b"x", SHORT).await.unwrap());
    assert_eq!(store.increment(&counter, SHORT).await.unwrap(), 1);
    subject.pass(1_200).await;
    assert_eq!(store.get(&put).await.unwrap(), None);
    assert_eq!(store.take(&taken).await.unwrap(), None);
    assert!(store.insert_new(&new, b"y", LONG).await.unwrap(), "an ended name is free again");
    assert_eq!(store.increment(&counter, LONG).await.unwrap(), 1, "an ended counter begins anew");
    assert_eq!(store.get(&lasting).await.unwrap().as_deref(), Some(&b"x"[..]));
}

/// A counter's life begins with its first increment; a value's with its last `put`.
async fn a_later_put_begins_a_new_life(subject: &Subject) {
    let store = &*subject.store;
    let (value, counter) = (key(), key());
    store.put(&value, b"old", SHORT).await.unwrap();
    store.put(&value, b"new", LONG).await.unwrap();
    assert_eq!(store.increment(&counter, SHORT).await.unwrap(), 1);
    assert_eq!(store.increment(&counter, LONG).await.unwrap(), 2);
    subject.pass(1_200).await;
    assert_eq!(store.get(&value).await.unwrap().as_deref(), Some(&b"new"[..]));
    assert_eq!(store.increment(&counter, LONG).await.unwrap(), 1, "attempts do not prolong it");
}

/// Runs fifty at once and answers what each got.
async fn race<T: Send + 'static, F>(work: impl Fn(u8) -> F) -> Vec<T>
where
    F: Future<Output = T> + Send + 'static,
{
    let line = Arc::new(Barrier::new(50));
    let racers = (0..50).map(|number| {
        let (line, work) = (Arc::clone(&line), work(number));
        tokio::spawn(async move {
            line.wait().await;
            work.await
        })
    });
    let mut got = Vec::new();
    for racer in racers.collect::<Vec<_>>() {
        got.push(racer.await.unwrap());
    }
    got
}

async fn of_fifty_takes_one_wins(store: &Arc<dyn EphemeralStore>) {
    for _ in 0..10 {
        let key = key();
        store.put(&key, b"prize", LONG).await.unwrap();
        let got = race(|_| {
            let (store, key) = (Arc::clone(store), key.clone());
            async move { store.take(&key).await.unwrap() }
        });
        let won: Vec<_> = got.await.into_iter().flatten().collect();
        assert_eq!(won, [b"prize"]);
    }
}

async fn of_fifty_inserts_one_wins(store: &Arc<dyn EphemeralStore>) {
    for _ in 0..10 {
        let key = key();
        let got = race(|number| {
            let (store, key) = (Arc::clone(store), key.clone());
            async move { (number, store.insert_new(&key, &[number], LONG).await.unwrap()) }
        });
        let won: Vec<u8> =
            got.await.into_iter().filter(|(_, won)| *won).map(|(number, _)| number).collect();
        assert_eq!(won.len(), 1);
        assert_eq!(store.get(&key).await.unwrap(), Some(won), "the winner's value is the one kept");
    }
}

async fn fifty_increments_are_all_counted(store: &Arc<dyn EphemeralStore>) {
    let key = key();
    let got = race(|_| {
        let (store, key) = (Arc::clone(store), key.clone());
        async move { store.increment(&key, LONG).await.unwrap() }
    });
    let mut counted = got.await;
    counted.sort_unstable();
    assert_eq!(counted, (1..=50).collect::<Vec<u64>>(), "each number is given out once");
}
