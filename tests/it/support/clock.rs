//! A clock that stands still until it is told to move.

use std::sync::atomic::{AtomicI64, Ordering};

use keywright::foundation::clock::{Clock, Timestamp};

/// When every test begins: 2026-06-01, noon.
pub(crate) const START: i64 = 1_780_315_200;

/// The clock of a test.
pub(crate) struct TestClock(AtomicI64);

impl TestClock {
    pub(crate) fn new() -> Self {
        Self(AtomicI64::new(START))
    }

    /// Moves on by so many seconds.
    pub(crate) fn advance(&self, seconds: i64) {
        self.0.fetch_add(seconds, Ordering::SeqCst);
    }

    /// The moment it shows.
    pub(crate) fn unix(&self) -> i64 {
        self.0.load(Ordering::SeqCst)
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix(self.unix())
    }
}
