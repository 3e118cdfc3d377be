//! Proof Key for Code Exchange (RFC 7636). Only `S256` exists here: `plain` protects nothing.

use serde::{Deserialize, Serialize};

use crate::foundation::digest::{base64url, constant_time_eq, from_base64url, sha256};

/// A `code_challenge` of method `S256`: the hash of a verifier that only the client knows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CodeChallenge(String);

impl CodeChallenge {
    /// Reads a challenge: base64url of 32 bytes, hence 43 characters (RFC 7636 §4.2).
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = from_base64url(text)?;
        (bytes.len() == 32).then(|| Self(text.to_owned()))
    }

    /// The challenge that belongs to a verifier.
    pub fn of(verifier: &str) -> Self {
        Self(base64url(&sha256(verifier.as_bytes())))
    }

    /// The challenge as it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether `verifier` is well formed and hashes to this challenge (RFC 7636 §4.6).
    pub fn is_met_by(&self, verifier: &str) -> bool {
        let unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        let well_formed = (43..=128).contains(&verifier.len()) && verifier.bytes().all(unreserved);
        well_formed && constant_time_eq(Self::of(verifier).0.as_bytes(), self.0.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of RFC 7636, appendix B.
    #[test]
    fn the_example_of_the_specification_is_met() {
        let challenge =
            CodeChallenge::parse("E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM").unwrap();
        assert!(challenge.is_met_by("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"));
        assert!(!challenge.is_met_by("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXx"));
    }

    /// CD-02: a challenge of another length or alphabet is none.
    #[test]
    fn malformed_challenges_are_refused() {
        let good = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
        for wrong in [
            "",
            good.get(..42).unwrap(),
            &format!("{good}A"),
            &good.replace('-', "+"),
            &good.replace('-', "="),
        ] {
            assert!(CodeChallenge::parse(wrong).is_none(), "{wrong}");
        }
    }
}
