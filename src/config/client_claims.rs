//! `[[clients.claims]]`: claims that one app gets beyond those of its scopes.

use std::collections::HashSet;

use super::{
    clients::ClientSettings, mapping::scalar, problems::Problems, reading::Setting,
    values::word_setting,
};

text_enum! {
    /// A claim about a person that can be given under another name as well.
    PersonClaim {
        /// Whom the token is about.
        Sub = "sub",
        /// The username.
        PreferredUsername = "preferred_username",
        /// The full name.
        Name = "name",
        /// The language that the person prefers.
        Locale = "locale",
        /// The address of a picture.
        Picture = "picture",
        /// The e-mail address, if it is verified.
        Email = "email",
        /// All groups.
        Groups = "groups",
        /// All roles.
        Roles = "roles",
        /// The upstream by which the person has come, by slug; "local" for an account of our own.
        Upstream = "upstream",
    }
}
word_setting!(PersonClaim);

section! {
    /// A claim that one app gets beyond those of its scopes, wherever it gets `email`.
    pub struct ClientClaim {
        /// What the app calls it.
        name: String,
        /// A fixed value; with `groups`, what it is when no group fits.
        value: Option<ClaimValue>,
        /// Another claim that it repeats.
        from: Option<PersonClaim>,
        /// A public attribute (`[[attributes]]`) whose value it is.
        attribute: Option<String>,
        /// What it is for members of groups: the first that fits counts.
        groups: Vec<GroupValue> = Vec::new(),
        /// Whether it lists what all fitting groups give.
        many: bool = false,
    }
}

section! {
    /// What a claim is for members of a group.
    pub struct GroupValue {
        /// The group.
        group: String,
        /// What the claim is for its members.
        value: ClaimValue,
    }
}

/// The value of a claim: a text, a number, true or false.
#[derive(Clone, Debug, PartialEq)]
pub struct ClaimValue(pub serde_json::Value);

impl Setting for ClaimValue {
    fn kind() -> String {
        "text, number, true or false".to_owned()
    }

    fn read(value: &toml::Value, path: &str, problems: &mut Problems) -> Option<Self> {
        let read = scalar(value).map(Self);
        if read.is_none() {
            problems.add_bare(path, "must be a text, a number, true or false");
        }
        read
    }

    fn show(&self) -> String {
        self.0.to_string()
    }
}

/// What protocols give a meaning of their own (RFC 7519 §4.1, RFC 9068 §2.2, OIDC Core §2, §5.6.2).
const RESERVED: &[&str] = &[
    "iss",
    "sub",
    "aud",
    "exp",
    "nbf",
    "iat",
    "jti",
    "auth_time",
    "nonce",
    "acr",
    "amr",
    "azp",
    "at_hash",
    "c_hash",
    "s_hash",
    "sid",
    "sub_jwk",
    "cnf",
    "act",
    "may_act",
    "events",
    "typ",
    "scope",
    "client_id",
    "active",
    "token_type",
    "_claim_names",
    "_claim_sources",
];

pub(super) fn check(client: &ClientSettings, at: &dyn Fn(&str) -> String, problems: &mut Problems) {
    let mut seen = HashSet::new();
    for (index, claim) in client.claims.iter().enumerate() {
        let at = |name: &str| at(&format!("claims.{index}.{name}"));
        let name = claim.name.as_str();
        if !seen.insert(name) {
            problems.add(&at("name"), format!("{name:?}"), "is used twice; choose another");
        }
        if let Some(fault) = name_fault(name) {
            problems.add(&at("name"), format!("{name:?}"), fault);
        }
        let says = claim.value.is_some() || !claim.groups.is_empty();
        let given = [claim.from.is_some(), claim.attribute.is_some(), says];
        if given.iter().filter(|given| **given).count() != 1 {
            problems.add_bare(&at("from"), "give either from, or attribute, or value and groups");
        }
        if claim.many && claim.groups.is_empty() {
            problems.add_bare(&at("many"), "needs groups");
        }
    }
}

fn name_fault(name: &str) -> Option<&'static str> {
    if name.is_empty() || name.len() > 255 || name.chars().any(char::is_control) {
        return Some("must have 1 to 255 characters");
    }
    if RESERVED.contains(&name) {
        return Some("belongs to the protocol; choose another");
    }
    if ["email", "email_verified"].contains(&name) {
        return Some("one speaks of the other, and both come from the account");
    }
    None
}
