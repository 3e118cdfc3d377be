//! Keys that a relying party must not use, each with signatures that a careless verifier accepts.

use std::sync::OnceLock;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use josekit::jws::{HS256, JwsSigner as _};
use openssl::hash::MessageDigest;
use openssl::pkey::{PKey, Private};
use openssl::rsa::Rsa;
use openssl::sign::Signer;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// The `kid` of whichever odd key is published.
pub(super) const KID: &str = "odd-key";
const SHARED_SECRET: &[u8] = b"a secret that everybody can read in the key set";

/// A bad key, published alone; ID tokens are signed with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OddKey {
    /// RSA with 1024 bits: RFC 7518 §3.3 wants 2048.
    Rsa1024,
    /// RSA with the public exponent 1: anyone can sign without the private key.
    RsaExponentOne,
    /// Ed25519 with the identity point as public key: one signature fits every message.
    Ed25519Identity,
    /// A P-256 point that is not on the curve. Nothing can be signed with it.
    P256OffCurve,
    /// A symmetric key, published for all to read.
    Oct,
}

impl OddKey {
    pub(super) fn alg(self) -> &'static str {
        match self {
            Self::Rsa1024 | Self::RsaExponentOne => "RS256",
            Self::Ed25519Identity => "EdDSA",
            Self::P256OffCurve => "ES256",
            Self::Oct => "HS256",
        }
    }

    pub(super) fn jwk(self) -> Value {
        let mut jwk = match self {
            Self::Rsa1024 => rsa_jwk(&weak_rsa().n().to_vec(), &weak_rsa().e().to_vec()),
            // With the exponent 1 any large odd number serves as modulus.
            Self::RsaExponentOne => rsa_jwk(&[0xff; 256], &[1]),
            Self::Ed25519Identity => {
                json!({"kty": "OKP", "crv": "Ed25519", "x": encode(&identity_point())})
            }
            Self::P256OffCurve => {
                let one = [&[0; 31][..], &[1]].concat();
                json!({"kty": "EC", "crv": "P-256", "x": encode(&one), "y": encode(&one)})
            }
            Self::Oct => json!({"kty": "oct", "k": encode(SHARED_SECRET)}),
        };
        jwk["kid"] = KID.into();
        jwk["use"] = "sig".into();
        jwk["alg"] = self.alg().into();
        jwk
    }

    pub(super) fn sign(self, input: &[u8]) -> Vec<u8> {
        match self {
            Self::Rsa1024 => {
                let key = PKey::from_rsa(weak_rsa().clone()).expect("an RSA key");
                let mut signer = Signer::new(MessageDigest::sha256(), &key).expect("a signer");
                signer.sign_oneshot_to_vec(input).expect("a signature")
            }
            Self::RsaExponentOne => padded_digest(input),
            Self::Ed25519Identity => [identity_point(), [0; 32]].concat(),
            Self::P256OffCurve => vec![1; 64],
            Self::Oct => {
                let signer = HS256.signer_from_bytes(SHARED_SECRET).expect("a long secret");
                signer.sign(input).expect("a signature")
            }
        }
    }
}

fn weak_rsa() -> &'static Rsa<Private> {
    static KEY: OnceLock<Rsa<Private>> = OnceLock::new();
    KEY.get_or_init(|| Rsa::generate(1024).expect("an RSA key"))
}

fn rsa_jwk(modulus: &[u8], exponent: &[u8]) -> Value {
    json!({"kty": "RSA", "n": encode(modulus), "e": encode(exponent)})
}

/// The encoded identity element: x = 0, y = 1.
fn identity_point() -> [u8; 32] {
    let mut point = [0; 32];
    point[0] = 1;
    point
}

/// EMSA-PKCS1-v1_5 for 2048 bits (RFC 8017 §9.2). With the exponent 1 this is a valid signature.
fn padded_digest(input: &[u8]) -> Vec<u8> {
    const SHA256_DIGEST_INFO: [u8; 19] = [
        0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01,
        0x05, 0x00, 0x04, 0x20,
    ];
    let digest = Sha256::digest(input);
    let padding = vec![0xff; 256 - 3 - SHA256_DIGEST_INFO.len() - digest.len()];
    [&[0, 1][..], &padding, &[0], &SHA256_DIGEST_INFO, &digest].concat()
}

fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}
