//! Passwords: argon2id in a bounded pool.
//!
//! A hash takes 19 MiB and some ten milliseconds. As many run at once as there are cores; a short
//! queue waits; who comes when it is full is told to come back. Memory is thereby bounded, and a
//! storm of sign-ins cannot starve the token endpoint.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread::available_parallelism,
};

use argon2::{
    Algorithm, Argon2, Params, PasswordHasher as _, PasswordVerifier as _, Version,
    password_hash::phc::PasswordHash,
};
use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use tokio::sync::Semaphore;
use unicode_normalization::UnicodeNormalization as _;

use crate::{
    config::PasswordSettings,
    foundation::{
        random::{self, Random},
        secret::Secret,
    },
};

/// No password is longer than this; longer ones are wrong without being hashed.
const MAX_LENGTH: usize = 1_024;

/// The most memory, in KiB, that a stored hash may ask for.
const MAX_MEMORY: u32 = 1_024 * 1_024;

/// Why nothing was hashed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HashingFault {
    /// Too many passwords wait to be hashed.
    #[error("too many sign-ins at once")]
    Busy,
    /// The hash could not be made.
    #[error("hashing failed: {0}")]
    Failed(String),
}

/// Whether a password is right.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is.
    Right,
    /// It is, and its hash has outdated parameters: here is a better one.
    RightAndRehashed(String),
    /// It is not, or there is none.
    Wrong,
}

/// The hashing pool.
pub struct Passwords {
    params: Params,
    running: Arc<Semaphore>,
    waiting: AtomicUsize,
    max_waiting: usize,
    min_length: usize,
    /// What is checked when there is no account, so that the answer takes as long as for a wrong
    /// password.
    decoy: String,
    random: Arc<dyn Random>,
}

impl std::fmt::Debug for Passwords {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Passwords({:?})", self.params)
    }
}

impl Passwords {
    /// A pool with these parameters.
    pub fn new(settings: &PasswordSettings, random: Arc<dyn Random>) -> anyhow::Result<Self> {
        let params = Params::new(
            settings.argon2_memory_kib,
            settings.argon2_passes,
            settings.argon2_lanes,
            None,
        )
        .map_err(|error| anyhow::anyhow!("passwords.argon2_*: {error}"))?;
        let cores = available_parallelism().map_or(1, usize::from);
        let decoy = decoy(&params, &*random);
        Ok(Self {
            params,
            running: Arc::new(Semaphore::new(cores)),
            waiting: AtomicUsize::new(0),
            max_waiting: cores * 32,
            min_length: settings.min_length as usize,
            decoy,
            random,
        })
    }

    /// Why this cannot be a new password, or nothing if it can.
    pub fn fault(&self, password: &Secret) -> Option<String> {
        let length = normalise(password).chars().count();
        if length < self.min_length {
            return Some(format!("must have at least {} characters", self.min_length));
        }
        (length > MAX_LENGTH).then(|| format!("must have at most {MAX_LENGTH} characters"))
    }

    /// Hashes a new password.
    pub async fn hash(&self, password: &Secret) -> Result<String, HashingFault> {
        let salt = random::bytes(&*self.random);
        let password = normalise(password);
        self.run(move |params| hash(&params, &password, &salt)).await?
    }

    /// Checks a password against a stored hash. Without a stored hash it takes as long and is wrong.
    pub async fn verify(
        &self,
        password: &Secret,
        stored: Option<&str>,
    ) -> Result<Verdict, HashingFault> {
        let exists = stored.is_some();
        let stored = stored.unwrap_or(&self.decoy).to_owned();
        let salt = random::bytes(&*self.random);
        let password = normalise(password);
        let verdict = self.run(move |params| verify(&params, &password, &stored, &salt)).await??;
        Ok(if exists { verdict } else { Verdict::Wrong })
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(Params) -> T + Send + 'static,
    ) -> Result<T, HashingFault> {
        let _place = Place::take(&self.waiting, self.max_waiting).ok_or(HashingFault::Busy)?;
        let permit = Arc::clone(&self.running).acquire_owned().await;
        let permit = permit.map_err(failed)?;
        let params = self.params.clone();
        let working = tokio::task::spawn_blocking(move || {
            let result = work(params);
            // Held to the end of the work, even if whoever asked has gone away.
            drop(permit);
            result
        });
        working.await.map_err(failed)
    }
}

fn failed(cause: impl std::fmt::Display) -> HashingFault {
    HashingFault::Failed(cause.to_string())
}

/// A place in the queue, given back when dropped.
struct Place<'a>(&'a AtomicUsize);

impl<'a> Place<'a> {
    fn take(waiting: &'a AtomicUsize, most: usize) -> Option<Self> {
        let before = waiting.fetch_add(1, Ordering::AcqRel);
        let place = Self(waiting);
        (before < most).then_some(place)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// One form for what different keyboards type for the same password.
fn normalise(password: &Secret) -> zeroize::Zeroizing<String> {
    let normal = password.expose().chars().take(MAX_LENGTH + 1).nfc().collect::<String>();
    zeroize::Zeroizing::new(normal)
}

fn argon2(params: &Params) -> Argon2<'static> {
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params.clone())
}

fn hash(params: &Params, password: &str, salt: &[u8; 16]) -> Result<String, HashingFault> {
    let hashed = argon2(params).hash_password_with_salt(password.as_bytes(), salt);
    hashed.map(|hash| hash.to_string()).map_err(failed)
}

/// A hash that no password is known to have. Made of chance instead of a password, it costs neither
/// time nor memory at the start.
fn decoy(params: &Params, random: &dyn Random) -> String {
    let (salt, hash) = (random::bytes::<16>(random), random::bytes::<32>(random));
    format!(
        "$argon2id$v=19$m={},t={},p={}${}${}",
        params.m_cost(),
        params.t_cost(),
        params.p_cost(),
        STANDARD_NO_PAD.encode(salt),
        STANDARD_NO_PAD.encode(hash)
    )
}

fn verify(
    params: &Params,
    password: &str,
    stored: &str,
    salt: &[u8; 16],
) -> Result<Verdict, HashingFault> {
    // What cannot be read, or would take far more memory than we ever ask for, is nobody's
    // password: the person gets the one answer, the log says why (PW-05).
    let parsed = match PasswordHash::new(stored) {
        Ok(parsed) if Params::try_from(&parsed).is_ok_and(|used| used.m_cost() <= MAX_MEMORY) => {
            parsed
        }
        _ => {
            tracing::error!("a stored password hash cannot be used");
            return Ok(Verdict::Wrong);
        }
    };
    let too_long = password.chars().count() > MAX_LENGTH;
    let right = argon2(params).verify_password(password.as_bytes(), &parsed).is_ok();
    if too_long || !right {
        return Ok(Verdict::Wrong);
    }
    let outdated = Params::try_from(&parsed).map_or(true, |used| {
        (used.m_cost(), used.t_cost(), used.p_cost())
            != (params.m_cost(), params.t_cost(), params.p_cost())
    });
    if outdated {
        return hash(params, password, salt).map(Verdict::RightAndRehashed);
    }
    Ok(Verdict::Right)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{config, foundation::random::OsRandom};

    fn passwords(passes: &str) -> Passwords {
        let env = [
            ("KEYWRIGHT_PASSWORDS__ARGON2_MEMORY_KIB", "64"),
            ("KEYWRIGHT_PASSWORDS__ARGON2_PASSES", passes),
        ];
        let env = env.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let settings = config::parse("", &env).unwrap().passwords;
        Passwords::new(&settings, Arc::new(OsRandom)).unwrap()
    }

    #[tokio::test]
    async fn a_password_is_right_wrong_or_rehashed() {
        let old = passwords("1");
        let password = Secret::new("corr\u{e9}ct horse");
        let stored = old.hash(&password).await.unwrap();
        assert!(stored.starts_with("$argon2id$v=19$m=64,t=1,p=1$"), "{stored}");
        assert_eq!(old.verify(&password, Some(&stored)).await, Ok(Verdict::Right));
        // The same letters, typed with a combining accent.
        let decomposed = Secret::new("corre\u{301}ct horse");
        assert_eq!(old.verify(&decomposed, Some(&stored)).await, Ok(Verdict::Right));
        assert_eq!(old.verify(&Secret::new("no"), Some(&stored)).await, Ok(Verdict::Wrong));
        assert_eq!(old.verify(&password, None).await, Ok(Verdict::Wrong));

        let new = passwords("2");
        let verdict = new.verify(&password, Some(&stored)).await.unwrap();
        let Verdict::RightAndRehashed(better) = verdict else { panic!("{verdict:?}") };
        assert_eq!(new.verify(&password, Some(&better)).await, Ok(Verdict::Right));
    }

    /// The decoy is read and hashed against like any stored hash: same form, same parameters.
    #[tokio::test]
    async fn the_decoy_is_as_dear_as_a_stored_hash() {
        let passwords = passwords("3");
        let stored = passwords.hash(&Secret::new("some password")).await.unwrap();
        let (stored, decoy) =
            [stored, passwords.decoy.clone()].map(|text| PasswordHash::new(&text).unwrap()).into();
        let params = |hash: &PasswordHash| Params::try_from(hash).unwrap();
        assert_eq!(params(&stored), params(&decoy));
        assert_eq!(stored.algorithm, decoy.algorithm);
        assert_eq!(stored.version, decoy.version);
        assert_eq!(stored.salt.map(|salt| salt.len()), decoy.salt.map(|salt| salt.len()));
        assert_eq!(stored.hash.map(|hash| hash.len()), decoy.hash.map(|hash| hash.len()));
    }

    #[tokio::test]
    async fn endless_passwords_are_wrong_and_cannot_be_set() {
        let passwords = passwords("1");
        let long = Secret::new("x".repeat(100_000));
        assert!(passwords.fault(&long).is_some());
        assert!(passwords.fault(&Secret::new("seven77")).is_some());
        let stored = passwords.hash(&long).await.unwrap();
        assert_eq!(passwords.verify(&long, Some(&stored)).await, Ok(Verdict::Wrong));
    }

    #[tokio::test]
    async fn a_full_queue_turns_people_away() {
        let mut passwords = passwords("1");
        passwords.max_waiting = 0;
        assert_eq!(passwords.hash(&Secret::new("x")).await, Err(HashingFault::Busy));
        assert_eq!(passwords.waiting.load(Ordering::Acquire), 0);
    }
}
