//! The keys as the running server uses them: loaded once, looked after every second.

use std::sync::{
    Arc, PoisonError, RwLock,
    atomic::{AtomicI64, Ordering},
};

use serde_json::{Map, Value};

use super::{
    jws::{JwsFault, TokenType},
    key_set::{Jwks, KeySet},
    rotation::{REVISION, Rotation},
    schedule::Policy,
    secret_key,
};
use crate::{
    foundation::{
        clock::{Span, Timestamp},
        random::Random,
        seal::KeyRing,
    },
    protocol::jwa::SigningAlgorithm,
    store::{Store, facts, signing_keys},
};

/// Why nothing was signed.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The database was away for so long that another instance may have ended our key.
    #[error("the keys were last read so long ago that they may be out of date")]
    Stale,
    /// The signature could not be made.
    #[error("signing failed: {0}")]
    Signing(anyhow::Error),
}

/// The signing keys of the running server.
pub struct SigningKeys {
    rotation: Rotation,
    ring: Arc<KeyRing>,
    current: RwLock<Arc<KeySet>>,
    revision: AtomicI64,
    /// Until when the loaded keys can be relied upon.
    reliable_until: AtomicI64,
    jwks_max_age: Span,
}

impl std::fmt::Debug for SigningKeys {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "SigningKeys({:?})", self.rotation)
    }
}

impl SigningKeys {
    /// Checks `secret_key`, makes the first keys if there are none, and loads them all.
    pub async fn start(
        rotation: Rotation,
        ring: Arc<KeyRing>,
        jwks_max_age: Span,
        store: &Store,
        random: &dyn Random,
        now: Timestamp,
    ) -> anyhow::Result<Self> {
        secret_key::check(store, &ring, random).await?;
        secret_key::reseal(store, &ring, random).await?;
        rotation.register(store, now).await?;
        rotation.tend(store, now).await?;
        let keys = Self {
            rotation,
            current: RwLock::new(Arc::new(KeySet::load(&[], &ring)?)),
            ring,
            revision: AtomicI64::new(-1),
            reliable_until: AtomicI64::new(0),
            jwks_max_age,
        };
        keys.refresh(store, now).await?;
        Ok(keys)
    }

    /// Loads the keys again if any instance has changed them.
    pub async fn refresh(&self, store: &Store, now: Timestamp) -> anyhow::Result<()> {
        let mut connection = store.connection().await?;
        let revision = facts::find(&mut connection, REVISION).await?.unwrap_or(0);
        if revision != self.revision.load(Ordering::Acquire) {
            let rows = signing_keys::list(&mut connection).await?;
            let loaded = Arc::new(KeySet::load(&rows, &self.ring)?);
            *self.current.write().unwrap_or_else(PoisonError::into_inner) = loaded;
            self.revision.store(revision, Ordering::Release);
        }
        let policy: Policy = self.rotation.policy(&mut connection).await?;
        // A successor that we do not know of was made after this moment at the earliest, and
        // cannot have taken over before it was announced and published.
        let reliable_until = now.plus(policy.least_preparation());
        self.reliable_until.store(reliable_until.unix(), Ordering::Release);
        Ok(())
    }

    /// Loads the keys if they were last read too long ago to be relied upon: after the computer has
    /// slept, the first request comes before the job that looks every second. What cannot be read
    /// now stays as it is, and signing refuses.
    pub async fn catch_up(&self, store: &Store, now: Timestamp) {
        if self.is_reliable(now) {
            return;
        }
        if let Err(error) = self.refresh(store, now).await {
            tracing::warn!(error = format!("{error:#}"), "the signing keys cannot be read");
        }
    }

    /// Makes keys that are due and loads them.
    pub async fn tend(&self, store: &Store, now: Timestamp) -> anyhow::Result<()> {
        self.rotation.tend(store, now).await?;
        self.refresh(store, now).await
    }

    /// How the keys are rotated.
    pub const fn rotation(&self) -> &Rotation {
        &self.rotation
    }

    /// The keys of the moment.
    pub fn current(&self) -> Arc<KeySet> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether every algorithm can sign now.
    pub fn is_ready(&self, now: Timestamp) -> bool {
        let keys = self.current();
        self.is_reliable(now) && SigningAlgorithm::ALL.iter().all(|alg| keys.can_sign(*alg, now))
    }

    fn is_reliable(&self, now: Timestamp) -> bool {
        now.unix() < self.reliable_until.load(Ordering::Acquire)
    }

    /// Signs claims with the key of the moment.
    pub fn sign<T: serde::Serialize>(
        &self,
        alg: SigningAlgorithm,
        typ: TokenType,
        claims: &T,
        now: Timestamp,
    ) -> Result<String, KeyError> {
        if !self.is_reliable(now) {
            return Err(KeyError::Stale);
        }
        self.current().sign(alg, typ, claims, now).map_err(KeyError::Signing)
    }

    /// The claims of a JWT that one of our keys has signed.
    pub fn verify(
        &self,
        token: &str,
        typ: TokenType,
        now: Timestamp,
    ) -> Result<Arc<Map<String, Value>>, JwsFault> {
        self.current().verify(token, typ, now)
    }

    /// The claims of an ID token of ours that comes back as a hint.
    pub fn verify_hint(&self, token: &str) -> Result<Arc<Map<String, Value>>, JwsFault> {
        self.current().verify_hint(token)
    }

    /// The JWKS of the moment, and for how long it may be cached: never beyond the moment up to
    /// which we can know what belongs into it.
    pub fn jwks(&self, now: Timestamp) -> (Arc<Jwks>, Span) {
        let jwks = self.current().jwks(now);
        let reliable = Timestamp::from_unix(self.reliable_until.load(Ordering::Acquire)).since(now);
        let max_age = jwks.max_age(now, self.jwks_max_age.min(reliable));
        (jwks, max_age)
    }
}
