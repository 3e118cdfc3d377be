//! Which keys of a JWKS that others publish are fit for checking signatures (JW-09).

use std::{collections::HashMap, sync::Arc};

use base64::Engine as _;
use serde_json::{Map, Value};

use super::foreign::ForeignKey;
use crate::{
    foundation::{
        digest::{base64url, from_base64url, sha256},
        strict_json,
    },
    protocol::jwa::FOREIGN_ALGORITHMS,
};

/// The largest JWKS that is read, in bytes.
pub const MAX_JWKS: usize = 256 * 1_024;
const MAX_KEYS: usize = 100;
const PRIVATE_MEMBERS: &[&str] = &["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

/// A key that may check signatures.
#[derive(Clone, Debug)]
pub struct PublishedKey {
    /// What its owner calls it.
    pub kid: Option<String>,
    /// RFC 7517 §4.1.
    pub kty: String,
    /// The only algorithm that its owner uses it with, if it says so.
    pub alg: Option<String>,
    /// The SHA-256 of its certificate, if it has one (RFC 7517 §4.7, §4.9).
    pub certificate: Option<String>,
    /// The key, ready for each algorithm that it fits.
    prepared: Vec<(&'static str, Arc<ForeignKey>)>,
}

/// Why a JWKS is of no use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JwksFault {
    /// It cannot be read.
    #[error("{0}")]
    Malformed(&'static str),
    /// It lists no key at all.
    #[error("it lists no key")]
    Empty,
    /// It lists keys, and none is fit.
    #[error("it lists no key that is fit for checking signatures")]
    NothingFit,
}

/// Reads a JWKS and keeps the keys that are fit.
pub fn read_jwks(body: &[u8]) -> Result<Vec<PublishedKey>, JwksFault> {
    let document = strict_json::object(body);
    let document = document.ok_or(JwksFault::Malformed("it is not a JSON object"))?;
    let Some(Value::Array(keys)) = document.get("keys") else {
        return Err(JwksFault::Malformed("it has no list of keys"));
    };
    if keys.len() > MAX_KEYS {
        return Err(JwksFault::Malformed("it has more than 100 keys"));
    }
    let mut fit: Vec<PublishedKey> = keys.iter().filter_map(fit_key).collect();
    // Two keys of one name: nobody can tell which is meant.
    let mut names: HashMap<Option<String>, usize> = HashMap::new();
    for key in &fit {
        *names.entry(key.kid.clone()).or_default() += 1;
    }
    fit.retain(|key| key.kid.is_none() || names.get(&key.kid) == Some(&1));
    match (fit.is_empty(), keys.is_empty()) {
        (false, _) => Ok(fit),
        (true, true) => Err(JwksFault::Empty),
        (true, false) => Err(JwksFault::NothingFit),
    }
}

/// Whether a key is public, strong, and meant for checking signatures.
pub(super) fn is_fit(jwk: &Map<String, Value>) -> bool {
    let text = |name: &str| jwk.get(name).and_then(Value::as_str);
    let for_signatures = text("use").is_none_or(|usage| usage == "sig") && may_verify(jwk);
    let public = !PRIVATE_MEMBERS.iter().any(|member| jwk.contains_key(*member));
    let strong = match (text("kty"), text("crv")) {
        (Some("RSA"), _) => text("n").zip(text("e")).is_some_and(|(n, e)| is_strong_rsa(n, e)),
        (Some("EC"), _) => true,
        (Some("OKP"), Some("Ed25519")) => text("x").is_some_and(|x| !is_small_order(x)),
        _ => false,
    };
    for_signatures && public && strong
}

fn fit_key(value: &Value) -> Option<PublishedKey> {
    let jwk = value.as_object().filter(|jwk| is_fit(jwk))?;
    let text = |name: &str| jwk.get(name).and_then(Value::as_str);
    Some(PublishedKey {
        kid: text("kid").map(str::to_owned),
        kty: text("kty")?.to_owned(),
        alg: text("alg").map(str::to_owned),
        certificate: certificate(jwk),
        prepared: prepare(value)?,
    })
}

/// The thumbprint of the key's certificate: of the one that is there, or as it is told.
fn certificate(jwk: &Map<String, Value>) -> Option<String> {
    let told = || jwk.get("x5t#S256").and_then(Value::as_str).map(str::to_owned);
    let Some(chain) = jwk.get("x5c") else {
        return told();
    };
    let first = chain.as_array()?.first()?.as_str()?;
    let der = base64::engine::general_purpose::STANDARD.decode(first).ok()?;
    Some(base64url(&sha256(&der)))
}

/// The key for each algorithm that it fits; nothing if it fits none.
fn prepare(jwk: &Value) -> Option<Vec<(&'static str, Arc<ForeignKey>)>> {
    let prepared: Vec<_> = FOREIGN_ALGORITHMS
        .iter()
        .filter_map(|alg| Some((*alg, Arc::new(ForeignKey::new(jwk, alg)?))))
        .collect();
    (!prepared.is_empty()).then_some(prepared)
}

impl PublishedKey {
    /// Whether it may check signatures of this algorithm.
    pub fn fits(&self, alg: &str) -> bool {
        let prepared = self.prepared.iter().any(|(own, _)| *own == alg);
        prepared && self.alg.as_deref().is_none_or(|own| own == alg)
    }

    /// Whether this key made the signature, with this algorithm.
    pub fn verifies(&self, alg: &str, message: &[u8], signature: &[u8]) -> bool {
        let key = self.prepared.iter().find(|(own, _)| *own == alg);
        key.is_some_and(|(_, key)| key.verifies(message, signature))
    }
}

/// `key_ops`, if there, has to allow verifying (RFC 7517 §4.3).
fn may_verify(jwk: &Map<String, Value>) -> bool {
    match jwk.get("key_ops") {
        None => true,
        Some(Value::Array(operations)) => operations.iter().any(|operation| operation == "verify"),
        Some(_) => false,
    }
}

/// At least 2048 bits and an odd exponent above 1 (RFC 7518 §3.3), of eight bytes at most: what checking
/// a signature takes grows with it, and anybody may show a key.
fn is_strong_rsa(n: &str, e: &str) -> bool {
    let (Some(n), Some(e)) = (from_base64url(n), from_base64url(e)) else {
        return false;
    };
    let bits = n.iter().skip_while(|byte| **byte == 0).count() * 8;
    let odd = e.last().is_some_and(|byte| byte % 2 == 1);
    let above_one = e.iter().skip_while(|byte| **byte == 0).ne([1].iter());
    let short = e.iter().skip_while(|byte| **byte == 0).count() <= 8;
    short
        && (2_048..=16_384).contains(&bits)
        && n.last().is_some_and(|b| b % 2 == 1)
        && odd
        && above_one
}

/// Under a point of small order one signature fits many messages (RFC 8032 §5.1.7, JW-08).
fn is_small_order(x: &str) -> bool {
    const ORDER_8: [[u8; 32]; 2] = [
        [
            0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef,
            0x98, 0xf0, 0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88,
            0x6d, 0x53, 0xfc, 0x05,
        ],
        [
            0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10,
            0x67, 0x0f, 0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77,
            0x92, 0xac, 0x03, 0x7a,
        ],
    ];
    let Some(mut point) = from_base64url(x).and_then(|x| <[u8; 32]>::try_from(x).ok()) else {
        return true;
    };
    // The sign of the other coordinate changes nothing about the order.
    point[31] &= 0x7f;
    let (first, rest) = (point[0], &point[1..31]);
    let tiny = first <= 1 && rest.iter().all(|byte| *byte == 0) && point[31] == 0;
    // p - 1, p and p + 1.
    let near_p = (0xec..=0xee).contains(&first)
        && rest.iter().all(|byte| *byte == 0xff)
        && point[31] == 0x7f;
    tiny || near_p || ORDER_8.contains(&point)
}
