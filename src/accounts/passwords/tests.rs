//! The pool, and what is checked against what is stored.

use super::*;
use crate::{config, foundation::random::OsRandom};

pub(super) fn passwords(passes: &str) -> Passwords {
    let env = [
        ("KEYWRIGHT_PASSWORDS__ARGON2_MEMORY_KIB", "64"),
        ("KEYWRIGHT_PASSWORDS__ARGON2_PASSES", passes),
    ];
    let env = env.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    Passwords::new(&config::parse("", &env).unwrap(), Arc::new(OsRandom)).unwrap()
}

#[tokio::test]
async fn a_password_is_right_wrong_or_rehashed() {
    let old = passwords("1");
    let password = Secret::new("corr\u{e9}ct horse");
    let stored = old.hash(&password).await.unwrap();
    assert!(stored.starts_with("$argon2id$v=19$m=64,t=1,p=1$"), "{stored}");
    assert_eq!(old.verify(&password, Some(&stored)).await, Ok(Verdict::Right));
    // The same letters, typed with a combining accent, and with another space.
    for same in ["corre\u{301}ct horse", "corr\u{e9}ct\u{a0}horse"] {
        assert_eq!(old.verify(&Secret::new(same), Some(&stored)).await, Ok(Verdict::Right));
    }
    assert_eq!(old.verify(&Secret::new("no"), Some(&stored)).await, Ok(Verdict::Wrong));
    assert_eq!(old.verify(&password, None).await, Ok(Verdict::Wrong));

    let new = passwords("2");
    let verdict = new.verify(&password, Some(&stored)).await.unwrap();
    let Verdict::RightAndRehashed(better) = verdict else { panic!("{verdict:?}") };
    assert_eq!(new.verify(&password, Some(&better)).await, Ok(Verdict::Right));
}

/// The decoy is read and hashed against like any stored hash: same form, same parameters.
#[tokio::test]
async fn the_decoy_is_as_dear_as_a_stored_hash() {
    let passwords = passwords("3");
    let stored = passwords.hash(&Secret::new("some password")).await.unwrap();
    for text in [stored.as_str(), &passwords.decoy] {
        let hash = PasswordHash::new(text).unwrap();
        assert!(is_ours(&hash, &passwords.params), "{text}");
        assert_eq!(hash.salt.map(|salt| salt.len()), Some(16));
    }
}

/// PW-02: what is too long is neither set nor checked, and costs nothing.
#[tokio::test]
async fn endless_passwords_are_wrong_and_cannot_be_set() {
    let passwords = passwords("1");
    let good = passwords.hash(&Secret::new("x".repeat(MAX_LENGTH))).await.unwrap();
    assert_eq!(passwords.hashes(), 1);
    for long in [MAX_LENGTH + 1, 1_000_000] {
        let long = Secret::new("x".repeat(long));
        let taken = passwords.take(&long, &Known::default()).await;
        assert_eq!(taken, Err(NotTaken::Refused(vec![PasswordFault::TooLong])));
        for stored in [Some(good.as_str()), None] {
            assert_eq!(passwords.verify(&long, stored).await, Ok(Verdict::Wrong));
        }
    }
    assert_eq!(passwords.hashes(), 1, "nothing was hashed");
}

#[tokio::test]
async fn a_new_password_is_judged_and_every_fault_is_said() {
    let passwords = passwords("1");
    let known = Known { username: "anna".to_owned(), ..Known::default() };
    let refused = passwords.take(&Secret::new("anna"), &known).await.unwrap_err();
    let said = refused.to_string();
    assert!(said.starts_with("the password must have at least 8 characters; the password is"));
    assert_eq!(passwords.hashes(), 0);
    let good = Secret::new("correct horse battery");
    let stored = passwords.take(&good, &known).await.unwrap();
    assert_eq!(passwords.verify(&good, Some(&stored)).await, Ok(Verdict::Right));
}

#[tokio::test]
async fn a_full_queue_turns_people_away() {
    let mut passwords = passwords("1");
    passwords.max_waiting = 0;
    assert_eq!(passwords.hash(&Secret::new("x")).await, Err(HashingFault::Busy));
    assert_eq!(passwords.waiting.load(Ordering::Acquire), 0);
}
