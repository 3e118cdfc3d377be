//! Groups that mean something: to which one each belongs, and which role it gives.
//!
//! A group is a name in the lists of accounts and identities, and needs no row. The rows say what a name
//! means. They are few, so every connection carries the meanings of the moment, and whoever loads a
//! person sees all that the person's groups amount to.

use std::collections::{BTreeMap, BTreeSet};

use diesel::QueryResult;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::{Connection, schema::groups};
use crate::foundation::clock::Timestamp;

/// The role of who administers Keywright itself.
pub const ADMINISTRATOR: &str = "admin";

/// A row of `groups`.
#[derive(Clone, Debug, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = groups, check_for_backend(diesel::pg::Pg, diesel::sqlite::Sqlite))]
#[diesel(treat_none_as_default_value = false, treat_none_as_null = true)]
#[diesel(primary_key(name))]
pub struct Group {
    /// What it is called, everywhere.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// The group to which all of its members belong as well.
    pub parent: Option<String>,
    /// The role that its members hold.
    pub role: Option<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

/// What one group means.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Meaning {
    /// The group to which its members belong as well.
    pub parent: Option<String>,
    /// The role that its members hold.
    pub role: Option<String>,
}

/// What all groups mean.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Meanings(BTreeMap<String, Meaning>);

impl FromIterator<(String, Meaning)> for Meanings {
    fn from_iter<I: IntoIterator<Item = (String, Meaning)>>(all: I) -> Self {
        Self(all.into_iter().collect())
    }
}

impl Meanings {
    /// These groups and those to which they belong: once, and no further. Sorted, each once.
    pub fn widen(&self, held: impl IntoIterator<Item = String>) -> Vec<String> {
        let mut all = BTreeSet::new();
        for name in held {
            all.extend(self.0.get(&name).and_then(|meaning| meaning.parent.clone()));
            all.insert(name);
        }
        all.into_iter().collect()
    }

    /// The roles that these groups give, which have been widened.
    pub fn roles<'a>(&'a self, groups: &'a [String]) -> impl Iterator<Item = &'a String> {
        groups.iter().filter_map(|name| self.0.get(name)?.role.as_ref())
    }

    /// The groups whose members hold a role: by the group's own, or by that to which it belongs.
    pub fn giving(&self, role: &str) -> Vec<String> {
        let gives = |name: &str| {
            self.0.get(name).is_some_and(|meaning| meaning.role.as_deref() == Some(role))
        };
        let through = |meaning: &Meaning| meaning.parent.as_deref().is_some_and(gives);
        let all = self.0.iter().filter(|(name, meaning)| gives(name) || through(meaning));
        all.map(|(name, _)| name.clone()).collect()
    }
}

/// All groups that mean something, by name.
pub async fn list(conn: &mut Connection) -> QueryResult<Vec<Group>> {
    on_backend!(conn, |conn| groups::table
        .order(groups::name)
        .select(Group::as_select())
        .load(conn)
        .await)
}

/// Inserts a group; `false` if there is one of this name.
#[must_use = "false means that the name is taken"]
pub async fn insert(conn: &mut Connection, group: &Group) -> QueryResult<bool> {
    on_backend!(conn, |conn| diesel::insert_into(groups::table)
        .values(group)
        .on_conflict_do_nothing()
        .execute(conn)
        .await)
    .map(|rows| rows == 1)
}

/// Replaces what a group means; `false` if there is none of this name.
#[must_use = "false means that there is no such group"]
pub async fn update(conn: &mut Connection, group: &Group) -> QueryResult<bool> {
    on_backend!(conn, |conn| diesel::update(groups::table.find(&group.name))
        .set(group)
        .execute(conn)
        .await)
    .map(|rows| rows == 1)
}

/// Forgets what a group means; `false` if there is none of this name.
#[must_use = "false means that there is no such group"]
pub async fn delete(conn: &mut Connection, name: &str) -> QueryResult<bool> {
    on_backend!(conn, |conn| diesel::delete(groups::table.find(name)).execute(conn).await)
        .map(|rows| rows == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meanings() -> Meanings {
        let meaning = |name: &str, parent: Option<&str>, role: Option<&str>| {
            let (parent, role) = (parent.map(str::to_owned), role.map(str::to_owned));
            (name.to_owned(), Meaning { parent, role })
        };
        [
            meaning("ops", Some("staff"), None),
            meaning("staff", Some("world"), Some("member")),
            meaning("heads", Some("chiefs"), None),
            meaning("chiefs", None, Some(ADMINISTRATOR)),
        ]
        .into_iter()
        .collect()
    }

    /// Nested once: the group of a group counts, and what that belongs to does not.
    #[test]
    fn a_group_belongs_to_another_once() {
        let meanings = meanings();
        let groups = meanings.widen(["ops".to_owned(), "guests".to_owned()]);
        assert_eq!(groups, ["guests", "ops", "staff"]);
        assert_eq!(meanings.roles(&groups).collect::<Vec<_>>(), ["member"]);
    }

    #[test]
    fn a_role_is_given_by_a_group_and_by_those_that_belong_to_it() {
        assert_eq!(meanings().giving(ADMINISTRATOR), ["chiefs", "heads"]);
        assert_eq!(Meanings::default().giving(ADMINISTRATOR), Vec::<String>::new());
    }
}
