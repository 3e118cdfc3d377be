//! From an upstream's claims to what an account has here. Pure: no I/O, no time, no state, so that
//! it can be run over recorded claims before it is switched on.
//!
//! [`map`] answers with the person and with everything that it looked at on the way: what
//! `keywright upstream explain` prints is the reasoning of a real sign-in, and not a second opinion.

pub mod gates;

mod address;
mod attributes;
mod groups;
mod path;

use serde::Serialize;
use serde_json::{Map, Value};

pub use address::{Because, Verification};
pub use attributes::{Attribute, Look, Verdict};
pub use groups::{Fate, GroupClaim, GroupRule};

use crate::{
    config::{ClaimSource, UpstreamSettings},
    foundation::names::{is_email, username_from},
};

const MAX_NAME: usize = 255;
const MAX_URL: usize = 2_000;

/// What an upstream says about a person, in our words.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
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

/// What the rules of an upstream make of claims, and why.
#[derive(Debug, Serialize)]
pub struct Mapping<'a> {
    /// The outcome.
    pub person: MappedPerson,
    /// Where each text comes from.
    pub attributes: [Attribute<'a>; 4],
    /// Why the address is verified, or not.
    pub verification: Verification<'a>,
    /// What each group rule found.
    pub groups: Vec<GroupRule<'a>>,
}

/// Maps claims by the rules of an upstream.
pub fn map<'a>(settings: &'a UpstreamSettings, claims: &'a Map<String, Value>) -> Mapping<'a> {
    let take = |name, sources: &'a [ClaimSource], usable: fn(&str) -> Option<String>| {
        attributes::take(name, sources, claims, usable)
    };
    let paths = &settings.claims;
    let username = take("username", &paths.username, username_from);
    let email = take("email", &paths.email, |text| is_email(text).then(|| text.to_owned()));
    let name = take("name", &paths.name, |text| Some(plain(text)).filter(|name| !name.is_empty()));
    let picture = take("picture", &paths.picture, picture);
    let verification = address::verify(settings, claims, email.value.as_deref());
    let (groups, rules) = groups::collect(&settings.groups, claims);
    let person = MappedPerson {
        username: username.value.clone(),
        email: email.value.clone(),
        email_verified: verification.verified,
        name: name.value.clone(),
        picture: picture.value.clone(),
        groups,
    };
    Mapping { person, attributes: [username, email, name, picture], verification, groups: rules }
}

/// Whether the claims lack something that the rules look for.
pub fn lacks_claims(settings: &UpstreamSettings, claims: &Map<String, Value>) -> bool {
    let paths = &settings.claims;
    let absent = |claim: &String| path::at(claims, claim).is_none();
    let mut of_groups = settings.groups.iter().filter(|rule| rule.value.is_none());
    let mut of_gate = settings.admit.iter().flat_map(|gate| &gate.claims.0);
    attributes::lacks(&paths.username, claims)
        || attributes::lacks(&paths.email, claims)
        || attributes::lacks(&paths.name, claims)
        || of_groups.any(|rule| rule.claim.iter().any(absent))
        || of_gate.any(|(claim, _)| absent(claim))
}

/// Whether this claim says that an address is verified, or is that address. The two belong together
/// and come from one place, or the flag of one address would speak of another (UP-14).
pub fn is_about_address(settings: &UpstreamSettings, name: &str) -> bool {
    address::is_about(settings, name)
}

/// A text without control characters and invisible reordering marks, cut to a sane length (IJ-15).
pub(super) fn plain(text: &str) -> String {
    let deceptive = |c: char| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
    };
    let kept = text.chars().filter(|c| !deceptive(*c)).skip_while(|c| c.is_whitespace());
    kept.take(MAX_NAME).collect::<String>().trim_end().to_owned()
}

/// The address of a picture, as the parser writes it: without anything that it would skip.
fn picture(address: &str) -> Option<String> {
    let url = url::Url::parse(address).ok().filter(|url| url.scheme() == "https")?;
    Some(url.to_string()).filter(|address| address.len() <= MAX_URL)
}

#[cfg(test)]
mod examples;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
