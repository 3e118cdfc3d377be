//! Whether an e-mail address is the person's. Silence is never a yes (UP-14).

use serde::Serialize;
use serde_json::{Map, Value};

use super::path;
use crate::config::{EmailTrust, UpstreamSettings, VerifiedForm};

const EMAIL: &str = "email";
const STANDARD_FLAG: &str = "email_verified";

/// Why an address is verified, or not.
#[derive(Debug, Serialize)]
pub struct Verification<'a> {
    /// The claim that decides.
    pub claim: &'a str,
    /// What it holds.
    pub seen: Option<&'a Value>,
    /// The reason.
    pub because: Because,
    /// The outcome: yes, no, or the upstream does not say.
    pub verified: Option<bool>,
}

/// What decided about an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Because {
    /// There is no address.
    NoAddress,
    /// `email_trust = "always"`.
    AlwaysTrusted,
    /// `email_trust = "never"`.
    NeverTrusted,
    /// The claim speaks of another address than the one that was taken.
    OtherAddress,
    /// The claim is not there.
    Silent,
    /// The claim.
    Said,
}

pub(super) fn verify<'a>(
    settings: &'a UpstreamSettings,
    claims: &'a Map<String, Value>,
    email: Option<&str>,
) -> Verification<'a> {
    let claim = settings.email_verified_claim.as_str();
    let seen = path::at(claims, claim);
    let (because, verified) = match (email, settings.email_trust) {
        (None, _) => (Because::NoAddress, None),
        (Some(_), EmailTrust::Always) => (Because::AlwaysTrusted, Some(true)),
        (Some(_), EmailTrust::Never) => (Because::NeverTrusted, Some(false)),
        (Some(email), EmailTrust::Claim) if flagged(settings, claims) != Some(email) => {
            (Because::OtherAddress, None)
        }
        (Some(_), EmailTrust::Claim) => match seen {
            None | Some(Value::Null) => (Because::Silent, None),
            Some(said) => (Because::Said, Some(is_yes(said, settings.email_verified_as))),
        },
    };
    Verification { claim, seen, because, verified }
}

/// The path of the address that the flag speaks of.
fn flagged_path(settings: &UpstreamSettings) -> Option<&str> {
    if settings.email_verified_claim == STANDARD_FLAG {
        return Some(EMAIL);
    }
    settings.claims.email.first()?.0.claim.as_deref()
}

/// The address that the flag speaks of, as it stands there: one that was renamed, or found
/// elsewhere, is another.
fn flagged<'c>(settings: &UpstreamSettings, claims: &'c Map<String, Value>) -> Option<&'c str> {
    path::text(claims, flagged_path(settings)?)
}

/// Only the JSON value `true` is a yes, unless the administrator knows better; anything else that is
/// said is a no.
fn is_yes(said: &Value, form: VerifiedForm) -> bool {
    match form {
        VerifiedForm::Boolean => *said == Value::Bool(true),
        VerifiedForm::Loose => match said {
            Value::Bool(yes) => *yes,
            Value::String(text) => text == "true" || text == "1",
            Value::Number(number) => number.as_u64() == Some(1),
            _ => false,
        },
    }
}

/// Whether this claim, or something within it, is the flag or the address that it speaks of.
pub(super) fn is_about(settings: &UpstreamSettings, name: &str) -> bool {
    let leads = |path: &str| {
        path.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    leads(&settings.email_verified_claim) || flagged_path(settings).is_some_and(leads)
}
