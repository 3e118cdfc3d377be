//! The claims of a person's last sign-in at an upstream, kept so that rules can be tried on them
//! before they are switched on.
//!
//! They are sealed and bound to their row. No token is among them, nor what belongs to one (UP-31).

use serde_json::{Map, Value};

use crate::{
    foundation::{random::Random, seal::KeyRing},
    store::identities::Recorded,
};

/// Claims that take more than this are not kept (UP-34).
const MAX_LENGTH: usize = 64 * 1_024;

/// What speaks of tokens and of one sign-in, and never of a person.
const NOT_KEPT: &[&str] =
    &["nonce", "at_hash", "c_hash", "s_hash", "jti", "access_token", "refresh_token", "id_token"];

fn place((issuer, subject): (&str, &str)) -> String {
    format!("identities:claims:{issuer} {subject}")
}

/// Seals claims for the row of an identity; nothing if they are too large.
pub(super) fn seal(
    ring: &KeyRing,
    subject: (&str, &str),
    claims: &Map<String, Value>,
    random: &dyn Random,
) -> Option<Vec<u8>> {
    let mut kept = claims.clone();
    kept.retain(|name, _| !NOT_KEPT.contains(&name.as_str()));
    let text = serde_json::to_vec(&kept).ok().filter(|text| text.len() <= MAX_LENGTH)?;
    Some(ring.seal(&place(subject), &text, random))
}

/// The claims in the row of an identity; nothing if none were kept, or under a secret key that is
/// gone.
pub fn open(ring: &KeyRing, row: &Recorded) -> Option<Map<String, Value>> {
    let sealed = row.claims.as_deref()?;
    serde_json::from_slice(&ring.open(&place((&row.issuer, &row.subject)), sealed)?).ok()
}
