//! Who is being served by this process at the moment, so that nobody is served twice.

use std::{
    collections::HashSet,
    hash::Hash,
    sync::{Arc, Mutex, PoisonError},
};

/// The keys that are taken.
#[derive(Clone, Debug)]
pub(super) struct Busy<K>(Arc<Mutex<HashSet<K>>>);

impl<K> Default for Busy<K> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<K: Clone + Eq + Hash> Busy<K> {
    /// Takes a key; nothing if it is taken already.
    pub(super) fn enter(&self, key: K) -> Option<Taken<K>> {
        let mut keys = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        keys.insert(key.clone()).then(|| Taken { busy: self.clone(), key })
    }
}

/// A key that is taken; it ends with this value, whatever happens.
pub(super) struct Taken<K: Clone + Eq + Hash> {
    busy: Busy<K>,
    pub(super) key: K,
}

impl<K: Clone + Eq + Hash> Drop for Taken<K> {
    fn drop(&mut self) {
        let mut keys = self.busy.0.lock().unwrap_or_else(PoisonError::into_inner);
        keys.remove(&self.key);
    }
}
