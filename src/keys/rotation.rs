//! Making keys and their successors. Any instance may do it; unique generations let only one win.

use std::sync::Arc;

use anyhow::Context as _;

use super::{
    key_set::place,
    material,
    schedule::{Hurry, KeyState, Policy, Schedule},
};
use crate::{
    config::KeySettings,
    foundation::{
        clock::{Span, Timestamp},
        ids::KeyId,
        random::Random,
        seal::KeyRing,
    },
    protocol::jwa::SigningAlgorithm,
    store::{
        Connection, QueryError, Store, StoreError, facts,
        signing_keys::{self, SigningKeyRow},
    },
};

/// The number that rises with every change of the keys.
pub(super) const REVISION: &str = "signing_keys.revision";
const LONGEST_MAX_AGE: &str = "signing_keys.longest_max_age";
const LONGEST_TOKEN_LIFETIME: &str = "tokens.longest_lifetime";

/// Keeps the keys of one deployment going.
pub struct Rotation {
    settings: KeySettings,
    longest_token_lifetime: Span,
    ring: Arc<KeyRing>,
    random: Arc<dyn Random>,
}

impl std::fmt::Debug for Rotation {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Rotation({:?})", self.settings)
    }
}

impl Rotation {
    /// Rotation by these settings, for tokens that live at most so long.
    pub fn new(
        settings: KeySettings,
        longest_token_lifetime: Span,
        ring: Arc<KeyRing>,
        random: Arc<dyn Random>,
    ) -> Self {
        Self { settings, longest_token_lifetime, ring, random }
    }

    /// Notes how long this instance lets others cache the JWKS and how long its tokens live. Must
    /// come before the first answer: the dates of keys follow from the longest ever handed out.
    pub async fn register(&self, store: &Store, now: Timestamp) -> anyhow::Result<()> {
        let mut connection = store.connection().await?;
        connection
            .transaction(async |conn| {
                facts::raise(conn, LONGEST_MAX_AGE, self.settings.jwks_max_age.seconds()).await?;
                let lifetime = self.longest_token_lifetime.seconds();
                if facts::raise(conn, LONGEST_TOKEN_LIFETIME, lifetime).await? {
                    self.keep_longer(conn, now).await?;
                }
                Ok::<_, StoreError>(())
            })
            .await?;
        Ok(())
    }

    /// Keys that still sign have to stay for the tokens that live longer from now on.
    async fn keep_longer(&self, conn: &mut Connection, now: Timestamp) -> Result<(), StoreError> {
        let policy = self.policy(conn).await?;
        for row in signing_keys::list(conn).await? {
            let until = row.signs_until.filter(|until| *until > now && row.dropped_at.is_none());
            if let Some(until) = until {
                let gone_at = policy.gone_after(until);
                signing_keys::retire(conn, &row.id, until, gone_at).await?;
            }
        }
        facts::increment(conn, REVISION).await?;
        Ok(())
    }

    /// What the dates of successors follow from.
    pub async fn policy(&self, conn: &mut Connection) -> Result<Policy, StoreError> {
        let longest = async |conn: &mut Connection, name: &str, own: Span| {
            let seconds = facts::find(conn, name).await?.unwrap_or(0).max(own.seconds());
            let seconds = u32::try_from(seconds).unwrap_or(u32::MAX);
            Ok::<_, StoreError>(Span::from_seconds(seconds))
        };
        Ok(Policy {
            rotation_interval: self.settings.rotation_interval,
            publish_lead: self.settings.publish_lead,
            longest_max_age: longest(conn, LONGEST_MAX_AGE, self.settings.jwks_max_age).await?,
            longest_token_lifetime: longest(
                conn,
                LONGEST_TOKEN_LIFETIME,
                self.longest_token_lifetime,
            )
            .await?,
        })
    }

    /// Makes what is due: first keys, and successors of keys that come to their end. Answers
    /// whether anything changed.
    pub async fn tend(&self, store: &Store, now: Timestamp) -> anyhow::Result<bool> {
        let mut connection = store.connection().await?;
        let rows = signing_keys::list(&mut connection).await?;
        let policy = self.policy(&mut connection).await?;
        let mut changed = false;
        for alg in SigningAlgorithm::ALL {
            let schedule = match newest(&rows, *alg) {
                None => Some(Policy::first(now)),
                Some(newest) => {
                    let dates = Schedule::of(newest);
                    let due = policy.is_due(&dates, now);
                    due.then(|| policy.successor(&dates, now, Hurry::BySchedule))
                }
            };
            if let Some(schedule) = schedule {
                let made = self.make(&mut connection, *alg, &rows, schedule, now).await?;
                changed |= made.is_some();
            }
        }
        Ok(changed)
    }

    /// Makes a new key of every algorithm, which signs at once, where all others were thrown away: in
    /// the transaction that did so.
    pub async fn begin_anew(&self, conn: &mut Connection, now: Timestamp) -> anyhow::Result<()> {
        let rows = signing_keys::list(conn).await?;
        for alg in SigningAlgorithm::ALL {
            let fresh = self.fresh(*alg, &rows, Policy::first(now), now).await?;
            let made = signing_keys::insert(conn, &fresh).await?;
            anyhow::ensure!(made, "somebody else is changing the keys; try again");
        }
        facts::increment(conn, REVISION).await?;
        Ok(())
    }

    /// Makes the successor of an algorithm's key now; it takes over as soon as that is honest.
    /// Nothing when one is on its way already.
    pub async fn rotate(
        &self,
        store: &Store,
        alg: SigningAlgorithm,
        now: Timestamp,
    ) -> anyhow::Result<Option<KeyId>> {
        let mut connection = store.connection().await?;
        let rows = signing_keys::list(&mut connection).await?;
        let policy = self.policy(&mut connection).await?;
        let schedule = match newest(&rows, alg).map(Schedule::of) {
            None => Policy::first(now),
            Some(dates) if now < dates.signs_from => return Ok(None),
            Some(dates) => policy.successor(&dates, now, Hurry::AsSoonAsHonest),
        };
        self.make(&mut connection, alg, &rows, schedule, now).await
    }

    /// Throws a key away at once. If it was the one that signs, another signs at once: apps that
    /// have cached the JWKS will meet an unknown `kid` then, which is the price of an emergency.
    /// `None` if there is no such key; otherwise the key that signs from now on.
    pub async fn drop_key(
        &self,
        store: &Store,
        id: &KeyId,
        now: Timestamp,
    ) -> anyhow::Result<Option<KeyId>> {
        for _ in 0..3 {
            let mut connection = store.connection().await?;
            let rows = signing_keys::list(&mut connection).await?;
            let living = |row: &&SigningKeyRow| row.dropped_at.is_none();
            let Some(dropped) = rows.iter().filter(living).find(|row| row.id == *id) else {
                return Ok(None);
            };
            let others: Vec<&SigningKeyRow> = rows
                .iter()
                .filter(living)
                .filter(|row| row.alg == dropped.alg && row.id != *id)
                .collect();
            let signs = |row: &&&SigningKeyRow| Schedule::of(row).state(now) == KeyState::Signing;
            // A successor that is thrown away leaves its predecessor signing, as if never made.
            let predecessor = others.iter().find(signs).copied();
            let waiting =
                others.iter().filter(|row| row.signs_from > now).max_by_key(|row| row.generation);
            let fresh = match (predecessor, waiting) {
                (None, None) => {
                    Some(self.fresh(dropped.alg, &rows, Policy::first(now), now).await?)
                }
                _ => None,
            };
            let change = Drop { id, predecessor, waiting: waiting.copied(), fresh: fresh.as_ref() };
            if change.store(&mut connection, now).await? {
                let next = predecessor.or(waiting.copied()).map(|row| row.id.clone());
                return Ok(next.or(fresh.map(|row| row.id)));
            }
        }
        anyhow::bail!("other instances are changing the keys; try again")
    }

    /// Makes a key with these dates and ends its predecessor's signing at them. Nothing if another
    /// instance has made this generation meanwhile.
    async fn make(
        &self,
        connection: &mut Connection,
        alg: SigningAlgorithm,
        rows: &[SigningKeyRow],
        schedule: Schedule,
        now: Timestamp,
    ) -> anyhow::Result<Option<KeyId>> {
        let fresh = self.fresh(alg, rows, schedule, now).await?;
        let predecessor = newest(rows, alg).filter(|row| row.signs_until.is_none());
        let made = connection
            .transaction(async |conn| {
                if !signing_keys::insert(conn, &fresh).await? {
                    return Ok::<_, StoreError>(false);
                }
                if let Some(old) = predecessor {
                    let until = schedule.signs_from;
                    let policy = self.policy(conn).await?;
                    signing_keys::retire(conn, &old.id, until, policy.gone_after(until)).await?;
                }
                facts::increment(conn, REVISION).await?;
                Ok(true)
            })
            .await?;
        Ok(made.then_some(fresh.id))
    }

    async fn fresh(
        &self,
        alg: SigningAlgorithm,
        rows: &[SigningKeyRow],
        schedule: Schedule,
        now: Timestamp,
    ) -> anyhow::Result<SigningKeyRow> {
        let key = tokio::task::spawn_blocking(move || material::generate(alg))
            .await
            .context("making a key")??;
        let generations = rows.iter().filter(|row| row.alg == alg).map(|row| row.generation);
        Ok(SigningKeyRow {
            private_key: self.ring.seal(&place(&key.id), &key.private_jwk, &*self.random),
            id: key.id,
            alg,
            generation: generations.max().unwrap_or(0) + 1,
            public_jwk: key.public_jwk,
            created_at: now,
            published_at: schedule.published_at,
            signs_from: schedule.signs_from,
            signs_until: None,
            gone_at: None,
            dropped_at: None,
        })
    }
}

/// What throwing a key away changes.
struct Drop<'a> {
    id: &'a KeyId,
    /// The key that signs now, and is not the one that goes.
    predecessor: Option<&'a SigningKeyRow>,
    /// A key that waits for its time.
    waiting: Option<&'a SigningKeyRow>,
    /// A key that is needed because there is no other.
    fresh: Option<&'a SigningKeyRow>,
}

impl Drop<'_> {
    /// Stores all of it; `false`, and nothing stored, if another instance was faster.
    async fn store(&self, connection: &mut Connection, now: Timestamp) -> anyhow::Result<bool> {
        let stored = connection
            .transaction(async |conn| {
                if !signing_keys::drop_now(conn, self.id, now).await? {
                    return Err(Stopped::Outrun);
                }
                match (self.predecessor, self.waiting, self.fresh) {
                    (Some(signing), None, _) => signing_keys::reopen(conn, &signing.id).await?,
                    (None, Some(waiting), _) => {
                        signing_keys::advance(conn, &waiting.id, now).await?
                    }
                    (None, None, Some(fresh)) if !signing_keys::insert(conn, fresh).await? => {
                        return Err(Stopped::Outrun);
                    }
                    _ => 0,
                };
                facts::increment(conn, REVISION).await?;
                Ok(())
            })
            .await;
        match stored {
            Ok(()) => Ok(true),
            Err(Stopped::Outrun) => Ok(false),
            Err(Stopped::Store(error)) => Err(error.into()),
        }
    }
}

/// Why a change was rolled back.
enum Stopped {
    Outrun,
    Store(StoreError),
}

impl From<QueryError> for Stopped {
    fn from(error: QueryError) -> Self {
        Self::Store(error.into())
    }
}

/// The newest key of an algorithm that nobody has thrown away.
fn newest(rows: &[SigningKeyRow], alg: SigningAlgorithm) -> Option<&SigningKeyRow> {
    let living = rows.iter().filter(|row| row.alg == alg && row.dropped_at.is_none());
    living.max_by_key(|row| row.generation)
}

/// The state of a stored key, as lists show it.
pub fn state_of(row: &SigningKeyRow, now: Timestamp) -> KeyState {
    Schedule::of(row).state(now)
}
