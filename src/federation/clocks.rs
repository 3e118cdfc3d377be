//! The clocks of upstreams, against ours: measured by the `Date` of their answers (RFC 9110 §6.6.1).
//!
//! When an ID token is too old or too new, the clocks are the usual reason. Whose clock it is can
//! often be said as soon as there is another upstream to compare with.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use reqwest::header::{AGE, DATE, HeaderMap};

use crate::foundation::{clock::Timestamp, ids::UpstreamSlug};

/// From how many seconds on a difference is worth a word, and from where on it is none any more.
pub(super) const WORTH_A_WORD: i64 = 5;
const FORGOTTEN: i64 = 3;

/// By how many seconds the clocks of upstreams are ahead of ours.
#[derive(Debug, Default)]
pub(super) struct Clocks(Mutex<BTreeMap<UpstreamSlug, Measured>>);

#[derive(Clone, Copy, Debug)]
struct Measured {
    ahead: i64,
    /// The log knows that it differs.
    told: bool,
}

impl Clocks {
    fn measured(&self) -> MutexGuard<'_, BTreeMap<UpstreamSlug, Measured>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes what an answer says about the time there. It was said between our two moments, so
    /// that a slow answer is not taken for a slow clock; what a cache has kept is older by its `Age`.
    pub(super) fn note(
        &self,
        slug: &UpstreamSlug,
        headers: &HeaderMap,
        (asked_at, answered_at): (Timestamp, Timestamp),
    ) {
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        let Some(said) = text(DATE).and_then(Timestamp::parse_http_date) else {
            return;
        };
        let age = text(AGE).and_then(|age| age.trim().parse::<u32>().ok()).unwrap_or(0);
        let there = said.unix().saturating_add(i64::from(age));
        let ahead = (there - answered_at.unix()).max(0) + (there - asked_at.unix()).min(0);
        let mut all = self.measured();
        let told = all.get(slug).is_some_and(|before| before.told);
        let limit = if told { FORGOTTEN } else { WORTH_A_WORD };
        let differs = ahead.abs() > limit;
        all.insert(slug.clone(), Measured { ahead, told: differs });
        drop(all);
        match (told, differs) {
            (false, true) => {
                tracing::warn!(upstream = %slug, seconds = ahead, "its clock is not ours");
            }
            (true, false) => tracing::info!(upstream = %slug, "its clock is ours again"),
            _ => {}
        }
    }

    /// By how many seconds the clock of an upstream is ahead of ours; negative when it is behind.
    pub(super) fn ahead(&self, slug: &UpstreamSlug) -> Option<i64> {
        self.measured().get(slug).map(|measured| measured.ahead)
    }

    /// By how much a clock differs, and which one to look at.
    pub(super) fn trouble(&self, slug: &UpstreamSlug) -> Option<String> {
        let all = self.measured();
        let own = all.get(slug)?.ahead;
        if own.abs() <= WORTH_A_WORD {
            return None;
        }
        let direction = if own > 0 { "ahead of" } else { "behind" };
        let near = |one: i64, other: i64| (one - other).abs() <= WORTH_A_WORD;
        let mut others = all.iter().filter(|(other, _)| *other != slug);
        let agrees = others.clone().find(|(_, other)| near(other.ahead, 0));
        let differs = others.find(|(_, other)| near(other.ahead, own));
        let look = match (agrees, differs) {
            (Some((other, _)), None) => {
                format!("the clock of {other} agrees with ours, so look at the clock there")
            }
            (None, Some((other, _))) => {
                format!("so is that of {other}, so look at the clock of this server")
            }
            _ => "compare both with a time server (NTP)".to_owned(),
        };
        Some(format!("its clock is {} s {direction} ours: {look}", own.abs()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a cache has kept was said before; without a date, or with none that can be read, nothing
    /// was said.
    #[test]
    fn the_age_of_an_answer_counts() {
        let (clocks, slug) = (Clocks::default(), UpstreamSlug::new("kc"));
        let now = Timestamp::parse_http_date("Mon, 01 Jun 2026 12:00:00 GMT").unwrap();
        let note = |date: &str, age: Option<&str>| {
            let mut headers = HeaderMap::new();
            headers.insert(DATE, date.parse().unwrap());
            if let Some(age) = age {
                headers.insert(AGE, age.parse().unwrap());
            }
            clocks.note(&slug, &headers, (now, now));
            clocks.ahead(&slug)
        };
        assert_eq!(note("yesterday", None), None);
        assert_eq!(note("Mon, 01 Jun 2026 11:00:00 GMT", Some("3600")), Some(0));
        assert_eq!(note("Mon, 01 Jun 2026 11:00:00 GMT", Some("-1")), Some(-3_600));
        assert_eq!(note("Mon, 01 Jun 2026 12:01:00 GMT", None), Some(60));
    }
}
