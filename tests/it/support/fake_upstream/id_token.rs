//! The ID token (OIDC Core §2), with whatever the misbehaviour changes in it.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256, Sha512};

use super::keys::Algorithm;
use super::signature;
use super::state::{Grant, Placement, State};

const LIFETIME_SECONDS: i64 = 300;

/// Makes the ID token for a redeemed code.
pub(super) fn issue(state: &mut State, grant: &Grant, access_token: &str) -> String {
    let mut header = honest_header(state);
    let mut claims = honest_claims(state, grant, access_token);
    signature::prepare_header(state, &mut header);
    let now = state.now();
    state.lies.header.apply(&mut header, now);
    state.lies.claims.apply(&mut claims, now);
    if let Some(transform) = state.lies.id_token_transform.clone() {
        transform(&mut header, &mut claims);
    }
    let mut header = Value::Object(header).to_string();
    let mut payload = Value::Object(claims).to_string();
    if let Some(rewrite) = state.lies.header_text.clone() {
        header = rewrite(header);
    }
    if let Some(rewrite) = state.lies.payload_text.clone() {
        payload = rewrite(payload);
    }
    let token = compact(&header, &payload, |input| signature::sign(state, input));
    match state.lies.compact.clone() {
        Some(rewrite) => rewrite(token),
        None => token,
    }
}

/// The compact serialisation (RFC 7515 §3.1) of any two texts.
pub(super) fn compact(header: &str, payload: &str, sign: impl FnOnce(&[u8]) -> Vec<u8>) -> String {
    let input = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload));
    let signature = URL_SAFE_NO_PAD.encode(sign(input.as_bytes()));
    format!("{input}.{signature}")
}

fn honest_header(state: &State) -> Map<String, Value> {
    let key = state.keys.current();
    let mut header = Map::new();
    header.insert("alg".into(), key.algorithm().name().into());
    header.insert("typ".into(), "JWT".into());
    if key.algorithm() != Algorithm::Hs256 {
        header.insert("kid".into(), key.kid().into());
    }
    header
}

fn honest_claims(state: &State, grant: &Grant, access_token: &str) -> Map<String, Value> {
    let mut claims = match state.placement {
        Placement::Both | Placement::IdTokenOnly => grant.person.clone(),
        Placement::UserinfoOnly => {
            let only = grant.person.iter().filter(|(name, _)| *name == "sub");
            only.map(|(name, value)| (name.clone(), value.clone())).collect()
        }
    };
    let now = state.now();
    let alg = match state.lies.odd_key {
        Some(odd_key) => odd_key.alg(),
        None => state.keys.current().algorithm().name(),
    };
    let protocol = [
        ("iss", json!(state.issuer())),
        ("aud", json!(grant.client_id)),
        ("azp", json!(grant.client_id)),
        ("iat", json!(now)),
        ("auth_time", json!(now)),
        ("exp", json!(now + LIFETIME_SECONDS)),
        ("at_hash", json!(at_hash(alg, access_token))),
    ];
    claims.extend(protocol.map(|(name, value)| (name.into(), value)));
    if let Some(nonce) = &grant.nonce {
        claims.insert("nonce".into(), json!(nonce));
    }
    claims
}

/// OIDC Core §3.1.3.6: the left half of the access token's hash. Ed25519 hashes with SHA-512.
fn at_hash(alg: &str, access_token: &str) -> String {
    match alg {
        "EdDSA" => URL_SAFE_NO_PAD.encode(&Sha512::digest(access_token)[..32]),
        _ => URL_SAFE_NO_PAD.encode(&Sha256::digest(access_token)[..16]),
    }
}
