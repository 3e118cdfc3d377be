//! Other parties' public keys: checking signatures that we did not make.

use josekit::{
    jwk::Jwk,
    jws::{ES256, ES384, EdDSA, JwsVerifier, PS256, PS384, PS512, RS256, RS384, RS512},
};
use serde_json::Value;

/// A public key of somebody else, for one algorithm. Dear to make: keep it.
pub struct ForeignKey {
    verifier: Box<dyn JwsVerifier>,
}

impl std::fmt::Debug for ForeignKey {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("ForeignKey")
    }
}

impl ForeignKey {
    /// Prepares a JWK for an algorithm; nothing if they do not fit.
    pub fn new(jwk: &Value, alg: &str) -> Option<Self> {
        let jwk = Jwk::from_map(jwk.as_object()?.clone()).ok()?;
        let verifier: Box<dyn JwsVerifier> = match alg {
            "RS256" => Box::new(RS256.verifier_from_jwk(&jwk).ok()?),
            "RS384" => Box::new(RS384.verifier_from_jwk(&jwk).ok()?),
            "RS512" => Box::new(RS512.verifier_from_jwk(&jwk).ok()?),
            "PS256" => Box::new(PS256.verifier_from_jwk(&jwk).ok()?),
            "PS384" => Box::new(PS384.verifier_from_jwk(&jwk).ok()?),
            "PS512" => Box::new(PS512.verifier_from_jwk(&jwk).ok()?),
            "ES256" => Box::new(ES256.verifier_from_jwk(&jwk).ok()?),
            "ES384" => Box::new(ES384.verifier_from_jwk(&jwk).ok()?),
            "EdDSA" => Box::new(EdDSA.verifier_from_jwk(&jwk).ok()?),
            _ => return None,
        };
        Some(Self { verifier })
    }

    /// Whether this key made the signature.
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        self.verifier.verify(message, signature).is_ok()
    }
}
