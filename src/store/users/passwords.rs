//! Their passwords.

use diesel::QueryResult;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::{Connection, users};
use crate::foundation::{clock::Timestamp, ids::UserId};

/// Whether anybody has a local password.
pub async fn any_with_password(conn: &mut Connection) -> QueryResult<bool> {
    let one: Option<UserId> = on_backend!(conn, |conn| users::table
        .filter(users::password_hash.is_not_null())
        .select(users::id)
        .first(conn)
        .await
        .optional())?;
    Ok(one.is_some())
}

/// Replaces the password by one that its owner has chosen; `false` if there is no such account.
#[must_use = "false means that there is no such account"]
pub async fn set_password_hash(
    conn: &mut Connection,
    id: &UserId,
    hash: &str,
    now: Timestamp,
) -> QueryResult<bool> {
    replace(conn, id, (hash, false), now).await
}

/// Replaces the password by one that somebody else has chosen: its owner only chooses another one with
/// it (PW-19). `false` if there is no such account.
#[must_use = "false means that there is no such account"]
pub async fn set_temporary_password(
    conn: &mut Connection,
    id: &UserId,
    hash: &str,
    now: Timestamp,
) -> QueryResult<bool> {
    replace(conn, id, (hash, true), now).await
}

async fn replace(
    conn: &mut Connection,
    id: &UserId,
    (hash, temporary): (&str, bool),
    now: Timestamp,
) -> QueryResult<bool> {
    let set = (
        users::password_hash.eq(hash),
        users::password_temporary.eq(temporary),
        users::updated_at.eq(now),
    );
    on_backend!(conn, |conn| diesel::update(users::table.find(id)).set(set).execute(conn).await)
        .map(|rows| rows == 1)
}

/// Takes the password away; `false` if there was none.
#[must_use = "false means that there was no password"]
pub async fn remove_password(
    conn: &mut Connection,
    id: &UserId,
    now: Timestamp,
) -> QueryResult<bool> {
    on_backend!(conn, |conn| diesel::update(
        users::table.find(id).filter(users::password_hash.is_not_null())
    )
    .set((users::password_hash.eq(None::<String>), users::updated_at.eq(now)))
    .execute(conn)
    .await)
    .map(|rows| rows == 1)
}

/// Replaces a password hash by a better one of the same password, unless it has changed meanwhile.
pub async fn rehash_password(
    conn: &mut Connection,
    id: &UserId,
    old: &str,
    new: &str,
) -> QueryResult<usize> {
    on_backend!(conn, |conn| diesel::update(
        users::table.find(id).filter(users::password_hash.eq(old))
    )
    .set(users::password_hash.eq(new))
    .execute(conn)
    .await)
}
