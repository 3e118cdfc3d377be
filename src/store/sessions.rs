//! Browser sessions.

use std::sync::Arc;

use diesel::QueryResult;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::{
    Connection,
    audit_events::AuditEvent,
    groups::Meanings,
    schema::{audit_events, identities, sessions, users},
    users::{Person, User, fold_person},
};
use crate::{
    foundation::{
        clock::Timestamp,
        digest::TokenDigest,
        ids::{SessionId, UpstreamSlug, UserId},
        text_list::TextList,
    },
    protocol::acr::Level,
};

/// A row of `sessions`.
#[derive(Clone, Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = sessions, check_for_backend(diesel::pg::Pg, diesel::sqlite::Sqlite))]
#[diesel(treat_none_as_default_value = false)]
pub struct Session {
    /// Its name in lists and in `sid`.
    pub id: SessionId,
    /// The digest of the cookie's secret.
    pub digest: TokenDigest,
    /// Whose it is.
    pub user_id: UserId,
    /// The upstream that signed the person in; none for a local account.
    pub upstream: Option<UpstreamSlug>,
    /// The upstream's own `sid`.
    pub upstream_sid: Option<String>,
    /// When the person last proved who they are (OIDC Core §2).
    pub auth_time: Timestamp,
    /// How (RFC 8176).
    pub amr: TextList,
    /// At which level.
    pub acr: Option<Level>,
    /// When it began.
    pub created_at: Timestamp,
    /// When it was last used.
    pub last_seen_at: Timestamp,
    /// When the upstream last confirmed the person.
    pub confirmed_at: Timestamp,
    /// When it ends, used or not.
    pub expires_at: Timestamp,
    /// When it was ended before its time.
    pub ended_at: Option<Timestamp>,
    /// From where it began.
    pub address: String,
    /// With which browser it began.
    pub user_agent: String,
}

/// How many sessions one account may have.
#[derive(Clone, Copy, Debug)]
pub struct Room {
    /// So many.
    pub most: u32,
    /// Those that were not used since then do not count.
    pub used_since: Timestamp,
}

/// So many of those that are too many are named at once.
const NAMED_AT_ONCE: i64 = 100;

/// Begins a session, and keeps the event that tells of it. Answers the account's live sessions that
/// are too many now, the newest of them first.
pub async fn insert(
    conn: &mut Connection,
    session: &Session,
    event: &AuditEvent,
    room: Room,
) -> QueryResult<Vec<Session>> {
    let insert_session = diesel::insert_into(sessions::table).values(session);
    let insert_event = diesel::insert_into(audit_events::table).values(event);
    // Whether or not it is there already, the new one is among those that stay.
    let others = sessions::table
        .filter(sessions::user_id.eq(&session.user_id).and(sessions::id.ne(&session.id)))
        .filter(sessions::ended_at.is_null().and(sessions::expires_at.gt(session.last_seen_at)))
        .filter(sessions::last_seen_at.gt(room.used_since))
        .order((sessions::created_at.desc(), sessions::id.desc()))
        .offset(i64::from(room.most) - 1)
        .limit(NAMED_AT_ONCE);
    on_backend!(
        conn,
        postgres | conn | {
            // None needs another's answer: all travel together.
            let (mut one, mut other, mut third) = (*conn, *conn, *conn);
            let beyond = others.select(Session::as_select()).load(&mut third);
            let both = (insert_session.execute(&mut one), insert_event.execute(&mut other));
            futures_util::try_join!(both.0, both.1, beyond).map(|(_, _, beyond)| beyond)
        },
        sqlite | conn | {
            insert_session.execute(conn).await?;
            insert_event.execute(conn).await?;
            others.select(Session::as_select()).load(conn).await
        }
    )
}

/// The session with this secret, with its person; ended and expired ones too.
pub async fn find_by_digest(
    conn: &mut Connection,
    digest: &TokenDigest,
) -> QueryResult<Option<(Session, Person)>> {
    let rows: Vec<(Session, User, Option<TextList>)> = on_backend!(conn, |conn| sessions::table
        .inner_join(users::table.left_join(identities::table))
        .filter(sessions::digest.eq(digest))
        .select((Session::as_select(), User::as_select(), identities::groups.nullable()))
        .load(conn)
        .await)?;
    Ok(fold(rows, conn.meanings()))
}

/// The session with this id, with its person; ended and expired ones too.
pub async fn find(conn: &mut Connection, id: &SessionId) -> QueryResult<Option<(Session, Person)>> {
    let rows: Vec<(Session, User, Option<TextList>)> = on_backend!(conn, |conn| sessions::table
        .inner_join(users::table.left_join(identities::table))
        .filter(sessions::id.eq(id))
        .select((Session::as_select(), User::as_select(), identities::groups.nullable()))
        .load(conn)
        .await)?;
    Ok(fold(rows, conn.meanings()))
}

fn fold(
    rows: Vec<(Session, User, Option<TextList>)>,
    meanings: Arc<Meanings>,
) -> Option<(Session, Person)> {
    let session = rows.as_slice().first().map(|(session, ..)| session.clone())?;
    let person = rows.into_iter().map(|(_, user, groups)| (user, groups)).collect();
    fold_person(person, meanings).map(|person| (session, person))
}

/// The live sessions of an account, the newest first.
pub async fn list_live_of_user(
    conn: &mut Connection,
    user: &UserId,
    used_since: Timestamp,
    now: Timestamp,
) -> QueryResult<Vec<Session>> {
    on_backend!(conn, |conn| sessions::table
        .filter(sessions::user_id.eq(user))
        .filter(sessions::ended_at.is_null().and(sessions::expires_at.gt(now)))
        .filter(sessions::last_seen_at.gt(used_since))
        .order(sessions::created_at.desc())
        .limit(100)
        .select(Session::as_select())
        .load(conn)
        .await)
}

/// The sessions of an account that were not ended, also those that were not used for long.
pub async fn list_open_of_user(conn: &mut Connection, user: &UserId) -> QueryResult<Vec<Session>> {
    on_backend!(conn, |conn| sessions::table
        .filter(sessions::user_id.eq(user).and(sessions::ended_at.is_null()))
        .order((sessions::created_at.desc(), sessions::id.desc()))
        .select(Session::as_select())
        .load(conn)
        .await)
}

/// All sessions of an account that are still kept, the newest first.
pub async fn list_of_user(conn: &mut Connection, user: &UserId) -> QueryResult<Vec<Session>> {
    on_backend!(conn, |conn| sessions::table
        .filter(sessions::user_id.eq(user))
        .order((sessions::created_at.desc(), sessions::id.desc()))
        .select(Session::as_select())
        .load(conn)
        .await)
}

/// The live sessions that this session of an upstream has led to.
pub async fn list_live_of_upstream_session(
    conn: &mut Connection,
    upstream: &UpstreamSlug,
    upstream_sid: &str,
    user: Option<&UserId>,
) -> QueryResult<Vec<Session>> {
    let found: Vec<Session> = on_backend!(conn, |conn| sessions::table
        .filter(sessions::upstream.eq(upstream).and(sessions::upstream_sid.eq(upstream_sid)))
        .filter(sessions::ended_at.is_null())
        .select(Session::as_select())
        .load(conn)
        .await)?;
    Ok(found.into_iter().filter(|row| user.is_none_or(|user| row.user_id == *user)).collect())
}

/// The sessions that an account has ever begun through an upstream, those that have ended too: some
/// tokens outlive them.
pub async fn list_of_upstream(
    conn: &mut Connection,
    user: &UserId,
    upstream: &UpstreamSlug,
) -> QueryResult<Vec<Session>> {
    on_backend!(conn, |conn| sessions::table
        .filter(sessions::user_id.eq(user).and(sessions::upstream.eq(upstream)))
        .select(Session::as_select())
        .load(conn)
        .await)
}

/// Notes that the session is in use.
pub async fn touch(conn: &mut Connection, id: &SessionId, now: Timestamp) -> QueryResult<usize> {
    on_backend!(conn, |conn| diesel::update(sessions::table.find(id))
        .set(sessions::last_seen_at.eq(now))
        .execute(conn)
        .await)
}

/// Notes that the upstream has confirmed the person again.
pub async fn confirm(conn: &mut Connection, id: &SessionId, now: Timestamp) -> QueryResult<usize> {
    let older = sessions::table.find(id).filter(sessions::confirmed_at.lt(now));
    on_backend!(conn, |conn| diesel::update(older)
        .set(sessions::confirmed_at.eq(now))
        .execute(conn)
        .await)
}

/// Notes that the upstream has confirmed the person again, and when they proved who they are there.
pub async fn confirm_again(
    conn: &mut Connection,
    id: &SessionId,
    auth_time: Timestamp,
    now: Timestamp,
) -> QueryResult<usize> {
    on_backend!(conn, |conn| diesel::update(sessions::table.find(id))
        .set((sessions::confirmed_at.eq(now), sessions::auth_time.eq(auth_time)))
        .execute(conn)
        .await)
}

/// The session with this id, which stays as it is until the transaction ends.
pub async fn hold(conn: &mut Connection, id: &SessionId) -> QueryResult<Option<Session>> {
    let session = sessions::table.find(id);
    on_backend!(
        conn,
        postgres
            | conn
            | session.select(Session::as_select()).for_update().first(conn).await.optional(),
        sqlite | conn | session.select(Session::as_select()).first(conn).await.optional()
    )
}

/// Ends a session of this account; `false` if it had ended or is somebody else's.
#[must_use = "false means that nothing ended"]
pub async fn end(
    conn: &mut Connection,
    id: &SessionId,
    user: &UserId,
    now: Timestamp,
) -> QueryResult<bool> {
    let live = sessions::table
        .find(id)
        .filter(sessions::user_id.eq(user).and(sessions::ended_at.is_null()));
    on_backend!(conn, |conn| diesel::update(live)
        .set(sessions::ended_at.eq(now))
        .execute(conn)
        .await)
    .map(|rows| rows == 1)
}

/// Ends every session of an account, and answers which these were.
pub async fn end_all_of_user(
    conn: &mut Connection,
    user: &UserId,
    keep: Option<&SessionId>,
    now: Timestamp,
) -> QueryResult<Vec<SessionId>> {
    let live = sessions::table.filter(sessions::user_id.eq(user).and(sessions::ended_at.is_null()));
    // No session has an empty name.
    let keep = keep.map_or("", SessionId::as_str);
    on_backend!(conn, |conn| diesel::update(live.filter(sessions::id.ne(keep)))
        .set(sessions::ended_at.eq(now))
        .returning(sessions::id)
        .get_results(conn)
        .await)
}

/// Gives a live session a new secret and proof; `false` if it has ended meanwhile.
#[must_use = "false means that the session has ended"]
pub async fn renew(conn: &mut Connection, session: &Session) -> QueryResult<bool> {
    let live = sessions::table.find(&session.id).filter(sessions::ended_at.is_null());
    on_backend!(conn, |conn| diesel::update(live)
        .set((
            sessions::digest.eq(&session.digest),
            sessions::upstream.eq(&session.upstream),
            sessions::upstream_sid.eq(&session.upstream_sid),
            sessions::auth_time.eq(session.auth_time),
            sessions::amr.eq(&session.amr),
            sessions::acr.eq(&session.acr),
            sessions::last_seen_at.eq(session.last_seen_at),
            sessions::confirmed_at.eq(session.confirmed_at),
            sessions::expires_at.eq(session.expires_at),
            sessions::address.eq(&session.address),
            sessions::user_agent.eq(&session.user_agent),
        ))
        .execute(conn)
        .await)
    .map(|rows| rows == 1)
}
