//! Short-lived state in this process: for one instance, and for tests.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;

use super::{EphemeralError, EphemeralResult, EphemeralStore, Key};
use crate::foundation::clock::{Clock, Span, Timestamp};

/// The most entries that are kept. Beyond it new ones are refused rather than old ones lost.
const CAPACITY: usize = 200_000;

struct Entry {
    value: Vec<u8>,
    ends_at: Timestamp,
}

/// A map that forgets.
pub struct MemoryStore {
    clock: Arc<dyn Clock>,
    entries: Mutex<HashMap<Key, Entry>>,
}

impl std::fmt::Debug for MemoryStore {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "MemoryStore({} entries)", self.entries().len())
    }
}

impl MemoryStore {
    /// An empty store that reads the time from `clock`.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, entries: Mutex::default() }
    }

    /// Drops what has ended, so that memory follows use. Called from time to time.
    pub fn forget_ended(&self) {
        let now = self.clock.now();
        let mut entries = self.entries();
        entries.retain(|_, entry| entry.ends_at > now);
        entries.shrink_to(1_024);
    }

    /// Drops everything, as a restart would.
    pub fn clear(&self) {
        self.entries().clear();
    }

    fn entries(&self) -> MutexGuard<'_, HashMap<Key, Entry>> {
        // No code can panic while it holds the lock in the middle of a change.
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn room(&self) -> EphemeralResult<MutexGuard<'_, HashMap<Key, Entry>>> {
        let mut entries = self.entries();
        if entries.len() >= CAPACITY {
            let now = self.clock.now();
            entries.retain(|_, entry| entry.ends_at > now);
            if entries.len() >= CAPACITY {
                return Err(EphemeralError(format!("{CAPACITY} entries are in use")));
            }
        }
        Ok(entries)
    }
}

#[async_trait]
impl EphemeralStore for MemoryStore {
    async fn put(&self, key: &Key, value: &[u8], life: Span) -> EphemeralResult<()> {
        let ends_at = self.clock.now().plus(life);
        self.room()?.insert(key.clone(), Entry { value: value.to_vec(), ends_at });
        Ok(())
    }

    async fn get(&self, key: &Key) -> EphemeralResult<Option<Vec<u8>>> {
        let now = self.clock.now();
        let entries = self.entries();
        let live = entries.get(key).filter(|entry| entry.ends_at > now);
        Ok(live.map(|entry| entry.value.clone()))
    }

    async fn take(&self, key: &Key) -> EphemeralResult<Option<Vec<u8>>> {
        let now = self.clock.now();
        let taken = self.entries().remove(key).filter(|entry| entry.ends_at > now);
        Ok(taken.map(|entry| entry.value))
    }

    async fn insert_new(&self, key: &Key, value: &[u8], life: Span) -> EphemeralResult<bool> {
        let now = self.clock.now();
        let mut entries = self.room()?;
        if entries.get(key).is_some_and(|entry| entry.ends_at > now) {
            return Ok(false);
        }
        let entry = Entry { value: value.to_vec(), ends_at: now.plus(life) };
        entries.insert(key.clone(), entry);
        Ok(true)
    }

    async fn increment(&self, key: &Key, life: Span) -> EphemeralResult<u64> {
        let now = self.clock.now();
        let mut entries = self.room()?;
        let fresh = || Entry { value: vec![0; 8], ends_at: now.plus(life) };
        let entry = entries.entry(key.clone()).or_insert_with(fresh);
        if entry.ends_at <= now {
            *entry = fresh();
        }
        let counted = entry.value.as_slice().try_into().map_or(0, u64::from_be_bytes) + 1;
        entry.value = counted.to_be_bytes().to_vec();
        Ok(counted)
    }

    async fn ping(&self) -> EphemeralResult<()> {
        Ok(())
    }
}
