//! ID tokens (OIDC Core §2, §3.1.3.6).

use serde_json::{Map, Value, json};

use super::{access::Issuing, claims};
use crate::{
    clients::Client,
    config::ClaimPlacement,
    foundation::{
        digest::{base64url, sha256},
        ids::{SessionId, UserId},
    },
    keys::{KeyError, SigningKeys, TokenType},
    protocol::{jwa::SigningAlgorithm, scope::Scope},
    store::{grants::Grant, users::Person},
};

/// What one ID token says beyond who the person is.
#[derive(Debug, Clone, Copy)]
pub struct Occasion<'a> {
    /// The `nonce` of the request; none when refreshing (OIDC Core §12.2).
    pub nonce: Option<&'a str>,
    /// The access token beside it.
    pub access_token: &'a str,
    /// What was granted.
    pub scope: &'a Scope,
}

/// Issues an ID token.
pub fn issue_id_token(
    issuing: Issuing<'_>,
    client: &Client,
    grant: &Grant,
    person: &Person,
    occasion: Occasion<'_>,
) -> Result<String, KeyError> {
    let alg = client.settings.id_token_signing_alg;
    let mut claims = Map::new();
    let mut put = |name: &str, value: Value| {
        claims.insert(name.to_owned(), value);
    };
    put("iss", json!(issuing.issuer));
    put("sub", json!(person.user.id));
    put("aud", json!(client.id()));
    put("iat", json!(issuing.now));
    put("exp", json!(issuing.now.plus(issuing.life(client.id_token_lifetime))));
    put("auth_time", json!(grant.auth_time));
    put("sid", json!(grant.session_id));
    let amr = grant.amr.to_vec();
    if !amr.is_empty() {
        put("amr", json!(amr));
    }
    if let Some(acr) = &grant.acr {
        put("acr", json!(acr));
    }
    if let Some(nonce) = occasion.nonce {
        put("nonce", json!(nonce));
    }
    put("at_hash", json!(token_hash(alg, occasion.access_token)));
    if client.settings.id_token_claims == ClaimPlacement::Full {
        claims.extend(claims::for_app(client, grant.upstream.as_ref(), person, occasion.scope));
    }
    issuing.keys.sign(alg, TokenType::Id, &claims, issuing.now)
}

/// `at_hash`: the left half of the token's hash. The hash is that of the algorithm; for Ed25519,
/// whose signature hashes with SHA-512, the OpenID Foundation settled on SHA-512.
fn token_hash(alg: SigningAlgorithm, token: &str) -> String {
    use sha2::Digest as _;
    match alg {
        SigningAlgorithm::Rs256 | SigningAlgorithm::Es256 => {
            base64url(sha256(token.as_bytes()).get(..16).unwrap_or_default())
        }
        SigningAlgorithm::EdDsa => {
            base64url(sha2::Sha512::digest(token.as_bytes()).get(..32).unwrap_or_default())
        }
    }
}

/// What an `id_token_hint` tells (OIDC Core §3.1.2.1, RP-Initiated Logout §2).
#[derive(Debug, Clone)]
#[expect(clippy::struct_field_names, reason = "they are ids")]
pub struct Hint {
    /// The person.
    pub user_id: UserId,
    /// The client that got it.
    pub client_id: String,
    /// The browser session.
    pub session_id: Option<SessionId>,
}

/// Reads an ID token of ours that comes back as a hint. It may have expired: a hint proves
/// nothing about the present.
pub fn verify_hint(keys: &SigningKeys, issuer: &str, token: &str) -> Option<Hint> {
    let claims = keys.verify_hint(token).ok()?;
    let text = |name: &str| claims.get(name).and_then(Value::as_str);
    if text("iss") != Some(issuer) {
        return None;
    }
    Some(Hint {
        user_id: UserId::new(text("sub")?),
        client_id: text("aud")?.to_owned(),
        session_id: text("sid").map(SessionId::new),
    })
}
