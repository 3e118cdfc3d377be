//! Leases: what keeps the word of an upstream about a session fresh. When it was last given stands
//! in the session's own row.

use diesel::QueryResult;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::{
    Connection,
    schema::{leases, sessions},
    sessions::Session,
};
use crate::foundation::{
    clock::Timestamp,
    ids::{SessionId, UpstreamSlug},
};

/// A row of `leases`.
#[derive(Clone, Debug, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = leases, check_for_backend(diesel::pg::Pg, diesel::sqlite::Sqlite))]
#[diesel(treat_none_as_default_value = false)]
#[diesel(treat_none_as_null = true)]
pub struct Lease {
    /// The session.
    pub session_id: SessionId,
    /// The upstream.
    pub upstream: UpstreamSlug,
    /// The upstream's tokens, sealed.
    pub sealed: Vec<u8>,
    /// How the person was last confirmed.
    pub confirmed_by: String,
    /// When the next look is due.
    pub due_at: Timestamp,
    /// Until when somebody is looking.
    pub claimed_until: Option<Timestamp>,
}

/// Keeps a lease in place of the one before; whoever was looking is done.
pub async fn put(conn: &mut Connection, lease: &Lease) -> QueryResult<usize> {
    on_backend!(conn, |conn| diesel::insert_into(leases::table)
        .values(lease)
        .on_conflict(leases::session_id)
        .do_update()
        .set(lease)
        .execute(conn)
        .await)
}

/// The lease of a session.
pub async fn find(conn: &mut Connection, session: &SessionId) -> QueryResult<Option<Lease>> {
    on_backend!(conn, |conn| leases::table
        .find(session)
        .select(Lease::as_select())
        .first(conn)
        .await
        .optional())
}

/// Takes the right to ask the upstream until `until`; `false` if somebody else is asking. Refresh
/// tokens that rotate must never be used twice.
#[must_use = "false means that somebody else is asking"]
pub async fn claim(
    conn: &mut Connection,
    session: &SessionId,
    now: Timestamp,
    until: Timestamp,
) -> QueryResult<bool> {
    let free = leases::table
        .find(session)
        .filter(leases::claimed_until.is_null().or(leases::claimed_until.le(now)));
    on_backend!(conn, |conn| diesel::update(free)
        .set(leases::claimed_until.eq(Some(until)))
        .execute(conn)
        .await)
    .map(|rows| rows == 1)
}

/// Gives the right back, and says when to look again.
pub async fn release(
    conn: &mut Connection,
    session: &SessionId,
    due_at: Timestamp,
) -> QueryResult<usize> {
    on_backend!(conn, |conn| diesel::update(leases::table.find(session))
        .set((leases::claimed_until.eq(None::<Timestamp>), leases::due_at.eq(due_at)))
        .execute(conn)
        .await)
}

/// Says when to look again at a lease that is due, unless somebody else has said so meanwhile.
pub async fn put_off(
    conn: &mut Connection,
    session: &SessionId,
    now: Timestamp,
    due_at: Timestamp,
) -> QueryResult<usize> {
    let due = leases::table.find(session).filter(leases::due_at.le(now));
    on_backend!(conn, |conn| diesel::update(due).set(leases::due_at.eq(due_at)).execute(conn).await)
}

/// Forgets what was kept: the session has ended for good.
pub async fn delete(conn: &mut Connection, session: &SessionId) -> QueryResult<usize> {
    on_backend!(conn, |conn| diesel::delete(leases::table.find(session)).execute(conn).await)
}

/// Live sessions of an upstream whose lease is due for a look, the oldest first.
pub async fn list_due(
    conn: &mut Connection,
    upstream: &UpstreamSlug,
    now: Timestamp,
    limit: i64,
) -> QueryResult<Vec<Session>> {
    on_backend!(conn, |conn| leases::table
        .inner_join(sessions::table)
        .filter(leases::upstream.eq(upstream).and(leases::due_at.le(now)))
        .filter(sessions::ended_at.is_null().and(sessions::expires_at.gt(now)))
        .order(leases::due_at)
        .limit(limit)
        .select(Session::as_select())
        .load(conn)
        .await)
}
