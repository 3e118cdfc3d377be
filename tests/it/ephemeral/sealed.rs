//! What the seal is worth when somebody reads or writes the store behind our back.

use std::sync::Arc;

use keywright::{
    ephemeral::{Key, KeyKind, ShortLivedState},
    foundation::{
        clock::Span,
        digest::TokenDigest,
        random::OsRandom,
        seal::{KeyRing, Purpose},
        secret::Secret,
    },
};

use super::{Subject, fresh_key};

const LIFE: Span = Span::from_minutes(10);
const VALUE: &str = "alice may enter";

fn ring(secret: &str, previous: &[&str], purpose: Purpose) -> KeyRing {
    let previous: Vec<Secret> = previous.iter().map(|text| Secret::new(*text)).collect();
    KeyRing::derive(&Secret::new(secret), &previous, purpose)
}

fn state(subject: &Subject, ring: KeyRing) -> ShortLivedState {
    ShortLivedState::new(Arc::clone(&subject.store), ring, Arc::new(OsRandom))
}

fn ours(subject: &Subject) -> ShortLivedState {
    state(subject, ring("ours", &[], Purpose::ShortLivedState))
}

/// Asserts that neither `get` nor `take` finds anything, and that `take` takes it away all the same.
async fn assert_not_there(subject: &Subject, key: &Key, what: &str) {
    let state = ours(subject);
    assert_eq!(state.get::<String>(key).await.unwrap(), None, "{what}");
    assert_eq!(state.take::<String>(key).await.unwrap(), None, "{what}");
    assert_eq!(subject.store.get(key).await.unwrap(), None, "{what}: still in the way");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_kept_is_read_back() {
    for subject in Subject::all() {
        let (state, key) = (ours(&subject), fresh_key(KeyKind::Interaction));
        assert_eq!(state.get::<String>(&key).await.unwrap(), None);
        state.put(&key, &VALUE, LIFE).await.unwrap();
        assert_eq!(state.get::<String>(&key).await.unwrap().as_deref(), Some(VALUE));
        assert_eq!(state.take::<String>(&key).await.unwrap().as_deref(), Some(VALUE));
        assert_eq!(state.take::<String>(&key).await.unwrap(), None);
        state.put(&key, &VALUE, LIFE).await.unwrap();
        state.remove(&key).await.unwrap();
        assert_eq!(state.get::<String>(&key).await.unwrap(), None);
    }
}

/// SS-12: a value that an attacker with write access to the store made up is not there.
#[tokio::test(flavor = "multi_thread")]
async fn a_forged_value_is_as_good_as_not_there() {
    for subject in Subject::all() {
        let plain = serde_json::to_vec(VALUE).unwrap();
        let key = fresh_key(KeyKind::AuthorizationCode);
        let by = |ring: KeyRing| ring.seal(key.as_str(), &plain, &OsRandom);
        let forgeries: [(&str, Vec<u8>); 6] = [
            ("nothing", Vec::new()),
            ("one byte", vec![1]),
            ("unsealed", plain.clone()),
            ("noise", vec![1; 200]),
            ("another secret", by(ring("theirs", &[], Purpose::ShortLivedState))),
            ("the key of another purpose", by(ring("ours", &[], Purpose::Rows))),
        ];
        for (what, forged) in forgeries {
            subject.store.put(&key, &forged, LIFE).await.unwrap();
            assert_not_there(&subject, &key, what).await;
        }
    }
}

/// SS-12: a true value that was moved to another key, or bent, is not there either.
#[tokio::test(flavor = "multi_thread")]
async fn a_moved_or_bent_value_is_as_good_as_not_there() {
    for subject in Subject::all() {
        let state = ours(&subject);
        let name = uuid::Uuid::new_v4().to_string();
        let alice = Key::of_text(KeyKind::AuthorizationCode, &name);
        state.put(&alice, &VALUE, LIFE).await.unwrap();
        let sealed = subject.store.get(&alice).await.unwrap().unwrap();

        let elsewhere =
            [fresh_key(KeyKind::AuthorizationCode), Key::of_text(KeyKind::Interaction, &name)];
        for target in elsewhere {
            subject.store.put(&target, &sealed, LIFE).await.unwrap();
            assert_not_there(&subject, &target, "moved").await;
        }
        for at in [0, 1, 24, 25, sealed.len() - 1] {
            let mut bent = sealed.clone();
            bent[at] ^= 1;
            subject.store.put(&alice, &bent, LIFE).await.unwrap();
            assert_not_there(&subject, &alice, "bent").await;
        }
        for cut in [1, 16, sealed.len() - 25] {
            subject.store.put(&alice, &sealed[..sealed.len() - cut], LIFE).await.unwrap();
            assert_not_there(&subject, &alice, "cut").await;
        }
        // Back in its own place it is as good as ever: the tests above failed for their reasons.
        subject.store.put(&alice, &sealed, LIFE).await.unwrap();
        assert_eq!(state.take::<String>(&alice).await.unwrap().as_deref(), Some(VALUE));
    }
}

/// A value of a former version's shape does not read as something else.
#[tokio::test(flavor = "multi_thread")]
async fn a_value_of_another_shape_is_as_good_as_not_there() {
    for subject in Subject::all() {
        let (state, key) = (ours(&subject), fresh_key(KeyKind::Interaction));
        state.put(&key, &[1, 2, 3], LIFE).await.unwrap();
        assert_not_there(&subject, &key, "a list where a text belongs").await;
    }
}

/// SS-12, IJ-09: whoever reads the store sees neither values nor what keys were made of.
#[tokio::test(flavor = "multi_thread")]
async fn the_store_shows_neither_values_nor_names() {
    for subject in Subject::all() {
        let state = ours(&subject);
        let name = format!("alice@corp.test\r\nFLUSHALL {}", "x".repeat(5_000));
        let keys = [
            Key::of_text(KeyKind::SignInAttempts, &name),
            Key::of_digest(KeyKind::AuthorizationCode, &TokenDigest::of("kw_ac_", name.as_bytes())),
        ];
        for key in keys {
            assert!(key.as_str().starts_with("kw:") && key.as_str().len() < 80, "{key:?}");
            let allowed = |c: char| c.is_ascii_alphanumeric() || "kw:-_".contains(c);
            assert!(key.as_str().chars().all(allowed), "{key:?}");
            state.put(&key, &VALUE, LIFE).await.unwrap();
            let sealed = subject.store.take(&key).await.unwrap().unwrap();
            let shows = |text: &str| sealed.windows(text.len()).any(|seen| seen == text.as_bytes());
            assert!(!shows("alice") && !shows("enter"));
        }
        let key = fresh_key(KeyKind::Interaction);
        state.put(&key, &VALUE, LIFE).await.unwrap();
        let first = subject.store.take(&key).await.unwrap();
        state.put(&key, &VALUE, LIFE).await.unwrap();
        assert_ne!(first, subject.store.take(&key).await.unwrap(), "equal values look different");
    }
}

/// LG-05: `secret_key` can be replaced while flows are under way.
#[tokio::test(flavor = "multi_thread")]
async fn values_survive_a_rotation_of_the_secret_key() {
    for subject in Subject::all() {
        let key = fresh_key(KeyKind::Interaction);
        ours(&subject).put(&key, &VALUE, LIFE).await.unwrap();
        let both = state(&subject, ring("new", &["ours"], Purpose::ShortLivedState));
        assert_eq!(both.get::<String>(&key).await.unwrap().as_deref(), Some(VALUE));
        let new = state(&subject, ring("new", &[], Purpose::ShortLivedState));
        assert_eq!(new.get::<String>(&key).await.unwrap(), None);
    }
}

/// Every command is one round trip, and is counted as one.
#[tokio::test(flavor = "multi_thread")]
async fn each_method_costs_one_command() {
    for subject in Subject::all() {
        let (state, key) = (ours(&subject), fresh_key(KeyKind::CodeFailures));
        state.put(&key, &VALUE, LIFE).await.unwrap();
        let _ = state.get::<String>(&key).await.unwrap();
        let _ = state.take::<String>(&key).await.unwrap();
        assert_eq!(state.increment(&key).await.unwrap(), 1);
        state.remove(&key).await.unwrap();
        state.ping().await.unwrap();
        assert_eq!(state.commands(), 6);
    }
}
