//! Small facts that all instances share: high-water marks, revisions, the check of `secret_key`.

use diesel::QueryResult;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::{
    Connection,
    schema::{facts, sealed_facts},
};

/// The security epoch, a moment: nothing that was begun or promised before it counts any more. It is
/// that of the last restoring, when nobody knows what was revoked since the backup.
pub const SECURITY_EPOCH: &str = "security.epoch";

/// Raises a number to at least `value`; never lowers it. Answers whether it rose.
pub async fn raise(conn: &mut Connection, name: &str, value: i64) -> QueryResult<bool> {
    let inserted = on_backend!(conn, |conn| diesel::insert_into(facts::table)
        .values((facts::name.eq(name), facts::value.eq(value)))
        .on_conflict_do_nothing()
        .execute(conn)
        .await)?;
    let raised = on_backend!(conn, |conn| diesel::update(
        facts::table.find(name).filter(facts::value.lt(value))
    )
    .set(facts::value.eq(value))
    .execute(conn)
    .await)?;
    Ok(inserted + raised > 0)
}

/// Adds one to a number.
pub async fn increment(conn: &mut Connection, name: &str) -> QueryResult<usize> {
    on_backend!(conn, |conn| diesel::insert_into(facts::table)
        .values((facts::name.eq(name), facts::value.eq(1)))
        .on_conflict(facts::name)
        .do_update()
        .set(facts::value.eq(facts::value + 1))
        .execute(conn)
        .await)
}

/// Sets a number, whatever it was.
pub async fn set(conn: &mut Connection, name: &str, value: i64) -> QueryResult<usize> {
    on_backend!(conn, |conn| diesel::insert_into(facts::table)
        .values((facts::name.eq(name), facts::value.eq(value)))
        .on_conflict(facts::name)
        .do_update()
        .set(facts::value.eq(value))
        .execute(conn)
        .await)
}

/// Forgets a number.
pub async fn delete(conn: &mut Connection, name: &str) -> QueryResult<usize> {
    on_backend!(conn, |conn| diesel::delete(facts::table.find(name)).execute(conn).await)
}

/// The numbers of these names, as far as there are any.
pub async fn list(conn: &mut Connection, names: &[&str]) -> QueryResult<Vec<(String, i64)>> {
    on_backend!(conn, |conn| facts::table
        .filter(facts::name.eq_any(names))
        .select((facts::name, facts::value))
        .load(conn)
        .await)
}

/// The number of this name.
pub async fn find(conn: &mut Connection, name: &str) -> QueryResult<Option<i64>> {
    on_backend!(conn, |conn| facts::table
        .find(name)
        .select(facts::value)
        .first(conn)
        .await
        .optional())
}

/// The sealed fact of this name.
pub async fn find_sealed(conn: &mut Connection, name: &str) -> QueryResult<Option<Vec<u8>>> {
    on_backend!(conn, |conn| sealed_facts::table
        .find(name)
        .select(sealed_facts::value)
        .first(conn)
        .await
        .optional())
}

/// Replaces a sealed fact, if it is still the one that was read.
pub async fn replace_sealed(
    conn: &mut Connection,
    name: &str,
    old: &[u8],
    new: &[u8],
) -> QueryResult<usize> {
    let unchanged = sealed_facts::table.find(name).filter(sealed_facts::value.eq(old));
    on_backend!(conn, |conn| diesel::update(unchanged)
        .set(sealed_facts::value.eq(new))
        .execute(conn)
        .await)
}

/// Keeps a sealed fact, unless there is one of this name already.
pub async fn insert_sealed(conn: &mut Connection, name: &str, value: &[u8]) -> QueryResult<usize> {
    on_backend!(conn, |conn| diesel::insert_into(sealed_facts::table)
        .values((sealed_facts::name.eq(name), sealed_facts::value.eq(value)))
        .on_conflict_do_nothing()
        .execute(conn)
        .await)
}
