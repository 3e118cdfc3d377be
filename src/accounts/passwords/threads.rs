//! Threads on which passwords are hashed: of less weight than those that answer requests.
//!
//! A hash keeps its core for as long as the scheduler lets it. On a thread of the same weight it would
//! hold up, for some milliseconds each time, whoever asks for keys or a fresh token meanwhile; so it
//! gives way to them, and has every core to itself when nobody asks.
//!
//! Each thread keeps the memory of one hash for the next one: to get it zeroed anew each time would be
//! a tenth of the work. It goes back when nobody has come for a second.

use std::{
    collections::VecDeque,
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use argon2::{Argon2, Block};
use zeroize::Zeroize;

type Job = Box<dyn FnOnce(&mut Memory) + Send>;

/// After how long without work a thread gives its memory back.
const PATIENCE: Duration = Duration::from_secs(1);

/// The memory in which a thread works hashes out.
#[derive(Default)]
pub(super) struct Memory(Vec<Block>);

impl Memory {
    /// argon2 of a password, into `hash` (RFC 9106 §3.2). What stood in the memory before does not
    /// matter: each block is written before it is read.
    pub(super) fn hash(
        &mut self,
        argon2: &Argon2<'_>,
        (password, salt): (&[u8], &[u8]),
        hash: &mut [u8],
    ) -> argon2::Result<()> {
        let count = argon2.params().block_count();
        if self.0.len() < count {
            self.0.resize(count, Block::new());
        }
        argon2.hash_password_into_with_memory(password, salt, hash, &mut self.0)
    }

    /// Nobody who gets it next can read in it.
    fn give_back(&mut self) {
        self.0.iter_mut().for_each(Zeroize::zeroize);
        self.0 = Vec::new();
    }
}

/// The threads. They end when this is dropped and what they were given is done.
pub(super) struct Threads(Arc<Queue>);

#[derive(Default)]
struct Queue {
    jobs: Mutex<Jobs>,
    changed: Condvar,
}

#[derive(Default)]
struct Jobs {
    waiting: VecDeque<Job>,
    over: bool,
}

impl Threads {
    /// Starts so many.
    pub(super) fn start(count: usize) -> io::Result<Self> {
        let threads = Self(Arc::default());
        for _ in 0..count {
            let queue = Arc::clone(&threads.0);
            thread::Builder::new().name("hashing".to_owned()).spawn(move || work(&queue))?;
        }
        Ok(threads)
    }

    /// Has a job done as soon as a thread is free. A job that panics ends by itself alone.
    pub(super) fn give(&self, job: impl FnOnce(&mut Memory) + Send + 'static) {
        self.0.lock().waiting.push_back(Box::new(job));
        self.0.changed.notify_one();
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.0.lock().over = true;
        self.0.changed.notify_all();
    }
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, Jobs> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next job, or nothing when there will be none.
    fn take(&self, memory: &mut Memory) -> Option<Job> {
        let mut jobs = self.lock();
        loop {
            if let Some(job) = jobs.waiting.pop_front() {
                return Some(job);
            }
            if jobs.over {
                return None;
            }
            jobs = if memory.0.is_empty() {
                self.changed.wait(jobs).unwrap_or_else(PoisonError::into_inner)
            } else {
                let waited = self.changed.wait_timeout(jobs, PATIENCE);
                let (jobs, waited) = waited.unwrap_or_else(PoisonError::into_inner);
                if waited.timed_out() && jobs.waiting.is_empty() {
                    // Others wait for the lock, and this thread may have to wait for its core.
                    drop(jobs);
                    memory.give_back();
                    self.lock()
                } else {
                    jobs
                }
            };
        }
    }
}

fn work(queue: &Queue) {
    give_way();
    let mut memory = Memory::default();
    while let Some(job) = queue.take(&mut memory) {
        if catch_unwind(AssertUnwindSafe(|| job(&mut memory))).is_err() {
            tracing::error!("a password could not be hashed: the thread has panicked");
        }
    }
    memory.give_back();
}

/// On Linux each thread has a weight of its own (setpriority(2)); elsewhere it is the process's.
#[cfg(target_os = "linux")]
fn give_way() {
    if let Err(error) = rustix::process::setpriority_process(None, 10) {
        tracing::debug!(%error, "hashing has the weight of everything else");
    }
}

#[cfg(not(target_os = "linux"))]
fn give_way() {}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    fn argon2(memory: u32) -> Argon2<'static> {
        let params = argon2::Params::new(memory, 1, 1, None).unwrap();
        Argon2::new(argon2::Algorithm::Argon2id, argon2::Version::V0x13, params)
    }

    /// What another hash has left in the memory, larger or smaller, changes nothing.
    #[test]
    fn memory_is_used_again() {
        let mut memory = Memory::default();
        let fresh = |cost: u32| {
            let mut hash = [0; 32];
            argon2(cost).hash_password_into(b"password", b"a salt of chance", &mut hash).unwrap();
            hash
        };
        for cost in [64, 256, 64, 8] {
            let mut hash = [0; 32];
            let (argon2, what) = (argon2(cost), (b"password".as_slice(), b"a salt of chance"));
            memory.hash(&argon2, (what.0, what.1.as_slice()), &mut hash).unwrap();
            assert_eq!(hash, fresh(cost), "{cost}");
        }
        memory.give_back();
        assert_eq!(memory.0.capacity(), 0);
    }

    #[test]
    fn a_job_that_panics_ends_alone() {
        let threads = Threads::start(1).unwrap();
        let (tell, told) = mpsc::channel();
        threads.give(|_| panic!("on purpose"));
        for number in 0..3 {
            let tell = tell.clone();
            threads.give(move |_| tell.send(number).unwrap());
        }
        drop((tell, threads));
        assert_eq!(told.iter().collect::<Vec<_>>(), [0, 1, 2], "what was given is done");
    }
}
