//! A private key of ours at somebody else's: with it we prove at an upstream who we are
//! (RFC 7523 §2.2). The administrator made it; it never rotates by itself.

use anyhow::{Context as _, bail};
use josekit::{
    jwk::Jwk,
    jws::{ES256, EdDSA, JwsSigner, RS256},
};
use serde_json::{Value, json};

use crate::foundation::digest::base64url;

/// A private key, ready to sign.
pub struct ClientKey {
    alg: &'static str,
    kid: Option<String>,
    signer: Box<dyn JwsSigner>,
}

impl std::fmt::Debug for ClientKey {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "ClientKey({})", self.alg)
    }
}

impl ClientKey {
    /// Reads a key from PEM (PKCS #8 and the older forms) or a JWK. The key decides the algorithm:
    /// RS256, ES256 or `EdDSA`.
    pub fn read(text: &str, key_id: Option<&str>) -> anyhow::Result<Self> {
        let text = text.trim();
        let (alg, signer, kid) = if text.starts_with('{') {
            let jwk = Jwk::from_bytes(text).ok().context("it is not a JWK")?;
            let (alg, signer) = from_jwk(&jwk)?;
            (alg, signer, jwk.key_id().map(str::to_owned))
        } else {
            let (alg, signer) = from_pem(text)?;
            (alg, signer, None)
        };
        Ok(Self { alg, kid: key_id.map(str::to_owned).or(kid), signer })
    }

    /// A signed JWT with these claims.
    pub fn sign(&self, claims: &Value) -> anyhow::Result<String> {
        let mut header = json!({ "alg": self.alg, "typ": "JWT" });
        if let (Some(kid), Some(header)) = (&self.kid, header.as_object_mut()) {
            header.insert("kid".to_owned(), json!(kid));
        }
        let part = |value: &Value| base64url(value.to_string().as_bytes());
        let signed = format!("{}.{}", part(&header), part(claims));
        let signature = self.signer.sign(signed.as_bytes()).context("the client key")?;
        Ok(format!("{signed}.{}", base64url(&signature)))
    }
}

type Found = (&'static str, Box<dyn JwsSigner>);

// What the library says about a key that it cannot read may quote the key: it is not passed on.

fn from_jwk(jwk: &Jwk) -> anyhow::Result<Found> {
    if let Ok(signer) = ES256.signer_from_jwk(jwk) {
        return Ok(("ES256", Box::new(signer)));
    }
    if let Ok(signer) = EdDSA.signer_from_jwk(jwk) {
        return Ok(("EdDSA", Box::new(signer)));
    }
    match RS256.signer_from_jwk(jwk) {
        Ok(signer) => Ok(("RS256", Box::new(signer))),
        Err(_) => bail!("it is no private RSA, P-256 or Ed25519 key"),
    }
}

fn from_pem(text: &str) -> anyhow::Result<Found> {
    if let Ok(signer) = ES256.signer_from_pem(text) {
        return Ok(("ES256", Box::new(signer)));
    }
    if let Ok(signer) = EdDSA.signer_from_pem(text) {
        return Ok(("EdDSA", Box::new(signer)));
    }
    match RS256.signer_from_pem(text) {
        Ok(signer) => Ok(("RS256", Box::new(signer))),
        Err(_) => bail!("it is no private RSA, P-256 or Ed25519 key in PEM"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::{ForeignKey, parse_unverified};
    use josekit::jwk::{
        KeyPair as _,
        alg::{
            ec::{EcCurve, EcKeyPair},
            ed::{EdCurve, EdKeyPair},
            rsa::RsaKeyPair,
        },
    };

    fn verifies(token: &str, public: &Jwk, alg: &str) -> bool {
        let (signed, signature) = token.rsplit_once('.').unwrap();
        let key = ForeignKey::new(&serde_json::to_value(public).unwrap(), alg).unwrap();
        let signature = crate::foundation::digest::from_base64url(signature).unwrap();
        key.verifies(signed.as_bytes(), &signature)
    }

    /// RFC 7523 §2.2: whoever has the public half can check what we sign, PEM or JWK alike.
    #[test]
    fn keys_of_every_kind_sign_what_their_public_half_verifies() {
        let ec = EcKeyPair::generate(EcCurve::P256).unwrap();
        let ed = EdKeyPair::generate(EdCurve::Ed25519).unwrap();
        let rsa = RsaKeyPair::generate(2_048).unwrap();
        let kinds = [
            ("ES256", ec.to_pem_private_key(), ec.to_jwk_private_key(), ec.to_jwk_public_key()),
            ("EdDSA", ed.to_pem_private_key(), ed.to_jwk_private_key(), ed.to_jwk_public_key()),
            ("RS256", rsa.to_pem_private_key(), rsa.to_jwk_private_key(), rsa.to_jwk_public_key()),
        ];
        for (alg, pem, jwk, public) in kinds {
            let pem = String::from_utf8(pem).unwrap();
            for text in [pem, jwk.to_string()] {
                let token = ClientKey::read(&text, Some("k1")).unwrap().sign(&json!({"a": 1}));
                let token = token.unwrap();
                let (header, claims) = parse_unverified(&token).unwrap();
                assert_eq!((&header["alg"], &header["kid"]), (&json!(alg), &json!("k1")));
                assert_eq!(claims["a"], 1);
                assert!(verifies(&token, &public, alg), "{alg}");
            }
        }
    }

    #[test]
    fn what_is_no_private_key_is_refused_without_being_quoted() {
        let public = EcKeyPair::generate(EcCurve::P256).unwrap();
        let public = String::from_utf8(public.to_pem_public_key()).unwrap();
        for text in ["", "s3cret", "{}", "{\"kty\":\"oct\",\"k\":\"s3cret\"}", &public] {
            let error = format!("{:#}", ClientKey::read(text, None).unwrap_err());
            assert!(!error.contains("s3cret"), "{error}");
        }
    }
}
