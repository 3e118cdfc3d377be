//! JWTs that others sign for us: what an app proves with, or asks by.
//!
//! Read strictly (RFC 8725 §3): three parts of canonical base64url, objects without repeated names, no
//! extension. Nothing in the header is believed: it says which of its owner's known keys is meant, and
//! the caller says which algorithms may be.

use josekit::jws::{HS256, HS384, HS512, JwsVerifier};
use serde_json::{Map, Value};

use super::{
    foreign::ForeignKey,
    published_key::{PublishedKey, is_fit},
    thumbprint::thumbprint,
};
use crate::{
    foundation::{clock::Timestamp, digest::from_base64url, strict_json},
    protocol::jwa::{FOREIGN_ALGORITHMS, SECRET_ALGORITHMS},
};

/// The longest that is read at all, in bytes.
const MAX_LENGTH: usize = 16 * 1_024;

/// A JWT of somebody else, taken apart; its signature is not yet checked.
#[derive(Debug)]
pub struct ForeignJwt<'t> {
    /// Its header.
    pub header: Map<String, Value>,
    /// Its claims.
    pub claims: Map<String, Value>,
    signed: &'t [u8],
    signature: Vec<u8>,
}

/// A claim is there and cannot be read: never taken for absent (JW-13).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unreadable;

impl<'t> ForeignJwt<'t> {
    /// Takes a JWT apart; nothing if it is none, or wants something that nobody here understands.
    pub fn read(token: &'t str) -> Option<Self> {
        if token.len() > MAX_LENGTH {
            return None;
        }
        let (signed, signature) = token.rsplit_once('.')?;
        let (header, claims) = signed.split_once('.')?;
        let header = strict_json::object(&from_base64url(header)?)?;
        // RFC 7515 §4.1.11, RFC 7797 §3, RFC 7516 §4.1.3.
        let extended = ["crit", "b64", "zip"].iter().any(|name| header.contains_key(*name));
        let is_text = |name: &str| header.get(name).is_none_or(Value::is_string);
        if extended || !["alg", "kid", "typ"].into_iter().all(is_text) {
            return None;
        }
        let claims = strict_json::object(&from_base64url(claims)?)?;
        let signature = from_base64url(signature)?;
        Some(Self { header, claims, signed: signed.as_bytes(), signature })
    }

    /// How it says that it is signed.
    pub fn alg(&self) -> &str {
        self.header.get("alg").and_then(Value::as_str).unwrap_or_default()
    }

    /// Whether its `typ` is one of these, or is not there (RFC 7515 §4.1.9).
    pub fn is_typed(&self, types: &[&str]) -> bool {
        let typ = self.header.get("typ").and_then(Value::as_str);
        typ.is_none_or(|typ| {
            let typ = typ.strip_prefix("application/").unwrap_or(typ);
            types.iter().any(|own| own.eq_ignore_ascii_case(typ))
        })
    }

    /// A claim that is a text.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.claims.get(name).and_then(Value::as_str)
    }

    /// A claim that is a moment (RFC 7519 §2).
    pub fn moment(&self, name: &str) -> Result<Option<Timestamp>, Unreadable> {
        let value = self.claims.get(name);
        value.map(|value| Timestamp::from_numeric_date(value).ok_or(Unreadable)).transpose()
    }

    /// Whether one of these keys signed it, the one that `kid` names if it names one.
    pub fn is_signed_by(&self, keys: &[PublishedKey]) -> bool {
        /// Without a name, so many keys are tried.
        const TRIES: usize = 8;
        let (alg, kid) = (self.alg(), self.header.get("kid").and_then(Value::as_str));
        let named = |key: &&PublishedKey| kid.is_none() || key.kid.as_deref() == kid;
        let candidates = keys.iter().filter(named).filter(|key| key.fits(alg)).take(TRIES);
        candidates.into_iter().any(|key| key.verifies(alg, self.signed, &self.signature))
    }

    /// The thumbprint of the key in its header, if that has signed it, and is a public key that is fit to
    /// (RFC 9449 §4.3). Whoever made the JWT holds the key; who that is, is another question.
    pub fn own_key(&self) -> Option<String> {
        let jwk = self.header.get("jwk")?;
        let members = jwk.as_object().filter(|members| is_fit(members))?;
        let alg = self.alg();
        let other = members.get("alg").is_some_and(|own| own != alg);
        if other || !FOREIGN_ALGORITHMS.contains(&alg) {
            return None;
        }
        let key = ForeignKey::new(jwk, alg)?;
        key.verifies(self.signed, &self.signature).then(|| thumbprint(members)).flatten()
    }

    /// Whether somebody signed it who knows this secret. A secret that is too short for the algorithm
    /// signs nothing (JW-10).
    pub fn is_signed_with(&self, secret: &[u8]) -> bool {
        let least = SECRET_ALGORITHMS.iter().find(|(alg, _)| *alg == self.alg());
        if least.is_none_or(|(_, least)| secret.len() < *least) {
            return false;
        }
        let algorithm = match self.alg() {
            "HS256" => HS256,
            "HS384" => HS384,
            _ => HS512,
        };
        let verifier = algorithm.verifier_from_bytes(secret);
        verifier.is_ok_and(|own| own.verify(self.signed, &self.signature).is_ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::foundation::digest::base64url;

    fn token(header: &str, claims: &str) -> String {
        format!("{}.{}.{}", base64url(header.as_bytes()), base64url(claims.as_bytes()), "c2ln")
    }

    /// JW-07, JW-12, JW-13: what is not exactly a plain JWT is nothing.
    #[test]
    fn only_a_plain_jwt_is_read() {
        let good = token(r#"{"alg":"ES256","typ":"JWT"}"#, r#"{"exp":1.5}"#);
        let read = ForeignJwt::read(&good).unwrap();
        assert_eq!((read.alg(), read.text("exp")), ("ES256", None));
        assert_eq!(read.moment("exp"), Ok(Some(Timestamp::from_unix(1))));
        assert!(read.is_typed(&["jwt"]) && !read.is_typed(&["at+jwt"]));
        for header in [
            r#"{"alg":"ES256","crit":[]}"#,
            r#"{"alg":"ES256","b64":false}"#,
            r#"{"alg":"ES256","zip":"DEF"}"#,
            r#"{"alg":"ES256","alg":"none"}"#,
            r#"{"alg":1}"#,
            r#"{"alg":"ES256","kid":7}"#,
            r#"{"alg":"ES256","typ":null}"#,
            "[]",
        ] {
            assert!(ForeignJwt::read(&token(header, "{}")).is_none(), "{header}");
        }
        for claims in ["", "[]", r#"{"a":1,"a":2}"#] {
            assert!(ForeignJwt::read(&token("{}", claims)).is_none(), "{claims}");
        }
        for wrong in [format!("{good}="), good.replace('.', ""), format!("{good}.{good}")] {
            assert!(ForeignJwt::read(&wrong).is_none(), "{wrong}");
        }
        assert!(ForeignJwt::read(&format!("{good}{}", "A".repeat(MAX_LENGTH))).is_none());
        assert!(ForeignJwt::read(&".".repeat(10_000)).is_none());
    }

    #[test]
    fn a_time_is_a_number_that_a_clock_shows() {
        for wrong in [r#""1""#, "-1", "1e300", "null", "[1]", "true", "253402300800"] {
            let text = token("{}", &format!(r#"{{"exp":{wrong}}}"#));
            assert_eq!(ForeignJwt::read(&text).unwrap().moment("exp"), Err(Unreadable), "{wrong}");
        }
    }
}
