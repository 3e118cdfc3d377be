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
    /// The upstream is not asked before this.
    pub not_before: Timestamp,
    /// Whether a question was sent and its answer never read: a refresh token may have been spent.
    pub uncertain: bool,
    /// Who is asking.
    pub claim: Option<String>,
    /// Until when.
    pub claimed_until: Option<Timestamp>,
}

/// Keeps a lease in place of the one before; whoever was asking comes too late.
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

/// The lease of a session, which stays as it is until the transaction ends.
pub async fn hold(conn: &mut Connection, session: &SessionId) -> QueryResult<Option<Lease>> {
    let lease = leases::table.find(session);
    on_backend!(
        conn,
        postgres
            | conn
            | lease.select(Lease::as_select()).for_update().first(conn).await.optional(),
        sqlite | conn | lease.select(Lease::as_select()).first(conn).await.optional()
    )
}

/// Takes the right to ask the upstream. Refresh tokens that rotate must never be used twice.
pub async fn claim(
    conn: &mut Connection,
    session: &SessionId,
    claim: &str,
    until: Timestamp,
    uncertain: bool,
) -> QueryResult<usize> {
    on_backend!(conn, |conn| diesel::update(leases::table.find(session))
        .set((
            leases::claim.eq(Some(claim)),
            leases::claimed_until.eq(Some(until)),
            leases::uncertain.eq(uncertain),
        ))
        .execute(conn)
        .await)
}

/// Gives the right back, if it still is this claim's.
pub async fn release(
    conn: &mut Connection,
    session: &SessionId,
    claim: &str,
    not_before: Timestamp,
    uncertain: bool,
) -> QueryResult<usize> {
    let own = leases::table.find(session).filter(leases::claim.eq(claim));
    on_backend!(conn, |conn| diesel::update(own)
        .set((
            leases::claim.eq(None::<String>),
            leases::claimed_until.eq(None::<Timestamp>),
            leases::not_before.eq(not_before),
            leases::uncertain.eq(uncertain),
        ))
        .execute(conn)
        .await)
}

/// Keeps what this claim has brought; `false` if the lease is another's by now.
#[must_use = "false means that somebody else has the lease"]
pub async fn renew(conn: &mut Connection, lease: &Lease, claim: &str) -> QueryResult<bool> {
    let own = leases::table.find(&lease.session_id).filter(leases::claim.eq(claim));
    on_backend!(conn, |conn| diesel::update(own).set(lease).execute(conn).await)
        .map(|rows| rows == 1)
}

/// Forgets what was kept: the session has ended for good.
pub async fn delete(conn: &mut Connection, session: &SessionId) -> QueryResult<usize> {
    on_backend!(conn, |conn| diesel::delete(leases::table.find(session)).execute(conn).await)
}

/// Live sessions through an upstream which it has not confirmed since `before`, the oldest first,
/// after the last one of the page before; without those that are left alone for now.
pub async fn list_stale(
    conn: &mut Connection,
    upstream: &UpstreamSlug,
    before: Timestamp,
    (after, last): (Timestamp, &SessionId),
    now: Timestamp,
    limit: i64,
) -> QueryResult<Vec<Session>> {
    let beyond = sessions::confirmed_at
        .gt(after)
        .or(sessions::confirmed_at.eq(after).and(sessions::id.gt(last)));
    let not_before = leases::not_before.nullable();
    on_backend!(conn, |conn| sessions::table
        .left_join(leases::table)
        .filter(sessions::upstream.eq(upstream).and(sessions::confirmed_at.le(before)))
        .filter(sessions::ended_at.is_null().and(sessions::expires_at.gt(now)))
        .filter(not_before.is_null().or(not_before.le(now)))
        .filter(beyond)
        .order((sessions::confirmed_at, sessions::id))
        .limit(limit)
        .select(Session::as_select())
        .load(conn)
        .await)
}
