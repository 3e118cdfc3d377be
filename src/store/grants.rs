//! Grants: one authorization of one client by one person, the family of all tokens from one code.

use diesel::QueryResult;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Binary, Nullable, Text};
use diesel_async::RunQueryDsl;

use super::{
    Connection,
    schema::{grants, identities, revoked_access_tokens, sessions, users},
    users::{Person, User, fold_person},
};
use crate::{
    foundation::{
        clock::Timestamp,
        digest::TokenDigest,
        ids::{ClientId, GrantId, SessionId, TraceId, UpstreamSlug, UserId},
        text_list::TextList,
    },
    protocol::acr::Level,
};

text_enum! {
    /// Why a family died.
    RevokedBecause {
        /// Its code was redeemed a second time (RFC 6749 §4.1.2).
        CodeReplayed = "code_replay",
        /// A used refresh token came again (RFC 9700 §4.14.2).
        RefreshReused = "refresh_reuse",
        /// The client gave it back (RFC 7009).
        RevokedByClient = "revoked_by_client",
        /// The person signed out.
        SignedOut = "signed_out",
        /// The account was shut.
        UserDisabled = "user_disabled",
        /// A rule no longer lets the person in.
        NoLongerAllowed = "no_longer_allowed",
        /// The password was replaced.
        PasswordChanged = "password_changed",
        /// Somebody else signed in at the same browser, or the same person another way.
        Replaced = "replaced",
        /// The upstream said that the session is over.
        UpstreamLogout = "upstream_logout",
        /// The upstream no longer confirms the person.
        LeaseLost = "lease_lost",
        /// The person's second factors were taken away.
        FactorsReset = "factors_reset",
        /// The person deleted their account.
        AccountDeleted = "account_deleted",
        /// The address of the account was given back to whoever had it before.
        AddressRestored = "address_restored",
        /// The person took the upstream's way into the account away.
        Unlinked = "unlinked",
        /// The person took the app's access away.
        Disconnected = "disconnected",
        /// The person had more sessions than one may have, and this was the oldest.
        TooManySessions = "too_many_sessions",
        /// The database was restored from a backup.
        Restored = "restored",
    }
}

impl RevokedBecause {
    /// Whether personal access tokens end with it as well.
    pub const fn ends_what_programs_have(self) -> bool {
        matches!(self, Self::UserDisabled | Self::AccountDeleted | Self::AddressRestored)
    }
}

/// A row of `grants`.
#[derive(Clone, Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = grants, check_for_backend(diesel::pg::Pg, diesel::sqlite::Sqlite))]
#[diesel(treat_none_as_default_value = false)]
pub struct Grant {
    /// Its id.
    pub id: GrantId,
    /// Who granted it.
    pub user_id: UserId,
    /// To which client.
    pub client_id: ClientId,
    /// In which browser session.
    pub session_id: SessionId,
    /// The digest of the code: unique, so that a code is redeemed once.
    pub code_digest: TokenDigest,
    /// The challenge of the code, to tell a true replay from a guess.
    pub code_challenge: Option<String>,
    /// The redirect URI of the code.
    pub redirect_uri: String,
    /// What was granted.
    pub scope: String,
    /// When the person had proved who they are.
    pub auth_time: Timestamp,
    /// How.
    pub amr: TextList,
    /// At which level.
    pub acr: Option<Level>,
    /// When the code was redeemed.
    pub created_at: Timestamp,
    /// When the family ends, used or not.
    pub expires_at: Timestamp,
    /// When the family was ended before its time.
    pub revoked_at: Option<Timestamp>,
    /// Why.
    pub revoked_because: Option<RevokedBecause>,
    /// The story of the sign-in.
    pub trace_id: TraceId,
    /// The upstream by which the person had come; none for an account of our own.
    pub upstream: Option<UpstreamSlug>,
    /// The thumbprint of the key without which its refresh tokens are worth nothing.
    pub dpop_jkt: Option<String>,
}

/// What an insert writes, in the order of its row.
type Columns = (
    grants::id,
    grants::user_id,
    grants::client_id,
    grants::session_id,
    grants::code_digest,
    grants::code_challenge,
    grants::redirect_uri,
    grants::scope,
    grants::auth_time,
    grants::amr,
    grants::acr,
    grants::created_at,
    grants::expires_at,
    grants::trace_id,
    grants::upstream,
    grants::dpop_jkt,
);
const COLUMNS: Columns = (
    grants::id,
    grants::user_id,
    grants::client_id,
    grants::session_id,
    grants::code_digest,
    grants::code_challenge,
    grants::redirect_uri,
    grants::scope,
    grants::auth_time,
    grants::amr,
    grants::acr,
    grants::created_at,
    grants::expires_at,
    grants::trace_id,
    grants::upstream,
    grants::dpop_jkt,
);

/// Inserts a grant; `false` if its code was redeemed already, or its session has ended.
///
/// PostgreSQL holds the session's row meanwhile: what begins in a session cannot slip past its end.
#[must_use = "false means that nothing was inserted"]
pub async fn insert(conn: &mut Connection, grant: &Grant) -> QueryResult<bool> {
    let live = sessions::table.find(&grant.session_id).filter(sessions::ended_at.is_null());
    let row = live.select((
        (&grant.id).into_sql::<Text>(),
        (&grant.user_id).into_sql::<Text>(),
        (&grant.client_id).into_sql::<Text>(),
        sessions::id,
        (&grant.code_digest).into_sql::<Binary>(),
        (&grant.code_challenge).into_sql::<Nullable<Text>>(),
        (&grant.redirect_uri).into_sql::<Text>(),
        (&grant.scope).into_sql::<Text>(),
        grant.auth_time.into_sql::<BigInt>(),
        (&grant.amr).into_sql::<Text>(),
        grant.acr.into_sql::<Nullable<Text>>(),
        grant.created_at.into_sql::<BigInt>(),
        grant.expires_at.into_sql::<BigInt>(),
        (&grant.trace_id).into_sql::<Text>(),
        (&grant.upstream).into_sql::<Nullable<Text>>(),
        (&grant.dpop_jkt).into_sql::<Nullable<Text>>(),
    ));
    on_backend!(
        conn,
        postgres
            | conn
            | row
                .for_share()
                .insert_into(grants::table)
                .into_columns(COLUMNS)
                .on_conflict(grants::code_digest)
                .do_nothing()
                .execute(conn)
                .await,
        sqlite
            | conn
            | row
                .insert_into(grants::table)
                .into_columns(COLUMNS)
                .on_conflict(grants::code_digest)
                .do_nothing()
                .execute(conn)
                .await
    )
    .map(|rows| rows == 1)
}

/// The grant that came from this code.
pub async fn find_by_code(conn: &mut Connection, code: &TokenDigest) -> QueryResult<Option<Grant>> {
    on_backend!(conn, |conn| grants::table
        .filter(grants::code_digest.eq(code))
        .select(Grant::as_select())
        .first(conn)
        .await
        .optional())
}

/// The grants of one story.
pub async fn list_of_trace(conn: &mut Connection, trace: &TraceId) -> QueryResult<Vec<Grant>> {
    on_backend!(conn, |conn| grants::table
        .filter(grants::trace_id.eq(trace))
        .select(Grant::as_select())
        .load(conn)
        .await)
}

/// Whether one access token was revoked by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenStanding {
    /// It was not.
    Good,
    /// It was (RFC 7009 §2.1).
    Revoked,
}

/// The grant, its person, and the standing of one of its access tokens: all that a bearer token
/// depends on, in one query.
pub async fn find_standing(
    conn: &mut Connection,
    id: &GrantId,
    jti: &str,
) -> QueryResult<Option<(Grant, Person, TokenStanding)>> {
    type Row = (Grant, User, Option<TextList>, Option<String>);
    let rows: Vec<Row> = on_backend!(conn, |conn| grants::table
        .inner_join(users::table.left_join(identities::table))
        .left_join(revoked_access_tokens::table.on(revoked_access_tokens::jti.eq(jti)))
        .filter(grants::id.eq(id))
        .select((
            Grant::as_select(),
            User::as_select(),
            identities::groups.nullable(),
            revoked_access_tokens::jti.nullable(),
        ))
        .load(conn)
        .await)?;
    let Some((grant, revoked)) =
        rows.as_slice().first().map(|row| (row.0.clone(), row.3.is_some()))
    else {
        return Ok(None);
    };
    let standing = if revoked { TokenStanding::Revoked } else { TokenStanding::Good };
    let rows = rows.into_iter().map(|row| (row.1, row.2)).collect();
    let person = fold_person(rows, conn.meanings());
    Ok(person.map(|person| (grant, person, standing)))
}

/// Ends a family; `false` if it had ended.
pub async fn revoke(
    conn: &mut Connection,
    id: &GrantId,
    because: RevokedBecause,
    now: Timestamp,
) -> QueryResult<bool> {
    on_backend!(conn, |conn| diesel::update(
        grants::table.find(id).filter(grants::revoked_at.is_null())
    )
    .set((grants::revoked_at.eq(now), grants::revoked_because.eq(because)))
    .execute(conn)
    .await)
    .map(|rows| rows == 1)
}

/// Ends the families of a session, except those of clients that may keep theirs.
pub async fn revoke_of_session(
    conn: &mut Connection,
    session: &SessionId,
    except: &[ClientId],
    because: RevokedBecause,
    now: Timestamp,
) -> QueryResult<usize> {
    let living = grants::table
        .filter(grants::session_id.eq(session).and(grants::revoked_at.is_null()))
        // A family without a code has nothing but this session: for it, there is no signing out of one
        // and staying in the other.
        .filter(grants::client_id.ne_all(except).or(grants::redirect_uri.eq("")));
    on_backend!(conn, |conn| diesel::update(living)
        .set((grants::revoked_at.eq(now), grants::revoked_because.eq(because)))
        .execute(conn)
        .await)
}

/// Ends every family of an account.
pub async fn revoke_of_user(
    conn: &mut Connection,
    user: &UserId,
    because: RevokedBecause,
    now: Timestamp,
) -> QueryResult<usize> {
    let living = grants::table.filter(grants::user_id.eq(user).and(grants::revoked_at.is_null()));
    on_backend!(conn, |conn| diesel::update(living)
        .set((grants::revoked_at.eq(now), grants::revoked_because.eq(because)))
        .execute(conn)
        .await)
}

/// The living families of an account, the newest first.
pub async fn list_live_of_user(
    conn: &mut Connection,
    user: &UserId,
    now: Timestamp,
) -> QueryResult<Vec<Grant>> {
    on_backend!(conn, |conn| grants::table
        .filter(grants::user_id.eq(user).and(grants::revoked_at.is_null()))
        .filter(grants::expires_at.gt(now))
        .order((grants::created_at.desc(), grants::id.desc()))
        .select(Grant::as_select())
        .load(conn)
        .await)
}

/// Ends the living families of an account at one client, and answers how many there were.
pub async fn revoke_of_client(
    conn: &mut Connection,
    (user, client): (&UserId, &ClientId),
    because: RevokedBecause,
    now: Timestamp,
) -> QueryResult<usize> {
    let living = grants::table
        .filter(grants::user_id.eq(user).and(grants::client_id.eq(client)))
        .filter(grants::revoked_at.is_null().and(grants::expires_at.gt(now)));
    on_backend!(conn, |conn| diesel::update(living)
        .set((grants::revoked_at.eq(now), grants::revoked_because.eq(because)))
        .execute(conn)
        .await)
}
