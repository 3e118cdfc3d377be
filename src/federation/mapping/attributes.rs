//! The texts of an account: each from the first of its sources that holds something usable.

use serde::Serialize;
use serde_json::{Map, Value};

use super::path;
use crate::config::{ClaimRule, ClaimSource, Pattern};

/// Where one text of an account comes from.
#[derive(Debug, Serialize)]
pub struct Attribute<'a> {
    /// Which text.
    pub name: &'static str,
    /// What was looked at, in turn.
    pub looks: Vec<Look<'a>>,
    /// What came out.
    pub value: Option<String>,
}

/// A look at one source.
#[derive(Debug, Serialize)]
pub struct Look<'a> {
    /// The path of the claim; none for a fixed text.
    pub claim: Option<&'a str>,
    /// What was there.
    pub seen: Option<&'a Value>,
    /// What became of it.
    pub verdict: Verdict,
}

/// What became of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It is used.
    Taken,
    /// There is no such claim.
    Absent,
    /// It is not a text, or an empty one.
    NotText,
    /// It does not match.
    NoMatch,
    /// It cannot be what it should be: no address, a reserved name.
    Unusable,
}

/// The first source that holds something usable.
pub(super) fn take<'a>(
    name: &'static str,
    sources: &'a [ClaimSource],
    claims: &'a Map<String, Value>,
    usable: fn(&str) -> Option<String>,
) -> Attribute<'a> {
    let mut looks = Vec::new();
    let value = sources.iter().find_map(|ClaimSource(rule)| {
        let claim = rule.claim.as_deref();
        let read = read(rule, claims).and_then(|text| usable(&text).ok_or(Verdict::Unusable));
        let verdict = read.as_ref().err().copied().unwrap_or(Verdict::Taken);
        let seen = claim.and_then(|claim| path::at(claims, claim));
        looks.push(Look { claim, seen, verdict });
        read.ok()
    });
    Attribute { name, looks, value }
}

/// Whether no source holds a text.
pub(super) fn lacks(sources: &[ClaimSource], claims: &Map<String, Value>) -> bool {
    let holds = |ClaimSource(rule): &ClaimSource| {
        rule.value.is_some() || rule.claim.as_ref().is_some_and(|c| path::text(claims, c).is_some())
    };
    !sources.is_empty() && !sources.iter().any(holds)
}

fn read(rule: &ClaimRule, claims: &Map<String, Value>) -> Result<String, Verdict> {
    let Some(claim) = &rule.claim else {
        return rule.value.clone().ok_or(Verdict::Absent);
    };
    path::at(claims, claim).filter(|value| !value.is_null()).ok_or(Verdict::Absent)?;
    let text = path::text(claims, claim).ok_or(Verdict::NotText)?;
    rewrite(rule.r#match.as_ref(), rule.rename.as_deref(), text).ok_or(Verdict::NoMatch)
}

/// The text if it matches, as it is renamed.
pub(super) fn rewrite(
    pattern: Option<&Pattern>,
    rename: Option<&str>,
    text: &str,
) -> Option<String> {
    let Some(pattern) = pattern else {
        return Some(text.to_owned());
    };
    let found = pattern.0.captures(text)?;
    let Some(rename) = rename else {
        return Some(text.to_owned());
    };
    let mut renamed = String::new();
    found.expand(rename, &mut renamed);
    Some(renamed)
}
