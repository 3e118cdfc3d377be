//! The short-lived state: what both of its stores promise, and what the seal adds.

mod conformance;
mod deployments;
mod sealed;

use std::sync::Arc;

use keywright::{
    config::RedisUrl,
    ephemeral::{EphemeralStore, Key, KeyKind, MemoryStore, RedisStore},
    foundation::clock::Clock,
};

use crate::support::clock::TestClock;

/// A store, and how time passes for it.
struct Subject {
    store: Arc<dyn EphemeralStore>,
    /// Redis has a clock of its own.
    clock: Option<Arc<TestClock>>,
}

impl Subject {
    fn memory() -> Self {
        let clock = Arc::new(TestClock::new());
        let store = Arc::new(MemoryStore::new(Arc::clone(&clock) as Arc<dyn Clock>));
        Self { store, clock: Some(clock) }
    }

    /// Redis, where the run has one.
    fn redis() -> Option<Self> {
        std::env::var("TEST_REDIS_URL").ok().map(|url| Self::redis_at(&url))
    }

    /// Redis at this address.
    fn redis_at(url: &str) -> Self {
        keywright::app::install_tls_provider();
        let store = Arc::new(RedisStore::new(&RedisUrl::parse(url).unwrap(), 4).unwrap());
        Self { store, clock: None }
    }

    /// Every store that this run has.
    fn all() -> Vec<Self> {
        [Some(Self::memory()), Self::redis()].into_iter().flatten().collect()
    }

    /// Lets so many milliseconds pass.
    async fn pass(&self, millis: u32) {
        match &self.clock {
            Some(clock) => clock.advance(i64::from(millis) / 1_000),
            None => tokio::time::sleep(std::time::Duration::from_millis(millis.into())).await,
        }
    }
}

/// A key that no other test uses: they may share one Redis.
fn fresh_key(kind: KeyKind) -> Key {
    Key::of_text(kind, &uuid::Uuid::new_v4().to_string())
}
