//! Authenticator apps of people (RFC 6238).

use diesel::QueryResult;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::{Connection, schema::totp_factors};
use crate::foundation::{
    clock::Timestamp,
    ids::{FactorId, UserId},
};

/// A row of `totp_factors`.
#[derive(Clone, Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = totp_factors, check_for_backend(diesel::pg::Pg, diesel::sqlite::Sqlite))]
pub struct TotpFactor {
    /// Its id.
    pub id: FactorId,
    /// Whose it is.
    pub user_id: UserId,
    /// The secret that both sides share, sealed.
    pub sealed: Vec<u8>,
    /// What the person calls it.
    pub name: String,
    /// The step of the last code that counted.
    pub last_step: i64,
    /// When it was set up.
    pub created_at: Timestamp,
}

/// Keeps a new one.
pub async fn insert(conn: &mut Connection, factor: &TotpFactor) -> QueryResult<usize> {
    on_backend!(conn, |conn| diesel::insert_into(totp_factors::table)
        .values(factor)
        .execute(conn)
        .await)
}

/// Those of an account, in the order in which they were set up.
pub async fn list_of_user(conn: &mut Connection, user: &UserId) -> QueryResult<Vec<TotpFactor>> {
    on_backend!(conn, |conn| totp_factors::table
        .filter(totp_factors::user_id.eq(user))
        .order(totp_factors::id)
        .select(TotpFactor::as_select())
        .load(conn)
        .await)
}

/// Whether anybody has one.
pub async fn any(conn: &mut Connection) -> QueryResult<bool> {
    let one: Option<FactorId> = on_backend!(conn, |conn| totp_factors::table
        .select(totp_factors::id)
        .first(conn)
        .await
        .optional())?;
    Ok(one.is_some())
}

/// Notes that a code of this step has counted, with the secret as it is sealed now; `false` if one
/// of this step or of a later one has counted before (RFC 6238 §5.2).
#[must_use = "false means that the code does not count"]
pub async fn use_step(
    conn: &mut Connection,
    id: &FactorId,
    step: i64,
    sealed: &[u8],
) -> QueryResult<bool> {
    let unused = totp_factors::table.find(id).filter(totp_factors::last_step.lt(step));
    on_backend!(conn, |conn| diesel::update(unused)
        .set((totp_factors::last_step.eq(step), totp_factors::sealed.eq(sealed)))
        .execute(conn)
        .await)
    .map(|rows| rows == 1)
}

/// Takes one away from this account; `false` if it has none of this id.
#[must_use = "false means that nothing was there"]
pub async fn delete(conn: &mut Connection, id: &FactorId, user: &UserId) -> QueryResult<bool> {
    let own = totp_factors::table.find(id).filter(totp_factors::user_id.eq(user));
    on_backend!(conn, |conn| diesel::delete(own).execute(conn).await).map(|rows| rows == 1)
}

/// Deletes all of an account.
pub async fn delete_of_user(conn: &mut Connection, user: &UserId) -> QueryResult<usize> {
    let all = totp_factors::table.filter(totp_factors::user_id.eq(user));
    on_backend!(conn, |conn| diesel::delete(all).execute(conn).await)
}

/// Deletes those of an account that came at this moment or later.
pub async fn delete_since(
    conn: &mut Connection,
    user: &UserId,
    since: Timestamp,
) -> QueryResult<usize> {
    let late = totp_factors::table
        .filter(totp_factors::user_id.eq(user).and(totp_factors::created_at.ge(since)));
    on_backend!(conn, |conn| diesel::delete(late).execute(conn).await)
}
