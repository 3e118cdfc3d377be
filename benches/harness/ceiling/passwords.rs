//! F2: argon2id and nothing else, on as many threads as there are cores, each hash in the memory of a
//! former one.

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

    fn is_right(&self) -> bool {
        let Ok(stored) = PasswordHash::new(&self.stored) else {
            return false;
        };
        let (Some(salt), Some(right)) = (&stored.salt, &stored.hash) else {
            return false;
        };
        let argon2 = argon2();
        let kept = || self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        let free = kept().pop();
        let mut memory = free.unwrap_or_else(|| vec![Block::new(); argon2.params().block_count()]);
        let mut hash = [0; 32];
        let hashed = argon2.hash_password_into_with_memory(
            PASSWORD.as_bytes(),
            salt.as_ref(),
            &mut hash,
            &mut memory,
        );
        kept().push(memory);
        hashed.is_ok() && right.as_ref() == hash
    }
}

/// Checks the right password.
pub(super) async fn argon2id(State(ceiling): State<Arc<Ceiling>>) -> Result<&'static str, Refusal> {
    let permit = Arc::clone(&ceiling.passwords.running).acquire_owned().await?;
    let checking = tokio::task::spawn_blocking(move || {
        let is_right = ceiling.passwords.is_right();
        drop(permit);
        is_right
    });
    if checking.await? { Ok("right") } else { Err(Refusal::unauthorized()) }
}
