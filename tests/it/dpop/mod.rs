//! Proofs of possession (RFC 9449): tokens that are of no use to whoever finds them.

mod bindings;
mod nonces;
mod proofs;
mod resources;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::{
    client_auth::{Key, compact},
    support::{
        app::{Answer, ISSUER, TestApp, basic},
        journey::{VERIFIER, code_for, redirect_uri},
    },
};

/// Somebody who holds a key.
pub(crate) struct Holder(Key);

impl Holder {
    pub(crate) fn new() -> Self {
        Self::with("ES256")
    }

    pub(crate) fn with(alg: &'static str) -> Self {
        Self(Key::new(alg))
    }

    /// The public half, with the members that make the key and no others.
    pub(crate) fn jwk(&self) -> Value {
        let public = self.0.public("k");
        let names = ["crv", "e", "kty", "n", "x", "y"];
        let members = names.iter().filter_map(|name| Some((*name, public.get(*name)?.clone())));
        members.map(|(name, value)| (name.to_owned(), value)).collect()
    }

    /// RFC 7638 §3: JSON objects of this library have their members in the order of their names.
    pub(crate) fn thumbprint(&self) -> String {
        hash(&self.jwk().to_string())
    }

    /// A good proof for one request, with claims changed, or left out where the value is `null`.
    pub(crate) fn proof(
        &self,
        app: &TestApp,
        (method, path): (&str, &str),
        changes: &Value,
    ) -> String {
        let mut claims = json!({
            "jti": uuid::Uuid::new_v4().to_string(), "htm": method,
            "htu": format!("{ISSUER}{path}"), "iat": app.clock.unix(),
        });
        let own = claims.as_object_mut().unwrap();
        for (name, value) in changes.as_object().unwrap() {
            match value {
                Value::Null => drop(own.remove(name)),
                value => drop(own.insert(name.clone(), value.clone())),
            }
        }
        self.sign(&json!({}), &claims)
    }

    /// Any claims, under a header with members changed.
    pub(crate) fn sign(&self, changes: &Value, claims: &Value) -> String {
        let alg = self.0.alg;
        let mut header = json!({ "typ": "dpop+jwt", "alg": alg, "jwk": self.jwk() });
        let own = header.as_object_mut().unwrap();
        for (name, value) in changes.as_object().unwrap() {
            match value {
                Value::Null => drop(own.remove(name)),
                value => drop(own.insert(name.clone(), value.clone())),
            }
        }
        compact(&header, claims, |input| self.0.sign(alg, input))
    }

    /// A proof for the token endpoint.
    pub(crate) fn for_tokens(&self, app: &TestApp) -> String {
        self.proof(app, ("POST", "/token"), &json!({}))
    }

    /// A proof for UserInfo with this token.
    pub(crate) fn for_userinfo(&self, app: &TestApp, token: &str) -> String {
        self.proof(app, ("GET", "/userinfo"), &json!({ "ath": hash(token) }))
    }
}

pub(crate) fn hash(text: &str) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(text.as_bytes()))
}

/// The client `m2m` asks for tokens of its own, with these headers.
pub(crate) async fn asks(app: &TestApp, proofs: &[&str]) -> Answer {
    let authorization = basic("m2m");
    let mut headers = vec![("authorization", authorization.as_str())];
    headers.extend(proofs.iter().map(|proof| ("dpop", *proof)));
    app.post("/token", &[("grant_type", "client_credentials")], &headers).await
}

/// Expects that a proof is refused at the token endpoint, and that one event tells so.
pub(crate) async fn refused(app: &TestApp, proof: &str, why: &str) {
    let before = app.refusals("request").await.len();
    let answer = asks(app, &[proof]).await;
    answer.assert_error(400, "invalid_dpop_proof");
    let said = answer.text("error_description");
    assert!(said.contains(why), "{why:?}: {said}");
    assert_eq!(app.refusals("request").await.len(), before + 1, "{why}");
}

/// Bob signs in at a public client, which shows these proofs.
pub(crate) async fn redeem(app: &TestApp, code: &str, proof: Option<&str>) -> Answer {
    let redirect_uri = redirect_uri("spa");
    let form = [
        ("grant_type", "authorization_code"),
        ("client_id", "spa"),
        ("code", code),
        ("redirect_uri", &redirect_uri),
        ("code_verifier", VERIFIER),
    ];
    let proof = proof.map(|proof| ("dpop", proof));
    app.post("/token", &form, proof.as_slice()).await
}

/// The public client refreshes, and shows this proof.
pub(crate) async fn refresh(app: &TestApp, token: &str, proof: Option<&str>) -> Answer {
    let form = [("grant_type", "refresh_token"), ("client_id", "spa"), ("refresh_token", token)];
    let proof = proof.map(|proof| ("dpop", proof));
    app.post("/token", &form, proof.as_slice()).await
}

/// The tokens of bob at the public client, bound to this key.
pub(crate) async fn bound_tokens(app: &TestApp, holder: &Holder) -> Answer {
    app.add_user("bob", &[]).await;
    let code = code_for(&mut app.browser(), "spa", "bob", &[]).await;
    let answer = redeem(app, &code, Some(&holder.for_tokens(app))).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer
}

/// Asks UserInfo in any way.
pub(crate) async fn userinfo(app: &TestApp, headers: &[(&str, &str)]) -> Answer {
    let mut request = axum::http::Request::builder().uri(format!("{ISSUER}/userinfo"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    app.send(request.body(bytes::Bytes::new()).unwrap()).await
}
