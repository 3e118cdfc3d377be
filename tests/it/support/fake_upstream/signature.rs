//! How an ID token is signed, honestly or not (RFC 8725 §2, §3).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use josekit::jws::{HS256, JwsSigner as _};
use openssl::asn1::Asn1Time;
use openssl::hash::MessageDigest;
use openssl::pkey::PKey;
use openssl::x509::{X509, X509NameBuilder};
use serde_json::{Map, Value, json};

use super::keys::{Algorithm, SigningKey};
use super::odd_keys;
use super::requests::Endpoint;
use super::state::State;

/// How the signature of an ID token comes about.
#[derive(Clone, Default)]
pub(crate) enum Signature {
    /// With the current key.
    #[default]
    Honest,
    /// None at all; the header's `alg` is the given text.
    Unsecured(&'static str),
    /// Junk bytes; the header's `alg` is the given text.
    UnsecuredWithJunk(&'static str),
    /// HS256, keyed with the bytes of the public key.
    HmacOfPublicKey(PublicKeyForm),
    /// With a key of somebody else, under the `kid` of the current key.
    Attacker(Lure),
    /// With the current key, then changed.
    Altered(fn(&[u8]) -> Vec<u8>),
}

/// The bytes that a confused verifier takes for an HMAC key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PublicKeyForm {
    Pem,
    PemWithoutFinalNewline,
    Der,
    Jwk,
}

/// The header member that offers the attacker's key to the verifier (RFC 8725 §3.10).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lure {
    Nothing,
    Jwk,
    Jku,
    X5u,
    X5c,
}

/// Puts into the header what the way of signing needs there.
pub(super) fn prepare_header(state: &mut State, header: &mut Map<String, Value>) {
    if let Some(odd_key) = state.lies.odd_key {
        header.insert("alg".into(), odd_key.alg().into());
        header.insert("kid".into(), odd_keys::KID.into());
        return;
    }
    match state.lies.signature.clone() {
        Signature::Honest | Signature::Altered(_) => {}
        Signature::Unsecured(alg) | Signature::UnsecuredWithJunk(alg) => {
            header.insert("alg".into(), alg.into());
        }
        Signature::HmacOfPublicKey(_) => {
            header.insert("alg".into(), "HS256".into());
        }
        Signature::Attacker(lure) => offer_attacker_key(state, lure, header),
    }
}

fn offer_attacker_key(state: &mut State, lure: Lure, header: &mut Map<String, Value>) {
    let key = state.keys.attacker();
    header.insert("alg".into(), key.algorithm().name().into());
    let (name, value) = match lure {
        Lure::Nothing => return,
        Lure::Jwk => ("jwk", json!(key.public_jwk())),
        Lure::X5c => {
            let der = self_signed(key).to_der().expect("a certificate");
            ("x5c", json!([STANDARD.encode(der)]))
        }
        Lure::Jku => ("jku", json!(state.url(Endpoint::AttackerJwks))),
        Lure::X5u => ("x5u", json!(state.url(Endpoint::AttackerCertificate))),
    };
    header.insert(name.into(), value);
}

/// The signature bytes over the signing input.
pub(super) fn sign(state: &mut State, input: &[u8]) -> Vec<u8> {
    if let Some(odd_key) = state.lies.odd_key {
        return odd_key.sign(input);
    }
    match state.lies.signature.clone() {
        Signature::Honest => state.keys.current().sign(input),
        Signature::Unsecured(_) => Vec::new(),
        Signature::UnsecuredWithJunk(_) => b"junk instead of a signature".to_vec(),
        Signature::HmacOfPublicKey(form) => {
            let secret = public_key_bytes(state.keys.current(), form);
            let signer = HS256.signer_from_bytes(secret).expect("a long secret");
            signer.sign(input).expect("a signature")
        }
        Signature::Attacker(_) => state.keys.attacker().sign(input),
        Signature::Altered(change) => change(&state.keys.current().sign(input)),
    }
}

fn public_key_bytes(key: &SigningKey, form: PublicKeyForm) -> Vec<u8> {
    let (pem, der) = key.public_pem_and_der().expect("an asymmetric key");
    match form {
        PublicKeyForm::Pem => pem,
        PublicKeyForm::PemWithoutFinalNewline => pem.trim_ascii_end().to_vec(),
        PublicKeyForm::Der => der,
        PublicKeyForm::Jwk => json!(key.public_jwk()).to_string().into_bytes(),
    }
}

/// A certificate that names the key and is signed by it alone.
pub(super) fn self_signed(key: &SigningKey) -> X509 {
    let der = key.private_der().expect("an asymmetric key");
    let private = PKey::private_key_from_der(&der).expect("a private key");
    let digest = match key.algorithm() {
        Algorithm::EdDsa => MessageDigest::null(),
        _ => MessageDigest::sha256(),
    };
    let mut name = X509NameBuilder::new().expect("a name");
    name.append_entry_by_text("CN", "attacker.test").expect("a common name");
    let name = name.build();
    let mut certificate = X509::builder().expect("a certificate");
    let build = (|| {
        certificate.set_version(2)?;
        certificate.set_subject_name(&name)?;
        certificate.set_issuer_name(&name)?;
        certificate.set_pubkey(&private)?;
        certificate.set_not_before(&*Asn1Time::from_unix(0)?)?;
        certificate.set_not_after(&*Asn1Time::days_from_now(365)?)?;
        certificate.sign(&private, digest)
    })();
    build.expect("a self-signed certificate");
    certificate.build()
}

/// Changes to signature bytes, for [`Signature::Altered`].
pub(crate) mod broken {
    use openssl::bn::BigNum;
    use openssl::ecdsa::EcdsaSig;

    /// The order of P-256.
    const P256_ORDER: [u8; 32] = [
        0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
        0xff, 0xbc, 0xe6, 0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63,
        0x25, 0x51,
    ];

    /// One bit differs.
    pub(crate) fn flipped_bit(signature: &[u8]) -> Vec<u8> {
        let (last, front) = signature.split_last().expect("a signature");
        [front, &[last ^ 1]].concat()
    }

    /// Zeros of the right length: r = 0 and s = 0 for ECDSA.
    pub(crate) fn zeros(signature: &[u8]) -> Vec<u8> {
        vec![0; signature.len()]
    }

    /// r = 0 with the honest s (ECDSA).
    pub(crate) fn zero_r(signature: &[u8]) -> Vec<u8> {
        [&[0; 32], &signature[32..]].concat()
    }

    /// s = 0 with the honest r (ECDSA).
    pub(crate) fn zero_s(signature: &[u8]) -> Vec<u8> {
        [&signature[..32], &[0; 32]].concat()
    }

    /// r and s equal to the order of the curve, which is zero again (ECDSA).
    pub(crate) fn order_as_r_and_s(_: &[u8]) -> Vec<u8> {
        [P256_ORDER, P256_ORDER].concat()
    }

    /// DER instead of r || s: RFC 7518 §3.4 wants the latter (ECDSA).
    pub(crate) fn der(signature: &[u8]) -> Vec<u8> {
        let (r, s) = signature.split_at(32);
        let number = |bytes| BigNum::from_slice(bytes).expect("a number");
        let der = EcdsaSig::from_private_components(number(r), number(s));
        der.and_then(|der| der.to_der()).expect("a DER signature")
    }

    /// The last byte is missing.
    pub(crate) fn truncated(signature: &[u8]) -> Vec<u8> {
        signature[..signature.len() - 1].to_vec()
    }

    /// One byte more than there should be.
    pub(crate) fn extended(signature: &[u8]) -> Vec<u8> {
        [signature, &[0]].concat()
    }

    /// A zero byte in front.
    pub(crate) fn zero_prefixed(signature: &[u8]) -> Vec<u8> {
        [&[0], signature].concat()
    }

    /// No bytes, although `alg` promises some.
    pub(crate) fn empty(_: &[u8]) -> Vec<u8> {
        Vec::new()
    }
}
