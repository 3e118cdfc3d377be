//! Refresh tokens: the generations of each family. Only digests are kept.

use diesel::QueryResult;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::{
    Connection,
    grants::Grant,
    schema::{grants, identities, refresh_tokens, sessions, users},
    users::{Person, User, fold_person},
};
use crate::foundation::{
    clock::Timestamp,
    digest::TokenDigest,
    ids::{GrantId, UpstreamSlug, UserId},
    text_list::TextList,
};

/// A row of `refresh_tokens`.
#[derive(Clone, Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = refresh_tokens, check_for_backend(diesel::pg::Pg, diesel::sqlite::Sqlite))]
#[diesel(treat_none_as_default_value = false)]
pub struct RefreshToken {
    /// The digest of the token.
    pub digest: TokenDigest,
    /// Its family.
    pub grant_id: GrantId,
    /// The how-manieth of its family it is.
    pub generation: i64,
    /// When it was issued.
    pub issued_at: Timestamp,
    /// When it dies if it is not used.
    pub expires_at: Timestamp,
    /// When it was used.
    pub consumed_at: Option<Timestamp>,
}

/// Inserts a token; `false` if its generation exists already.
#[must_use = "false means that somebody else inserted the generation first"]
pub async fn insert(conn: &mut Connection, token: &RefreshToken) -> QueryResult<bool> {
    on_backend!(conn, |conn| diesel::insert_into(refresh_tokens::table)
        .values(token)
        .on_conflict_do_nothing()
        .execute(conn)
        .await)
    .map(|rows| rows == 1)
}

/// A token with everything that depends on it.
#[derive(Debug)]
pub struct Found {
    /// The token.
    pub token: RefreshToken,
    /// Its family.
    pub grant: Grant,
    /// Whose it is.
    pub person: Person,
    /// The upstream of the session that it began in.
    pub upstream: Option<UpstreamSlug>,
    /// When the upstream last confirmed the person.
    pub confirmed_at: Option<Timestamp>,
}

/// The token with its family and person, used and expired ones too.
pub async fn find(conn: &mut Connection, digest: &TokenDigest) -> QueryResult<Option<Found>> {
    type Confirmation = (Option<UpstreamSlug>, Option<Timestamp>);
    type Row = (RefreshToken, Grant, User, Option<TextList>, Confirmation);
    let rows: Vec<Row> = on_backend!(conn, |conn| refresh_tokens::table
        .inner_join(grants::table.inner_join(users::table.left_join(identities::table)))
        .left_join(sessions::table.on(sessions::id.eq(grants::session_id)))
        .filter(refresh_tokens::digest.eq(digest))
        .select((
            RefreshToken::as_select(),
            Grant::as_select(),
            User::as_select(),
            identities::groups.nullable(),
            (sessions::upstream.nullable(), sessions::confirmed_at.nullable()),
        ))
        .load(conn)
        .await)?;
    let first = rows.as_slice().first();
    let Some((token, grant, _, _, (upstream, confirmed_at))) = first.cloned() else {
        return Ok(None);
    };
    let rows = rows.into_iter().map(|row| (row.2, row.3)).collect();
    let person = fold_person(rows, conn.meanings());
    Ok(person.map(|person| Found { token, grant, person, upstream, confirmed_at }))
}

/// The token of one generation of a family.
pub async fn find_generation(
    conn: &mut Connection,
    grant: &GrantId,
    generation: i64,
) -> QueryResult<Option<RefreshToken>> {
    on_backend!(conn, |conn| refresh_tokens::table
        .filter(refresh_tokens::grant_id.eq(grant).and(refresh_tokens::generation.eq(generation)))
        .select(RefreshToken::as_select())
        .first(conn)
        .await
        .optional())
}

/// How many tokens the family of this one was given after a moment.
pub async fn issued_since(
    conn: &mut Connection,
    digest: &TokenDigest,
    since: Timestamp,
) -> QueryResult<i64> {
    let family = diesel::alias!(refresh_tokens as family);
    let (grant, issued_at) =
        (family.field(refresh_tokens::grant_id), family.field(refresh_tokens::issued_at));
    on_backend!(conn, |conn| refresh_tokens::table
        .inner_join(family.on(grant.eq(refresh_tokens::grant_id)))
        .filter(refresh_tokens::digest.eq(digest).and(issued_at.gt(since)))
        .count()
        .get_result(conn)
        .await)
}

/// When an account's living families were last given a token, by family.
pub async fn last_issued(
    conn: &mut Connection,
    user: &UserId,
    now: Timestamp,
) -> QueryResult<Vec<(GrantId, Option<Timestamp>)>> {
    on_backend!(conn, |conn| refresh_tokens::table
        .inner_join(grants::table)
        .filter(grants::user_id.eq(user).and(grants::revoked_at.is_null()))
        .filter(grants::expires_at.gt(now))
        .group_by(refresh_tokens::grant_id)
        .select((refresh_tokens::grant_id, diesel::dsl::max(refresh_tokens::issued_at)))
        .load(conn)
        .await)
}

/// Marks the token used; `false` if somebody else already did (RFC 9700 §4.14.2).
#[must_use = "false means that the token was used before"]
pub async fn consume(
    conn: &mut Connection,
    digest: &TokenDigest,
    now: Timestamp,
) -> QueryResult<bool> {
    let unused = refresh_tokens::table.find(digest).filter(refresh_tokens::consumed_at.is_null());
    on_backend!(conn, |conn| diesel::update(unused)
        .set(refresh_tokens::consumed_at.eq(now))
        .execute(conn)
        .await)
    .map(|rows| rows == 1)
}
