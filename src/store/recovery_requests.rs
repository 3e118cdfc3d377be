//! Who wants to get back into an account, until somebody has looked whether there is one.

use diesel::QueryResult;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::{Connection, schema::recovery_requests as requests};
use crate::foundation::{clock::Timestamp, ids::RecoveryId};

/// A row of `recovery_requests`.
#[derive(Clone, Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = requests, check_for_backend(diesel::pg::Pg, diesel::sqlite::Sqlite))]
pub struct RecoveryRequest {
    /// Its id.
    pub id: RecoveryId,
    /// The username or address that was typed.
    pub name: String,
    /// What the browser that asked knows it by.
    pub opened: String,
    /// From where it was asked.
    pub address: String,
    /// When.
    pub asked_at: Timestamp,
}

/// Keeps a wish.
pub async fn insert(conn: &mut Connection, request: &RecoveryRequest) -> QueryResult<usize> {
    on_backend!(conn, |conn| diesel::insert_into(requests::table)
        .values(request)
        .execute(conn)
        .await)
}

/// The oldest ones.
pub async fn list(conn: &mut Connection, limit: i64) -> QueryResult<Vec<RecoveryRequest>> {
    on_backend!(conn, |conn| requests::table
        .order(requests::id)
        .limit(limit)
        .select(RecoveryRequest::as_select())
        .load(conn)
        .await)
}

/// Takes one away; `false` if another instance has it.
#[must_use = "false means that somebody else answers it"]
pub async fn take(conn: &mut Connection, id: &RecoveryId) -> QueryResult<bool> {
    on_backend!(conn, |conn| diesel::delete(requests::table.find(id)).execute(conn).await)
        .map(|rows| rows == 1)
}
