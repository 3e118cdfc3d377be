//! Key pairs: making, keeping and using them.

use anyhow::{Context as _, anyhow};
use aws_lc_rs::{
    rand::SystemRandom,
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair as EcdsaSigner,
        Ed25519KeyPair as Ed25519Signer, RSA_PKCS1_SHA256, RsaKeyPair as RsaSigner,
    },
};
use josekit::{
    jwk::{
        Jwk, KeyPair as _,
        alg::{
            ec::{EcCurve, EcKeyPair},
            ed::{EdCurve, EdKeyPair},
            rsa::RsaKeyPair,
        },
    },
    jws::{ES256, EdDSA, JwsVerifier, RS256},
};
use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

use super::thumbprint::{required, thumbprint};
use crate::{foundation::ids::KeyId, protocol::jwa::SigningAlgorithm};

/// A fresh key pair, ready to be stored.
pub(super) struct FreshKey {
    /// Its `kid`: the beginning of its thumbprint (RFC 7638).
    pub(super) id: KeyId,
    /// The public half as it will stand in the JWKS.
    pub(super) public_jwk: String,
    /// The private half as a JWK.
    pub(super) private_jwk: Zeroizing<Vec<u8>>,
}

/// Makes a key pair. Takes up to a second for RSA: call it where blocking is allowed.
pub(super) fn generate(alg: SigningAlgorithm) -> anyhow::Result<FreshKey> {
    let (private, public) = match alg {
        SigningAlgorithm::Rs256 => {
            let pair = RsaKeyPair::generate(2_048)?;
            (pair.to_jwk_private_key(), pair.to_jwk_public_key())
        }
        SigningAlgorithm::Es256 => {
            let pair = EcKeyPair::generate(EcCurve::P256)?;
            (pair.to_jwk_private_key(), pair.to_jwk_public_key())
        }
        SigningAlgorithm::EdDsa => {
            let pair = EdKeyPair::generate(EdCurve::Ed25519)?;
            (pair.to_jwk_private_key(), pair.to_jwk_public_key())
        }
    };
    let (id, public_jwk) = public_members(alg, &public)?;
    let private_jwk = Zeroizing::new(serde_json::to_vec(&private)?);
    Ok(FreshKey { id, public_jwk, private_jwk })
}

/// The public JWK with exactly the members that belong into a JWKS, and its thumbprint.
fn public_members(alg: SigningAlgorithm, jwk: &Jwk) -> anyhow::Result<(KeyId, String)> {
    let jwk: &Map<String, Value> = jwk.as_ref();
    let what = "a fresh key lacks a member";
    let id: String = thumbprint(jwk).context(what)?.chars().take(20).collect();
    let mut members = Map::new();
    members.insert("kid".to_owned(), json!(id));
    members.insert("use".to_owned(), json!("sig"));
    members.insert("alg".to_owned(), json!(alg.as_str()));
    let required = required(jwk).context(what)?;
    members.extend(required.into_iter().map(|(name, value)| (name.to_owned(), json!(value))));
    Ok((KeyId::new(id), Value::Object(members).to_string()))
}

/// A private key, ready to sign. Dear to make: keep it.
///
/// josekit makes and reads the keys; the signature itself is made by AWS-LC, which takes a third
/// less for ES256 and less than half for EdDSA, and is what every token costs.
pub(super) enum Signer {
    Rs256(Box<RsaSigner>),
    Es256(Box<EcdsaSigner>),
    EdDsa(Box<Ed25519Signer>),
}

impl Signer {
    /// The signer of a stored private key.
    pub(super) fn new(alg: SigningAlgorithm, private_jwk: &[u8]) -> anyhow::Result<Self> {
        let jwk =
            Jwk::from_bytes(private_jwk).map_err(|error| anyhow!("a private key: {error}"))?;
        Ok(match alg {
            SigningAlgorithm::Rs256 => {
                let pkcs8 = Zeroizing::new(RsaKeyPair::from_jwk(&jwk)?.to_der_private_key());
                Self::Rs256(Box::new(RsaSigner::from_pkcs8(&pkcs8)?))
            }
            SigningAlgorithm::Es256 => {
                let der = Zeroizing::new(EcKeyPair::from_jwk(&jwk)?.to_der_private_key());
                let key = EcdsaSigner::from_private_key_der(&ECDSA_P256_SHA256_FIXED_SIGNING, &der);
                Self::Es256(Box::new(key?))
            }
            SigningAlgorithm::EdDsa => {
                let pkcs8 = Zeroizing::new(EdKeyPair::from_jwk(&jwk)?.to_der_private_key());
                Self::EdDsa(Box::new(Ed25519Signer::from_pkcs8_maybe_unchecked(&pkcs8)?))
            }
        })
    }

    /// The signature of a message (RFC 7518 §3.3, §3.4; RFC 8037 §3.1).
    pub(super) fn sign(&self, message: &[u8]) -> anyhow::Result<Vec<u8>> {
        let random = SystemRandom::new();
        match self {
            Self::Rs256(key) => {
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature)?;
                Ok(signature)
            }
            Self::Es256(key) => Ok(key.sign(&random, message)?.as_ref().to_vec()),
            Self::EdDsa(key) => Ok(key.sign(message).as_ref().to_vec()),
        }
    }
}

/// The verifier of a stored public key. Dear to make: keep it.
pub(super) fn verifier(
    alg: SigningAlgorithm,
    public_jwk: &str,
) -> anyhow::Result<Box<dyn JwsVerifier>> {
    let jwk = Jwk::from_bytes(public_jwk).map_err(|error| anyhow!("a public key: {error}"))?;
    Ok(match alg {
        SigningAlgorithm::Rs256 => Box::new(RS256.verifier_from_jwk(&jwk)?),
        SigningAlgorithm::Es256 => Box::new(ES256.verifier_from_jwk(&jwk)?),
        SigningAlgorithm::EdDsa => Box::new(EdDSA.verifier_from_jwk(&jwk)?),
    })
}
