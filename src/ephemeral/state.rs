//! Typed and sealed access to the short-lived state.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use serde::{Serialize, de::DeserializeOwned};

use super::{EphemeralError, EphemeralResult, EphemeralStore, Key};
use crate::foundation::{clock::Span, random::Random, seal::KeyRing};

/// The short-lived state as the rest of the house uses it.
pub struct ShortLivedState {
    store: Arc<dyn EphemeralStore>,
    ring: KeyRing,
    random: Arc<dyn Random>,
    commands: AtomicU64,
}

impl std::fmt::Debug for ShortLivedState {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("ShortLivedState")
    }
}

impl ShortLivedState {
    /// Seals into `store` under the keys of `ring`.
    pub fn new(store: Arc<dyn EphemeralStore>, ring: KeyRing, random: Arc<dyn Random>) -> Self {
        Self { store, ring, random, commands: AtomicU64::new(0) }
    }

    /// How many commands were sent so far.
    pub fn commands(&self) -> u64 {
        self.commands.load(Ordering::Relaxed)
    }

    /// The store, for one command.
    fn store(&self) -> &dyn EphemeralStore {
        self.commands.fetch_add(1, Ordering::Relaxed);
        &*self.store
    }

    /// Keeps a value for `life`.
    pub async fn put<T: Serialize>(&self, key: &Key, value: &T, life: Span) -> EphemeralResult<()> {
        let plain = serde_json::to_vec(value).map_err(|error| EphemeralError(error.to_string()))?;
        let sealed = self.ring.seal(key.as_str(), &plain, &*self.random);
        self.store().put(key, &sealed, life).await
    }

    /// The value, if it is still there and was sealed by us.
    pub async fn get<T: DeserializeOwned>(&self, key: &Key) -> EphemeralResult<Option<T>> {
        Ok(self.store().get(key).await?.and_then(|sealed| self.open(key, &sealed)))
    }

    /// The value, which then is gone: of many callers exactly one gets it.
    pub async fn take<T: DeserializeOwned>(&self, key: &Key) -> EphemeralResult<Option<T>> {
        Ok(self.store().take(key).await?.and_then(|sealed| self.open(key, &sealed)))
    }

    /// Takes a name; `false` if it was taken before.
    #[must_use = "false means that somebody else was first"]
    pub async fn insert_new(&self, key: &Key, life: Span) -> EphemeralResult<bool> {
        self.store().insert_new(key, b"", life).await
    }

    /// Drops a value.
    pub async fn remove(&self, key: &Key) -> EphemeralResult<()> {
        self.store().take(key).await.map(drop)
    }

    /// Adds one to the counter.
    pub async fn increment(&self, key: &Key) -> EphemeralResult<u64> {
        self.store().increment(key, key.kind().life()).await
    }

    /// Adds to the counter.
    pub async fn add(&self, key: &Key, number: u64) -> EphemeralResult<u64> {
        self.store().add(key, number, key.kind().life()).await
    }

    /// Whether the store answers.
    pub async fn ping(&self) -> EphemeralResult<()> {
        self.store().ping().await
    }

    /// What does not open or does not read is as good as not there: a former version wrote it, or
    /// somebody who does not know our key.
    fn open<T: DeserializeOwned>(&self, key: &Key, sealed: &[u8]) -> Option<T> {
        let plain = self.ring.open(key.as_str(), sealed)?;
        serde_json::from_slice(&plain).ok()
    }
}
