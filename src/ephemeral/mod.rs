//! Short-lived shared state: losing it costs a person one retry.
//!
//! In Redis or in this process, chosen by the scheme of `state.url` and never silently swapped.
//! Five atomic methods on bytes are all that a store must have; [`ShortLivedState`] is the typed
//! layer above it, which also seals every value, so that whoever can write to Redis cannot forge
//! a sign-in and whoever can read it learns nothing.

mod allowances;
mod crowd;
mod key;
mod memory;
mod redis;
mod state;

pub use allowances::{Allowances, Passage};
pub use crowd::{Crowd, rest_of_minute};
pub use key::{Key, KeyKind};
pub use memory::MemoryStore;
pub use redis::RedisStore;
pub use state::ShortLivedState;

use async_trait::async_trait;

use crate::foundation::clock::Span;

/// The store of short-lived state cannot be used right now.
#[derive(Debug, thiserror::Error)]
#[error("the short-lived state cannot be reached: {0}")]
pub struct EphemeralError(pub String);

/// The result of something that asks the short-lived state.
pub type EphemeralResult<T> = Result<T, EphemeralError>;

/// A store of bytes that forget themselves. Every method is atomic by itself.
#[async_trait]
pub trait EphemeralStore: Send + Sync + 'static {
    /// Keeps a value, in place of any other.
    async fn put(&self, key: &Key, value: &[u8], life: Span) -> EphemeralResult<()>;
    /// The value, if it is still there.
    async fn get(&self, key: &Key) -> EphemeralResult<Option<Vec<u8>>>;
    /// The value, which then is gone: of many callers exactly one gets it.
    async fn take(&self, key: &Key) -> EphemeralResult<Option<Vec<u8>>>;
    /// Keeps a value unless there is one; `false` if there was.
    async fn insert_new(&self, key: &Key, value: &[u8], life: Span) -> EphemeralResult<bool>;
    /// Adds one to a counter, whose life begins with its first increment.
    async fn increment(&self, key: &Key, life: Span) -> EphemeralResult<u64> {
        self.add(key, 1, life).await
    }
    /// The same by any number.
    async fn add(&self, key: &Key, number: u64, life: Span) -> EphemeralResult<u64>;
    /// Whether the store answers.
    async fn ping(&self) -> EphemeralResult<()>;
}
