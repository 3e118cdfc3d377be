//! A signed token, opened: its signature is checked with the keys that the provider publishes.

use serde_json::{Map, Value};

use crate::{
    federation::{fault::UpstreamFault, strict_json},
    foundation::digest::from_base64url,
    keys::PublishedKey,
};

/// What a token may be signed with here.
const ALGORITHMS: [&str; 3] = ["RS256", "ES256", "EdDSA"];
const MAX_LENGTH: usize = 64 * 1_024;

/// A token whose signature is good.
#[derive(Clone, Debug)]
pub struct OpenToken {
    /// As it was sent.
    pub raw: String,
    /// How it is signed.
    pub header: Map<String, Value>,
    /// What it says.
    pub payload: Map<String, Value>,
}

impl OpenToken {
    /// A text of the header.
    pub fn header_text(&self, name: &str) -> &str {
        self.header.get(name).and_then(Value::as_str).unwrap_or_default()
    }

    /// A claim that is a text.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.payload.get(name).and_then(Value::as_str)
    }
}

fn malformed(detail: &str) -> UpstreamFault {
    UpstreamFault::unacceptable("token_malformed", detail)
}

/// A token that is taken apart and not yet believed.
pub(super) struct Sealed<'t> {
    raw: &'t str,
    header: Map<String, Value>,
    payload: Map<String, Value>,
    signed: &'t str,
    signature: Vec<u8>,
}

impl<'t> Sealed<'t> {
    /// Takes a token apart (RFC 7515 §7.1).
    pub(super) fn read(raw: &'t str) -> Result<Self, UpstreamFault> {
        let read = || {
            let (signed, signature) = raw.rsplit_once('.')?;
            let (header, payload) = signed.split_once('.')?;
            let object = |part: &str| strict_json::object(&from_base64url(part)?);
            let signature = from_base64url(signature)?;
            let (header, payload) = (object(header)?, object(payload)?);
            Some(Self { raw, header, payload, signed, signature })
        };
        let short = raw.len() <= MAX_LENGTH;
        short.then(read).flatten().ok_or_else(|| malformed("it is no signed token"))
    }

    /// The key that it says it is signed with.
    pub(super) fn key<'k>(&self, keys: &'k [PublishedKey]) -> Option<&'k PublishedKey> {
        let kid = self.header.get("kid").and_then(Value::as_str)?;
        keys.iter().find(|key| key.kid.as_deref() == Some(kid))
    }

    /// Opens the token: it is of this type, and the signature is this key's. The header chooses
    /// neither the algorithm freely nor the kind of key (RFC 8725 §3.1).
    pub(super) fn open(self, key: &PublishedKey, typ: &str) -> Result<OpenToken, UpstreamFault> {
        let text = |name: &str| self.header.get(name).and_then(Value::as_str).unwrap_or_default();
        if !text("typ").eq_ignore_ascii_case(typ) || self.header.contains_key("crit") {
            return Err(malformed(&format!("typ is {:?} instead of {typ:?}", text("typ"))));
        }
        let alg = text("alg");
        if !ALGORITHMS.contains(&alg) || key.alg.as_deref().is_some_and(|own| own != alg) {
            return Err(malformed(&format!("alg {alg:?} is not the key's")));
        }
        if !key.verifies(alg, self.signed.as_bytes(), &self.signature) {
            return Err(UpstreamFault::unacceptable("token_signature", "it is not the key's"));
        }
        Ok(OpenToken { raw: self.raw.to_owned(), header: self.header, payload: self.payload })
    }
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::{
        rand::SystemRandom,
        signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _},
    };
    use serde_json::json;

    use super::*;
    use crate::{foundation::digest::base64url, keys::read_jwks};

    fn sign(key: &EcdsaKeyPair, header: &Value) -> String {
        let payload = base64url(json!({ "sub": "anna" }).to_string().as_bytes());
        let signed = format!("{}.{payload}", base64url(header.to_string().as_bytes()));
        let signature = key.sign(&SystemRandom::new(), signed.as_bytes()).unwrap();
        format!("{signed}.{}", base64url(signature.as_ref()))
    }

    fn published(key: &EcdsaKeyPair) -> PublishedKey {
        let point = key.public_key().as_ref();
        let (x, y) = (base64url(&point[1..33]), base64url(&point[33..]));
        let jwk =
            json!({ "kty": "EC", "crv": "P-256", "kid": "k", "alg": "ES256", "x": x, "y": y });
        let jwks = json!({ "keys": [jwk] }).to_string();
        read_jwks(jwks.as_bytes()).unwrap().remove(0)
    }

    #[test]
    fn only_a_token_of_the_right_kind_under_the_published_key_opens() {
        let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        let other = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        let keys = [published(&key)];
        let open = |token: &str| {
            let sealed = Sealed::read(token).ok()?;
            let found = sealed.key(&keys)?.clone();
            sealed.open(&found, "at+jwt").ok()
        };
        let header = json!({ "alg": "ES256", "typ": "at+jwt", "kid": "k" });
        let good = sign(&key, &header);
        assert_eq!(open(&good).unwrap().text("sub"), Some("anna"));

        assert!(open(&sign(&other, &header)).is_none(), "another key");
        let (signed, _) = good.rsplit_once('.').unwrap();
        assert!(open(&format!("{signed}.")).is_none(), "no signature");
        assert!(open(&good.replacen('.', "..", 1)).is_none(), "four parts");
        for (name, value) in [
            ("alg", json!("none")),
            ("alg", json!("EdDSA")),
            ("alg", json!("HS256")),
            ("typ", json!("JWT")),
            ("kid", json!("another")),
            ("crit", json!(["b64"])),
        ] {
            let mut odd = header.clone();
            odd[name] = value;
            assert!(open(&sign(&key, &odd)).is_none(), "{odd}");
        }
    }
}
