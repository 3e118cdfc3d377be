//! Short-lived state in this process: for one instance, and for tests.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;

use super::{EphemeralError, EphemeralResult, EphemeralStore, Key, KeyKind};
use crate::foundation::clock::{Clock, Span, Timestamp};

/// The most sign-ins in progress. Anybody can begin one.
const MAX_FLOWS: usize = 100_000;
/// The most of what is counted of strangers: whoever invents names must not shut out anything else.
const MAX_COUNTS: usize = 100_000;
/// The most proofs of possession. Whoever holds a token can make any number.
const MAX_PROOFS: usize = 100_000;
/// The most of everything else, which strangers cannot use up.
const MAX_OTHERS: usize = 100_000;

struct Entry {
    value: Vec<u8>,
    ends_at: Timestamp,
}

/// Entries of which there may be so many. Beyond that new ones are refused rather than old ones lost.
struct Shelf {
    entries: HashMap<Key, Entry>,
    most: usize,
    /// When it was full and what had ended was looked for: once a second is enough.
    cleared_at: Timestamp,
}

impl Shelf {
    fn new(most: usize) -> Mutex<Self> {
        let cleared_at = Timestamp::from_unix(0);
        Mutex::new(Self { entries: HashMap::new(), most, cleared_at })
    }

    fn make_room(&mut self, now: Timestamp) -> EphemeralResult<()> {
        if self.entries.len() >= self.most && now > self.cleared_at {
            self.cleared_at = now;
            self.entries.retain(|_, entry| entry.ends_at > now);
        }
        if self.entries.len() >= self.most {
            return Err(EphemeralError(format!("{} entries are in use", self.most)));
        }
        Ok(())
    }
}

/// A map that forgets.
pub struct MemoryStore {
    clock: Arc<dyn Clock>,
    flows: Mutex<Shelf>,
    counts: Mutex<Shelf>,
    proofs: Mutex<Shelf>,
    others: Mutex<Shelf>,
}

impl std::fmt::Debug for MemoryStore {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kept = self.shelves().map(|shelf| shelf.entries.len());
        write!(out, "MemoryStore({kept:?} entries)")
    }
}

impl MemoryStore {
    /// An empty store that reads the time from `clock`.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            flows: Shelf::new(MAX_FLOWS),
            counts: Shelf::new(MAX_COUNTS),
            proofs: Shelf::new(MAX_PROOFS),
            others: Shelf::new(MAX_OTHERS),
        }
    }

    /// Drops what has ended, so that memory follows use. Called from time to time.
    pub fn forget_ended(&self) {
        let now = self.clock.now();
        for mut shelf in self.shelves() {
            shelf.entries.retain(|_, entry| entry.ends_at > now);
            shelf.entries.shrink_to(1_024);
        }
    }

    /// Drops everything, as a restart would.
    pub fn clear(&self) {
        self.shelves().into_iter().for_each(|mut shelf| shelf.entries.clear());
    }

    fn shelves(&self) -> [MutexGuard<'_, Shelf>; 4] {
        [&self.flows, &self.counts, &self.proofs, &self.others].map(Self::lock)
    }

    fn lock(shelf: &Mutex<Shelf>) -> MutexGuard<'_, Shelf> {
        // No code can panic while it holds the lock in the middle of a change.
        shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn shelf(&self, key: &Key) -> MutexGuard<'_, Shelf> {
        Self::lock(match key.kind() {
            KeyKind::Interaction
            | KeyKind::UpstreamState
            | KeyKind::UpstreamAnswer
            | KeyKind::PushedRequest => &self.flows,
            KeyKind::SignInAttempts
            | KeyKind::SignUps
            | KeyKind::Recoveries
            | KeyKind::ClientFailures
            | KeyKind::Requests => &self.counts,
            KeyKind::DpopProof => &self.proofs,
            _ => &self.others,
        })
    }

    /// The shelf of a key that is about to be written.
    fn room(&self, key: &Key, now: Timestamp) -> EphemeralResult<MutexGuard<'_, Shelf>> {
        let mut there = self.shelf(key);
        if !there.entries.contains_key(key) {
            there.make_room(now)?;
        }
        Ok(there)
    }
}

#[async_trait]
impl EphemeralStore for MemoryStore {
    async fn put(&self, key: &Key, value: &[u8], life: Span) -> EphemeralResult<()> {
        let now = self.clock.now();
        let entry = Entry { value: value.to_vec(), ends_at: now.plus(life) };
        self.room(key, now)?.entries.insert(key.clone(), entry);
        Ok(())
    }

    async fn get(&self, key: &Key) -> EphemeralResult<Option<Vec<u8>>> {
        let now = self.clock.now();
        let there = self.shelf(key);
        let live = there.entries.get(key).filter(|entry| entry.ends_at > now);
        Ok(live.map(|entry| entry.value.clone()))
    }

    async fn take(&self, key: &Key) -> EphemeralResult<Option<Vec<u8>>> {
        let now = self.clock.now();
        let taken = self.shelf(key).entries.remove(key).filter(|entry| entry.ends_at > now);
        Ok(taken.map(|entry| entry.value))
    }

    async fn insert_new(&self, key: &Key, value: &[u8], life: Span) -> EphemeralResult<bool> {
        let now = self.clock.now();
        let mut there = self.room(key, now)?;
        if there.entries.get(key).is_some_and(|entry| entry.ends_at > now) {
            return Ok(false);
        }
        let entry = Entry { value: value.to_vec(), ends_at: now.plus(life) };
        there.entries.insert(key.clone(), entry);
        Ok(true)
    }

    async fn add(&self, key: &Key, number: u64, life: Span) -> EphemeralResult<u64> {
        let now = self.clock.now();
        let mut there = self.room(key, now)?;
        let fresh = || Entry { value: vec![0; 8], ends_at: now.plus(life) };
        let entry = there.entries.entry(key.clone()).or_insert_with(fresh);
        if entry.ends_at <= now {
            *entry = fresh();
        }
        let counted = entry.value.as_slice().try_into().map_or(0, u64::from_be_bytes);
        let counted = counted.saturating_add(number);
        entry.value = counted.to_be_bytes().to_vec();
        Ok(counted)
    }

    async fn ping(&self) -> EphemeralResult<()> {
        Ok(())
    }
}
