//! How many requests a network may still make in this minute, at all instances together.
//!
//! What all may do is counted in Redis, and no request may cost a round trip for that: an instance
//! takes a few at a time out of the common number and lets so many through by itself (RL-06). Of a
//! network that has used up its minute nothing is asked any more. An instance without Redis, or
//! without an answer of it, counts by itself.

use tokio::sync::Mutex;

use super::{
    Crowd, EphemeralResult, Key, KeyKind, ShortLivedState,
    crowd::{minute, rest_of_minute},
};
use crate::foundation::clock::{Span, Timestamp};

/// The most networks that are told apart in a minute: some 50 MB if they all come (RL-12).
const MOST_NETWORKS: usize = 1_000_000;
/// At the most so many are taken at a time.
const MOST_AT_A_TIME: u32 = 64;

/// One asks for all who come meanwhile from the same network: so many can ask at once.
const ASKING_AT_ONCE: usize = 64;

/// What this instance may let through of a network in this minute: what is left of it, and how much
/// it was in all, with a mark once there is no more to be had. There are many of these.
#[derive(Clone, Copy, Debug, Default)]
struct Share {
    left: u32,
    granted: u32,
}

impl Share {
    const CLOSED: u32 = 1 << 31;

    /// Takes one: whether it may pass, or nothing if that has to be asked.
    fn take(&mut self) -> Option<bool> {
        if self.left > 0 {
            self.left -= 1;
            return Some(true);
        }
        (self.granted & Self::CLOSED != 0).then_some(false)
    }

    /// Adds what the common number gave; there is no more where it gave nothing.
    fn add(&mut self, more: u32) {
        self.left = self.left.saturating_add(more);
        self.granted = self.granted.saturating_add(more);
        if more == 0 {
            self.granted |= Self::CLOSED;
        }
    }

    /// Counts alone from now on: never more than the whole.
    fn close(&mut self, whole: u32) {
        if self.granted & Self::CLOSED == 0 {
            self.left = self.left.saturating_add(whole.saturating_sub(self.granted));
            self.granted |= Self::CLOSED;
        }
    }
}

/// Whether a request may pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passage {
    /// It may.
    Free,
    /// Not before so long.
    After(Span),
}

/// What is left of everybody's minute.
#[derive(Debug)]
pub struct Allowances {
    most: u32,
    at_a_time: u32,
    is_shared: bool,
    shares: Crowd<Share>,
    asking: [Mutex<()>; ASKING_AT_ONCE],
}

impl Allowances {
    /// So many requests in a minute, counted together by so many instances if they share their state.
    pub fn new(most: u32, instances: u32, is_shared: bool) -> Self {
        // What an instance holds and does not use is lost to the others: an eighth, all together.
        let at_a_time = (most / instances.max(1).saturating_mul(8)).clamp(1, MOST_AT_A_TIME);
        let asking = std::array::from_fn(|_| Mutex::default());
        Self { most, at_a_time, is_shared, shares: Crowd::of(MOST_NETWORKS), asking }
    }

    /// Takes one request of a network. An error says that it was counted here alone.
    pub async fn take(
        &self,
        state: &ShortLivedState,
        network: &str,
        now: Timestamp,
    ) -> (Passage, EphemeralResult<()>) {
        let passage = |passes| {
            if passes { Passage::Free } else { Passage::After(rest_of_minute(now)) }
        };
        let try_here = || match self.shares.with(&network, now, Share::take) {
            Some(taken) => taken.map(passage),
            // There is no room to count: whoever is new is let through.
            None => Some(Passage::Free),
        };
        if let Some(passage) = try_here() {
            return (passage, Ok(()));
        }
        let _turn = self.turn(network).lock().await;
        // Somebody may have asked while this one waited.
        if let Some(passage) = try_here() {
            return (passage, Ok(()));
        }
        let asked = if self.is_shared { Some(self.ask(state, network, now).await) } else { None };
        let passes = self.shares.with(&network, now, |share| {
            match &asked {
                Some(Ok(more)) => share.add(*more),
                Some(Err(_)) | None => share.close(self.most),
            }
            share.take().unwrap_or(false)
        });
        (passage(passes.unwrap_or(true)), asked.map_or(Ok(()), |asked| asked.map(drop)))
    }

    fn turn(&self, network: &str) -> &Mutex<()> {
        let at = self.shares.place_of(&network, ASKING_AT_ONCE);
        let [first, ..] = &self.asking;
        self.asking.get(at).unwrap_or(first)
    }

    /// Takes some more out of the common number: as many as are there.
    async fn ask(
        &self,
        state: &ShortLivedState,
        network: &str,
        now: Timestamp,
    ) -> EphemeralResult<u32> {
        let key = Key::of_text(KeyKind::Requests, &format!("{network} {}", minute(now)));
        let taken = state.add(&key, self.at_a_time.into()).await?;
        let before = taken.saturating_sub(self.at_a_time.into());
        let left = u64::from(self.most).saturating_sub(before);
        Ok(u32::try_from(left).map_or(self.at_a_time, |left| left.min(self.at_a_time)))
    }

    /// How many networks have come in this minute.
    pub fn networks(&self) -> usize {
        self.shares.len()
    }
}
