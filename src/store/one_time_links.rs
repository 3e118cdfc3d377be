//! Links that work once. Only the digest of a link's secret is kept; using one deletes it, so that of
//! many who use it at once exactly one succeeds.

use diesel::QueryResult;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::{Connection, purge::BATCH, schema::one_time_links as links};
use crate::foundation::{clock::Timestamp, digest::TokenDigest, ids::UserId};

text_enum! {
    /// What a link is good for.
    LinkPurpose {
        /// Confirms the address of an account.
        VerifyEmail = "verify_email",
        /// Leads back into an account: a new password is chosen.
        Recover = "recover",
        /// Gives an account another address.
        ChangeEmail = "change_email",
        /// Gives an account the address back that it had.
        UndoEmail = "undo_email",
        /// Takes the deletion of an account back.
        KeepAccount = "keep_account",
    }
}

impl LinkPurpose {
    /// What changes the address of an account.
    pub const OF_ADDRESS: [Self; 3] = [Self::VerifyEmail, Self::ChangeEmail, Self::UndoEmail];
}

/// A row of `one_time_links`.
#[derive(Clone, Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = links, check_for_backend(diesel::pg::Pg, diesel::sqlite::Sqlite))]
#[diesel(treat_none_as_default_value = false)]
pub struct OneTimeLink {
    /// The digest of its secret.
    pub digest: TokenDigest,
    /// What it is good for.
    pub purpose: LinkPurpose,
    /// For whose account.
    pub user_id: UserId,
    /// The address it was sent to, or that it gives; none for one that was handed over.
    pub email: Option<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends.
    pub expires_at: Timestamp,
}

/// Keeps a link, in place of any other of the account for the same purpose.
pub async fn put(conn: &mut Connection, link: &OneTimeLink) -> QueryResult<usize> {
    on_backend!(conn, |conn| diesel::insert_into(links::table)
        .values(link)
        .on_conflict((links::user_id, links::purpose))
        .do_update()
        .set((
            links::digest.eq(&link.digest),
            links::email.eq(&link.email),
            links::created_at.eq(link.created_at),
            links::expires_at.eq(link.expires_at),
        ))
        .execute(conn)
        .await)
}

/// The link with this secret, if it is good for one of these and has not ended.
pub async fn find(
    conn: &mut Connection,
    digest: &TokenDigest,
    purposes: &[LinkPurpose],
    now: Timestamp,
) -> QueryResult<Option<OneTimeLink>> {
    on_backend!(conn, |conn| links::table
        .find(digest)
        .filter(links::purpose.eq_any(purposes).and(links::expires_at.gt(now)))
        .select(OneTimeLink::as_select())
        .first(conn)
        .await
        .optional())
}

/// Whether an account has a link for this that has not ended.
pub async fn is_living(
    conn: &mut Connection,
    user: &UserId,
    purpose: LinkPurpose,
    now: Timestamp,
) -> QueryResult<bool> {
    let found: Option<TokenDigest> = on_backend!(conn, |conn| links::table
        .filter(links::user_id.eq(user).and(links::purpose.eq(purpose)))
        .filter(links::expires_at.gt(now))
        .select(links::digest)
        .first(conn)
        .await
        .optional())?;
    Ok(found.is_some())
}

/// Uses a link up; `false` if somebody else has.
#[must_use = "false means that the link is gone"]
pub async fn consume(conn: &mut Connection, digest: &TokenDigest) -> QueryResult<bool> {
    on_backend!(conn, |conn| diesel::delete(links::table.find(digest)).execute(conn).await)
        .map(|rows| rows == 1)
}

/// Deletes the links of an account for these purposes.
pub async fn forget(
    conn: &mut Connection,
    user: &UserId,
    purposes: &[LinkPurpose],
) -> QueryResult<usize> {
    on_backend!(conn, |conn| diesel::delete(
        links::table.filter(links::user_id.eq(user).and(links::purpose.eq_any(purposes)))
    )
    .execute(conn)
    .await)
}

/// Deletes a batch of those that ended before `before`.
pub async fn purge(conn: &mut Connection, before: Timestamp) -> QueryResult<usize> {
    let old: Vec<TokenDigest> = on_backend!(conn, |conn| links::table
        .filter(links::expires_at.lt(before))
        .select(links::digest)
        .limit(BATCH)
        .load(conn)
        .await)?;
    on_backend!(conn, |conn| diesel::delete(links::table.filter(links::digest.eq_any(&old)))
        .execute(conn)
        .await)
}
