//! How clients prove who they are beyond a secret that is sent: assertions, keys, certificates, and
//! secrets on their way out.

mod algorithms;
mod assertions;
mod audiences;
mod bound;
mod certificates;
mod metadata;
mod published;
mod secrets;
mod settings;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use josekit::{
    jwk::{
        Jwk, KeyPair as _,
        alg::{
            ec::{EcCurve, EcKeyPair},
            ed::{EdCurve, EdKeyPair},
            rsa::RsaKeyPair,
        },
    },
    jws::{ES256, ES384, EdDSA, HS256, JwsSigner, PS256, PS384, PS512, RS384, RS512},
};
use openssl::{hash::MessageDigest, pkey::PKey, sign::Signer};
use serde_json::{Value, json};

use crate::support::app::{Answer, ISSUER, TestApp};

pub(crate) const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
/// The secret of clients that sign with one: long enough for every algorithm.
pub(crate) const LONG_SECRET: &str =
    "a-secret-that-is-never-sent-and-long-enough-for-hmac-with-sha-512-0123456789";

/// A key of a client, or its secret.
pub(crate) struct Key {
    pub(crate) alg: &'static str,
    private: Jwk,
    public: Jwk,
}

impl Key {
    /// A fresh key for this algorithm.
    pub(crate) fn new(alg: &'static str) -> Self {
        Self::with_bits(alg, 2_048)
    }

    /// The same; an RSA key has so many bits.
    pub(crate) fn with_bits(alg: &'static str, bits: u32) -> Self {
        let (private, public) = match alg {
            "ES256" | "ES384" => {
                let curve = if alg == "ES256" { EcCurve::P256 } else { EcCurve::P384 };
                let pair = EcKeyPair::generate(curve).unwrap();
                (pair.to_jwk_private_key(), pair.to_jwk_public_key())
            }
            "EdDSA" => {
                let pair = EdKeyPair::generate(EdCurve::Ed25519).unwrap();
                (pair.to_jwk_private_key(), pair.to_jwk_public_key())
            }
            _ => {
                let pair = RsaKeyPair::generate(bits).unwrap();
                (pair.to_jwk_private_key(), pair.to_jwk_public_key())
            }
        };
        Self { alg, private, public }
    }

    /// The secret of a client as a key.
    pub(crate) fn secret(alg: &'static str, secret: &str) -> Self {
        let private = HS256.to_jwk(secret.as_bytes());
        Self { alg, public: private.clone(), private }
    }

    /// Its public half under a name.
    pub(crate) fn public(&self, kid: &str) -> Value {
        let mut jwk = serde_json::to_value(&self.public).unwrap();
        jwk["kid"] = json!(kid);
        jwk
    }

    /// The raw signature, as another algorithm than its own if that is said. The library signs with no key
    /// that is too weak; attackers do.
    pub(crate) fn sign(&self, alg: &str, input: &[u8]) -> Vec<u8> {
        let key = &self.private;
        let signer: Box<dyn JwsSigner> = match alg {
            "RS256" => {
                let der = RsaKeyPair::from_jwk(key).unwrap().to_der_private_key();
                let key = PKey::private_key_from_der(&der).unwrap();
                let digest = MessageDigest::sha256();
                return Signer::new(digest, &key).unwrap().sign_oneshot_to_vec(input).unwrap();
            }
            "HS256" | "HS384" | "HS512" => {
                let secret = key.parameter("k").unwrap().as_str().unwrap();
                let key = PKey::hmac(&URL_SAFE_NO_PAD.decode(secret).unwrap()).unwrap();
                let digest = match alg {
                    "HS256" => MessageDigest::sha256(),
                    "HS384" => MessageDigest::sha384(),
                    _ => MessageDigest::sha512(),
                };
                return Signer::new(digest, &key).unwrap().sign_oneshot_to_vec(input).unwrap();
            }
            "RS384" => Box::new(RS384.signer_from_jwk(key).unwrap()),
            "RS512" => Box::new(RS512.signer_from_jwk(key).unwrap()),
            "PS256" => Box::new(PS256.signer_from_jwk(key).unwrap()),
            "PS384" => Box::new(PS384.signer_from_jwk(key).unwrap()),
            "PS512" => Box::new(PS512.signer_from_jwk(key).unwrap()),
            "ES256" => Box::new(ES256.signer_from_jwk(key).unwrap()),
            "ES384" => Box::new(ES384.signer_from_jwk(key).unwrap()),
            _ => Box::new(EdDSA.signer_from_jwk(key).unwrap()),
        };
        signer.sign(input).unwrap()
    }

    /// A JWT with these claims.
    pub(crate) fn jwt(&self, claims: &Value) -> String {
        self.jwt_with(&json!({ "alg": self.alg, "kid": "k1" }), claims)
    }

    /// A JWT with any header.
    pub(crate) fn jwt_with(&self, header: &Value, claims: &Value) -> String {
        compact(header, claims, |input| self.sign(self.alg, input))
    }
}

/// A JWT of any header, claims and signature.
pub(crate) fn compact(
    header: &Value,
    claims: &Value,
    sign: impl FnOnce(&[u8]) -> Vec<u8>,
) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let input = format!("{}.{}", part(header), part(claims));
    format!("{input}.{}", URL_SAFE_NO_PAD.encode(sign(input.as_bytes())))
}

/// A client that may get tokens of its own, with these settings.
pub(crate) fn client(id: &str, lines: &str) -> String {
    format!(
        "[[clients]]\nid = {id:?}\nname = {id:?}\ngrant_types = [\"client_credentials\"]\n\
         scopes = [\"read\"]\n{lines}\n"
    )
}

/// The client `signer`, which proves itself by this key.
pub(crate) fn signer(key: &Key, more: &str) -> String {
    let jwks = json!({ "keys": [key.public("k1")] });
    let lines =
        format!("token_endpoint_auth_method = \"private_key_jwt\"\njwks = '{jwks}'\n{more}");
    client("signer", &lines)
}

/// Keywright with that client.
pub(crate) async fn app_with_signer(more: &str) -> (TestApp, Key) {
    let key = Key::new("ES256");
    let app = TestApp::builder().config(&signer(&key, more)).start().await;
    (app, key)
}

/// The claims of a good assertion.
pub(crate) fn claims(app: &TestApp, client: &str) -> Value {
    let now = app.clock.unix();
    json!({
        "iss": client, "sub": client, "aud": ISSUER, "jti": uuid::Uuid::new_v4().to_string(),
        "iat": now, "exp": now + 60,
    })
}

/// The same with members changed, or left out where the value is `null`.
pub(crate) fn claims_with(app: &TestApp, client: &str, changes: &Value) -> Value {
    let mut claims = claims(app, client);
    let own = claims.as_object_mut().unwrap();
    for (name, value) in changes.as_object().unwrap() {
        match value {
            Value::Null => drop(own.remove(name)),
            value => drop(own.insert(name.clone(), value.clone())),
        }
    }
    claims
}

/// Asks for tokens with an assertion.
pub(crate) async fn present(app: &TestApp, assertion: &str) -> Answer {
    present_at(app, "/token", assertion, &[]).await
}

/// Brings an assertion anywhere, beside other parameters.
pub(crate) async fn present_at(
    app: &TestApp,
    path: &str,
    assertion: &str,
    more: &[(&str, &str)],
) -> Answer {
    let form = [
        ("grant_type", "client_credentials"),
        ("token", "x"),
        ("client_assertion_type", ASSERTION_TYPE),
        ("client_assertion", assertion),
    ];
    app.post(path, &[&form, more].concat(), &[]).await
}

/// Expects that an assertion proves nothing, and that one event tells why: in these words, if they are
/// given.
pub(crate) async fn refused(app: &TestApp, assertion: &str, why: &str) {
    let before = app.events().await.len();
    let tokens = app.count("audit_events").await;
    let answer = present(app, assertion).await;
    answer.assert_error(401, "invalid_client");
    let text = answer.text("error_description");
    assert_eq!(text, "the client is unknown or its credentials are wrong", "{why}");
    let events = app.events().await;
    assert_eq!(events.len(), before + 1, "{why}");
    assert!(app.count("audit_events").await > tokens);
    let event = events.last().unwrap();
    assert_eq!(event.action, "client_authentication");
    assert_eq!(event.reason.as_deref(), Some("invalid_client"));
    assert!(event.detail.contains(why), "{why:?}: {}", event.detail);
    let signature = assertion.rsplit('.').next().unwrap();
    assert!(signature.len() < 8 || !event.detail.contains(signature));
}
