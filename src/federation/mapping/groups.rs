//! Groups: found, filtered, renamed, prefixed, each once (UP-33, UP-34).

use std::borrow::Cow;

use serde::Serialize;
use serde_json::{Map, Value};

use super::{attributes::rewrite, path, plain};
use crate::config::GroupSettings;

const MAX_GROUPS: usize = 500;
/// How many names of one rule are remembered for an explanation.
const MAX_FATES: usize = 1_000;

/// What one group rule found.
#[derive(Debug, Serialize)]
pub struct GroupRule<'a> {
    /// The claims that it looked at. None for a fixed group.
    pub claims: Vec<GroupClaim<'a>>,
    /// What became of each name, as far as names were looked at.
    pub names: Vec<Fate<'a>>,
    /// How many names there were.
    pub count: usize,
}

/// A claim that may hold groups.
#[derive(Debug, Serialize)]
pub struct GroupClaim<'a> {
    /// Its path.
    pub claim: &'a str,
    /// What was there.
    pub seen: Option<&'a Value>,
}

/// What became of one name.
#[derive(Debug, Serialize)]
pub struct Fate<'a> {
    /// The name as the upstream has it, cut to what is sane.
    pub name: Cow<'a, str>,
    /// The group here; none if the name was dropped by `match`, or nothing is left of it.
    pub group: Option<String>,
    /// Whether the person is in it because of this name: not if it was there already.
    pub taken: bool,
}

/// The groups of all rules, and what each rule found.
pub(super) fn collect<'a>(
    rules: &'a [GroupSettings],
    claims: &'a Map<String, Value>,
) -> (Vec<String>, Vec<GroupRule<'a>>) {
    let mut groups: Vec<String> = Vec::new();
    let found = rules.iter().map(|rule| apply(rule, claims, &mut groups)).collect();
    (groups, found)
}

fn apply<'a>(
    rule: &'a GroupSettings,
    claims: &'a Map<String, Value>,
    groups: &mut Vec<String>,
) -> GroupRule<'a> {
    let (looked, names) = names(rule, claims);
    let count = names.len();
    let mut fates = Vec::new();
    for name in names {
        // Once there are enough, nothing that follows can count.
        if groups.len() >= MAX_GROUPS {
            break;
        }
        let group = called_here(rule, name);
        let new = group.as_ref().filter(|group| !groups.contains(group));
        let taken = new.is_some();
        groups.extend(new.cloned());
        if fates.len() < MAX_FATES {
            fates.push(Fate { name: shown(name), group, taken });
        }
    }
    GroupRule { claims: looked, names: fates, count }
}

/// The claims of a rule, and all names that they hold.
fn names<'a>(
    rule: &'a GroupSettings,
    claims: &'a Map<String, Value>,
) -> (Vec<GroupClaim<'a>>, Vec<&'a str>) {
    if let Some(value) = &rule.value {
        return (Vec::new(), vec![value]);
    }
    let mut looked = Vec::new();
    let mut names = Vec::new();
    for claim in rule.claim.iter() {
        let seen = path::at(claims, claim);
        looked.push(GroupClaim { claim, seen });
        names.extend(seen.into_iter().flat_map(|value| names_in(value, rule.member.as_deref())));
    }
    (looked, names)
}

fn names_in<'a>(value: &'a Value, member: Option<&str>) -> Vec<&'a str> {
    let name = |value: &'a Value| match (value, member) {
        (Value::Object(object), Some(member)) => path::text(object, member),
        _ => value.as_str(),
    };
    match value {
        Value::Array(list) => list.iter().filter_map(name).collect(),
        Value::Object(object) if member.is_some() => object.values().filter_map(name).collect(),
        // Roles as an object whose names are the roles.
        Value::Object(object) => object.keys().map(String::as_str).collect(),
        Value::String(one) => vec![one],
        _ => Vec::new(),
    }
}

/// What the group is called here; nothing if the rule drops it.
fn called_here(rule: &GroupSettings, name: &str) -> Option<String> {
    // Keycloak writes groups as paths.
    let name = plain(name.strip_prefix('/').unwrap_or(name));
    let name = rewrite(rule.r#match.as_ref(), rule.rename.as_deref(), &name)?;
    // Again, because a rename can repeat and join what it found.
    let name = plain(&name);
    (!name.is_empty()).then(|| plain(&format!("{}{name}", rule.prefix)))
}

fn shown(name: &str) -> Cow<'_, str> {
    if name.len() <= super::MAX_NAME { Cow::Borrowed(name) } else { Cow::Owned(plain(name)) }
}
