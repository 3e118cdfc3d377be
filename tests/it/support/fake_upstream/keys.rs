//! Signing keys: made at start, rotated on request, never shared between two living providers.

use std::sync::{Mutex, PoisonError};

use josekit::jwk::alg::ec::{EcCurve, EcKeyPair};
use josekit::jwk::alg::ed::{EdCurve, EdKeyPair};
use josekit::jwk::alg::rsa::RsaKeyPair;
use josekit::jwk::{Jwk, KeyPair};
use josekit::jws::{ES256, EdDSA, HS256, JwsSigner, PS256, RS256};
use serde_json::Value;

use super::CLIENT_SECRET;
use super::state::unique;

/// The algorithms the provider can sign with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Algorithm {
    Rs256,
    Ps256,
    Es256,
    EdDsa,
    /// Signed with the client secret of [`super::CLIENT_ID`]; the JWKS is empty then, as with
    /// Authentik when no signing key is chosen.
    Hs256,
}

impl Algorithm {
    /// The name in `alg`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Ps256 => "PS256",
            Self::Es256 => "ES256",
            Self::EdDsa => "EdDSA",
            Self::Hs256 => "HS256",
        }
    }
}

/// One key pair with its `kid`.
#[derive(Clone)]
pub(crate) struct SigningKey {
    kid: String,
    algorithm: Algorithm,
    private: Jwk,
}

impl SigningKey {
    pub(super) fn generate(algorithm: Algorithm) -> Self {
        let private = match algorithm {
            Algorithm::Rs256 | Algorithm::Ps256 => rsa_pool::take(),
            Algorithm::Es256 => {
                EcKeyPair::generate(EcCurve::P256).expect("an EC key").to_jwk_private_key()
            }
            Algorithm::EdDsa => {
                EdKeyPair::generate(EdCurve::Ed25519).expect("an Ed25519 key").to_jwk_private_key()
            }
            Algorithm::Hs256 => HS256.to_jwk(CLIENT_SECRET.as_bytes()),
        };
        Self { kid: unique("upstream-key"), algorithm, private }
    }

    /// The key identifier.
    pub(crate) fn kid(&self) -> &str {
        &self.kid
    }

    /// The algorithm the key signs with.
    pub(crate) fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The raw JWS signature over `input`.
    pub(crate) fn sign(&self, input: &[u8]) -> Vec<u8> {
        let key = &self.private;
        let signer: Box<dyn JwsSigner> = match self.algorithm {
            Algorithm::Rs256 => Box::new(RS256.signer_from_jwk(key).expect("an RSA key")),
            Algorithm::Ps256 => Box::new(PS256.signer_from_jwk(key).expect("an RSA key")),
            Algorithm::Es256 => Box::new(ES256.signer_from_jwk(key).expect("an EC key")),
            Algorithm::EdDsa => Box::new(EdDSA.signer_from_jwk(key).expect("an Ed25519 key")),
            Algorithm::Hs256 => Box::new(HS256.signer_from_jwk(key).expect("a secret")),
        };
        signer.sign(input).expect("a signature")
    }

    /// The public key as a JWK, or none for a symmetric key.
    pub(crate) fn public_jwk(&self) -> Option<Value> {
        Some(self.describe(self.pair()?.to_jwk_public_key()))
    }

    /// The whole key pair as a JWK, as no provider should ever publish it.
    pub(super) fn private_jwk(&self) -> Option<Value> {
        Some(self.describe(self.pair()?.to_jwk_key_pair()))
    }

    /// The public key as `SubjectPublicKeyInfo`, PEM and DER.
    pub(super) fn public_pem_and_der(&self) -> Option<(Vec<u8>, Vec<u8>)> {
        let pair = self.pair()?;
        Some((pair.to_pem_public_key(), pair.to_der_public_key()))
    }

    /// The private key as PKCS #8.
    pub(super) fn private_der(&self) -> Option<Vec<u8>> {
        Some(self.pair()?.to_der_private_key())
    }

    fn pair(&self) -> Option<Box<dyn KeyPair>> {
        let key = &self.private;
        match self.algorithm {
            Algorithm::Rs256 | Algorithm::Ps256 => {
                Some(Box::new(RsaKeyPair::from_jwk(key).expect("an RSA key")))
            }
            Algorithm::Es256 => Some(Box::new(EcKeyPair::from_jwk(key).expect("an EC key"))),
            Algorithm::EdDsa => Some(Box::new(EdKeyPair::from_jwk(key).expect("an Ed25519 key"))),
            Algorithm::Hs256 => None,
        }
    }

    fn describe(&self, mut jwk: Jwk) -> Value {
        jwk.set_key_id(&self.kid);
        jwk.set_algorithm(self.algorithm.name());
        jwk.set_key_use("sig");
        serde_json::to_value(jwk).expect("a JWK is JSON")
    }
}

/// The current key, those before it, and the key of an attacker.
pub(super) struct KeyRing {
    current: SigningKey,
    retired: Vec<SigningKey>,
    withdrawn: Vec<SigningKey>,
    attacker: Option<SigningKey>,
}

impl KeyRing {
    pub(super) fn new(algorithm: Algorithm) -> Self {
        Self {
            current: SigningKey::generate(algorithm),
            retired: Vec::new(),
            withdrawn: Vec::new(),
            attacker: None,
        }
    }

    pub(super) fn current(&self) -> &SigningKey {
        &self.current
    }

    pub(super) fn rotate(&mut self) {
        let next = SigningKey::generate(self.current.algorithm);
        self.retired.push(std::mem::replace(&mut self.current, next));
    }

    pub(super) fn withdraw_retired(&mut self) {
        self.withdrawn.append(&mut self.retired);
    }

    /// The public keys, the current one first.
    pub(super) fn public_jwks(&self) -> Vec<Value> {
        let keys = std::iter::once(&self.current).chain(&self.retired);
        keys.filter_map(SigningKey::public_jwk).collect()
    }

    /// A key the provider never publishes, of the same algorithm (RS256 when that is symmetric).
    pub(super) fn attacker(&mut self) -> &SigningKey {
        let algorithm = match self.current.algorithm {
            Algorithm::Hs256 => Algorithm::Rs256,
            asymmetric => asymmetric,
        };
        self.attacker.get_or_insert_with(|| SigningKey::generate(algorithm))
    }
}

impl Drop for KeyRing {
    fn drop(&mut self) {
        let all = [&self.current].into_iter().chain(&self.retired).chain(&self.withdrawn);
        for key in all.chain(&self.attacker) {
            if matches!(key.algorithm, Algorithm::Rs256 | Algorithm::Ps256) {
                rsa_pool::put_back(key.private.clone());
            }
        }
    }
}

/// RSA keys are slow to make, so those of finished providers are used again. A key is lent to one
/// provider at a time: two that live together never share one.
mod rsa_pool {
    use super::{Jwk, KeyPair, Mutex, PoisonError, RsaKeyPair};

    static IDLE: Mutex<Vec<Jwk>> = Mutex::new(Vec::new());

    pub(super) fn take() -> Jwk {
        let idle = IDLE.lock().unwrap_or_else(PoisonError::into_inner).pop();
        idle.unwrap_or_else(|| RsaKeyPair::generate(2048).expect("an RSA key").to_jwk_private_key())
    }

    pub(super) fn put_back(key: Jwk) {
        IDLE.lock().unwrap_or_else(PoisonError::into_inner).push(key);
    }
}
