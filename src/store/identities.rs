//! What ties an account to a subject at an upstream: always by issuer and subject.

use diesel::QueryResult;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::{
    Connection,
    schema::{identities, users},
    users::User,
};
use crate::foundation::{
    clock::Timestamp,
    ids::{IdentityId, UpstreamSlug, UserId},
    text_list::TextList,
};

text_enum! {
    /// What proved that an account and an identity are the same person's.
    LinkedBy {
        /// The account was made for the identity.
        SignUp = "sign_up",
        /// The person linked it while they were signed in to the account.
        OwnSession = "own_session",
        /// Both sides had verified the same address, and the administrator trusts the upstream so.
        VerifiedEmail = "verified_email",
        /// The person typed the code that was mailed to the account's verified address.
        MailedCode = "mailed_code",
    }
}

/// A row of `identities`.
#[derive(Clone, Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = identities, check_for_backend(diesel::pg::Pg, diesel::sqlite::Sqlite))]
pub struct Identity {
    /// Its id.
    pub id: IdentityId,
    /// Whose it is.
    pub user_id: UserId,
    /// Through which configured upstream it was last seen.
    pub upstream: UpstreamSlug,
    /// The upstream's issuer.
    pub issuer: String,
    /// The upstream's `sub`.
    pub subject: String,
    /// The groups that the upstream last asserted, as they are called here.
    pub groups: TextList,
    /// When it was first seen.
    pub created_at: Timestamp,
    /// When the upstream last confirmed the person.
    pub confirmed_at: Timestamp,
    /// What proved that it belongs to the account.
    pub linked_by: LinkedBy,
    /// When it came to the account.
    pub linked_at: Timestamp,
}

/// What an upstream says when it confirms a person.
#[derive(Debug, AsChangeset)]
#[diesel(table_name = identities)]
#[diesel(treat_none_as_null = true)]
pub struct Confirmation {
    /// Through which configured upstream.
    pub upstream: UpstreamSlug,
    /// With which groups, as they are called here.
    pub groups: TextList,
    /// With which claims, sealed; nothing if they are too many to be kept.
    pub claims: Option<Vec<u8>>,
    /// When.
    pub confirmed_at: Timestamp,
}

/// What is kept of the last sign-in of a person at an upstream.
#[derive(Debug, Queryable, Selectable)]
#[diesel(table_name = identities, check_for_backend(diesel::pg::Pg, diesel::sqlite::Sqlite))]
pub struct Recorded {
    /// The id of the identity.
    pub id: IdentityId,
    /// The upstream's issuer.
    pub issuer: String,
    /// The upstream's `sub`.
    pub subject: String,
    /// The claims, sealed.
    pub claims: Option<Vec<u8>>,
    /// When it was.
    pub confirmed_at: Timestamp,
}

/// The one identity that fits, with its account; PostgreSQL holds both rows until the transaction ends,
/// SQLite has the whole file.
macro_rules! held {
    ($conn:expr, $fits:expr) => {{
        let one = identities::table.inner_join(users::table).filter($fits);
        on_backend!(
            $conn,
            postgres | conn | {
                let one = one.select((Identity::as_select(), User::as_select()));
                one.for_no_key_update().first(conn).await.optional()
            },
            sqlite | conn | {
                let one = one.select((Identity::as_select(), User::as_select()));
                one.first(conn).await.optional()
            }
        )
    }};
}

/// The identity of a subject, with its account, which both stay as they are until the transaction
/// ends: whoever shuts the account meanwhile comes after it.
pub async fn find(
    conn: &mut Connection,
    issuer: &str,
    subject: &str,
) -> QueryResult<Option<(Identity, User)>> {
    held!(conn, identities::issuer.eq(issuer).and(identities::subject.eq(subject)))
}

/// An identity of this account, which both stay as they are until the transaction ends. Of two who
/// take ways in away from one account, one waits for the other.
pub async fn hold(
    conn: &mut Connection,
    id: &IdentityId,
    user: &UserId,
) -> QueryResult<Option<(Identity, User)>> {
    held!(conn, identities::id.eq(id).and(identities::user_id.eq(user)))
}

/// Forgets an identity.
pub async fn delete(conn: &mut Connection, id: &IdentityId) -> QueryResult<usize> {
    on_backend!(conn, |conn| diesel::delete(identities::table.find(id)).execute(conn).await)
}

/// The identities of an account.
pub async fn list_of_user(conn: &mut Connection, user: &UserId) -> QueryResult<Vec<Identity>> {
    on_backend!(conn, |conn| identities::table
        .filter(identities::user_id.eq(user))
        .order(identities::created_at)
        .select(Identity::as_select())
        .load(conn)
        .await)
}

/// Inserts an identity with the claims of its first sign-in, sealed; `false` if the subject is
/// known already.
#[must_use = "false means that somebody else inserted it first"]
pub async fn insert(
    conn: &mut Connection,
    identity: &Identity,
    claims: Option<&[u8]>,
) -> QueryResult<bool> {
    on_backend!(conn, |conn| diesel::insert_into(identities::table)
        .values((identity, identities::claims.eq(claims)))
        .on_conflict((identities::issuer, identities::subject))
        .do_nothing()
        .execute(conn)
        .await)
    .map(|rows| rows == 1)
}

/// Notes what the upstream has just confirmed about a subject, and answers its identity with its
/// account; nothing if nobody here is known by it. Both are held as [`find`] holds them.
pub async fn confirm(
    conn: &mut Connection,
    (issuer, subject): (&str, &str),
    confirmation: &Confirmation,
) -> QueryResult<Option<(Identity, User)>> {
    let of_subject = identities::issuer.eq(issuer).and(identities::subject.eq(subject));
    let noted = diesel::update(identities::table.filter(of_subject)).set(confirmation);
    let known = identities::table.inner_join(users::table).filter(of_subject);
    let (rows, found) = on_backend!(
        conn,
        postgres | conn | {
            // Both travel together. On a connection that has to prepare them, either may come first:
            // both begin with the identity's row, so that nobody waits for ever.
            let (mut one, mut other) = (*conn, *conn);
            let known = known.select((Identity::as_select(), User::as_select()));
            let known = known.for_no_key_update().first(&mut other);
            let (rows, found) = futures_util::join!(noted.execute(&mut one), known);
            rows.and_then(|rows| Ok((rows, found.optional()?)))
        },
        sqlite | conn | {
            let rows = noted.execute(conn).await;
            let known = known.select((Identity::as_select(), User::as_select()));
            let found = known.first(conn).await.optional();
            rows.and_then(|rows| Ok((rows, found?)))
        }
    )?;
    if rows == 0 && found.is_some() {
        // Somebody made it known between the two.
        let noted = diesel::update(identities::table.filter(of_subject)).set(confirmation);
        on_backend!(conn, |conn| noted.execute(conn).await)?;
    }
    Ok(found)
}

/// Notes that the upstream still stands by a subject, without having said anything new.
pub async fn touch(
    conn: &mut Connection,
    (issuer, subject): (&str, &str),
    now: Timestamp,
) -> QueryResult<usize> {
    let known = identities::table
        .filter(identities::issuer.eq(issuer).and(identities::subject.eq(subject)));
    on_backend!(conn, |conn| diesel::update(known)
        .set(identities::confirmed_at.eq(now))
        .execute(conn)
        .await)
}

/// Forgets the groups that an upstream has asserted about an account.
pub async fn forget_groups(
    conn: &mut Connection,
    user: &UserId,
    upstream: &UpstreamSlug,
) -> QueryResult<usize> {
    let own = identities::table
        .filter(identities::user_id.eq(user).and(identities::upstream.eq(upstream)));
    on_backend!(conn, |conn| diesel::update(own)
        .set(identities::groups.eq(TextList::default()))
        .execute(conn)
        .await)
}

/// Forgets the groups that an upstream asserted before this time, of some identities; answers of how
/// many.
pub async fn forget_old_groups(
    conn: &mut Connection,
    upstream: &UpstreamSlug,
    before: Timestamp,
    limit: i64,
) -> QueryResult<usize> {
    let old = identities::table
        .filter(identities::upstream.eq(upstream).and(identities::confirmed_at.le(before)))
        .filter(identities::groups.ne(TextList::default()))
        .order(identities::confirmed_at)
        .limit(limit)
        .select(identities::id);
    let old: Vec<IdentityId> = on_backend!(conn, |conn| old.load(conn).await)?;
    if old.is_empty() {
        return Ok(0);
    }
    // Whoever has been confirmed meanwhile keeps theirs.
    let still = identities::table
        .filter(identities::id.eq_any(old).and(identities::confirmed_at.le(before)));
    on_backend!(conn, |conn| diesel::update(still)
        .set(identities::groups.eq(TextList::default()))
        .execute(conn)
        .await)
}

/// The last sign-in of an account at an upstream: the newest, should it have two subjects there.
pub async fn find_recorded(
    conn: &mut Connection,
    upstream: &UpstreamSlug,
    user: &UserId,
) -> QueryResult<Option<Recorded>> {
    on_backend!(conn, |conn| identities::table
        .filter(identities::upstream.eq(upstream).and(identities::user_id.eq(user)))
        .order(identities::confirmed_at.desc())
        .select(Recorded::as_select())
        .first(conn)
        .await
        .optional())
}

/// The last sign-in of each identity of an account.
pub async fn list_recorded_of_user(
    conn: &mut Connection,
    user: &UserId,
) -> QueryResult<Vec<Recorded>> {
    on_backend!(conn, |conn| identities::table
        .filter(identities::user_id.eq(user))
        .select(Recorded::as_select())
        .load(conn)
        .await)
}

/// Up to `limit` last sign-ins at an upstream with the usernames, in the order of the identities,
/// after the given one.
pub async fn list_recorded(
    conn: &mut Connection,
    upstream: &UpstreamSlug,
    after: &IdentityId,
    limit: i64,
) -> QueryResult<Vec<(Recorded, String)>> {
    on_backend!(conn, |conn| identities::table
        .inner_join(users::table)
        .filter(identities::upstream.eq(upstream).and(identities::id.gt(after)))
        .order(identities::id)
        .limit(limit)
        .select((Recorded::as_select(), users::username))
        .load(conn)
        .await)
}
