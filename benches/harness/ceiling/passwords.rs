//! F2: argon2id and nothing else, on as many threads as there are cores; each hash in the memory of a
//! former one, or (F2f) in fresh memory.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread::available_parallelism;

use argon2::Block;
use argon2::password_hash::phc::PasswordHash;
use axum::extract::State;
use tokio::sync::Semaphore;

use super::Ceiling;
use super::requests::Refusal;
use crate::members::{PASSWORD, argon2, hash};

/// What one check takes.
pub(super) struct Passwords {
    stored: String,
    /// More at once would only take turns, and memory.
    running: Arc<Semaphore>,
    /// The memory of hashes that are done.
    memory: Mutex<Vec<Vec<Block>>>,
}

impl Passwords {
    pub(super) fn new() -> anyhow::Result<Self> {
        let cores = available_parallelism().map_or(1, usize::from);
        let running = Arc::new(Semaphore::new(cores));
        Ok(Self { stored: hash()?, running, memory: Mutex::default() })
    }

    /// In the memory of a former hash, or in fresh memory, as the library does it by itself.
    fn is_right(&self, memory: Memory) -> bool {
        let Ok(stored) = PasswordHash::new(&self.stored) else {
            return false;
        };
        let (Some(salt), Some(right)) = (&stored.salt, &stored.hash) else {
            return false;
        };
        let (argon2, password, mut hash) = (argon2(), PASSWORD.as_bytes(), [0; 32]);
        let hashed = match memory {
            Memory::Fresh => argon2.hash_password_into(password, salt.as_ref(), &mut hash),
            Memory::Kept => {
                let kept = || self.memory.lock().unwrap_or_else(PoisonError::into_inner);
                let free = kept().pop();
                let blocks = argon2.params().block_count();
                let mut memory = free.unwrap_or_else(|| vec![Block::new(); blocks]);
                let (salt, memory_of_hash) = (salt.as_ref(), &mut memory);
                let hashed = argon2.hash_password_into_with_memory(
                    password,
                    salt,
                    &mut hash,
                    memory_of_hash,
                );
                kept().push(memory);
                hashed
            }
        };
        hashed.is_ok() && right.as_ref() == hash
    }
}

/// What a hash is worked out in.
#[derive(Clone, Copy)]
enum Memory {
    /// What a former hash has left.
    Kept,
    /// What the library asks for by itself.
    Fresh,
}

/// Checks the right password.
pub(super) async fn argon2id(State(ceiling): State<Arc<Ceiling>>) -> Result<&'static str, Refusal> {
    check(ceiling, Memory::Kept).await
}

/// The same, in fresh memory.
pub(super) async fn argon2id_in_fresh_memory(
    State(ceiling): State<Arc<Ceiling>>,
) -> Result<&'static str, Refusal> {
    check(ceiling, Memory::Fresh).await
}

async fn check(ceiling: Arc<Ceiling>, memory: Memory) -> Result<&'static str, Refusal> {
    let permit = Arc::clone(&ceiling.passwords.running).acquire_owned().await?;
    let checking = tokio::task::spawn_blocking(move || {
        let is_right = ceiling.passwords.is_right(memory);
        drop(permit);
        is_right
    });
    if checking.await? { Ok("right") } else { Err(Refusal::unauthorized()) }
}
