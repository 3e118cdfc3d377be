//! Nobody waits for a Redis that does not answer: after a few failures in a row the next ones fail at
//! once, and now and then one is let through to see whether it is back (FT-03).

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// So many failures in a row open it.
const FAILURES: u32 = 5;
/// How long Redis may take before the request is answered without it.
const PATIENCE: Duration = Duration::from_millis(500);
/// The same after somebody has had no answer.
const NO_PATIENCE: Duration = Duration::from_millis(100);
/// How often one is let through while it is open.
const PAUSE: Duration = Duration::from_millis(500);

#[derive(Debug, Default)]
pub(super) struct Breaker(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    failures: u32,
    next_try: Option<Instant>,
}

impl Breaker {
    /// Whether this one may try.
    pub(super) fn admits(&self, now: Instant) -> bool {
        let mut state = self.state();
        match state.next_try {
            None => true,
            Some(at) if now < at => false,
            Some(_) => {
                state.next_try = Some(now + PAUSE);
                true
            }
        }
    }

    /// How long the next one may wait.
    pub(super) fn patience(&self) -> Duration {
        if self.state().failures == 0 { PATIENCE } else { NO_PATIENCE }
    }

    /// Redis has answered.
    pub(super) fn succeeded(&self) {
        *self.state() = State::default();
    }

    /// Redis has not answered.
    pub(super) fn failed(&self, now: Instant) {
        let mut state = self.state();
        state.failures = state.failures.saturating_add(1);
        if state.failures >= FAILURES {
            state.next_try = Some(now + PAUSE);
        }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_opens_after_failures_in_a_row_and_lets_one_through_now_and_then() {
        let (breaker, start) = (Breaker::default(), Instant::now());
        for _ in 0..FAILURES - 1 {
            breaker.failed(start);
        }
        breaker.succeeded();
        for _ in 0..FAILURES {
            assert!(breaker.admits(start));
            breaker.failed(start);
            assert_eq!(breaker.patience(), NO_PATIENCE);
        }
        assert!(!breaker.admits(start) && !breaker.admits(start + PAUSE / 2));
        let later = start + PAUSE;
        assert!(breaker.admits(later), "one looks");
        assert!(!breaker.admits(later), "and one only");
        breaker.failed(later);
        assert!(!breaker.admits(later + PAUSE / 2));
        assert!(breaker.admits(later + PAUSE));
        breaker.succeeded();
        assert_eq!(breaker.patience(), PATIENCE);
        assert!(breaker.admits(later) && breaker.admits(later));
    }
}
