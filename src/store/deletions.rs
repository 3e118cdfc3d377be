//! Accounts that their owners have deleted, until they are erased.

use diesel::QueryResult;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::{
    Connection,
    schema::{deletions, users},
};
use crate::foundation::{clock::Timestamp, ids::UserId};

/// A row of `deletions`.
#[derive(Clone, Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = deletions, check_for_backend(diesel::pg::Pg, diesel::sqlite::Sqlite))]
pub struct Deletion {
    /// Whose account it is.
    pub user_id: UserId,
    /// When it was deleted.
    pub asked_at: Timestamp,
    /// When nothing is left of it.
    pub due_at: Timestamp,
}

/// Plans one; `false` if it is planned already.
#[must_use = "false means that it was planned before"]
pub async fn plan(conn: &mut Connection, deletion: &Deletion) -> QueryResult<bool> {
    on_backend!(conn, |conn| diesel::insert_into(deletions::table)
        .values(deletion)
        .on_conflict(deletions::user_id)
        .do_nothing()
        .execute(conn)
        .await)
    .map(|rows| rows == 1)
}

/// Takes the plan back; `false` if there was none.
#[must_use = "false means that nothing was planned"]
pub async fn take_back(conn: &mut Connection, user: &UserId) -> QueryResult<bool> {
    on_backend!(conn, |conn| diesel::delete(deletions::table.find(user)).execute(conn).await)
        .map(|rows| rows == 1)
}

/// Those that are due by now.
pub async fn list_due(
    conn: &mut Connection,
    now: Timestamp,
    limit: i64,
) -> QueryResult<Vec<Deletion>> {
    on_backend!(conn, |conn| deletions::table
        .filter(deletions::due_at.le(now))
        .order(deletions::due_at)
        .limit(limit)
        .select(Deletion::as_select())
        .load(conn)
        .await)
}

/// Erases a shut account whose deletion is due, with everything that belongs to it; `false` if the plan
/// was taken back, or somebody else has done it.
#[must_use = "false means that nothing was erased"]
pub async fn erase(conn: &mut Connection, user: &UserId, now: Timestamp) -> QueryResult<bool> {
    let due = deletions::table.find(user).filter(deletions::due_at.le(now));
    let taken = on_backend!(conn, |conn| diesel::delete(due).execute(conn).await)?;
    if taken == 0 {
        return Ok(false);
    }
    let shut = users::table.find(user).filter(users::disabled_at.is_not_null());
    on_backend!(conn, |conn| diesel::delete(shut).execute(conn).await).map(|rows| rows == 1)
}
