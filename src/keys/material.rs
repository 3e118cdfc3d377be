//! Key pairs: making, keeping and using them.

use anyhow::{Context as _, anyhow};
use josekit::{
    jwk::{
        Jwk, KeyPair as _,
        alg::{
            ec::{EcCurve, EcKeyPair},
            ed::{EdCurve, EdKeyPair},
            rsa::RsaKeyPair,
        },
    },
    jws::{ES256, EdDSA, JwsSigner, JwsVerifier, RS256},
};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::{
    foundation::{
        digest::{base64url, sha256},
        ids::KeyId,
    },
    protocol::jwa::SigningAlgorithm,
};

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
    let member = |name: &str| {
        let value = jwk.parameter(name).and_then(Value::as_str);
        value.map(str::to_owned).with_context(|| format!("a fresh key has no {name}"))
    };
    // The required members in the order of their names (RFC 7638 §3.2, RFC 8037 §2).
    let required: Vec<(&str, String)> = match alg {
        SigningAlgorithm::Rs256 => {
            vec![("e", member("e")?), ("kty", member("kty")?), ("n", member("n")?)]
        }
        SigningAlgorithm::Es256 => vec![
            ("crv", member("crv")?),
            ("kty", member("kty")?),
            ("x", member("x")?),
            ("y", member("y")?),
        ],
        SigningAlgorithm::EdDsa => {
            vec![("crv", member("crv")?), ("kty", member("kty")?), ("x", member("x")?)]
        }
    };
    let canonical: Vec<String> =
        required.iter().map(|(name, value)| format!("{name:?}:{value:?}")).collect();
    let thumbprint = base64url(&sha256(format!("{{{}}}", canonical.join(",")).as_bytes()));
    let id: String = thumbprint.chars().take(20).collect();
    let mut members = serde_json::Map::new();
    members.insert("kid".to_owned(), json!(id));
    members.insert("use".to_owned(), json!("sig"));
    members.insert("alg".to_owned(), json!(alg.as_str()));
    members.extend(required.into_iter().map(|(name, value)| (name.to_owned(), json!(value))));
    Ok((KeyId::new(id), Value::Object(members).to_string()))
}

/// The signer of a stored private key. Dear to make: keep it.
pub(super) fn signer(
    alg: SigningAlgorithm,
    private_jwk: &[u8],
) -> anyhow::Result<Box<dyn JwsSigner>> {
    let jwk = Jwk::from_bytes(private_jwk).map_err(|error| anyhow!("a private key: {error}"))?;
    Ok(match alg {
        SigningAlgorithm::Rs256 => Box::new(RS256.signer_from_jwk(&jwk)?),
        SigningAlgorithm::Es256 => Box::new(ES256.signer_from_jwk(&jwk)?),
        SigningAlgorithm::EdDsa => Box::new(EdDSA.signer_from_jwk(&jwk)?),
    })
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
