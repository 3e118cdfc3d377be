//! The JWKS endpoint, and the key files of an attacker beside it.

use axum::response::Response;
use serde_json::{Value, json};

use super::server::answer;
use super::signature;
use super::state::State;

/// What the JWKS endpoint publishes (RFC 7517 §5). Tokens are still signed with the current key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum KeySet {
    #[default]
    Honest,
    /// `{"keys": []}`.
    Empty,
    /// An object without `keys`.
    WithoutKeys,
    /// The keys in a bare array.
    BareArray,
    /// Entries that are no objects.
    Junk,
    /// The honest keys without `kid`.
    WithoutKids,
    /// The honest keys, and one more under the same `kid`.
    SameKidTwice,
    /// The honest keys marked for encryption.
    ForEncryption,
    /// The honest keys with `key_ops` that lack `verify`.
    NotForVerifying,
    /// The honest keys with an `alg` that is not theirs.
    OtherAlgorithm,
    /// The honest keys with their private members.
    WithPrivateMembers,
    /// The honest keys behind so many others.
    Flood(usize),
}

/// Answers the JWKS endpoint.
pub(super) fn serve(state: &mut State) -> Response {
    let mut document = match state.lies.odd_key {
        Some(odd_key) => json!({"keys": [odd_key.jwk()]}),
        None => document(state),
    };
    if let Some(transform) = state.lies.key_set_transform.clone() {
        document = transform(document);
    }
    answer::json(200, &document)
}

/// Answers the address that a forged `jku` header names.
pub(super) fn serve_attacker_jwks(state: &mut State) -> Response {
    let mut jwk = json!(state.keys.attacker().public_jwk());
    jwk["kid"] = state.keys.current().kid().into();
    answer::json(200, &json!({"keys": [jwk]}))
}

/// Answers the address that a forged `x5u` header names.
pub(super) fn serve_attacker_certificate(state: &mut State) -> Response {
    let pem = signature::self_signed(state.keys.attacker()).to_pem().expect("a certificate");
    answer::text(200, "application/x-pem-file", pem)
}

fn document(state: &mut State) -> Value {
    let keys = state.keys.public_jwks();
    let keys = match state.lies.key_set {
        KeySet::Honest => keys,
        KeySet::Empty => Vec::new(),
        KeySet::WithoutKeys => return json!({"message": "no keys here"}),
        KeySet::BareArray => return json!(keys),
        KeySet::Junk => vec![Value::Null, json!(7), json!("key"), json!([]), json!({})],
        KeySet::WithoutKids => each(keys, |key| {
            key.as_object_mut().and_then(|key| key.remove("kid"));
        }),
        KeySet::SameKidTwice => {
            let mut other = json!(state.keys.attacker().public_jwk());
            other["kid"] = state.keys.current().kid().into();
            std::iter::once(other).chain(keys).collect()
        }
        KeySet::ForEncryption => each(keys, |key| key["use"] = "enc".into()),
        KeySet::NotForVerifying => each(keys, |key| key["key_ops"] = json!(["encrypt"])),
        KeySet::OtherAlgorithm => each(keys, |key| key["alg"] = "RS512".into()),
        KeySet::WithPrivateMembers => state.keys.current().private_jwk().into_iter().collect(),
        KeySet::Flood(count) => flood(count, keys),
    };
    // Moved, not copied: a flood is large.
    Value::Object([("keys".to_owned(), Value::Array(keys))].into_iter().collect())
}

fn each(mut keys: Vec<Value>, change: impl Fn(&mut Value)) -> Vec<Value> {
    keys.iter_mut().for_each(change);
    keys
}

/// The honest keys come last, so that a reader who stops early does not find them.
fn flood(count: usize, honest: Vec<Value>) -> Vec<Value> {
    let point = "A".repeat(43);
    let filler = |number| {
        let kid = format!("filler-{number}");
        json!({"kty": "EC", "crv": "P-256", "x": point, "y": point, "kid": kid, "use": "sig"})
    };
    (0..count).map(filler).chain(honest).collect()
}
