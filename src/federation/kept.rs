//! Documents of others, kept: fetched by one request for all that wait, and used on while their owner is
//! away.
//!
//! A copy is used for an hour, and for a day when its owner cannot be reached. What was not found in
//! it has it fetched again, at most twice a minute.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use tokio::sync::Mutex;

use super::fault::UpstreamFault;
use crate::foundation::clock::{Span, Timestamp};

const FRESH: Span = Span::from_hours(1);
const USABLE: Span = Span::from_days(1);
/// Between two fetches of a JWKS because of an unknown `kid` (JW-06).
const REFETCH_PAUSE: Span = Span::from_seconds(30);
/// After a failed fetch the former copy is used for so long before the next try.
const RETRY_PAUSE: Span = Span::from_seconds(10);

struct Kept<T> {
    value: Arc<T>,
    fetched_at: Timestamp,
}

struct Slot<T> {
    kept: Option<Kept<T>>,
    failed_at: Option<Timestamp>,
    /// When an unknown `kid` last had them fetched.
    refetched_at: Option<Timestamp>,
    /// How many fetches have failed, and how the last one did.
    failures: u64,
    fault: Option<UpstreamFault>,
}

impl<T> Slot<T> {
    fn younger_than(&self, span: Span, now: Timestamp) -> Option<Arc<T>> {
        let kept = self.kept.as_ref().filter(|kept| now.since(kept.fetched_at) < span);
        kept.map(|kept| Arc::clone(&kept.value))
    }

    /// A copy that will do without asking: a fresh one, or an old one right after a failure.
    fn at_hand(&self, now: Timestamp) -> Option<Arc<T>> {
        let just_failed = self.failed_at.is_some_and(|at| now.since(at) < RETRY_PAUSE);
        self.younger_than(if just_failed { USABLE } else { FRESH }, now)
    }

    /// Why there is nothing to go on with, if that was found a moment ago.
    fn just_failed(&self, now: Timestamp) -> Option<UpstreamFault> {
        let recent = self.failed_at.is_some_and(|at| now.since(at) < RETRY_PAUSE);
        self.fault.clone().filter(|_| recent && !self.has_copy(now))
    }

    /// Whether there is a copy that goes on without the document.
    fn has_copy(&self, now: Timestamp) -> bool {
        self.younger_than(USABLE, now).is_some()
    }

    fn keep(
        &mut self,
        fetched: Result<T, UpstreamFault>,
        now: Timestamp,
    ) -> Result<Arc<T>, UpstreamFault> {
        match fetched {
            Ok(value) => {
                let value = Arc::new(value);
                self.kept = Some(Kept { value: Arc::clone(&value), fetched_at: now });
                self.failed_at = None;
                Ok(value)
            }
            Err(fault) => {
                if self.failed_at.is_none() {
                    tracing::warn!(%fault, "somebody else's document could not be refreshed");
                }
                self.failed_at = Some(now);
                self.failures += 1;
                self.fault = Some(fault.clone());
                self.younger_than(USABLE, now).ok_or(fault)
            }
        }
    }
}

/// A document that many requests share: one fetches, the others wait for what it brings, be it a
/// failure, so that nobody pays for another's time-out and then for their own.
pub(super) struct Shared<T> {
    slot: Mutex<Slot<T>>,
    failures: AtomicU64,
}

impl<T> Shared<T> {
    pub(super) fn new() -> Self {
        let slot =
            Slot { kept: None, failed_at: None, refetched_at: None, failures: 0, fault: None };
        Self { slot: Mutex::new(slot), failures: AtomicU64::new(0) }
    }

    /// A copy that will do, or what a fetch brings, which is told whether there is a copy to go on with.
    pub(super) async fn get(
        &self,
        now: Timestamp,
        fetch: impl AsyncFnOnce(bool) -> Result<T, UpstreamFault>,
    ) -> Result<Arc<T>, UpstreamFault> {
        let failures = self.failures.load(Ordering::Acquire);
        let mut slot = self.slot.lock().await;
        if let Some(value) = slot.at_hand(now) {
            return Ok(value);
        }
        if let Some(fault) = slot.fault.as_ref().filter(|_| slot.failures != failures) {
            return Err(fault.clone());
        }
        let fetched = fetch(slot.has_copy(now)).await;
        let answer = slot.keep(fetched, now);
        self.failures.store(slot.failures, Ordering::Release);
        answer
    }

    /// The same, unless the last fetch failed a moment ago and there is no copy: then that is the answer.
    pub(super) async fn get_sparingly(
        &self,
        now: Timestamp,
        fetch: impl AsyncFnOnce(bool) -> Result<T, UpstreamFault>,
    ) -> Result<Arc<T>, UpstreamFault> {
        if let Some(fault) = self.slot.lock().await.just_failed(now) {
            return Err(fault);
        }
        self.get(now, fetch).await
    }

    /// The copy that everything goes on with while the document cannot be had.
    pub(super) async fn copy(&self, now: Timestamp) -> Option<Arc<T>> {
        self.slot.lock().await.younger_than(USABLE, now)
    }

    /// The document after one more look, because the one that was tried did not do; nothing if the last
    /// such look was just now. Looking because a copy is old does not count: the first unknown `kid`
    /// always gets its look (FT-36).
    pub(super) async fn get_newer(
        &self,
        tried: &Arc<T>,
        now: Timestamp,
        fetch: impl AsyncFnOnce(bool) -> Result<T, UpstreamFault>,
    ) -> Result<Option<Arc<T>>, UpstreamFault> {
        let mut slot = self.slot.lock().await;
        // Somebody else has looked while we tried.
        let newer = slot.kept.as_ref().filter(|kept| !Arc::ptr_eq(&kept.value, tried));
        if let Some(kept) = newer {
            return Ok(Some(Arc::clone(&kept.value)));
        }
        if slot.refetched_at.is_some_and(|at| now.since(at) < REFETCH_PAUSE) {
            return Ok(None);
        }
        slot.refetched_at = Some(now);
        let fetched = fetch(slot.has_copy(now)).await;
        let answer = slot.keep(fetched, now);
        // Whoever waits meanwhile shares a failure; whoever comes later looks for themselves.
        self.failures.store(slot.failures, Ordering::Release);
        answer.map(Some)
    }
}

impl<T: PartialEq> Shared<T> {
    /// Keeps what was fetched without being waited for. What has not changed is younger now, and stays the
    /// same copy.
    pub(super) async fn confirm(&self, fetched: Result<T, UpstreamFault>, now: Timestamp) {
        let mut slot = self.slot.lock().await;
        match (&mut slot.kept, &fetched) {
            (Some(kept), Ok(fetched)) if *kept.value == *fetched => {
                kept.fetched_at = now;
                slot.failed_at = None;
            }
            _ => drop(slot.keep(fetched, now)),
        }
        self.failures.store(slot.failures, Ordering::Release);
    }
}
