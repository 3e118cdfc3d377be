//! Wrong passwords cost time, and only those who guess.
//!
//! What is counted, in the database and therefore through restarts and at all instances:
//!
//! - **An account at a network**, or at a browser that has signed in to it in the last 90 days and
//!   says so by a cookie: five tries are free, then each failure doubles the wait, from a second up
//!   to five minutes. A right password clears it.
//! - **An account everywhere**: for those who guess from many networks; twenty are free. A network
//!   adds to it only while its own tries are free, so that none alone can make the others wait.
//! - **A network**: the accounts it failed for, against one password for everybody.
//! - **An app**: never makes anybody wait, or a stranger could shut it; it raises the alarm.
//!
//! A known browser waits for its own failures alone: whatever strangers do, the owner gets in. A
//! name that nobody has is counted like an account, so waits tell nothing of who is here; but the
//! username and the address of one account are one account, or the address would be a side door
//! (PW-11).
//!
//! Tries for one account at one place that come at once pass one after the other as soon as one of
//! them has failed, so that no more are checked than are free (PW-13). That holds at each instance.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{
    config::RateLimitSettings,
    foundation::{
        clock::{Span, Timestamp},
        digest::TokenDigest,
        ids::{ClientId, UserId},
        seal::KeyRing,
    },
    store::{
        Store, StoreResult,
        password_guesses::{self as rows, Guesses as Row},
    },
};

/// Failures are forgotten after so long without another: no sooner than the longest wait would let
/// somebody try as often.
pub const FORGOTTEN_AFTER: Span = Span::from_hours(2);

/// Free tries for an account at one place.
const FREE: u32 = 5;
/// Free tries for an account at all unknown places together.
const FREE_EVERYWHERE: u32 = 20;
const LONGEST: Span = Span::from_minutes(5);
/// A network may be a whole company: there a wait is shorter.
const LONGEST_OF_NETWORK: Span = Span::from_minutes(1);
/// So many failed accounts at one app raise the alarm, and twice as many again.
const ALARM: i64 = 100;
/// So many tries for one account at one place may wait for one another.
const MAX_WAITING: usize = 256;

/// Whose password, or code, is tried.
#[derive(Clone, Copy, Debug)]
pub enum Account<'a> {
    /// Somebody's, whatever name was typed.
    Of(&'a UserId),
    /// Nobody has this canonical name.
    Nobody(&'a str),
    /// The second factor of somebody whose first is proved: it counts by itself (MF-02).
    Factor(&'a UserId),
}

/// A try.
#[derive(Clone, Copy, Debug)]
pub struct Try<'a> {
    /// Whose password.
    pub account: Account<'a>,
    /// From which network.
    pub network: &'a str,
    /// At which browser, if the account knows it.
    pub known_browser: Option<&'a [u8]>,
    /// On the way to which app.
    pub client: Option<&'a ClientId>,
}

/// Whether a try may be made.
#[derive(Debug)]
pub enum Admission {
    /// It may, and its end is to be told.
    Free(Box<Pending>),
    /// Not before so long.
    Wait(Span),
    /// Too many wait for one another.
    Busy,
}

/// The counter.
#[derive(Debug)]
pub struct Guesses {
    ring: KeyRing,
    failed_accounts: u32,
    gates: Arc<Gates>,
}

/// A try that is being made.
#[derive(Debug)]
pub struct Pending {
    keys: Keys,
    counts: Counts,
    _passed: OwnedSemaphorePermit,
    _gate: Gate,
}

impl Guesses {
    /// A counter whose keys are made under `ring`.
    pub fn new(ring: KeyRing, settings: &RateLimitSettings) -> Self {
        let failed_accounts = settings.failed_accounts_per_network;
        Self { ring, failed_accounts, gates: Arc::default() }
    }

    /// The keys of this counter, which also prove that a browser is known.
    pub const fn ring(&self) -> &KeyRing {
        &self.ring
    }

    /// Asks to make a try.
    pub async fn admit(
        &self,
        store: &Store,
        a_try: Try<'_>,
        now: Timestamp,
    ) -> StoreResult<Admission> {
        let keys = Keys::of(&self.ring, a_try);
        let Some(gate) = Gates::at(&self.gates, &keys.own) else {
            return Ok(Admission::Busy);
        };
        let Some((passed, counts)) = self.pass(store, &gate, &keys, now).await? else {
            return Ok(Admission::Busy);
        };
        let wait = counts.wait(keys.is_known, self.failed_accounts, now);
        if wait > Span::ZERO {
            return Ok(Admission::Wait(wait));
        }
        let pending = Pending { keys, counts, _passed: passed, _gate: gate };
        Ok(Admission::Free(Box::new(pending)))
    }

    /// Passes beside others as long as none has failed, and alone afterwards.
    async fn pass(
        &self,
        store: &Store,
        gate: &Gate,
        keys: &Keys,
        now: Timestamp,
    ) -> StoreResult<Option<(OwnedSemaphorePermit, Counts)>> {
        if let Ok(mut alone) = Arc::clone(&gate.tries).try_acquire_many_owned(FREE) {
            let counts = self.look(store, keys, now).await?;
            if counts.own.is_none() {
                drop(alone.split(usize::try_from(FREE - 1).unwrap_or_default()));
            }
            return Ok(Some((alone, counts)));
        }
        if let Some(beside) = gate.pass(1).await {
            let counts = self.look(store, keys, now).await?;
            if counts.own.is_none() {
                return Ok(Some((beside, counts)));
            }
        }
        let Some(alone) = gate.pass(FREE).await else {
            return Ok(None);
        };
        let counts = self.look(store, keys, now).await?;
        Ok(Some((alone, counts)))
    }

    async fn look(&self, store: &Store, keys: &Keys, now: Timestamp) -> StoreResult<Counts> {
        let mut connection = store.connection().await?;
        let all = keys.all();
        let found = rows::find(&mut connection, &all, now.minus(FORGOTTEN_AFTER)).await?;
        Ok(Counts::of(keys, found))
    }
}

impl Pending {
    /// The password was wrong. Answers how many accounts have failed at the app lately, if that is
    /// a reason for alarm.
    pub async fn failed(self, store: &Store, now: Timestamp) -> StoreResult<Option<i64>> {
        let own = self.counts.own.as_ref().map_or(0, |row| row.failures);
        let mut counted = vec![self.keys.own.clone()];
        if !self.keys.is_known && own < i64::from(FREE) {
            counted.push(self.keys.account.clone());
        }
        if !self.keys.is_known && own == 0 {
            counted.extend([self.keys.network.clone(), self.keys.client.clone()]);
        }
        let alarm = counted.len() == 4;
        // Always in one order: two instances at once must not wait for each other's rows.
        counted.sort_by_key(TokenDigest::to_text);
        let mut connection = store.connection().await?;
        rows::add(&mut connection, &counted, now.minus(FORGOTTEN_AFTER), now).await?;
        let at_app = self.counts.client.map_or(0, |row| row.failures) + 1;
        let doubled = at_app % ALARM == 0 && (at_app / ALARM).count_ones() == 1;
        Ok((alarm && doubled).then_some(at_app))
    }

    /// The password was right.
    pub async fn succeeded(self, store: &Store) -> StoreResult<()> {
        if self.counts.own.is_some() {
            let mut connection = store.connection().await?;
            rows::clear(&mut connection, &self.keys.own).await?;
        }
        Ok(())
    }
}

/// Under which keys a try counts.
#[derive(Debug)]
struct Keys {
    /// The account at this network or at this browser.
    own: TokenDigest,
    account: TokenDigest,
    network: TokenDigest,
    client: TokenDigest,
    is_known: bool,
}

impl Keys {
    fn of(ring: &KeyRing, a_try: Try<'_>) -> Self {
        let key = |parts: &[&[u8]]| TokenDigest::of("password guesses", &ring.mac(parts));
        let (kind, name): (&[u8], &[u8]) = match a_try.account {
            Account::Of(user) => (b"user", user.as_str().as_bytes()),
            Account::Nobody(name) => (b"nobody", name.as_bytes()),
            Account::Factor(user) => (b"factor", user.as_str().as_bytes()),
        };
        let network = a_try.network.as_bytes();
        let client = a_try.client.map_or("", ClientId::as_str).as_bytes();
        let own = match a_try.known_browser {
            Some(browser) => key(&[b"at browser", kind, name, browser]),
            None => key(&[b"at network", kind, name, network]),
        };
        Self {
            own,
            account: key(&[b"account", kind, name]),
            network: key(&[b"network", network]),
            client: key(&[b"client", client]),
            is_known: a_try.known_browser.is_some(),
        }
    }

    fn all(&self) -> [TokenDigest; 4] {
        [&self.own, &self.account, &self.network, &self.client].map(Clone::clone)
    }
}

/// What was counted so far.
#[derive(Debug, Default)]
struct Counts {
    own: Option<Row>,
    account: Option<Row>,
    network: Option<Row>,
    client: Option<Row>,
}

impl Counts {
    fn of(keys: &Keys, found: Vec<Row>) -> Self {
        let mut counts = Self::default();
        for row in found {
            let place = match &row.key {
                key if *key == keys.own => &mut counts.own,
                key if *key == keys.account => &mut counts.account,
                key if *key == keys.network => &mut counts.network,
                _ => &mut counts.client,
            };
            *place = Some(row);
        }
        counts
    }

    /// For how long there is to wait.
    fn wait(&self, is_known: bool, failed_accounts: u32, now: Timestamp) -> Span {
        let own = wait(self.own.as_ref(), FREE, LONGEST, now);
        if is_known {
            return own;
        }
        let account = wait(self.account.as_ref(), FREE_EVERYWHERE, LONGEST, now);
        let network = wait(self.network.as_ref(), failed_accounts, LONGEST_OF_NETWORK, now);
        own.max(account).max(network)
    }
}

fn wait(row: Option<&Row>, free: u32, longest: Span, now: Timestamp) -> Span {
    let Some(row) = row else {
        return Span::ZERO;
    };
    let Some(beyond) = row.failures.checked_sub(i64::from(free)).filter(|beyond| *beyond >= 0)
    else {
        return Span::ZERO;
    };
    // Nine doublings are more than any wait.
    let wait = Span::from_seconds(1 << beyond.min(9)).min(longest);
    row.last_failed_at.plus(wait).since(now)
}

/// Where tries for one account at one place meet, and how many are there.
#[derive(Debug, Default)]
struct Gates(Mutex<HashMap<TokenDigest, (Arc<Semaphore>, usize)>>);

/// One such place, for as long as somebody is there.
#[derive(Debug)]
struct Gate {
    gates: Arc<Gates>,
    key: TokenDigest,
    tries: Arc<Semaphore>,
}

impl Gates {
    /// Nothing, if too many are there.
    fn at(gates: &Arc<Self>, key: &TokenDigest) -> Option<Gate> {
        let mut all = gates.0.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = || (Arc::new(Semaphore::new(usize::try_from(FREE).unwrap_or(1))), 0);
        let (tries, here) = all.entry(key.clone()).or_insert_with(fresh);
        if *here >= MAX_WAITING {
            return None;
        }
        *here += 1;
        Some(Gate { gates: Arc::clone(gates), key: key.clone(), tries: Arc::clone(tries) })
    }
}

impl Gate {
    async fn pass(&self, places: u32) -> Option<OwnedSemaphorePermit> {
        // Nobody closes these.
        Arc::clone(&self.tries).acquire_many_owned(places).await.ok()
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        let mut all = self.gates.0.lock().unwrap_or_else(PoisonError::into_inner);
        let left = all.get_mut(&self.key).map(|(_, here)| {
            *here -= 1;
            *here
        });
        if left == Some(0) {
            all.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(failures: i64) -> Row {
        let key = TokenDigest::of("test", b"");
        Row { key, failures, last_failed_at: Timestamp::from_unix(1_000) }
    }

    fn at(failures: i64, now: i64) -> i64 {
        let now = Timestamp::from_unix(now);
        wait(Some(&row(failures)), FREE, LONGEST, now).seconds()
    }

    /// PW-10: five are free, then every failure doubles the wait, up to five minutes.
    #[test]
    fn waits_double_up_to_five_minutes_and_pass() {
        let waits: Vec<i64> = (4..16).map(|failures| at(failures, 1_000)).collect();
        assert_eq!(waits, [0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
        assert_eq!(at(i64::MAX, 1_000), 300);
        assert_eq!((at(9, 1_010), at(9, 1_016), at(9, 1_017)), (6, 0, 0));
        assert_eq!(wait(None, FREE, LONGEST, Timestamp::from_unix(1)), Span::ZERO);
    }

    /// Whoever comes while too many are there is turned away, and who leaves leaves nothing behind.
    #[test]
    fn places_are_counted_and_forgotten() {
        let gates = Arc::new(Gates::default());
        let key = TokenDigest::of("test", b"");
        let all: Vec<Gate> = (0..MAX_WAITING).filter_map(|_| Gates::at(&gates, &key)).collect();
        assert_eq!(all.len(), MAX_WAITING);
        assert!(Gates::at(&gates, &key).is_none());
        assert!(Gates::at(&gates, &TokenDigest::of("other", b"")).is_some());
        drop(all);
        assert!(gates.0.lock().unwrap().is_empty());
    }

    /// PW-14: only one's own failures count at a browser that is known.
    #[test]
    fn a_known_browser_waits_for_its_own_failures_only() {
        let now = Timestamp::from_unix(1_000);
        let mut counts =
            Counts { own: None, account: Some(row(99)), network: Some(row(99)), client: None };
        assert_eq!(counts.wait(true, 20, now), Span::ZERO);
        assert_eq!(counts.wait(false, 20, now), LONGEST);
        counts.account = None;
        assert_eq!(counts.wait(false, 20, now), LONGEST_OF_NETWORK);
        counts.client = counts.network.take();
        assert_eq!(counts.wait(false, 20, now), Span::ZERO, "an app shuts nobody out");
        counts.own = Some(row(7));
        assert_eq!(counts.wait(true, 20, now).seconds(), 4);
    }
}
