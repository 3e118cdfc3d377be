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
}

/// The identity of a subject, with its account, which both stay as they are until the transaction
/// ends: whoever shuts the account meanwhile comes after it.
pub async fn find(
    conn: &mut Connection,
    issuer: &str,
    subject: &str,
) -> QueryResult<Option<(Identity, User)>> {
    let known = identities::table
        .inner_join(users::table)
        .filter(identities::issuer.eq(issuer).and(identities::subject.eq(subject)));
    on_backend!(
        conn,
        postgres
            | conn
            | known
                .select((Identity::as_select(), User::as_select()))
                .for_no_key_update()
                .first(conn)
                .await
                .optional(),
        sqlite
            | conn
            | known.select((Identity::as_select(), User::as_select())).first(conn).await.optional()
    )
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

/// Inserts an identity; `false` if the subject is known already.
#[must_use = "false means that somebody else inserted it first"]
pub async fn insert(conn: &mut Connection, identity: &Identity) -> QueryResult<bool> {
    on_backend!(conn, |conn| diesel::insert_into(identities::table)
        .values(identity)
        .on_conflict((identities::issuer, identities::subject))
        .do_nothing()
        .execute(conn)
        .await)
    .map(|rows| rows == 1)
}

/// Notes that the upstream has just confirmed the person, and with which groups.
pub async fn confirm(
    conn: &mut Connection,
    id: &IdentityId,
    upstream: &UpstreamSlug,
    groups: &TextList,
    now: Timestamp,
) -> QueryResult<usize> {
    on_backend!(conn, |conn| diesel::update(identities::table.find(id))
        .set((
            identities::upstream.eq(upstream),
            identities::groups.eq(groups),
            identities::confirmed_at.eq(now),
        ))
        .execute(conn)
        .await)
}
