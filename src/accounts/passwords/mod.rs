//! Passwords: argon2id in a bounded pool.
//!
//! A hash takes 19 MiB and some ten milliseconds. As many run at once as there are cores; a short
//! queue waits; who comes when it is full is told to come back. Memory is thereby bounded, and a
//! storm of sign-ins cannot starve the token endpoint.
//!
//! Every check does the work of exactly one hash with our own parameters, whatever is stored: for
//! nobody, for a hash that cannot be read, and after a foreign hash, cheap as it may have been, was
//! wrong. Whoever measures answers learns nothing of who is here.

mod breached;
mod foreign;
pub mod guessing;
mod normal;
mod policy;
mod threads;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    thread::available_parallelism,
    time::Duration,
};

use argon2::{Algorithm, Argon2, Params, Version, password_hash::phc::PasswordHash};
use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use tokio::{
    sync::{Semaphore, oneshot},
    time::timeout,
};
use zeroize::Zeroizing;

use crate::{
    config::Config,
    foundation::{
        digest::constant_time_eq,
        random::{self, Random},
        secret::Secret,
    },
};
use foreign::Foreign;
use normal::{is_too_long, normalise};
use threads::{Memory, Threads};

pub use normal::MAX_LENGTH;
/// What stands for the hash where a password no longer counts, because somebody else may know it, and
/// its owner has not chosen another one yet.
pub const LOST: &str = "!";

pub use policy::{Known, PasswordFault, Policy};

/// Whoever would wait longer for their turn is told to come back (PW-03).
const PATIENCE: Duration = Duration::from_secs(5);
/// How many bytes a hash of ours has.
const LENGTH: usize = 32;

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

/// Why a new password was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotTaken {
    /// It cannot be one, for these reasons.
    #[error("{}", sentences(.0))]
    Refused(Vec<PasswordFault>),
    /// It could not be hashed.
    #[error(transparent)]
    Hashing(#[from] HashingFault),
}

fn sentences(faults: &[PasswordFault]) -> String {
    let said: Vec<String> = faults.iter().map(|fault| format!("the password {fault}")).collect();
    said.join("; ")
}

/// Whether a password is right.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is.
    Right,
    /// It is, and its hash is another system's or has outdated parameters: here is a better one.
    RightAndRehashed(String),
    /// It is not, or there is none.
    Wrong,
    /// The stored hash cannot be used: every password is wrong.
    Unusable,
}

/// The hashing pool, and what a new password must be.
pub struct Passwords {
    params: Params,
    threads: Threads,
    running: Arc<Semaphore>,
    waiting: AtomicUsize,
    max_waiting: usize,
    policy: Arc<Policy>,
    /// What is checked when there is nothing to check, so that the answer takes as long as for a
    /// wrong password.
    decoy: Arc<str>,
    hashes: Arc<AtomicU64>,
    random: Arc<dyn Random>,
}

impl std::fmt::Debug for Passwords {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Passwords({:?})", self.params)
    }
}

impl Passwords {
    /// A pool with the parameters of the configuration.
    pub fn new(config: &Config, random: Arc<dyn Random>) -> anyhow::Result<Self> {
        let settings = &config.passwords;
        let params = Params::new(
            settings.argon2_memory_kib,
            settings.argon2_passes,
            settings.argon2_lanes,
            None,
        )
        .map_err(|error| anyhow::anyhow!("passwords.argon2_*: {error}"))?;
        let cores = available_parallelism().map_or(1, usize::from);
        let decoy = decoy(&params, &*random).into();
        Ok(Self {
            params,
            threads: Threads::start(cores)?,
            running: Arc::new(Semaphore::new(cores)),
            waiting: AtomicUsize::new(0),
            max_waiting: cores * 32,
            policy: Arc::new(Policy::new(config)?),
            decoy,
            hashes: Arc::default(),
            random,
        })
    }

    /// Judges a new password and hashes it: what every path that sets one asks.
    pub async fn take(&self, password: &Secret, known: &Known) -> Result<String, NotTaken> {
        let (policy, known, judged) = (Arc::clone(&self.policy), known.clone(), password.clone());
        let faults = self.run(move |_, _| policy.faults(&judged, &known)).await?;
        let faults = faults.map_err(|error| failed(format!("passwords.breached_list: {error}")))?;
        if !faults.is_empty() {
            return Err(NotTaken::Refused(faults));
        }
        Ok(self.hash(password).await?)
    }

    /// Hashes a password that was not chosen by a person, and therefore not judged.
    pub async fn hash(&self, password: &Secret) -> Result<String, HashingFault> {
        let salt = random::bytes(&*self.random);
        let password = normalise(password);
        self.run(move |own, memory| own.hash(&password, &salt, memory)).await?
    }

    /// Whether a stored hash, ours or another system's, can be checked at all.
    pub fn can_check(&self, stored: &str) -> bool {
        !matches!(Stored::read(stored, &self.params), Stored::Unusable)
    }

    /// Takes a place among those who wait, before anything else is asked for them: whoever finds none
    /// has cost nothing yet (PW-03).
    pub fn enter(&self) -> Result<Place<'_>, HashingFault> {
        Place::take(&self.waiting, self.max_waiting).ok_or(HashingFault::Busy)
    }

    /// Checks a password against a stored hash. Without a stored hash it takes as long and is wrong.
    pub async fn verify(
        &self,
        password: &Secret,
        stored: Option<&str>,
    ) -> Result<Verdict, HashingFault> {
        self.verify_in(self.enter()?, password, stored).await
    }

    /// The same for whoever has a place already.
    pub async fn verify_in(
        &self,
        place: Place<'_>,
        password: &Secret,
        stored: Option<&str>,
    ) -> Result<Verdict, HashingFault> {
        let normal = normalise(password);
        if is_too_long(&normal) {
            // Wrong for everybody alike, and nothing is hashed (PW-02).
            return Ok(Verdict::Wrong);
        }
        let salt = random::bytes(&*self.random);
        let (typed, decoy) = (password.clone(), Arc::clone(&self.decoy));
        let stored = stored.map(str::to_owned);
        self.run_in(place, move |own, memory| {
            let mut attempt = Attempt { own, memory, typed, normal, decoy, salt };
            match stored {
                Some(stored) => attempt.check(&stored),
                None => attempt.waste(Verdict::Wrong),
            }
        })
        .await?
    }

    /// How many hashes with our own parameters were made so far: the work that others could see.
    pub fn hashes(&self) -> u64 {
        self.hashes.load(Ordering::Acquire)
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(Own, &mut Memory) -> T + Send + 'static,
    ) -> Result<T, HashingFault> {
        self.run_in(self.enter()?, work).await
    }

    async fn run_in<T: Send + 'static>(
        &self,
        _place: Place<'_>,
        work: impl FnOnce(Own, &mut Memory) -> T + Send + 'static,
    ) -> Result<T, HashingFault> {
        let permit = timeout(PATIENCE, Arc::clone(&self.running).acquire_owned()).await;
        let permit = permit.ok().ok_or(HashingFault::Busy)?.map_err(failed)?;
        let own = Own { params: self.params.clone(), hashes: Arc::clone(&self.hashes) };
        let (tell, told) = oneshot::channel();
        self.threads.give(move |memory| {
            let result = work(own, memory);
            // Held to the end of the work, even if whoever asked has gone away.
            drop(permit);
            let _ = tell.send(result);
        });
        told.await.map_err(failed)
    }
}

fn failed(cause: impl std::fmt::Display) -> HashingFault {
    HashingFault::Failed(cause.to_string())
}

/// A place in the queue, given back when dropped.
#[derive(Debug)]
pub struct Place<'a>(&'a AtomicUsize);

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

/// argon2id with our own parameters, and how often it was worked out.
struct Own {
    params: Params,
    hashes: Arc<AtomicU64>,
}

impl Own {
    fn argon2(&self) -> Argon2<'static> {
        self.hashes.fetch_add(1, Ordering::AcqRel);
        Argon2::new(Algorithm::Argon2id, Version::V0x13, self.params.clone())
    }

    fn hash(
        &self,
        password: &str,
        salt: &[u8; 16],
        memory: &mut Memory,
    ) -> Result<String, HashingFault> {
        let mut hash = [0; LENGTH];
        memory.hash(&self.argon2(), (password.as_bytes(), salt), &mut hash).map_err(failed)?;
        Ok(phc_string(&self.params, salt, &hash))
    }

    fn is_of(&self, stored: &PasswordHash, password: &str, memory: &mut Memory) -> bool {
        let (Some(salt), Some(right)) = (&stored.salt, &stored.hash) else {
            return false;
        };
        let mut hash = Zeroizing::new([0; LENGTH]);
        let hashed = memory.hash(&self.argon2(), (password.as_bytes(), salt), &mut *hash);
        hashed.is_ok() && constant_time_eq(&*hash, right.as_ref())
    }
}

/// A hash that no password is known to have. Made of chance instead of a password, it costs neither
/// time nor memory at the start.
fn decoy(params: &Params, random: &dyn Random) -> String {
    phc_string(params, &random::bytes(random), &random::bytes(random))
}

/// A hash as it is stored: a PHC string.
fn phc_string(params: &Params, salt: &[u8; 16], hash: &[u8; LENGTH]) -> String {
    format!(
        "$argon2id$v=19$m={},t={},p={}${}${}",
        params.m_cost(),
        params.t_cost(),
        params.p_cost(),
        STANDARD_NO_PAD.encode(salt),
        STANDARD_NO_PAD.encode(hash)
    )
}

/// What stands in the database.
enum Stored {
    /// A hash as we make them today.
    Own(Box<PasswordHash>),
    /// One that can be checked, once.
    Foreign(Foreign),
    /// What cannot be read, or would take far more work or memory than a hash may (PW-05).
    Unusable,
}

impl Stored {
    fn read(stored: &str, own: &Params) -> Self {
        if let Ok(hash) = PasswordHash::new(stored)
            && is_ours(&hash, own)
        {
            return Self::Own(Box::new(hash));
        }
        Foreign::read(stored, own).map_or(Self::Unusable, Self::Foreign)
    }
}

fn is_ours(hash: &PasswordHash, own: &Params) -> bool {
    let costs = |params: &Params| (params.m_cost(), params.t_cost(), params.p_cost());
    hash.algorithm.as_str() == "argon2id"
        && hash.version == Some(0x13)
        && Params::try_from(hash).is_ok_and(|used| costs(&used) == costs(own))
        && hash.salt.is_some()
        && hash.hash.as_ref().is_some_and(|hash| hash.len() == LENGTH)
}

/// One check of a password, on a thread that may take its time.
struct Attempt<'a> {
    own: Own,
    memory: &'a mut Memory,
    typed: Secret,
    normal: Zeroizing<String>,
    decoy: Arc<str>,
    salt: [u8; 16],
}

impl Attempt<'_> {
    fn check(&mut self, stored: &str) -> Result<Verdict, HashingFault> {
        match Stored::read(stored, &self.own.params) {
            Stored::Own(hash) if self.is_own(&hash) => Ok(Verdict::Right),
            Stored::Own(_) => Ok(Verdict::Wrong),
            Stored::Foreign(hash) if self.is_of(&hash) => {
                let hashed = self.own.hash(&self.normal, &self.salt, self.memory);
                hashed.map(Verdict::RightAndRehashed)
            }
            Stored::Foreign(_) => self.waste(Verdict::Wrong),
            Stored::Unusable => self.waste(Verdict::Unusable),
        }
    }

    fn is_own(&mut self, hash: &PasswordHash) -> bool {
        self.own.is_of(hash, &self.normal, self.memory)
    }

    /// Other systems hash what is typed; some bring it into one form first, as we do.
    fn is_of(&self, hash: &Foreign) -> bool {
        let (typed, normal) = (self.typed.expose(), self.normal.as_str());
        hash.is_of(typed.as_bytes()) || (typed != normal && hash.is_of(normal.as_bytes()))
    }

    /// The work of a check, for nothing.
    fn waste(&mut self, verdict: Verdict) -> Result<Verdict, HashingFault> {
        let decoy = PasswordHash::new(&self.decoy).map_err(failed)?;
        let _ = self.is_own(&decoy);
        Ok(verdict)
    }
}

#[cfg(test)]
mod tests;
