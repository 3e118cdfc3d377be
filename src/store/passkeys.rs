//! Passkeys of people (Web Authentication Level 3).

use diesel::QueryResult;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::{Connection, schema::passkeys};
use crate::foundation::{
    clock::Timestamp,
    ids::{FactorId, UserId},
};

/// A row of `passkeys`.
#[derive(Clone, Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = passkeys, check_for_backend(diesel::pg::Pg, diesel::sqlite::Sqlite))]
#[diesel(treat_none_as_default_value = false)]
pub struct PasskeyRow {
    /// Its id.
    pub id: FactorId,
    /// Whose it is.
    pub user_id: UserId,
    /// What the authenticator calls it.
    pub credential_id: Vec<u8>,
    /// The public key with its counter and flags, as JSON.
    pub credential: String,
    /// What the person calls it.
    pub name: String,
    /// When it was added.
    pub created_at: Timestamp,
    /// When somebody last signed in with it.
    pub last_used_at: Option<Timestamp>,
}

/// Keeps a new one; `false` if there is one with this name of the authenticator's already.
#[must_use = "false means that it is known already"]
pub async fn insert(conn: &mut Connection, passkey: &PasskeyRow) -> QueryResult<bool> {
    on_backend!(conn, |conn| diesel::insert_into(passkeys::table)
        .values(passkey)
        .on_conflict(passkeys::credential_id)
        .do_nothing()
        .execute(conn)
        .await)
    .map(|rows| rows == 1)
}

/// The one that an authenticator calls so.
pub async fn find(conn: &mut Connection, credential_id: &[u8]) -> QueryResult<Option<PasskeyRow>> {
    on_backend!(conn, |conn| passkeys::table
        .filter(passkeys::credential_id.eq(credential_id))
        .select(PasskeyRow::as_select())
        .first(conn)
        .await
        .optional())
}

/// Those of an account, in the order in which they were added.
pub async fn list_of_user(conn: &mut Connection, user: &UserId) -> QueryResult<Vec<PasskeyRow>> {
    on_backend!(conn, |conn| passkeys::table
        .filter(passkeys::user_id.eq(user))
        .order(passkeys::id)
        .select(PasskeyRow::as_select())
        .load(conn)
        .await)
}

/// Whether anybody has one.
pub async fn any(conn: &mut Connection) -> QueryResult<bool> {
    let one: Option<FactorId> = on_backend!(conn, |conn| passkeys::table
        .select(passkeys::id)
        .first(conn)
        .await
        .optional())?;
    Ok(one.is_some())
}

/// Notes that it was used, with its counter and flags as they are now; `false` if it is gone, or was
/// used with another counter meanwhile.
#[must_use = "false means that it does not count"]
pub async fn note_use(
    conn: &mut Connection,
    passkey: &PasskeyRow,
    credential: &str,
    now: Timestamp,
) -> QueryResult<bool> {
    let same =
        passkeys::table.find(&passkey.id).filter(passkeys::credential.eq(&passkey.credential));
    on_backend!(conn, |conn| diesel::update(same)
        .set((passkeys::credential.eq(credential), passkeys::last_used_at.eq(now)))
        .execute(conn)
        .await)
    .map(|rows| rows == 1)
}

/// Calls one of this account something else; `false` if it has none of this id.
#[must_use = "false means that nothing was there"]
pub async fn rename(
    conn: &mut Connection,
    id: &FactorId,
    user: &UserId,
    name: &str,
) -> QueryResult<bool> {
    let own = passkeys::table.find(id).filter(passkeys::user_id.eq(user));
    on_backend!(conn, |conn| diesel::update(own).set(passkeys::name.eq(name)).execute(conn).await)
        .map(|rows| rows == 1)
}

/// Takes one away from this account; `false` if it has none of this id.
#[must_use = "false means that nothing was there"]
pub async fn delete(conn: &mut Connection, id: &FactorId, user: &UserId) -> QueryResult<bool> {
    let own = passkeys::table.find(id).filter(passkeys::user_id.eq(user));
    on_backend!(conn, |conn| diesel::delete(own).execute(conn).await).map(|rows| rows == 1)
}

/// Deletes all of an account.
pub async fn delete_of_user(conn: &mut Connection, user: &UserId) -> QueryResult<usize> {
    let all = passkeys::table.filter(passkeys::user_id.eq(user));
    on_backend!(conn, |conn| diesel::delete(all).execute(conn).await)
}

/// Deletes those of an account that came at this moment or later.
pub async fn delete_since(
    conn: &mut Connection,
    user: &UserId,
    since: Timestamp,
) -> QueryResult<usize> {
    let late =
        passkeys::table.filter(passkeys::user_id.eq(user).and(passkeys::created_at.ge(since)));
    on_backend!(conn, |conn| diesel::delete(late).execute(conn).await)
}
