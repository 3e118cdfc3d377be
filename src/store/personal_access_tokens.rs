//! Personal access tokens. Only digests are kept.

use diesel::QueryResult;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::{Connection, schema::personal_access_tokens as tokens};
use crate::{
    foundation::{
        clock::{Span, Timestamp},
        digest::TokenDigest,
        ids::{ClientId, PersonalAccessTokenId, UpstreamSlug, UserId},
        text_list::TextList,
    },
    protocol::acr::Level,
};

/// A row of `personal_access_tokens`.
#[derive(Clone, Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = tokens, check_for_backend(diesel::pg::Pg, diesel::sqlite::Sqlite))]
#[diesel(treat_none_as_default_value = false)]
pub struct PersonalAccessToken {
    /// Its name in lists and events.
    pub id: PersonalAccessTokenId,
    /// The digest of the secret.
    pub digest: TokenDigest,
    /// For whom it speaks.
    pub user_id: UserId,
    /// What its owner calls it.
    pub name: String,
    /// How far it reaches at the most.
    pub scope: String,
    /// The upstream by which its owner had come; none for an account of our own.
    pub upstream: Option<UpstreamSlug>,
    /// At which level they had proved who they are.
    pub acr: Option<Level>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it dies; none if it was made to last.
    pub expires_at: Option<Timestamp>,
    /// When it was last used, to the minute.
    pub last_used_at: Option<Timestamp>,
    /// The app that was shown it then; none if that was ourselves.
    pub last_client: Option<ClientId>,
    /// From where it was used.
    pub last_address: Option<String>,
    /// With which program.
    pub last_user_agent: Option<String>,
    /// The networks that it is known from, the newest last.
    pub networks: TextList,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
}

/// A use of a token, as its row keeps it.
#[derive(Debug, AsChangeset)]
#[diesel(table_name = tokens)]
#[diesel(treat_none_as_null = true)]
pub struct Use {
    /// When.
    pub last_used_at: Timestamp,
    /// Which app was shown it.
    pub last_client: Option<ClientId>,
    /// From where.
    pub last_address: Option<String>,
    /// With which program.
    pub last_user_agent: Option<String>,
    /// The networks that it is known from by now.
    pub networks: TextList,
}

/// Inserts a token; `false` if its owner has a living one of the same name.
#[must_use = "false means that the name is taken"]
pub async fn insert(conn: &mut Connection, token: &PersonalAccessToken) -> QueryResult<bool> {
    on_backend!(conn, |conn| diesel::insert_into(tokens::table)
        .values(token)
        .on_conflict_do_nothing()
        .execute(conn)
        .await)
    .map(|rows| rows == 1)
}

/// The token with this secret, dead ones too.
pub async fn find_by_digest(
    conn: &mut Connection,
    digest: &TokenDigest,
) -> QueryResult<Option<PersonalAccessToken>> {
    on_backend!(conn, |conn| tokens::table
        .filter(tokens::digest.eq(digest))
        .select(PersonalAccessToken::as_select())
        .first(conn)
        .await
        .optional())
}

/// The token with this id, dead ones too.
pub async fn find(
    conn: &mut Connection,
    id: &PersonalAccessTokenId,
) -> QueryResult<Option<PersonalAccessToken>> {
    on_backend!(conn, |conn| tokens::table
        .find(id)
        .select(PersonalAccessToken::as_select())
        .first(conn)
        .await
        .optional())
}

/// The tokens of an account that were not revoked, the newest first.
pub async fn list_of_user(
    conn: &mut Connection,
    user: &UserId,
) -> QueryResult<Vec<PersonalAccessToken>> {
    on_backend!(conn, |conn| tokens::table
        .filter(tokens::user_id.eq(user).and(tokens::revoked_at.is_null()))
        .order((tokens::created_at.desc(), tokens::id.desc()))
        .select(PersonalAccessToken::as_select())
        .load(conn)
        .await)
}

/// Notes a use of a token as it was read. `false` if another use was noted meanwhile, or within the
/// last `rest` from a network that was known already.
#[must_use = "false means that nothing was noted"]
pub async fn note_use(
    conn: &mut Connection,
    token: &PersonalAccessToken,
    used: &Use,
    rest: Span,
) -> QueryResult<bool> {
    let as_read = tokens::table.find(&token.id).filter(tokens::networks.eq(&token.networks));
    // What is new is noted at once.
    let is_new = token.networks != used.networks;
    let before = if is_new { Timestamp::NEVER } else { used.last_used_at.minus(rest) };
    let due = as_read.filter(tokens::last_used_at.is_null().or(tokens::last_used_at.le(before)));
    on_backend!(conn, |conn| diesel::update(due).set(used).execute(conn).await)
        .map(|rows| rows == 1)
}

/// Revokes a token of this account; `false` if it was revoked, or is somebody else's.
#[must_use = "false means that nothing was revoked"]
pub async fn revoke(
    conn: &mut Connection,
    id: &PersonalAccessTokenId,
    user: &UserId,
    now: Timestamp,
) -> QueryResult<bool> {
    let own =
        tokens::table.find(id).filter(tokens::user_id.eq(user).and(tokens::revoked_at.is_null()));
    on_backend!(conn, |conn| diesel::update(own)
        .set(tokens::revoked_at.eq(now))
        .execute(conn)
        .await)
    .map(|rows| rows == 1)
}

/// Revokes every token of an account.
pub async fn revoke_of_user(
    conn: &mut Connection,
    user: &UserId,
    now: Timestamp,
) -> QueryResult<usize> {
    let living = tokens::table.filter(tokens::user_id.eq(user).and(tokens::revoked_at.is_null()));
    on_backend!(conn, |conn| diesel::update(living)
        .set(tokens::revoked_at.eq(now))
        .execute(conn)
        .await)
}

/// Revokes the tokens that an account has made while it was signed in through an upstream.
pub async fn revoke_of_upstream(
    conn: &mut Connection,
    (user, upstream): (&UserId, &UpstreamSlug),
    now: Timestamp,
) -> QueryResult<usize> {
    let living = tokens::table
        .filter(tokens::user_id.eq(user).and(tokens::upstream.eq(upstream)))
        .filter(tokens::revoked_at.is_null());
    on_backend!(conn, |conn| diesel::update(living)
        .set(tokens::revoked_at.eq(now))
        .execute(conn)
        .await)
}
