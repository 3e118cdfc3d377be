//! Accounts that wait for an administrator. Each of them is shut as well, so that whatever asks whether
//! an account is open need not know of them.

use diesel::QueryResult;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::{
    Connection,
    schema::{users, waiting_accounts},
};
use crate::foundation::{clock::Timestamp, ids::UserId};

/// A row of `waiting_accounts`.
#[derive(Clone, Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = waiting_accounts, check_for_backend(diesel::pg::Pg, diesel::sqlite::Sqlite))]
pub struct WaitingAccount {
    /// Whose account it is.
    pub user_id: UserId,
    /// Since when it waits.
    pub asked_at: Timestamp,
}

/// Keeps that an account waits.
pub async fn insert(conn: &mut Connection, waiting: &WaitingAccount) -> QueryResult<usize> {
    on_backend!(conn, |conn| diesel::insert_into(waiting_accounts::table)
        .values(waiting)
        .execute(conn)
        .await)
}

/// The account with this id, if it waits.
pub async fn find(conn: &mut Connection, user: &UserId) -> QueryResult<Option<WaitingAccount>> {
    on_backend!(conn, |conn| waiting_accounts::table
        .find(user)
        .select(WaitingAccount::as_select())
        .first(conn)
        .await
        .optional())
}

/// Those that wait, the oldest first.
pub async fn list(conn: &mut Connection) -> QueryResult<Vec<WaitingAccount>> {
    on_backend!(conn, |conn| waiting_accounts::table
        .order((waiting_accounts::asked_at, waiting_accounts::user_id))
        .select(WaitingAccount::as_select())
        .load(conn)
        .await)
}

/// Ends the wait; `false` if there was none.
#[must_use = "false means that the account did not wait"]
pub async fn take(conn: &mut Connection, user: &UserId) -> QueryResult<bool> {
    on_backend!(conn, |conn| diesel::delete(waiting_accounts::table.find(user)).execute(conn).await)
        .map(|rows| rows == 1)
}

/// Erases an account that waits, with everything that belongs to it; `false` if it does not wait.
#[must_use = "false means that nothing was erased"]
pub async fn erase(conn: &mut Connection, user: &UserId) -> QueryResult<bool> {
    if !take(conn, user).await? {
        return Ok(false);
    }
    let shut = users::table.find(user).filter(users::disabled_at.is_not_null());
    on_backend!(conn, |conn| diesel::delete(shut).execute(conn).await).map(|rows| rows == 1)
}
