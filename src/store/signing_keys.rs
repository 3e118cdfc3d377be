//! Signing keys: their schedules, their public halves, and their sealed private halves.

use diesel::QueryResult;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::{Connection, schema::signing_keys};
use crate::{
    foundation::{clock::Timestamp, ids::KeyId},
    protocol::jwa::SigningAlgorithm,
};

/// A row of `signing_keys`.
#[derive(Clone, Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = signing_keys, check_for_backend(diesel::pg::Pg, diesel::sqlite::Sqlite))]
#[diesel(treat_none_as_default_value = false)]
pub struct SigningKeyRow {
    /// The `kid`.
    pub id: KeyId,
    /// What it signs with.
    pub alg: SigningAlgorithm,
    /// The how-manieth key of its algorithm it is. Unique, so that only one instance makes it.
    pub generation: i64,
    /// The public half as a JWK.
    pub public_jwk: String,
    /// The private half, sealed under `secret_key`.
    pub private_key: Vec<u8>,
    /// When it was made.
    pub created_at: Timestamp,
    /// From when it stands in the JWKS.
    pub published_at: Timestamp,
    /// From when it signs.
    pub signs_from: Timestamp,
    /// Until when it signs; open while it has no successor.
    pub signs_until: Option<Timestamp>,
    /// From when it no longer stands in the JWKS.
    pub gone_at: Option<Timestamp>,
    /// When an operator threw it away.
    pub dropped_at: Option<Timestamp>,
}

/// Every key, by algorithm and generation.
pub async fn list(conn: &mut Connection) -> QueryResult<Vec<SigningKeyRow>> {
    on_backend!(conn, |conn| signing_keys::table
        .order((signing_keys::alg, signing_keys::generation))
        .select(SigningKeyRow::as_select())
        .load(conn)
        .await)
}

/// Inserts a key; `false` if another instance made this generation first.
#[must_use = "false means that another instance was first"]
pub async fn insert(conn: &mut Connection, key: &SigningKeyRow) -> QueryResult<bool> {
    on_backend!(conn, |conn| diesel::insert_into(signing_keys::table)
        .values(key)
        .on_conflict((signing_keys::alg, signing_keys::generation))
        .do_nothing()
        .execute(conn)
        .await)
    .map(|rows| rows == 1)
}

/// Sets when a key stops signing and when it leaves the JWKS.
pub async fn retire(
    conn: &mut Connection,
    id: &KeyId,
    signs_until: Timestamp,
    gone_at: Timestamp,
) -> QueryResult<usize> {
    on_backend!(conn, |conn| diesel::update(signing_keys::table.find(id))
        .set((signing_keys::signs_until.eq(signs_until), signing_keys::gone_at.eq(gone_at),))
        .execute(conn)
        .await)
}

/// Throws a key away: from now on it neither signs nor stands in the JWKS.
#[must_use = "false means that it was thrown away before, or never was"]
pub async fn drop_now(conn: &mut Connection, id: &KeyId, now: Timestamp) -> QueryResult<bool> {
    on_backend!(conn, |conn| diesel::update(
        signing_keys::table.find(id).filter(signing_keys::dropped_at.is_null())
    )
    .set((
        signing_keys::dropped_at.eq(now),
        signing_keys::signs_until.eq(now),
        signing_keys::gone_at.eq(now),
    ))
    .execute(conn)
    .await)
    .map(|rows| rows == 1)
}

/// Forgets keys that left the JWKS before `before`.
pub async fn purge(conn: &mut Connection, before: Timestamp) -> QueryResult<usize> {
    on_backend!(conn, |conn| diesel::delete(
        signing_keys::table.filter(signing_keys::gone_at.lt(before))
    )
    .execute(conn)
    .await)
}

/// Lets a key that waits for its time sign from now on.
pub async fn advance(conn: &mut Connection, id: &KeyId, now: Timestamp) -> QueryResult<usize> {
    let waiting = signing_keys::table.find(id).filter(signing_keys::signs_from.gt(now));
    on_backend!(conn, |conn| diesel::update(waiting)
        .set((signing_keys::published_at.eq(now), signing_keys::signs_from.eq(now)))
        .execute(conn)
        .await)
}

/// Replaces the sealed private half, if it is still the one that was read.
pub async fn reseal(
    conn: &mut Connection,
    id: &KeyId,
    old: &[u8],
    new: &[u8],
) -> QueryResult<usize> {
    let unchanged = signing_keys::table.find(id).filter(signing_keys::private_key.eq(old));
    on_backend!(conn, |conn| diesel::update(unchanged)
        .set(signing_keys::private_key.eq(new))
        .execute(conn)
        .await)
}

/// Lets a key sign on, because its successor was thrown away.
pub async fn reopen(conn: &mut Connection, id: &KeyId) -> QueryResult<usize> {
    on_backend!(conn, |conn| diesel::update(signing_keys::table.find(id))
        .set((
            signing_keys::signs_until.eq(None::<Timestamp>),
            signing_keys::gone_at.eq(None::<Timestamp>),
        ))
        .execute(conn)
        .await)
}
