//! Signed tokens with nothing around them, for the ceiling server and the stub upstream.

use anyhow::{Context as _, anyhow};
use aws_lc_rs::encoding::{AsDer as _, PublicKeyX509Der};
use aws_lc_rs::rand::{SecureRandom as _, SystemRandom};
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, ED25519, EcdsaKeyPair,
    Ed25519KeyPair, KeyPair as _, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256,
    RsaKeyPair, RsaPublicKeyComponents,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clap::ValueEnum;
use serde::Serialize;
use serde_json::{Value, json};

/// A signature algorithm of RFC 7518 §3.1 or RFC 8037.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Algorithm {
    /// ECDSA on P-256.
    Es256,
    /// Ed25519.
    #[value(name = "eddsa")]
    EdDsa,
    /// RSA with PKCS #1 v1.5 padding, 2048 bits.
    Rs256,
}

impl Algorithm {
    /// The name in a token's header.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Es256 => "ES256",
            Self::EdDsa => "EdDSA",
            Self::Rs256 => "RS256",
        }
    }
}

/// Which of two prepared headers a token gets.
#[derive(Clone, Copy)]
pub(crate) enum Kind {
    /// RFC 9068 §2.1.
    AccessToken,
    /// An ID token.
    IdToken,
}

enum Key {
    Es256(EcdsaKeyPair),
    EdDsa(Ed25519KeyPair),
    Rs256(Box<RsaKeyPair>),
}

/// One key with its prepared headers.
pub(crate) struct Signer {
    algorithm: Algorithm,
    key: Key,
    random: SystemRandom,
    access_header: String,
    id_header: String,
}

impl Signer {
    /// A signer with a new key.
    pub(crate) fn generate(algorithm: Algorithm) -> anyhow::Result<Self> {
        let key = match algorithm {
            Algorithm::Es256 => {
                Key::Es256(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)?)
            }
            Algorithm::EdDsa => Key::EdDsa(Ed25519KeyPair::generate()?),
            Algorithm::Rs256 => Key::Rs256(Box::new(RsaKeyPair::generate(KeySize::Rsa2048)?)),
        };
        let header = |typ: &str| {
            let header = json!({ "typ": typ, "alg": algorithm.name(), "kid": key_id(algorithm) });
            encode(header.to_string().as_bytes())
        };
        let (access_header, id_header) = (header("at+jwt"), header("JWT"));
        Ok(Self { algorithm, key, random: SystemRandom::new(), access_header, id_header })
    }

    /// Signs the claims as a compact JWS (RFC 7515 §3.1).
    pub(crate) fn sign(&self, kind: Kind, claims: &impl Serialize) -> anyhow::Result<String> {
        let header = match kind {
            Kind::AccessToken => &self.access_header,
            Kind::IdToken => &self.id_header,
        };
        let mut token = String::with_capacity(1024);
        token.push_str(header);
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(serde_json::to_vec(claims)?, &mut token);
        match &self.key {
            Key::Es256(key) => {
                let signature = key.sign(&self.random, token.as_bytes())?;
                append(&mut token, signature.as_ref());
            }
            Key::EdDsa(key) => {
                let signature = key.sign(token.as_bytes());
                append(&mut token, signature.as_ref());
            }
            Key::Rs256(key) => {
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(&RSA_PKCS1_SHA256, &self.random, token.as_bytes(), &mut signature)?;
                append(&mut token, &signature);
            }
        }
        Ok(token)
    }

    /// The public key as a JWK.
    pub(crate) fn jwk(&self) -> anyhow::Result<Value> {
        let mut jwk = match &self.key {
            Key::Es256(key) => {
                // An uncompressed point: a 4, then x and y of 32 bytes each.
                let point = key.public_key().as_ref();
                let coordinates = point.get(1..65).context("a P-256 point")?;
                let (x, y) = coordinates.split_at(32);
                json!({ "kty": "EC", "crv": "P-256", "x": encode(x), "y": encode(y) })
            }
            Key::EdDsa(key) => {
                json!({ "kty": "OKP", "crv": "Ed25519", "x": encode(key.public_key().as_ref()) })
            }
            Key::Rs256(key) => {
                let public = key.public_key();
                let modulus = public.modulus().big_endian_without_leading_zero();
                let exponent = public.exponent().big_endian_without_leading_zero();
                json!({ "kty": "RSA", "n": encode(modulus), "e": encode(exponent) })
            }
        };
        if let Some(fields) = jwk.as_object_mut() {
            fields.insert("use".to_owned(), "sig".into());
            fields.insert("alg".to_owned(), self.algorithm.name().into());
            fields.insert("kid".to_owned(), key_id(self.algorithm).into());
        }
        Ok(jwk)
    }

    /// What checks this signer's tokens.
    pub(crate) fn verifier(&self) -> anyhow::Result<Verifier> {
        Verifier::of_jwk(&self.jwk()?)
    }
}

/// A prepared public key.
pub(crate) struct Verifier {
    key: ParsedPublicKey,
}

impl Verifier {
    /// The key of a JWK (RFC 7517 §4), prepared once.
    pub(crate) fn of_jwk(jwk: &Value) -> anyhow::Result<Self> {
        let text = |name: &str| jwk.get(name).and_then(Value::as_str).context("a member of a JWK");
        let bytes = |name: &str| Ok::<_, anyhow::Error>(URL_SAFE_NO_PAD.decode(text(name)?)?);
        let key = match text("kty")? {
            "EC" => {
                let point = [&[4], &*bytes("x")?, &*bytes("y")?].concat();
                ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point)
            }
            "OKP" => ParsedPublicKey::new(&ED25519, bytes("x")?),
            _ => {
                let key = RsaPublicKeyComponents { n: bytes("n")?, e: bytes("e")? };
                let key: PublicKeyX509Der<'_> = key.as_der()?;
                ParsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, &*key)
            }
        };
        Ok(Self { key: key.map_err(|rejected| anyhow!("{rejected}"))? })
    }

    /// The payload of a token whose signature is good.
    pub(crate) fn verify(&self, token: &str) -> anyhow::Result<Vec<u8>> {
        let (signed, signature) = token.rsplit_once('.').context("a token has three parts")?;
        let (_, payload) = signed.split_once('.').context("a token has three parts")?;
        self.key.verify_sig(signed.as_bytes(), &URL_SAFE_NO_PAD.decode(signature)?)?;
        Ok(URL_SAFE_NO_PAD.decode(payload)?)
    }
}

/// So many random bytes, base64url.
pub(crate) fn random_text<const BYTES: usize>() -> anyhow::Result<String> {
    let mut bytes = [0; BYTES];
    SystemRandom::new().fill(&mut bytes)?;
    Ok(encode(&bytes))
}

/// SHA-256, as bytes.
pub(crate) fn digest(value: &str) -> Vec<u8> {
    aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, value.as_bytes()).as_ref().to_vec()
}

/// SHA-256, base64url: a PKCE challenge (RFC 7636 §4.2) or the digest of a token.
pub(crate) fn digest_text(value: &str) -> String {
    encode(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, value.as_bytes()).as_ref())
}

/// Seconds since 1970.
pub(crate) fn now() -> u64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

fn key_id(algorithm: Algorithm) -> String {
    format!("bench-{}", algorithm.name().to_ascii_lowercase())
}

fn append(token: &mut String, signature: &[u8]) {
    token.push('.');
    URL_SAFE_NO_PAD.encode_string(signature, token);
}

fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}
