//! Who may enter through an upstream, and who may get an account: rules over a mapped person.
//!
//! A gate answers with all of its checks, met or not: the first that is not met is the refusal, and
//! all of them together are the explanation.

use std::fmt;

use serde::Serialize;
use serde_json::{Map, Value};

use super::{MappedPerson, path};
use crate::{
    config::{SignupMode, UpstreamSettings},
    foundation::names::is_in_domain,
};

/// One thing that a gate asks for.
#[derive(Debug, Serialize)]
pub struct Check<'a> {
    /// What is asked for.
    pub wants: Wants,
    /// The claim, where one is asked for.
    pub claim: Option<&'a str>,
    /// What that claim holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seen: Option<&'a Value>,
    /// Of which one must be there.
    pub one_of: Vec<Value>,
    /// Whether it is.
    pub met: bool,
}

/// What a gate asks for, and so why it stays shut.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Wants {
    /// A claim with one of some values.
    Claim,
    /// A verified address in one of some domains.
    Domain,
    /// One of some groups.
    Group,
    /// That new accounts are open.
    OpenSignup,
}

impl fmt::Display for Check<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let one_of: Vec<String> = self.one_of.iter().map(Value::to_string).collect();
        let one_of = one_of.join(" or ");
        match self.wants {
            Wants::Claim => write!(out, "claim {} = {one_of}", self.claim.unwrap_or_default()),
            Wants::Domain => write!(out, "verified address in {one_of}"),
            Wants::Group => write!(out, "group {one_of}"),
            Wants::OpenSignup => out.write_str("signup.federated = \"open\""),
        }
    }
}

/// Why a gate stays shut.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Refusal {
    /// What kind of thing is missing.
    pub wants: Wants,
    /// The whole of it, for the administrator.
    pub what: String,
}

/// Why a gate stays shut: the first check that is not met.
pub fn refusal(checks: &[Check<'_>]) -> Option<Refusal> {
    let unmet = checks.iter().find(|check| !check.met)?;
    Some(Refusal { wants: unmet.wants, what: unmet.to_string() })
}

/// Whether the person may enter at all.
pub fn admission<'a>(
    settings: &'a UpstreamSettings,
    claims: &'a Map<String, Value>,
    person: &MappedPerson,
) -> Vec<Check<'a>> {
    let Some(gate) = &settings.admit else {
        return Vec::new();
    };
    let of_claim = |(claim, wanted): &'a (String, Vec<Value>)| {
        let seen = path::at(claims, claim);
        let met = seen.is_some_and(|held| holds_one(held, wanted));
        let one_of = wanted.clone();
        Check { wants: Wants::Claim, claim: Some(claim.as_str()), seen, one_of, met }
    };
    let lists = lists(&gate.domains, &gate.groups, person);
    gate.claims.0.iter().map(of_claim).chain(lists).collect()
}

/// Whether an unknown person may get an account. The upstream's own rule, where there is one,
/// decides for this upstream; `signup.federated` does for all others.
pub fn signup<'a>(
    settings: &UpstreamSettings,
    federated: SignupMode,
    person: &MappedPerson,
) -> Vec<Check<'a>> {
    if let Some(rule) = &settings.signup {
        return lists(&rule.domains, &rule.groups, person).collect();
    }
    let met = match federated {
        SignupMode::Open => true,
        SignupMode::Invite | SignupMode::Closed => false,
    };
    vec![Check { wants: Wants::OpenSignup, claim: None, seen: None, one_of: Vec::new(), met }]
}

/// Whether a claim is one of the values or, if it is a list, has one of them.
fn holds_one(held: &Value, wanted: &[Value]) -> bool {
    match held {
        Value::Array(items) => items.iter().any(|item| wanted.contains(item)),
        one => wanted.contains(one),
    }
}

/// The lists that are given: each must be met (UP-20).
fn lists<'a>(
    domains: &[String],
    groups: &[String],
    person: &MappedPerson,
) -> impl Iterator<Item = Check<'a>> {
    let verified = person.email.as_ref().filter(|_| person.email_verified == Some(true));
    let in_domain = |domain: &String| verified.is_some_and(|email| is_in_domain(email, domain));
    let check = |wants, list: &[String], met| {
        let one_of = list.iter().map(|one| Value::from(one.as_str())).collect();
        (!list.is_empty()).then_some(Check { wants, claim: None, seen: None, one_of, met })
    };
    let domain = check(Wants::Domain, domains, domains.iter().any(in_domain));
    let in_group = groups.iter().any(|group| person.groups.contains(group));
    let group = check(Wants::Group, groups, in_group);
    domain.into_iter().chain(group)
}
