//! The key that encrypts all others: right, wrong, and replaced.

use std::sync::Arc;

use keywright::{
    app::{Ambient, App},
    config::{self, Environment},
    foundation::clock::Span,
    protocol::jwa::SigningAlgorithm::Es256,
    store::{facts, signing_keys},
};

use super::{DAY, Instance, Settings, at};
use crate::support::{
    clock::TestClock,
    database::{SECRET_KEY, TestDatabase},
};

const OTHER: &str = "another-secret-key-of-tests-fedcba9876543210";

/// Everything that the keys have written, as text.
async fn written(one: &Instance) -> Vec<String> {
    let mut connection = one.store.connection().await.unwrap();
    let rows = signing_keys::list(&mut connection).await.unwrap();
    let mut seen: Vec<String> = rows.iter().map(|row| format!("{row:?}")).collect();
    for name in ["signing_keys.revision", "signing_keys.longest_max_age", "tokens.longest_lifetime"]
    {
        let value = facts::find(&mut connection, name).await.unwrap();
        seen.push(format!("{name} {value:?}"));
    }
    let check = facts::find_sealed(&mut connection, "secret_key.check").await;
    seen.push(format!("{:?}", check.unwrap()));
    seen
}

fn with(secret: &'static str, previous: &[&'static str]) -> Settings {
    Settings { secret, previous: previous.to_vec(), ..Settings::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_secret_key_is_refused_before_anything_is_written() {
    let database = TestDatabase::new().await;
    let right = Instance::start(&database, &Settings::default(), at(0)).await;
    let before = written(&right).await;
    // Everything that a start might write is due: longer lifetimes, and successors.
    let mut wrong = with(OTHER, &[]);
    wrong.keys.jwks_max_age = Span::from_hours(12);
    wrong.token_lifetime = Span::from_hours(24);
    let refused = Instance::try_start(&database.url, &wrong, at(89 * DAY + 1)).await;
    let refusal = refused.err().unwrap().to_string();
    assert!(refusal.contains("secrets.secret_key"), "{refusal}");
    assert!(!refusal.contains(OTHER) && !refusal.contains(SECRET_KEY), "{refusal}");
    assert_eq!(written(&right).await, before);
    // The deployment goes on unharmed.
    right.tend(at(89 * DAY + 1)).await;
    assert_eq!(right.rows(Es256).await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_whole_server_refuses_it_too() {
    let database = TestDatabase::new().await;
    let text = format!(
        "[server]\nissuer = \"https://id.test\"\n[database]\nurl = {:?}\n\
         [secrets]\nsecret_key = {OTHER:?}\n",
        database.url
    );
    let config = config::parse(&text, &Environment::new()).unwrap();
    // Late enough that a successor would be made, and a longer lifetime noted.
    let clock = Arc::new(TestClock::new());
    clock.advance(200 * DAY);
    let ambient = Ambient { clock, ..Ambient::default() };
    let refusal = App::start(config, ambient).await.err().unwrap().to_string();
    assert!(refusal.contains("secrets.secret_key"), "{refusal}");
    let right = Instance::start(&database, &Settings::default(), at(0)).await;
    assert_eq!(right.rows(Es256).await.len(), 1, "the wrong one has made a key");
}

/// LG-05: the former key opens what it has sealed, and all of that is sealed anew at the start.
#[tokio::test(flavor = "multi_thread")]
async fn a_replaced_secret_key_opens_everything_and_can_then_be_forgotten() {
    let database = TestDatabase::new().await;
    let before = Instance::start(&database, &Settings::default(), at(0)).await;
    let token = before.sign(Es256, at(0)).unwrap();
    let sealed = before.rows(Es256).await[0].private_key.clone();
    assert!(Instance::try_start(&database.url, &with(OTHER, &[]), at(1)).await.is_err());

    let both = Instance::start(&database, &with(OTHER, &[SECRET_KEY]), at(2)).await;
    assert!(both.verifies(&token, at(2)));
    assert_eq!(both.signer(Es256, at(2)), super::kid(&token));
    assert_ne!(both.rows(Es256).await[0].private_key, sealed);
    both.rotate(Es256, at(3)).await.unwrap();

    let alone = Instance::start(&database, &with(OTHER, &[]), at(4)).await;
    assert!(alone.verifies(&token, at(4)));
    assert_eq!(alone.signer(Es256, at(4)), super::kid(&token));
    let former = Instance::try_start(&database.url, &Settings::default(), at(5)).await;
    assert!(former.is_err(), "the former key is still good");
    // And back again, as after a mistake.
    Instance::start(&database, &with(SECRET_KEY, &[OTHER]), at(6)).await;
    Instance::start(&database, &Settings::default(), at(7)).await;
}

/// An instance that was started with the former key goes on while the others move to the new one.
#[tokio::test(flavor = "multi_thread")]
async fn instances_move_to_a_new_secret_key_one_after_the_other() {
    let database = TestDatabase::new().await;
    // First every instance learns to read the new key, then each swaps them.
    let first = Instance::start(&database, &with(SECRET_KEY, &[OTHER]), at(0)).await;
    let second = Instance::start(&database, &with(OTHER, &[SECRET_KEY]), at(1)).await;
    for (now, maker) in [(2, &first), (2 * DAY, &second)] {
        let new = maker.rotate(Es256, at(now)).await.unwrap();
        let takes_over = maker.row(&new).await.signs_from;
        for instance in [&first, &second] {
            instance.tend(takes_over).await;
            assert_eq!(instance.signer(Es256, takes_over), new);
        }
    }
}
