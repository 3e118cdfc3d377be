//! `[[groups]]`: groups that mean something, and are looked after in this file.

use std::collections::HashSet;

use super::problems::Problems;

section! {
    /// A group that means something: that it belongs to another, or gives a role. Groups that mean nothing
    /// need not be declared.
    pub struct GroupDefinition {
        /// What it is called, by upstreams and in tokens too.
        name: String,
        /// What it is for.
        description: Option<String>,
        /// The group to which its members belong as well. That one belongs to none: groups are nested
        /// once.
        parent: Option<String>,
        /// The role that its members hold, whoever says that they are members. `"admin"` administers
        /// Keywright.
        role: Option<String>,
    }
}

pub(super) fn check(groups: &[GroupDefinition], problems: &mut Problems) {
    let mut seen = HashSet::new();
    for (index, group) in groups.iter().enumerate() {
        let at = |name: &str| format!("groups.{index}.{name}");
        let name = &group.name;
        if let Some(fault) = group_name_fault(name) {
            problems.add(&at("name"), format!("{name:?}"), fault);
        }
        if !seen.insert(name) {
            problems.add(&at("name"), format!("{name:?}"), "is used twice; choose another");
        }
        check_parent(group, groups, &at("parent"), problems);
        if let Some(role) = group.role.as_ref().filter(|role| !is_role(role)) {
            let fix = "must have 1 to 64 of: letters, digits, dots, hyphens, underscores, colons";
            problems.add(&at("role"), format!("{role:?}"), fix);
        }
    }
}

fn check_parent(
    group: &GroupDefinition,
    groups: &[GroupDefinition],
    at: &str,
    problems: &mut Problems,
) {
    let Some(parent) = &group.parent else {
        return;
    };
    let nested = groups.iter().any(|other| other.name == *parent && other.parent.is_some());
    if let Some(fault) = group_name_fault(parent) {
        problems.add(at, format!("{parent:?}"), fault);
    } else if *parent == group.name {
        problems.add(at, format!("{parent:?}"), "is the group itself; leave it out");
    } else if nested {
        let fix = "belongs to another group itself; name that one, for groups are nested once";
        problems.add(at, format!("{parent:?}"), fix);
    }
}

/// Why this cannot be the name of a group, or nothing if it can. An upstream's are no longer either.
pub fn group_name_fault(text: &str) -> Option<&'static str> {
    let bad = text.trim() != text
        || text.is_empty()
        || text.chars().count() > 255
        || text.chars().any(char::is_control);
    bad.then_some("must have 1 to 255 visible characters, and no space at its ends")
}

/// Whether this can be a role.
pub fn is_role(role: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"._:-".contains(&byte);
    (1..=64).contains(&role.len()) && role.bytes().all(fits)
}
