//! What groups mean: those that the configuration declares, and those that are managed at run time.
//!
//! The configuration wins where both name one. Nothing of it is copied into the database, so that a
//! group that is no longer declared means nothing any more, at once and everywhere.

pub use crate::config::group_name_fault as name_fault;
use crate::{
    config::GroupDefinition,
    store::{
        Connection, StoreResult, facts,
        groups::{self, Group, Meaning, Meanings},
    },
};

/// The fact that counts the changes: whoever has seen this number has seen them all.
pub const REVISION: &str = "groups.revision";

/// Where a group is looked after.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ManagedBy {
    /// In the configuration: nobody changes it here.
    File,
    /// Here, by the command line.
    House,
}

impl ManagedBy {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::House => "here",
        }
    }
}

/// A group that means something.
#[derive(Clone, Debug)]
pub struct Definition {
    /// What it is called.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// The group to which its members belong as well.
    pub parent: Option<String>,
    /// The role that its members hold.
    pub role: Option<String>,
    /// Where it is looked after.
    pub managed_by: ManagedBy,
}

impl From<&GroupDefinition> for Definition {
    fn from(declared: &GroupDefinition) -> Self {
        Self {
            name: declared.name.clone(),
            description: declared.description.clone(),
            parent: declared.parent.clone(),
            role: declared.role.clone(),
            managed_by: ManagedBy::File,
        }
    }
}

impl From<Group> for Definition {
    fn from(row: Group) -> Self {
        let Group { name, description, parent, role, .. } = row;
        Self { name, description, parent, role, managed_by: ManagedBy::House }
    }
}

/// Every group that means something, by name.
pub async fn definitions(
    conn: &mut Connection,
    declared: &[GroupDefinition],
) -> StoreResult<Vec<Definition>> {
    let mut all: Vec<Definition> = declared.iter().map(Definition::from).collect();
    let is_declared = |row: &Group| declared.iter().any(|own| own.name == row.name);
    let stored = groups::list(conn).await?;
    all.extend(stored.into_iter().filter(|row| !is_declared(row)).map(Definition::from));
    all.sort_by(|left, right| left.name.cmp(&right.name));
    Ok(all)
}

/// What they mean.
pub fn meanings(definitions: &[Definition]) -> Meanings {
    let meaning = |group: &Definition| {
        let (parent, role) = (group.parent.clone(), group.role.clone());
        (group.name.clone(), Meaning { parent, role })
    };
    definitions.iter().map(meaning).collect()
}

/// What all groups mean, read anew.
pub async fn load(conn: &mut Connection, declared: &[GroupDefinition]) -> StoreResult<Meanings> {
    Ok(meanings(&definitions(conn, declared).await?))
}

/// Notes that groups have changed, in the transaction that changes them.
pub async fn note_change(conn: &mut Connection) -> StoreResult<()> {
    facts::increment(conn, REVISION).await?;
    Ok(())
}

/// Why one group cannot belong to another, or nothing if it can: groups are nested once.
pub fn parent_fault(all: &[Definition], name: &str, parent: &str) -> Option<&'static str> {
    if name == parent {
        return Some("is the group itself");
    }
    if all.iter().any(|group| group.name == parent && group.parent.is_some()) {
        return Some("belongs to another group itself, and groups are nested once");
    }
    let has_members = all.iter().any(|group| group.parent.as_deref() == Some(name));
    has_members
        .then_some("cannot be its parent: other groups belong to it, and groups are nested once")
}
