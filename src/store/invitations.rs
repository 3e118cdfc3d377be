//! Invitations: secrets that let somebody in. Of each only the digest is kept.

use diesel::QueryResult;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::{Connection, schema::invitations};
use crate::foundation::{
    clock::Timestamp, digest::TokenDigest, ids::InvitationId, text_list::TextList,
};

text_enum! {
    /// What an invitation is for.
    InvitationKind {
        /// An account.
        Account = "account",
        /// An account that administers.
        Administrator = "administrator",
        /// The same, as long as there never was one.
        FirstAdministrator = "first_administrator",
    }
}

impl InvitationKind {
    /// Whether whoever takes it administers.
    pub const fn administers(self) -> bool {
        matches!(self, Self::Administrator | Self::FirstAdministrator)
    }
}

/// A row of `invitations`.
#[derive(Clone, Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = invitations, check_for_backend(diesel::pg::Pg, diesel::sqlite::Sqlite))]
#[diesel(treat_none_as_default_value = false)]
pub struct Invitation {
    /// Its name in lists.
    pub id: InvitationId,
    /// The digest of its secret.
    pub digest: TokenDigest,
    /// What it is for.
    pub kind: InvitationKind,
    /// For whom it is: the address as it is written; none for whoever has the link.
    pub email: Option<String>,
    /// The canonical form of the address.
    pub email_key: Option<String>,
    /// Whether the secret went to that address and nowhere else, so that whoever has it reads mail there.
    pub mailed: bool,
    /// The groups that it gives.
    pub groups: TextList,
    /// How many may still use it.
    pub uses_left: i64,
    /// When it was made.
    pub created_at: Timestamp,
    /// From when on it is of no use.
    pub expires_at: Timestamp,
    /// When it was taken back.
    pub revoked_at: Option<Timestamp>,
}

/// Inserts an invitation.
pub async fn insert(conn: &mut Connection, invitation: &Invitation) -> QueryResult<usize> {
    on_backend!(conn, |conn| diesel::insert_into(invitations::table)
        .values(invitation)
        .execute(conn)
        .await)
}

/// The invitation of this id.
pub async fn find(conn: &mut Connection, id: &InvitationId) -> QueryResult<Option<Invitation>> {
    on_backend!(conn, |conn| invitations::table
        .find(id)
        .select(Invitation::as_select())
        .first(conn)
        .await
        .optional())
}

/// The invitation with this secret.
pub async fn find_by_digest(
    conn: &mut Connection,
    digest: &TokenDigest,
) -> QueryResult<Option<Invitation>> {
    on_backend!(conn, |conn| invitations::table
        .filter(invitations::digest.eq(digest))
        .select(Invitation::as_select())
        .first(conn)
        .await
        .optional())
}

/// Uses an invitation; `false` if it is used up, taken back or too old by now. Of many at once as many
/// succeed as it has uses left.
#[must_use = "false means that it is not good any more"]
pub async fn take(conn: &mut Connection, id: &InvitationId, now: Timestamp) -> QueryResult<bool> {
    let good = invitations::table
        .find(id)
        .filter(invitations::uses_left.gt(0).and(invitations::revoked_at.is_null()))
        .filter(invitations::expires_at.gt(now));
    on_backend!(conn, |conn| diesel::update(good)
        .set(invitations::uses_left.eq(invitations::uses_left - 1))
        .execute(conn)
        .await)
    .map(|rows| rows == 1)
}

/// Takes an invitation back; `false` if it was not there, used up, or taken back before.
#[must_use = "false means that nothing changed"]
pub async fn revoke(conn: &mut Connection, id: &InvitationId, now: Timestamp) -> QueryResult<bool> {
    let open = invitations::table
        .find(id)
        .filter(invitations::uses_left.gt(0).and(invitations::revoked_at.is_null()));
    on_backend!(conn, |conn| diesel::update(open)
        .set(invitations::revoked_at.eq(now))
        .execute(conn)
        .await)
    .map(|rows| rows == 1)
}

/// Up to `limit` invitations, the newest first.
pub async fn list_newest(conn: &mut Connection, limit: i64) -> QueryResult<Vec<Invitation>> {
    on_backend!(conn, |conn| invitations::table
        .order(invitations::id.desc())
        .limit(limit)
        .select(Invitation::as_select())
        .load(conn)
        .await)
}

/// Deletes invitations that ended before `before`, a batch at a time.
pub async fn purge(conn: &mut Connection, before: Timestamp) -> QueryResult<usize> {
    let old: Vec<InvitationId> = on_backend!(conn, |conn| invitations::table
        .filter(invitations::expires_at.lt(before))
        .select(invitations::id)
        .limit(super::purge::BATCH)
        .load(conn)
        .await)?;
    on_backend!(conn, |conn| diesel::delete(
        invitations::table.filter(invitations::id.eq_any(&old))
    )
    .execute(conn)
    .await)
}
