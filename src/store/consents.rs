//! Consents: what people have agreed that an app may know and do.

use diesel::QueryResult;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::{Connection, schema::consents};
use crate::foundation::{
    clock::Timestamp,
    ids::{ClientId, UserId},
};

/// A row of `consents`.
#[derive(Clone, Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = consents, check_for_backend(diesel::pg::Pg, diesel::sqlite::Sqlite))]
pub struct Consent {
    /// Who has agreed.
    pub user_id: UserId,
    /// To which client.
    pub client_id: ClientId,
    /// To what.
    pub scope: String,
    /// When for the first time.
    pub given_at: Timestamp,
    /// When for the last.
    pub updated_at: Timestamp,
}

/// Keeps what somebody agrees to, instead of what they had agreed to before.
pub async fn replace(conn: &mut Connection, consent: &Consent) -> QueryResult<usize> {
    on_backend!(conn, |conn| diesel::insert_into(consents::table)
        .values(consent)
        .on_conflict((consents::user_id, consents::client_id))
        .do_update()
        .set((consents::scope.eq(&consent.scope), consents::updated_at.eq(consent.updated_at)))
        .execute(conn)
        .await)
}

/// What somebody has agreed to with this client.
pub async fn find(
    conn: &mut Connection,
    user: &UserId,
    client: &ClientId,
) -> QueryResult<Option<Consent>> {
    on_backend!(conn, |conn| consents::table
        .find((user, client))
        .select(Consent::as_select())
        .first(conn)
        .await
        .optional())
}

/// What somebody has agreed to.
pub async fn list_of_user(conn: &mut Connection, user: &UserId) -> QueryResult<Vec<Consent>> {
    on_backend!(conn, |conn| consents::table
        .filter(consents::user_id.eq(user))
        .order(consents::client_id)
        .select(Consent::as_select())
        .load(conn)
        .await)
}

/// Takes a consent back; `false` if there was none.
#[must_use = "false means that there was none"]
pub async fn delete(conn: &mut Connection, user: &UserId, client: &ClientId) -> QueryResult<bool> {
    on_backend!(conn, |conn| diesel::delete(consents::table.find((user, client)))
        .execute(conn)
        .await)
    .map(|rows| rows == 1)
}
