//! From an upstream's claims to what an account has here. Pure: no I/O, no time, no state, so that
//! it can be run over recorded claims before it is switched on.

use serde_json::{Map, Value};

use crate::{
    config::{ClaimSettings, EmailTrust, GroupSettings, UpstreamSettings},
    foundation::names::{is_email, username_from},
};

const MAX_NAME: usize = 255;
const MAX_GROUPS: usize = 500;
const MAX_URL: usize = 2_000;

/// What an upstream says about a person, in our words.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct MappedPerson {
    /// A username to begin with.
    pub username: Option<String>,
    /// The e-mail address.
    pub email: Option<String>,
    /// Whether the address is the person's: yes, no, or the upstream does not say.
    pub email_verified: Option<bool>,
    /// The full name.
    pub name: Option<String>,
    /// The address of a picture.
    pub picture: Option<String>,
    /// The groups, as they are called here.
    pub groups: Vec<String>,
}

/// Maps claims by the rules of an upstream.
pub fn map(settings: &UpstreamSettings, claims: &Map<String, Value>) -> MappedPerson {
    let paths: &ClaimSettings = &settings.claims;
    let mut username = paths.username.iter().filter_map(|path| text(claims, path));
    let email = first_text(claims, &paths.email).filter(|email| is_email(email));
    MappedPerson {
        username: username.find_map(|claim| username_from(&claim)),
        email_verified: email.as_ref().and_then(|email| verified(settings, claims, email)),
        email,
        name: first_text(claims, &paths.name).map(|name| plain(&name)).filter(|n| !n.is_empty()),
        picture: first_text(claims, &paths.picture).and_then(|address| picture(&address)),
        groups: settings.groups.as_ref().map(|rules| groups(rules, claims)).unwrap_or_default(),
    }
}

/// Whether the claims lack something that the rules look for.
pub fn lacks_claims(settings: &UpstreamSettings, claims: &Map<String, Value>) -> bool {
    let paths = &settings.claims;
    let lacks = |paths: &[String]| !paths.is_empty() && first_text(claims, paths).is_none();
    let groups = settings.groups.as_ref();
    lacks(&paths.username)
        || lacks(&paths.email)
        || lacks(&paths.name)
        || groups.is_some_and(|rules| at(claims, &rules.claim).is_none())
}

/// The value at a path: the name as it stands (some are addresses), else step by step.
fn at<'c>(claims: &'c Map<String, Value>, path: &str) -> Option<&'c Value> {
    if let Some(value) = claims.get(path) {
        return Some(value);
    }
    let mut steps = path.split('.');
    let mut value = claims.get(steps.next()?)?;
    for step in steps {
        value = value.as_object()?.get(step)?;
    }
    Some(value)
}

fn text(claims: &Map<String, Value>, path: &str) -> Option<String> {
    at(claims, path)?.as_str().map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned)
}

fn first_text(claims: &Map<String, Value>, paths: &[String]) -> Option<String> {
    paths.iter().find_map(|path| text(claims, path))
}

/// The first of these claims that says anything.
fn first_said<'c>(claims: &'c Map<String, Value>, paths: &[String]) -> Option<&'c Value> {
    paths.iter().find_map(|path| at(claims, path).filter(|value| !value.is_null()))
}

/// Only the JSON value `true` is a yes; anything else that is said is a no; silence is silence.
/// The claim speaks of the claim `email`, not of an address that was found elsewhere.
fn verified(settings: &UpstreamSettings, claims: &Map<String, Value>, email: &str) -> Option<bool> {
    match settings.email_trust {
        EmailTrust::Claim if text(claims, "email").as_deref() != Some(email) => None,
        EmailTrust::Always => Some(true),
        EmailTrust::Never => Some(false),
        EmailTrust::Claim => match first_said(claims, &settings.email_verified_claims) {
            None => None,
            // Apple writes both.
            Some(Value::String(said)) if settings.email_verified_text => Some(said == "true"),
            Some(said) => Some(*said == Value::Bool(true)),
        },
    }
}

/// A text without control characters and invisible reordering marks, cut to a sane length (IJ-15).
fn plain(text: &str) -> String {
    let deceptive = |c: char| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
    };
    text.chars().filter(|c| !deceptive(*c)).take(MAX_NAME).collect::<String>().trim().to_owned()
}

/// The address of a picture, as the parser writes it: without anything that it would skip.
fn picture(address: &str) -> Option<String> {
    let url = url::Url::parse(address).ok().filter(|url| url.scheme() == "https")?;
    Some(url.to_string()).filter(|address| address.len() <= MAX_URL)
}

/// The groups that pass the filter, renamed and prefixed, each once.
fn groups(rules: &GroupSettings, claims: &Map<String, Value>) -> Vec<String> {
    let names: Vec<&str> = match at(claims, &rules.claim) {
        Some(Value::Array(list)) => list.iter().filter_map(Value::as_str).collect(),
        Some(Value::String(one)) => vec![one],
        // Roles as an object whose names are the roles.
        Some(Value::Object(object)) => object.keys().map(String::as_str).collect(),
        _ => Vec::new(),
    };
    let mut groups: Vec<String> = Vec::new();
    for name in names.into_iter().filter_map(|name| rename(rules, name)) {
        if !groups.contains(&name) && groups.len() < MAX_GROUPS {
            groups.push(name);
        }
    }
    groups
}

fn rename(rules: &GroupSettings, name: &str) -> Option<String> {
    // Keycloak writes groups as paths.
    let name = plain(name.strip_prefix('/').unwrap_or(name));
    let name = match (&rules.r#match, &rules.rename) {
        (Some(pattern), Some(rename)) => {
            let found = pattern.0.captures(&name)?;
            let mut renamed = String::new();
            found.expand(rename, &mut renamed);
            renamed
        }
        (Some(pattern), None) => pattern.0.is_match(&name).then_some(name)?,
        (None, _) => name,
    };
    (!name.is_empty()).then(|| format!("{}{name}", rules.prefix))
}

#[cfg(test)]
#[path = "mapping_tests.rs"]
mod tests;
