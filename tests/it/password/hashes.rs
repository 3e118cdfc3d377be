//! What is stored of a password.

use std::sync::Arc;

use keywright::{
    accounts::passwords::Passwords,
    config,
    foundation::{random::OsRandom, secret::Secret},
    store::users::{self, User},
};

use super::{Attempt, WRONG};
use crate::{sessions::stop, support::app::TestApp};

async fn stored(app: &TestApp, user: &User) -> String {
    let mut connection = app.app.connection().await.unwrap();
    users::find(&mut connection, &user.id).await.unwrap().unwrap().password_hash.unwrap()
}

async fn store(app: &TestApp, user: &User, hash: &str) {
    let mut connection = app.app.connection().await.unwrap();
    let now = app.app.now();
    assert!(users::set_password_hash(&mut connection, &user.id, hash, now).await.unwrap());
}

/// PW-04: the default parameters are at least those that OWASP asks for.
#[test]
fn the_default_parameters_are_strong() {
    let settings = config::parse("", &config::Environment::new()).unwrap().passwords;
    assert!(settings.argon2_memory_kib >= 19_456);
    assert!(settings.argon2_passes >= 2);
    assert_eq!(settings.argon2_lanes, 1);
}

/// PW-04: two people with one password have different hashes.
#[tokio::test(flavor = "multi_thread")]
async fn every_hash_has_a_salt_of_its_own() {
    let app = TestApp::start().await;
    let bob = app.add_user("bob", &[]).await;
    let password = Secret::new("bob-password");
    let again = app.app.passwords.hash(&password).await.unwrap();
    let first = stored(&app, &bob).await;
    assert!(first.starts_with("$argon2id$v=19$m=64,t=1,p=1$"), "{first}");
    assert_ne!(first, again);
}

/// PW-04: when the parameters change, a password is hashed anew at the next sign-in that proves it,
/// and not by a wrong one.
#[tokio::test(flavor = "multi_thread")]
async fn changed_parameters_hash_anew_at_the_next_sign_in() {
    let app = TestApp::start().await;
    let bob = app.add_user("bob", &[]).await;
    let old = stored(&app, &bob).await;
    let stronger = "[passwords]\nargon2_memory_kib = 128\nargon2_passes = 2";
    let app = stop(app).await.config(stronger).start().await;

    let mut attempt = Attempt::begin(&app).await;
    assert!(!attempt.succeeds("bob", "wrong").await);
    assert_eq!(stored(&app, &bob).await, old);
    assert!(attempt.succeeds("bob", "bob-password").await);
    let new = stored(&app, &bob).await;
    assert!(new.starts_with("$argon2id$v=19$m=128,t=2,p=1$"), "{new}");

    let mut attempt = Attempt::begin(&app).await;
    assert!(attempt.succeeds("bob", "bob-password").await);
    assert_eq!(stored(&app, &bob).await, new, "now it is as it should be");
    assert!(!Attempt::begin(&app).await.succeeds("bob", "bob-passwor").await);
}

/// Weaker parameters are a change too: the administrator decides.
#[tokio::test(flavor = "multi_thread")]
async fn a_hash_with_other_parameters_is_replaced_in_either_direction() {
    let app = TestApp::start().await;
    let bob = app.add_user("bob", &[]).await;
    let text = "[passwords]\nargon2_memory_kib = 256\nargon2_passes = 3";
    let config = config::parse(text, &config::Environment::new()).unwrap();
    let foreign = Passwords::new(&config, Arc::new(OsRandom)).unwrap();
    store(&app, &bob, &foreign.hash(&Secret::new("bob-password")).await.unwrap()).await;
    assert!(Attempt::begin(&app).await.succeeds("bob", "bob-password").await);
    assert!(stored(&app, &bob).await.starts_with("$argon2id$v=19$m=64,t=1,p=1$"));
}

/// PW-05: a stored hash that cannot be read answers like a wrong password.
#[tokio::test(flavor = "multi_thread")]
async fn a_broken_stored_hash_is_a_wrong_password() {
    let app = TestApp::start().await;
    let bob = app.add_user("bob", &[]).await;
    let good = stored(&app, &bob).await;
    let half = &good[..good.len() / 2];
    let broken = [
        "",
        "x",
        "$",
        "$argon2id$",
        half,
        "$argon2id$v=19$m=64,t=1,p=0$c29tZXNhbHRzb21lc2FsdA$c29tZWhhc2g",
        "$argon2id$v=19$m=99999999999,t=1,p=1$c29tZXNhbHRzb21lc2FsdA$c29tZWhhc2g",
        // Four GiB: nobody may make us take that.
        "$argon2id$v=19$m=4194304,t=1,p=1$c29tZXNhbHRzb21lc2FsdA$c29tZWhhc2hzb21laGFzaHNvbWVoYXNo",
        "$2b$12$abcdefghijklmnopqrstuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuu",
        "$md5$abc",
        "\u{fc}\u{fc}",
        "bob-password",
    ];
    for hash in broken {
        store(&app, &bob, hash).await;
        // Longer than any wait after wrong passwords.
        app.clock.advance(300);
        let page = Attempt::begin(&app).await.try_with("bob", "bob-password").await;
        assert_eq!(page.status, 400, "{hash:?}: {}", page.text());
        assert!(page.text().contains(WRONG), "{hash:?}");
        assert_eq!(stored(&app, &bob).await, hash, "nothing is changed");
    }
    store(&app, &bob, &good).await;
    app.clock.advance(300);
    assert!(Attempt::begin(&app).await.succeeds("bob", "bob-password").await);
}

/// `correct horse battery`, as four other systems keep it.
const FOREIGN: [&str; 4] = [
    "$2b$05$EUaa4XgD.loFNAFo1AQdJ.ZyPhlgPxR.mawbVPfC21QbZrWKj1cza",
    "$pbkdf2-sha1$i=1000$AAECAwQFBgcICQoLDA0ODw$yr+bZKkEnTtGf3f18VjXM5CIxT9gt2kfzsoPOBHUS/Q",
    "$aspnet-identity$AAABAgMEBQYHCAkKCwwNDg/Kv5tkqQSdO0Z/d/XxWNczkIjFP2C3aR/Oyg84EdRL9A==",
    "$scrypt$ln=10,r=8,p=1$AAECAwQFBgcICQoLDA0ODw$hKGWL22WtdGfIbxEPAZ06BS2bWyYKuZIKvypfAlYOWk",
];

/// PW-04: who comes from another system signs in with the password of there, and from then on has a
/// hash of ours; a wrong password changes nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_hash_of_another_system_is_good_for_one_sign_in() {
    let app = TestApp::start().await;
    let bob = app.add_user("bob", &[]).await;
    for hash in FOREIGN {
        store(&app, &bob, hash).await;
        let mut attempt = Attempt::begin(&app).await;
        assert!(!attempt.succeeds("bob", "correct horse batterz").await, "{hash}");
        assert_eq!(stored(&app, &bob).await, hash);
        assert!(attempt.succeeds("bob", "correct horse battery").await, "{hash}");
        let ours = stored(&app, &bob).await;
        assert!(ours.starts_with("$argon2id$v=19$m=64,t=1,p=1$"), "{ours}");
        assert!(Attempt::begin(&app).await.succeeds("bob", "correct horse battery").await);
        assert_eq!(stored(&app, &bob).await, ours);
        app.clock.advance(60);
    }
}
