//! Signing keys: rotation that nobody notices, and the emergencies that everybody does.

mod emergencies;
mod instances;
mod rotation;
mod schedule;
mod secret_key;
mod year;

use std::{collections::BTreeSet, sync::Arc};

use keywright::{
    config::{self, Environment, KeySettings},
    foundation::{
        clock::{Span, Timestamp},
        ids::KeyId,
        random::{OsRandom, Random},
        seal::{KeyRing, Purpose},
        secret::Secret,
    },
    keys::{Jwks, KeyError, Rotation, SigningKeys, TokenType, parse_unverified},
    protocol::jwa::SigningAlgorithm,
    store::{
        Access, Store, migrate,
        signing_keys::{self, SigningKeyRow},
    },
};
use serde_json::{Value, json};

use crate::support::{
    clock::START,
    database::{SECRET_KEY, TestDatabase},
};

const ALL: &[SigningAlgorithm] = SigningAlgorithm::ALL;
const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// The moment that lies so many seconds after the beginning of the test.
fn at(offset: i64) -> Timestamp {
    Timestamp::from_unix(START + offset)
}

/// How an instance is configured, as far as its keys are concerned.
#[derive(Clone, Debug)]
struct Settings {
    keys: KeySettings,
    token_lifetime: Span,
    secret: &'static str,
    previous: Vec<&'static str>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            keys: KeySettings {
                rotation_interval: Span::from_days(90),
                publish_lead: Span::from_days(1),
                jwks_max_age: Span::from_minutes(5),
            },
            token_lifetime: Span::from_minutes(15),
            secret: SECRET_KEY,
            previous: Vec::new(),
        }
    }
}

impl Settings {
    fn ring(&self) -> Arc<KeyRing> {
        let previous: Vec<Secret> = self.previous.iter().map(|text| Secret::new(*text)).collect();
        Arc::new(KeyRing::derive(&Secret::new(self.secret), &previous, Purpose::Rows))
    }
}

/// What one running server knows of the keys.
struct Instance {
    keys: SigningKeys,
    store: Arc<Store>,
}

/// A store as a verb of the command line opens one: several may share one file.
async fn open(url: &str) -> Arc<Store> {
    let text = format!(
        "[database]\nurl = {url:?}\nmax_connections = 4\n[secrets]\nsecret_key = {SECRET_KEY:?}\n"
    );
    let config = config::parse(&text, &Environment::new()).unwrap();
    let store = Store::open(&config.database, Access::Founder).unwrap();
    migrate(&store).await.unwrap();
    Arc::new(store)
}

impl Instance {
    async fn try_start(url: &str, settings: &Settings, now: Timestamp) -> anyhow::Result<Self> {
        let store = open(url).await;
        let random: Arc<dyn Random> = Arc::new(OsRandom);
        let ring = settings.ring();
        let lifetime = settings.token_lifetime;
        let rotation = Rotation::new(settings.keys.clone(), lifetime, Arc::clone(&ring), random);
        let max_age = settings.keys.jwks_max_age;
        let keys = SigningKeys::start(rotation, ring, max_age, &store, &OsRandom, now).await?;
        Ok(Self { keys, store })
    }

    async fn start(database: &TestDatabase, settings: &Settings, now: Timestamp) -> Self {
        Self::try_start(&database.url, settings, now).await.unwrap()
    }

    /// What the jobs do: look after the keys, and take notice of what others did.
    async fn tend(&self, now: Timestamp) {
        self.keys.tend(&self.store, now).await.unwrap();
    }

    async fn refresh(&self, now: Timestamp) {
        self.keys.refresh(&self.store, now).await.unwrap();
    }

    async fn rotate(&self, alg: SigningAlgorithm, now: Timestamp) -> Option<KeyId> {
        self.keys.rotation().rotate(&self.store, alg, now).await.unwrap()
    }

    async fn drop_key(&self, id: &KeyId, now: Timestamp) -> Option<KeyId> {
        let next = self.keys.rotation().drop_key(&self.store, id, now).await.unwrap();
        self.refresh(now).await;
        next
    }

    fn sign(&self, alg: SigningAlgorithm, now: Timestamp) -> Result<String, KeyError> {
        let claims = json!({ "sub": "somebody", "iat": now.unix() });
        self.keys.sign(alg, TokenType::Access, &claims, now)
    }

    /// The `kid` that a token signed now carries.
    fn signer(&self, alg: SigningAlgorithm, now: Timestamp) -> KeyId {
        kid(&self.sign(alg, now).unwrap())
    }

    fn verifies(&self, token: &str, now: Timestamp) -> bool {
        self.keys.verify(token, TokenType::Access, now).is_ok()
    }

    async fn rows(&self, alg: SigningAlgorithm) -> Vec<SigningKeyRow> {
        let mut connection = self.store.connection().await.unwrap();
        let rows = signing_keys::list(&mut connection).await.unwrap();
        rows.into_iter().filter(|row| row.alg == alg).collect()
    }

    /// The key with this id, as it is stored now.
    async fn row(&self, id: &KeyId) -> SigningKeyRow {
        let mut connection = self.store.connection().await.unwrap();
        let rows = signing_keys::list(&mut connection).await.unwrap();
        rows.into_iter().find(|row| row.id == *id).unwrap()
    }
}

fn kid(token: &str) -> KeyId {
    let (header, _) = parse_unverified(token).unwrap();
    KeyId::new(header["kid"].as_str().unwrap())
}

fn jwk_set(jwks: &Jwks) -> Vec<Value> {
    let document: Value = serde_json::from_slice(&jwks.body).unwrap();
    document["keys"].as_array().unwrap().clone()
}

/// The ids in a JWKS, as a consumer reads them.
fn kids(jwks: &Jwks) -> BTreeSet<KeyId> {
    jwk_set(jwks).iter().map(|jwk| KeyId::new(jwk["kid"].as_str().unwrap())).collect()
}
