//! People's accounts.

mod addresses;
mod own_words;
mod passwords;

use std::sync::Arc;

use diesel::QueryResult;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;

pub use addresses::{
    find_by_verified_email, list_by_email, list_of_address, release_address, set_verified_email,
    taken_addresses,
};
pub use own_words::{set_locale, set_own_picture, touch};
pub use passwords::{
    any_with_password, rehash_password, remove_password, set_password_hash, set_temporary_password,
};

use super::{Connection, groups, groups::Meanings, schema::identities, schema::users};
use crate::foundation::{clock::Timestamp, ids::UserId, text_list::TextList};

text_enum! {
    /// Whose account it is.
    AccountKind {
        /// Somebody's.
        Person = "person",
        /// A program's. Nobody signs in to it.
        Service = "service",
    }
}

/// A row of `users`.
#[derive(Clone, Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = users, check_for_backend(diesel::pg::Pg, diesel::sqlite::Sqlite))]
#[diesel(treat_none_as_default_value = false)]
pub struct User {
    /// The `sub` of every token.
    pub id: UserId,
    /// What the person is called at the sign-in form.
    pub username: String,
    /// The canonical form of the username, unique.
    pub username_key: String,
    /// The address as it is written.
    pub email: Option<String>,
    /// The canonical form of the address.
    pub email_key: Option<String>,
    /// Whether the address is the person's: yes, no, or nobody has said.
    pub email_verified: Option<bool>,
    /// The full name.
    pub name: Option<String>,
    /// The address of a picture.
    pub picture: Option<String>,
    /// The password, as a PHC string.
    pub password_hash: Option<String>,
    /// Groups given here, as opposed to those that upstreams assert.
    pub groups: TextList,
    /// Since when the account is shut.
    pub disabled_at: Option<Timestamp>,
    /// When the account was made.
    pub created_at: Timestamp,
    /// When the row last changed.
    pub updated_at: Timestamp,
    /// The issuer whose word the address and its verification are; none for what was given here.
    pub email_issuer: Option<String>,
    /// Roles given here, as opposed to those that groups give.
    pub roles: TextList,
    /// Whether it is a person's or a program's.
    pub kind: AccountKind,
    /// The language that the person prefers (BCP 47).
    pub locale: Option<String>,
    /// The address of the picture that the person has uploaded.
    pub own_picture: Option<String>,
    /// Whether somebody else knows the password: it only serves to choose another one.
    pub password_temporary: bool,
}

/// What a sign-in at an upstream may change of an account.
#[derive(Debug, Clone, PartialEq, Eq, AsChangeset)]
#[diesel(table_name = users)]
#[diesel(treat_none_as_null = true)]
pub struct Profile {
    /// The address as it is written.
    pub email: Option<String>,
    /// The canonical form of the address.
    pub email_key: Option<String>,
    /// Whether the address is the person's.
    pub email_verified: Option<bool>,
    /// The full name.
    pub name: Option<String>,
    /// The address of a picture.
    pub picture: Option<String>,
    /// The issuer whose word the address is.
    pub email_issuer: Option<String>,
}

impl User {
    /// The address of the picture: their own, or else the one that an upstream tells.
    pub fn shown_picture(&self) -> Option<&str> {
        self.own_picture.as_deref().or(self.picture.as_deref())
    }

    /// The part of the account that an upstream may refresh.
    pub fn profile(&self) -> Profile {
        Profile {
            email: self.email.clone(),
            email_key: self.email_key.clone(),
            email_verified: self.email_verified,
            name: self.name.clone(),
            picture: self.picture.clone(),
            email_issuer: self.email_issuer.clone(),
        }
    }
}

/// An account together with the groups that its upstreams assert.
#[derive(Clone, Debug)]
pub struct Person {
    /// The account.
    pub user: User,
    upstream_groups: Vec<TextList>,
    meanings: Arc<Meanings>,
    /// What is said about the account beyond what every account has, where it was asked for.
    pub attributes: Vec<(String, serde_json::Value)>,
}

impl Person {
    /// An account whose upstream groups are known, and what groups mean.
    pub const fn new(user: User, upstream_groups: Vec<TextList>, meanings: Arc<Meanings>) -> Self {
        Self { user, upstream_groups, meanings, attributes: Vec::new() }
    }

    /// Every group of the person, sorted, each once: those from here and from the upstreams, and those
    /// to which these belong.
    pub fn groups(&self) -> Vec<String> {
        let held = std::iter::once(&self.user.groups).chain(&self.upstream_groups);
        self.meanings.widen(held.flat_map(TextList::to_vec))
    }

    /// Every role of the person, sorted, each once: those given here, and those of the groups.
    pub fn roles(&self) -> Vec<String> {
        let groups = self.groups();
        let mut roles = self.user.roles.to_vec();
        roles.extend(self.meanings.roles(&groups).cloned());
        roles.sort();
        roles.dedup();
        roles
    }

    /// Whether the person administers Keywright, unless the account is shut.
    pub fn is_administrator(&self) -> bool {
        self.roles().iter().any(|role| role == groups::ADMINISTRATOR)
    }
}

/// Inserts an account; `false` if the username is taken.
#[must_use = "false means that the username is taken"]
pub async fn insert(conn: &mut Connection, user: &User) -> QueryResult<bool> {
    on_backend!(conn, |conn| diesel::insert_into(users::table)
        .values(user)
        .on_conflict(users::username_key)
        .do_nothing()
        .execute(conn)
        .await)
    .map(|rows| rows == 1)
}

/// The account with this id.
pub async fn find(conn: &mut Connection, id: &UserId) -> QueryResult<Option<User>> {
    on_backend!(conn, |conn| users::table
        .find(id)
        .select(User::as_select())
        .first(conn)
        .await
        .optional())
}

/// The account with this id, which stays as it is until the transaction ends.
pub async fn hold(conn: &mut Connection, id: &UserId) -> QueryResult<Option<User>> {
    let user = users::table.find(id);
    on_backend!(
        conn,
        postgres | conn | user.select(User::as_select()).for_share().first(conn).await.optional(),
        sqlite | conn | user.select(User::as_select()).first(conn).await.optional()
    )
}

/// The account with this id, which nobody else holds until the transaction ends.
pub async fn hold_alone(conn: &mut Connection, id: &UserId) -> QueryResult<Option<User>> {
    let user = users::table.find(id);
    on_backend!(
        conn,
        postgres
            | conn
            | user.select(User::as_select()).for_no_key_update().first(conn).await.optional(),
        sqlite | conn | user.select(User::as_select()).first(conn).await.optional()
    )
}

/// The account with this canonical username.
pub async fn find_by_username(conn: &mut Connection, key: &str) -> QueryResult<Option<User>> {
    on_backend!(conn, |conn| users::table
        .filter(users::username_key.eq(key))
        .select(User::as_select())
        .first(conn)
        .await
        .optional())
}

/// What these accounts are called.
pub async fn usernames(
    conn: &mut Connection,
    ids: &[UserId],
) -> QueryResult<Vec<(UserId, String)>> {
    on_backend!(conn, |conn| users::table
        .filter(users::id.eq_any(ids))
        .select((users::id, users::username))
        .load(conn)
        .await)
}

/// Those of these canonical usernames that somebody has.
pub async fn taken_usernames(conn: &mut Connection, keys: &[String]) -> QueryResult<Vec<String>> {
    on_backend!(conn, |conn| users::table
        .filter(users::username_key.eq_any(keys))
        .select(users::username_key)
        .load(conn)
        .await)
}

/// The account with the groups its upstreams assert.
pub async fn find_person(conn: &mut Connection, id: &UserId) -> QueryResult<Option<Person>> {
    let rows: Vec<(User, Option<TextList>)> = on_backend!(conn, |conn| users::table
        .left_join(identities::table)
        .filter(users::id.eq(id))
        .select((User::as_select(), identities::groups.nullable()))
        .load(conn)
        .await)?;
    Ok(fold_person(rows, conn.meanings()))
}

/// Puts the rows of a join with `identities` together again.
pub(super) fn fold_person(
    rows: Vec<(User, Option<TextList>)>,
    meanings: Arc<Meanings>,
) -> Option<Person> {
    let mut groups = Vec::with_capacity(rows.len());
    let mut user = None;
    for (row, upstream_groups) in rows {
        groups.extend(upstream_groups);
        user = Some(row);
    }
    user.map(|user| Person::new(user, groups, meanings))
}

/// Up to `limit` accounts in the order of their usernames, after the given one.
pub async fn list(conn: &mut Connection, after: &str, limit: i64) -> QueryResult<Vec<User>> {
    on_backend!(conn, |conn| users::table
        .filter(users::username_key.gt(after))
        .order(users::username_key)
        .limit(limit)
        .select(User::as_select())
        .load(conn)
        .await)
}

/// Writes what an upstream says about a person.
pub async fn update_profile(
    conn: &mut Connection,
    id: &UserId,
    profile: &Profile,
    now: Timestamp,
) -> QueryResult<usize> {
    on_backend!(conn, |conn| diesel::update(users::table.find(id))
        .set((profile, users::updated_at.eq(now)))
        .execute(conn)
        .await)
}

/// Gives the account another username and name; `false` if the username is somebody else's.
#[must_use = "false means that the username is taken"]
pub async fn rename(
    conn: &mut Connection,
    id: &UserId,
    (username, key): (&str, &str),
    name: Option<&str>,
    now: Timestamp,
) -> QueryResult<bool> {
    let renamed = on_backend!(conn, |conn| diesel::update(users::table.find(id))
        .set((
            users::username.eq(username),
            users::username_key.eq(key),
            users::name.eq(name),
            users::updated_at.eq(now),
        ))
        .execute(conn)
        .await);
    match renamed {
        Err(diesel::result::Error::DatabaseError(
            diesel::result::DatabaseErrorKind::UniqueViolation,
            _,
        )) => Ok(false),
        other => other.map(|rows| rows == 1),
    }
}

/// Shuts the account; `false` if it was shut already.
#[must_use = "false means that nothing changed"]
pub async fn disable(conn: &mut Connection, id: &UserId, now: Timestamp) -> QueryResult<bool> {
    on_backend!(conn, |conn| diesel::update(
        users::table.find(id).filter(users::disabled_at.is_null())
    )
    .set((users::disabled_at.eq(now), users::updated_at.eq(now)))
    .execute(conn)
    .await)
    .map(|rows| rows == 1)
}

/// Opens a shut account again; `false` if it was open.
#[must_use = "false means that nothing changed"]
pub async fn enable(conn: &mut Connection, id: &UserId, now: Timestamp) -> QueryResult<bool> {
    on_backend!(conn, |conn| diesel::update(
        users::table.find(id).filter(users::disabled_at.is_not_null())
    )
    .set((users::disabled_at.eq(None::<Timestamp>), users::updated_at.eq(now)))
    .execute(conn)
    .await)
    .map(|rows| rows == 1)
}

/// Replaces the groups and roles that were given here; `false` if there is no such account.
#[must_use = "false means that there is no such account"]
pub async fn set_rights(
    conn: &mut Connection,
    id: &UserId,
    (groups, roles): (&TextList, &TextList),
    now: Timestamp,
) -> QueryResult<bool> {
    let set = (users::groups.eq(groups), users::roles.eq(roles), users::updated_at.eq(now));
    on_backend!(conn, |conn| diesel::update(users::table.find(id)).set(set).execute(conn).await)
        .map(|rows| rows == 1)
}
