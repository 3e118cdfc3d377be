//! Threads on which passwords are hashed: of less weight than those that answer requests.
//!
//! A hash keeps its core for as long as the scheduler lets it. On a thread of the same weight it would
//! hold up, for some milliseconds each time, whoever asks for keys or a fresh token meanwhile; so it
//! gives way to them, and has every core to itself when nobody asks.

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, PoisonError, mpsc},
    thread,
};

type Job = Box<dyn FnOnce() + Send>;

/// The threads. They end when this is dropped and what they were given is done.
pub(super) struct Threads {
    jobs: mpsc::Sender<Job>,
}

impl Threads {
    /// Starts so many.
    pub(super) fn start(count: usize) -> io::Result<Self> {
        let (jobs, given) = mpsc::channel::<Job>();
        let given = Arc::new(Mutex::new(given));
        for _ in 0..count {
            let given = Arc::clone(&given);
            thread::Builder::new().name("hashing".to_owned()).spawn(move || work(&given))?;
        }
        Ok(Self { jobs })
    }

    /// Has a job done as soon as a thread is free. A job that panics ends by itself alone.
    pub(super) fn give(&self, job: impl FnOnce() + Send + 'static) {
        // There is a thread for as long as there is this.
        let _ = self.jobs.send(Box::new(job));
    }
}

fn work(given: &Mutex<mpsc::Receiver<Job>>) {
    give_way();
    loop {
        // The lock is held while waiting: whoever has it is the next.
        let job = given.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(job) = job else {
            return;
        };
        if catch_unwind(AssertUnwindSafe(job)).is_err() {
            tracing::error!("a password could not be hashed: the thread has panicked");
        }
    }
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
