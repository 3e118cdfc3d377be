//! A key that an upstream's tokens are bound to (RFC 9449): made for one sign-in, and kept with what
//! that sign-in brought. Whoever finds such a token without its key can do nothing with it.

use anyhow::Context as _;
use josekit::{
    jwk::{
        Jwk,
        alg::ec::{EcCurve, EcKeyPair},
    },
    jws::{ES256, JwsSigner, alg::ecdsa::EcdsaJwsSigner},
};
use serde_json::{Value, json};

use crate::foundation::{digest::base64url, secret::Secret};

/// An ES256 key whose proofs carry its public half.
pub struct ProofKey {
    signer: EcdsaJwsSigner,
    public: Value,
    private: Secret,
}

impl std::fmt::Debug for ProofKey {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("ProofKey")
    }
}

impl ProofKey {
    /// A new key.
    pub fn generate() -> anyhow::Result<Self> {
        let pair = EcKeyPair::generate(EcCurve::P256).context("a key for proofs")?;
        Self::new(&pair.to_jwk_key_pair()).context("a key for proofs")
    }

    /// The key that was kept as this text.
    pub fn read(private: &str) -> Option<Self> {
        Self::new(&Jwk::from_bytes(private).ok()?)
    }

    fn new(jwk: &Jwk) -> Option<Self> {
        let part = |name: &str| jwk.parameter(name).cloned();
        // Nothing but the public half is ever sent (RFC 9449 §4.2).
        let public = json!({ "kty": "EC", "crv": "P-256", "x": part("x")?, "y": part("y")? });
        let signer = ES256.signer_from_jwk(jwk).ok()?;
        Some(Self { signer, public, private: Secret::new(jwk.to_string()) })
    }

    /// The key as a text, to be kept sealed.
    pub const fn private(&self) -> &Secret {
        &self.private
    }

    /// A proof with these claims (RFC 9449 §4.2).
    pub fn prove(&self, claims: &Value) -> anyhow::Result<String> {
        let header = json!({ "typ": "dpop+jwt", "alg": "ES256", "jwk": self.public });
        let part = |value: &Value| base64url(value.to_string().as_bytes());
        let signed = format!("{}.{}", part(&header), part(claims));
        let signature = self.signer.sign(signed.as_bytes()).context("the key for proofs")?;
        Ok(format!("{signed}.{}", base64url(&signature)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        foundation::digest::from_base64url,
        keys::{ForeignKey, parse_unverified},
    };

    /// RFC 9449 §4.2: whoever reads a proof can check it with what it carries, and learns no secret.
    #[test]
    fn a_proof_carries_the_public_half_and_no_more() {
        let key = ProofKey::generate().unwrap();
        let kept = ProofKey::read(key.private().expose()).unwrap();
        for key in [key, kept] {
            let proof = key.prove(&json!({ "htm": "POST" })).unwrap();
            let (header, claims) = parse_unverified(&proof).unwrap();
            assert_eq!((&header["typ"], &header["alg"]), (&json!("dpop+jwt"), &json!("ES256")));
            assert_eq!(claims["htm"], "POST");
            let mut names: Vec<&String> = header["jwk"].as_object().unwrap().keys().collect();
            names.sort();
            assert_eq!(names, ["crv", "kty", "x", "y"]);
            let public = ForeignKey::new(&header["jwk"], "ES256").unwrap();
            let (signed, signature) = proof.rsplit_once('.').unwrap();
            assert!(public.verifies(signed.as_bytes(), &from_base64url(signature).unwrap()));
            assert!(!format!("{key:?}").contains("\"d\""));
        }
        assert!(ProofKey::read("{}").is_none() && ProofKey::read("nonsense").is_none());
    }
}
