//! What becomes of an upstream's claims: `[upstreams.claims]`, `groups`, `admit` and `signup`.
//!
//! What these rules do is written in `federation::mapping`; here they are only read and checked.

use toml::Value;

use super::{
    addresses::Pattern,
    lists::OneOrMore,
    problems::Problems,
    reading::{Setting, join},
    upstreams::UpstreamSettings,
    values::word_setting,
};

text_enum! {
    /// What an upstream's word about an e-mail address is worth.
    EmailTrust {
        /// The claim `email_verified_claim` decides; an absent claim stays unknown.
        Claim = "claim",
        /// Every address it gives is verified.
        Always = "always",
        /// No address it gives is verified.
        Never = "never",
    }
}

text_enum! {
    /// What a claim has to hold to say that an address is verified.
    VerifiedForm {
        /// The JSON value `true`, as OIDC Core §5.1 has it.
        Boolean = "boolean",
        /// Also the texts `"true"` and `"1"`, and the number 1.
        Loose = "loose",
    }
}
word_setting!(EmailTrust, VerifiedForm);

fn sources(names: &[&str]) -> OneOrMore<ClaimSource> {
    names.iter().map(|name| ClaimSource::at(name)).collect()
}

section! {
    /// From which claims the account is filled.
    pub struct ClaimSettings {
        /// The username.
        username: OneOrMore<ClaimSource> = sources(&["preferred_username", "nickname", "email"]),
        /// The e-mail address.
        email: OneOrMore<ClaimSource> = sources(&["email"]),
        /// The full name.
        name: OneOrMore<ClaimSource> = sources(&["name"]),
        /// The address of a picture.
        picture: OneOrMore<ClaimSource> = sources(&["picture"]),
    }
}

section! {
    /// Where a text comes from: a claim, or a fixed text.
    pub struct ClaimRule {
        /// The claim: a path with dots.
        claim: Option<String>,
        /// The claim counts only if it matches.
        r#match: Option<Pattern>,
        /// What becomes of a claim that matches; `$1` is the first bracket of `match`.
        rename: Option<String>,
        /// A fixed text, instead of a claim.
        value: Option<String>,
    }
}

/// A [`ClaimRule`], for which a bare path may stand.
#[derive(Clone, Debug)]
pub struct ClaimSource(pub ClaimRule);

impl ClaimSource {
    fn at(path: &str) -> Self {
        Self(ClaimRule { claim: Some(path.to_owned()), r#match: None, rename: None, value: None })
    }
}

impl Setting for ClaimSource {
    fn kind() -> String {
        "paths or tables".to_owned()
    }

    fn read(value: &Value, path: &str, problems: &mut Problems) -> Option<Self> {
        match value {
            Value::String(claim) => Some(Self::at(claim)),
            _ => ClaimRule::read(value, path, problems).map(Self),
        }
    }

    fn show(&self) -> String {
        format!("{:?}", self.0.claim.as_deref().unwrap_or_default())
    }
}

section! {
    /// Which groups are taken over from an upstream: one table, or a list of them, whose groups
    /// are put together. Without any, none are.
    pub struct GroupSettings {
        /// The claims that hold them, put together: paths with dots. Each holds a list of texts,
        /// one text, or an object whose names are the groups.
        claim: OneOrMore<String> = std::iter::once("groups".to_owned()).collect(),
        /// Where the claim is a list of objects: which of their members is the name.
        member: Option<String>,
        /// Only groups that match are taken.
        r#match: Option<Pattern>,
        /// What a matching group is called here; `$1` is the first bracket of `match`.
        rename: Option<String>,
        /// A group that everybody of this upstream is in, instead of a claim.
        value: Option<String>,
        /// What is put before every name.
        prefix: String = String::new(),
    }
}

section! {
    /// Who may enter through one upstream, known or new. Each list that is given must be met.
    pub struct UpstreamAdmission {
        /// Claims and what they have to hold: `{ tid = "...", department = ["it", "hr"] }`. A claim
        /// that is a list has to contain one of the values.
        claims: ClaimValues = ClaimValues::default(),
        /// Groups as they are called here, after `match` and `rename`: one of them.
        groups: Vec<String> = Vec::new(),
        /// E-mail domains: one of them; the address must be verified.
        domains: Vec<String> = Vec::new(),
    }
}

section! {
    /// Who may get an account through one upstream. Each list that is given must be met.
    pub struct UpstreamSignup {
        /// E-mail domains; the address must be verified.
        domains: Vec<String> = Vec::new(),
        /// Groups as they are called here, after `match` and `rename`.
        groups: Vec<String> = Vec::new(),
    }
}

/// Claims by their paths, each with the values of which it has to hold one.
#[derive(Clone, Debug, Default)]
pub struct ClaimValues(pub Vec<(String, Vec<serde_json::Value>)>);

impl Setting for ClaimValues {
    fn kind() -> String {
        "table of claims and their values".to_owned()
    }

    fn read(value: &Value, path: &str, problems: &mut Problems) -> Option<Self> {
        let Value::Table(table) = value else {
            problems.add(path, value, "must be a table, such as { tid = \"...\" }");
            return None;
        };
        let mut all = Vec::with_capacity(table.len());
        for (claim, wanted) in table {
            let wanted = match wanted {
                Value::Array(several) if !several.is_empty() => several.as_slice(),
                one => std::slice::from_ref(one),
            };
            let values: Option<Vec<_>> = wanted.iter().map(scalar).collect();
            if let Some(values) = values {
                all.push((claim.clone(), values));
            } else {
                let fix = "must be a text, a number, true, false, or a list of such; a path with \
                           dots stands in quotes";
                problems.add_bare(&join(path, claim), fix);
            }
        }
        Some(Self(all))
    }

    fn show(&self) -> String {
        "{}".to_owned()
    }
}

/// A text, a number, true or false, as JSON has it.
pub(super) fn scalar(value: &Value) -> Option<serde_json::Value> {
    match value {
        Value::String(text) => Some(text.as_str().into()),
        Value::Integer(number) => Some((*number).into()),
        Value::Boolean(yes) => Some((*yes).into()),
        _ => None,
    }
}

pub(super) fn check(
    upstream: &UpstreamSettings,
    at: &dyn Fn(&str) -> String,
    problems: &mut Problems,
) {
    let claims = &upstream.claims;
    let lists = [
        ("username", &claims.username),
        ("email", &claims.email),
        ("name", &claims.name),
        ("picture", &claims.picture),
    ];
    for (name, sources) in lists {
        for (index, source) in sources.iter().enumerate() {
            check_source(&source.0, &at(&format!("claims.{name}.{index}")), problems);
        }
    }
    for (index, rule) in upstream.groups.iter().enumerate() {
        let alone = upstream.groups.len() == 1;
        let at = if alone { at("groups") } else { at(&format!("groups.{index}")) };
        check_group_rule(rule, &at, problems);
    }
    if upstream.signup.as_ref().is_some_and(|s| s.domains.is_empty() && s.groups.is_empty()) {
        problems.add_bare(&at("signup"), "name domains or groups, or leave the table out");
    }
    let admits_all = |gate: &UpstreamAdmission| {
        gate.claims.0.is_empty() && gate.groups.is_empty() && gate.domains.is_empty()
    };
    if upstream.admit.as_ref().is_some_and(admits_all) {
        let fix = "name claims, groups or domains, or leave the table out";
        problems.add_bare(&at("admit"), fix);
    }
    if upstream.email_verified_claim.is_empty() {
        problems.add_bare(&at("email_verified_claim"), "must name a claim");
    }
}

fn check_source(rule: &ClaimRule, at: &str, problems: &mut Problems) {
    match (&rule.claim, &rule.value) {
        (Some(claim), None) if claim.is_empty() => problems.add_bare(at, "must name a claim"),
        (Some(_), None) => {}
        (None, Some(_)) if rule.r#match.is_none() && rule.rename.is_none() => {}
        (None, Some(_)) => problems.add_bare(at, "a fixed value is neither matched nor renamed"),
        (Some(_), Some(_)) | (None, None) => {
            problems.add_bare(at, "must have either a claim or a value");
        }
    }
    if rule.rename.is_some() && rule.r#match.is_none() {
        problems.add_bare(&join(at, "rename"), "needs match");
    }
}

fn check_group_rule(rule: &GroupSettings, at: &str, problems: &mut Problems) {
    if rule.claim.iter().any(String::is_empty) || rule.claim.is_empty() {
        problems.add_bare(&join(at, "claim"), "must name a claim");
    }
    let works_on_a_claim = rule.member.is_some() || rule.r#match.is_some() || rule.rename.is_some();
    if rule.value.is_some() && works_on_a_claim {
        let fix = "a fixed value has no member and is neither matched nor renamed";
        problems.add_bare(&join(at, "value"), fix);
    } else if rule.rename.is_some() && rule.r#match.is_none() {
        problems.add_bare(&join(at, "rename"), "needs match");
    }
}
