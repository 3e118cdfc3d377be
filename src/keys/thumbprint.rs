//! The thumbprint of a public key (RFC 7638): what a token is bound to, and what our own keys are called.

use serde_json::{Map, Value};

use crate::foundation::digest::{base64url, sha256};

/// The members that make the key, in the order of their names (RFC 7638 §3.2, RFC 8037 §2).
pub(super) fn required(jwk: &Map<String, Value>) -> Option<Vec<(&'static str, &str)>> {
    let text = |name: &'static str| Some((name, jwk.get(name)?.as_str()?));
    let names: &[&'static str] = match jwk.get("kty")?.as_str()? {
        "RSA" => &["e", "kty", "n"],
        "EC" => &["crv", "kty", "x", "y"],
        "OKP" => &["crv", "kty", "x"],
        _ => return None,
    };
    names.iter().map(|name| text(name)).collect()
}

/// The SHA-256 of the key, as base64url.
pub(super) fn thumbprint(jwk: &Map<String, Value>) -> Option<String> {
    let members = required(jwk)?;
    let quoted = |text: &str| Value::String(text.to_owned()).to_string();
    let members: Vec<String> =
        members.iter().map(|(name, value)| format!("{}:{}", quoted(name), quoted(value))).collect();
    Some(base64url(&sha256(format!("{{{}}}", members.join(",")).as_bytes())))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7638 §3.1.
    #[test]
    fn the_thumbprint_of_the_example() {
        let n = "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_\
                 BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_\
                 FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI\
                 4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw";
        let jwk = serde_json::json!({
            "kty": "RSA", "n": n, "e": "AQAB", "alg": "RS256", "kid": "2011-04-29",
        });
        let found = thumbprint(jwk.as_object().unwrap());
        assert_eq!(found.as_deref(), Some("NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"));
    }
}
