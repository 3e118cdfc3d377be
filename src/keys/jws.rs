//! The compact form of our own JWTs (RFC 7515 §7.1): strict to read, cheap to write.
//!
//! Nothing in a header is ever believed: the key is found by `kid` among ours, and the algorithm
//! is the key's own. `jwk`, `jku`, `x5u` and `x5c` are not even looked at; `crit` is refused.

use serde_json::{Map, Value};

use crate::foundation::digest::{base64url, from_base64url};

/// The longest JWT of ours that is read at all.
const MAX_LENGTH: usize = 16 * 1_024;

/// What a JWT of ours is, as its `typ` says (RFC 8725 §3.11).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenType {
    /// RFC 9068 §2.1.
    Access,
    /// OIDC Core §2.
    Id,
    /// OIDC Back-Channel Logout §2.4.
    Logout,
    /// JARM §2.1. It has no `sub`, by which it is told from an ID token; libraries want no other `typ`.
    AuthorizationResponse,
}

impl TokenType {
    /// The `typ` in the header.
    pub const fn typ(self) -> &'static str {
        match self {
            Self::Access => "at+jwt",
            Self::Id | Self::AuthorizationResponse => "JWT",
            Self::Logout => "logout+jwt",
        }
    }
}

/// Why a JWT is not one of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JwsFault {
    /// It is not three parts of canonical base64url with JSON objects in the first two.
    #[error("malformed")]
    Malformed,
    /// It is a JWT of another kind.
    #[error("another type")]
    WrongType,
    /// We have no such key (any more), or the key signs with another algorithm.
    #[error("unknown key")]
    UnknownKey,
    /// The signature is not that of the key.
    #[error("bad signature")]
    BadSignature,
}

/// The header of a JWT that is written by us, up to and including the dot.
pub(super) fn encode_header(alg: &str, typ: TokenType, kid: &str) -> String {
    let header = serde_json::json!({ "alg": alg, "typ": typ.typ(), "kid": kid });
    format!("{}.", base64url(header.to_string().as_bytes()))
}

/// A JWT taken apart, not yet verified.
pub(super) struct Parts<'a> {
    pub(super) header: Map<String, Value>,
    pub(super) payload: Vec<u8>,
    pub(super) signed: &'a [u8],
    pub(super) signature: Vec<u8>,
}

pub(super) fn split(token: &str) -> Result<Parts<'_>, JwsFault> {
    if token.len() > MAX_LENGTH {
        return Err(JwsFault::Malformed);
    }
    let (signed, signature) = token.rsplit_once('.').ok_or(JwsFault::Malformed)?;
    let (header, payload) = signed.split_once('.').ok_or(JwsFault::Malformed)?;
    let decode = |part: &str| from_base64url(part).ok_or(JwsFault::Malformed);
    let header: Map<String, Value> =
        serde_json::from_slice(&decode(header)?).ok().ok_or(JwsFault::Malformed)?;
    if header.contains_key("crit") || header.contains_key("b64") {
        // RFC 7515 §4.1.11: we understand no extension.
        return Err(JwsFault::Malformed);
    }
    Ok(Parts {
        header,
        payload: decode(payload)?,
        signed: signed.as_bytes(),
        signature: decode(signature)?,
    })
}

/// Header and claims of any JWT, believed by nobody: for showing them to a person.
pub fn parse_unverified(token: &str) -> Option<(Map<String, Value>, Map<String, Value>)> {
    let parts = split(token).ok()?;
    Some((parts.header, serde_json::from_slice(&parts.payload).ok()?))
}
