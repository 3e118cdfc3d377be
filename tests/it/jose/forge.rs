//! Making tokens that are not what they seem.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use josekit::jws::{HS256, JwsSigner as _};
use keywright::{keys::TokenType, protocol::jwa::SigningAlgorithm};
use openssl::{
    bn::BigNum,
    ec::{EcGroup, EcKey},
    nid::Nid,
    pkey::{PKey, Public},
    rsa::Rsa,
};
use serde_json::{Map, Value, json};

use crate::support::{app::TestApp, fake_upstream::SigningKey};

/// A token of any header and claims.
pub(super) fn jws(header: &Value, claims: &Value, sign: impl FnOnce(&[u8]) -> Vec<u8>) -> String {
    raw(header.to_string().as_bytes(), claims.to_string().as_bytes(), sign)
}

/// A token of any two texts.
pub(super) fn raw(header: &[u8], payload: &[u8], sign: impl FnOnce(&[u8]) -> Vec<u8>) -> String {
    let input = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload));
    let signature = URL_SAFE_NO_PAD.encode(sign(input.as_bytes()));
    format!("{input}.{signature}")
}

/// Any claims under our own key: what no outsider can make.
pub(super) fn sign_as_us(app: &TestApp, typ: TokenType, claims: &Map<String, Value>) -> String {
    let now = app.app.now();
    app.app.keys.sign(SigningAlgorithm::Es256, typ, claims, now).unwrap()
}

/// HMAC with any bytes as key.
pub(super) fn hmac(key: &[u8], input: &[u8]) -> Vec<u8> {
    let signer = HS256.signer_from_bytes(key).unwrap();
    signer.sign(input).unwrap()
}

/// One of our public keys, by its `kid`.
pub(super) async fn public_jwk(app: &TestApp, kid: &str) -> Value {
    let jwks = app.get("/.well-known/jwks.json", None).await.json();
    let keys = jwks["keys"].as_array().unwrap();
    keys.iter().find(|key| key["kid"] == kid).unwrap().clone()
}

/// The bytes that a confused verifier may take for an HMAC key.
pub(super) fn public_forms(jwk: &Value) -> Vec<Vec<u8>> {
    let key = public_key(jwk);
    let pem = key.public_key_to_pem().unwrap();
    vec![
        pem.trim_ascii_end().to_vec(),
        pem,
        key.public_key_to_der().unwrap(),
        jwk.to_string().into_bytes(),
        jwk["x"].as_str().or(jwk["n"].as_str()).unwrap().as_bytes().to_vec(),
    ]
}

fn public_key(jwk: &Value) -> PKey<Public> {
    let number = |name: &str| {
        let bytes = URL_SAFE_NO_PAD.decode(jwk[name].as_str().unwrap()).unwrap();
        BigNum::from_slice(&bytes).unwrap()
    };
    if jwk["kty"] == "RSA" {
        let key = Rsa::from_public_components(number("n"), number("e")).unwrap();
        return PKey::from_rsa(key).unwrap();
    }
    let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
    let key = EcKey::from_public_key_affine_coordinates(&group, &number("x"), &number("y"));
    PKey::from_ec_key(key.unwrap()).unwrap()
}

/// Whether a signature is that of a published key: what an app does with our JWKS.
pub(super) fn is_signed_by(token: &str, jwk: &Value) -> bool {
    use josekit::{jwk::Jwk, jws};
    let jwk = Jwk::from_map(jwk.as_object().unwrap().clone()).unwrap();
    let (input, signature) = token.rsplit_once('.').unwrap();
    let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
    let verifier: Box<dyn jws::JwsVerifier> = match jwk.algorithm() {
        Some("RS256") => Box::new(jws::RS256.verifier_from_jwk(&jwk).unwrap()),
        Some("ES256") => Box::new(jws::ES256.verifier_from_jwk(&jwk).unwrap()),
        _ => Box::new(jws::EdDSA.verifier_from_jwk(&jwk).unwrap()),
    };
    verifier.verify(input.as_bytes(), &signature).is_ok()
}

/// Headers that offer the attacker's own key, or its address.
pub(super) fn lures(honest: &Map<String, Value>, key: &SigningKey, address: &str) -> Vec<Value> {
    let jwk = key.public_jwk().unwrap();
    let certificate = STANDARD.encode(b"not even a certificate");
    let mut named = jwk.clone();
    named["kid"] = honest["kid"].clone();
    [
        json!({}),
        json!({"jwk": jwk}),
        json!({"jwk": named}),
        json!({"jku": address}),
        json!({"x5u": address}),
        json!({"x5c": [certificate]}),
        json!({"kid": key.kid(), "jwk": jwk}),
        json!({"kid": address, "jku": address}),
    ]
    .into_iter()
    .map(|lure| {
        let mut header = honest.clone();
        header.extend(lure.as_object().unwrap().clone());
        Value::Object(header)
    })
    .collect()
}

/// Values of `kid` that try to be something else than a name (JW-05).
pub(super) fn hostile_key_ids() -> Vec<Value> {
    vec![
        json!(""),
        json!("unknown"),
        json!("../../../../dev/null"),
        json!("' OR 1=1--"),
        json!("\0"),
        json!("http://evil.test/k"),
        json!("{{7*7}}"),
        json!("k".repeat(8_192)),
        json!({"kid": "x"}),
        json!(["x"]),
        json!(7),
        json!(null),
        json!(true),
    ]
}

/// The order of P-256.
pub(super) const P256_ORDER: [u8; 32] = [
    0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xbc, 0xe6, 0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
];
