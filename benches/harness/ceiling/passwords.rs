//! F2: argon2id and nothing else, on as many threads as there are cores.

use std::sync::Arc;
use std::thread::available_parallelism;

use argon2::PasswordVerifier as _;
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
}

impl Passwords {
    pub(super) fn new() -> anyhow::Result<Self> {
        let cores = available_parallelism().map_or(1, usize::from);
        Ok(Self { stored: hash()?, running: Arc::new(Semaphore::new(cores)) })
    }
}

/// Checks the right password.
pub(super) async fn argon2id(State(ceiling): State<Arc<Ceiling>>) -> Result<&'static str, Refusal> {
    let permit = Arc::clone(&ceiling.passwords.running).acquire_owned().await?;
    let stored = ceiling.passwords.stored.clone();
    let checking = tokio::task::spawn_blocking(move || {
        let is_right = PasswordHash::new(&stored)
            .is_ok_and(|hash| argon2().verify_password(PASSWORD.as_bytes(), &hash).is_ok());
        drop(permit);
        is_right
    });
    if checking.await? { Ok("right") } else { Err(Refusal::unauthorized()) }
}
