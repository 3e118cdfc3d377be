//! What is said about an account beyond what every account has.

use diesel::QueryResult;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use serde_json::Value;

use super::{Connection, schema::user_attributes};
use crate::foundation::{clock::Timestamp, ids::UserId};

/// What is said about an account, in the order of the names. What cannot be read is not said.
pub async fn list_of_user(
    conn: &mut Connection,
    user: &UserId,
) -> QueryResult<Vec<(String, Value)>> {
    let rows: Vec<(String, String)> = on_backend!(conn, |conn| user_attributes::table
        .filter(user_attributes::user_id.eq(user))
        .order(user_attributes::name)
        .select((user_attributes::name, user_attributes::value))
        .load(conn)
        .await)?;
    let read = |(name, text): (String, String)| Some((name, serde_json::from_str(&text).ok()?));
    Ok(rows.into_iter().filter_map(read).collect())
}

/// Says something, whatever was said before.
pub async fn set(
    conn: &mut Connection,
    user: &UserId,
    (name, value): (&str, &Value),
    now: Timestamp,
) -> QueryResult<usize> {
    let value = value.to_string();
    on_backend!(conn, |conn| diesel::insert_into(user_attributes::table)
        .values((
            user_attributes::user_id.eq(user),
            user_attributes::name.eq(name),
            user_attributes::value.eq(&value),
            user_attributes::updated_at.eq(now),
        ))
        .on_conflict((user_attributes::user_id, user_attributes::name))
        .do_update()
        .set((user_attributes::value.eq(&value), user_attributes::updated_at.eq(now)))
        .execute(conn)
        .await)
}

/// Says it no longer.
pub async fn delete(conn: &mut Connection, user: &UserId, name: &str) -> QueryResult<usize> {
    on_backend!(conn, |conn| diesel::delete(user_attributes::table.find((user, name)))
        .execute(conn)
        .await)
}
