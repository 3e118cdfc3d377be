//! Strangers, counted in this process for a minute.
//!
//! However many come, what is kept of them is bounded; and while it is full, who is new goes
//! uncounted: nobody who is counted is forgotten for somebody who is not (RL-12, HT-10).

use std::{
    collections::HashMap,
    hash::{BuildHasher as _, Hash, RandomState},
    sync::{Mutex, PoisonError},
};

use crate::foundation::clock::{Span, Timestamp};

/// A minute by the clock, which is the same at all instances.
pub(super) fn minute(now: Timestamp) -> i64 {
    now.unix().div_euclid(60)
}

/// How long this minute still lasts.
pub fn rest_of_minute(now: Timestamp) -> Span {
    Timestamp::from_unix((minute(now) + 1).saturating_mul(60)).since(now)
}

/// What is known of each stranger in this minute. Names are not kept, only their hashes, under a key
/// that nobody outside can aim at: two that collide share a place.
#[derive(Debug)]
pub struct Crowd<V> {
    most: usize,
    hasher: RandomState,
    present: Mutex<Present<V>>,
}

#[derive(Debug)]
struct Present<V> {
    minute: i64,
    known: HashMap<u64, V>,
}

impl<V: Copy + Default> Crowd<V> {
    /// Room for so many.
    pub fn of(most: usize) -> Self {
        let present = Present { minute: 0, known: HashMap::new() };
        Self { most, hasher: RandomState::new(), present: Mutex::new(present) }
    }

    /// Looks at what is known of somebody and changes it; nothing if they are new and there is no room.
    pub fn with<R>(
        &self,
        who: &impl Hash,
        now: Timestamp,
        change: impl FnOnce(&mut V) -> R,
    ) -> Option<R> {
        let who = self.hasher.hash_one(who);
        let minute = minute(now);
        let mut present = self.present.lock().unwrap_or_else(PoisonError::into_inner);
        if present.minute != minute {
            // A new map, so that memory follows use.
            *present = Present { minute, known: HashMap::new() };
        }
        if present.known.len() >= self.most && !present.known.contains_key(&who) {
            return None;
        }
        Some(change(present.known.entry(who).or_default()))
    }

    /// One of so many places, always the same for the same stranger.
    pub(super) fn place_of(&self, who: &impl Hash, places: usize) -> usize {
        let hash = usize::try_from(self.hasher.hash_one(who) >> 33).unwrap_or_default();
        hash.checked_rem(places).unwrap_or_default()
    }

    /// How many are known.
    pub fn len(&self) -> usize {
        self.present.lock().unwrap_or_else(PoisonError::into_inner).known.len()
    }

    /// Whether nobody is known.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Crowd<u32> {
    /// Counts somebody, and answers how often they have come in this minute; nothing if there is no
    /// room to count them.
    pub fn count(&self, who: &impl Hash, now: Timestamp) -> Option<u32> {
        self.with(who, now, |times| {
            *times = times.saturating_add(1);
            *times
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minute_is_forgotten_when_the_next_one_begins() {
        let crowd = Crowd::of(10);
        let (early, late) = (Timestamp::from_unix(120), Timestamp::from_unix(179));
        assert_eq!((crowd.count(&"a", early), crowd.count(&"a", late)), (Some(1), Some(2)));
        assert_eq!(crowd.count(&"b", late), Some(1));
        assert_eq!(rest_of_minute(early).seconds(), 60);
        assert_eq!(rest_of_minute(late).seconds(), 1);
        assert_eq!(crowd.count(&"a", Timestamp::from_unix(180)), Some(1));
        assert_eq!(crowd.len(), 1);
    }

    /// RL-12: when there is no room, who is new goes uncounted, and who is counted stays so.
    #[test]
    fn nobody_is_forgotten_for_somebody_new() {
        let crowd = Crowd::of(3);
        let now = Timestamp::from_unix(1);
        for _ in 0..50 {
            crowd.count(&0, now);
        }
        for number in 1..1_000 {
            crowd.count(&number, now);
        }
        assert_eq!(
            (crowd.len(), crowd.count(&0, now), crowd.count(&999, now)),
            (3, Some(51), None)
        );
    }
}
