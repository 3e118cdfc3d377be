//! What people say of themselves.

use diesel::QueryResult;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::{Connection, users};
use crate::foundation::{clock::Timestamp, ids::UserId};

/// Writes the language that somebody prefers, or that they prefer none.
pub async fn set_locale(
    conn: &mut Connection,
    id: &UserId,
    locale: Option<&str>,
    now: Timestamp,
) -> QueryResult<usize> {
    on_backend!(conn, |conn| diesel::update(users::table.find(id))
        .set((users::locale.eq(locale), users::updated_at.eq(now)))
        .execute(conn)
        .await)
}

/// Writes the address of the picture that somebody has uploaded, or that there is none.
pub async fn set_own_picture(
    conn: &mut Connection,
    id: &UserId,
    address: Option<&str>,
    now: Timestamp,
) -> QueryResult<usize> {
    on_backend!(conn, |conn| diesel::update(users::table.find(id))
        .set((users::own_picture.eq(address), users::updated_at.eq(now)))
        .execute(conn)
        .await)
}

/// Notes that something about the account has changed that stands elsewhere.
pub async fn touch(conn: &mut Connection, id: &UserId, now: Timestamp) -> QueryResult<usize> {
    on_backend!(conn, |conn| diesel::update(users::table.find(id))
        .set(users::updated_at.eq(now))
        .execute(conn)
        .await)
}
