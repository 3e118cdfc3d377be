//! The routes without a store: client credentials, UserInfo and introspection.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::Ceiling;
use super::requests::{Form, Refusal, authenticate, bearer};
use crate::signing::{Kind, Signer, now, random_text};

pub(super) const LIFETIME: u64 = 900;

/// The claims of an access token (RFC 9068 §2.2).
#[derive(Serialize, Deserialize)]
struct AccessClaims<'a> {
    iss: &'a str,
    sub: &'a str,
    aud: &'a str,
    client_id: &'a str,
    scope: &'a str,
    iat: u64,
    exp: u64,
    jti: &'a str,
}

/// The claims of an ID token, as full as a usual one.
#[derive(Serialize)]
struct IdClaims<'a> {
    iss: &'a str,
    sub: &'a str,
    aud: &'a str,
    iat: u64,
    exp: u64,
    auth_time: u64,
    nonce: &'a str,
    name: &'a str,
    preferred_username: &'a str,
    email: &'a str,
    email_verified: bool,
}

/// What UserInfo answers.
#[derive(Serialize)]
struct Person<'a> {
    sub: &'a str,
    name: &'static str,
    preferred_username: &'static str,
    email: &'static str,
    email_verified: bool,
}

/// A token response (RFC 6749 §5.1).
#[derive(Serialize)]
pub(super) struct TokenResponse<'a> {
    pub(super) access_token: &'a str,
    pub(super) token_type: &'static str,
    pub(super) expires_in: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) refresh_token: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) id_token: Option<&'a str>,
}

impl<'a> TokenResponse<'a> {
    pub(super) fn new(access_token: &'a str) -> Self {
        Self {
            access_token,
            token_type: "Bearer",
            expires_in: LIFETIME,
            refresh_token: None,
            id_token: None,
        }
    }

    pub(super) fn answer(&self) -> Result<Response, Refusal> {
        json(self)
    }
}

/// An answer in JSON that nobody may keep.
fn json(value: &impl Serialize) -> Result<Response, Refusal> {
    let head = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")];
    Ok((head, serde_json::to_vec(value)?).into_response())
}

/// An access token with a random id.
pub(super) fn access_token(
    ceiling: &Ceiling,
    signer: &Signer,
    client: &str,
    subject: &str,
    scope: &str,
) -> anyhow::Result<String> {
    let (iat, jti) = (now(), random_text::<16>()?);
    let claims = AccessClaims {
        iss: &ceiling.issuer,
        sub: subject,
        aud: client,
        client_id: client,
        scope,
        iat,
        exp: iat + LIFETIME,
        jti: &jti,
    };
    signer.sign(Kind::AccessToken, &claims)
}

/// An ID token, ES256.
pub(super) fn id_token(
    ceiling: &Ceiling,
    client: &str,
    subject: &str,
    nonce: &str,
) -> anyhow::Result<String> {
    let iat = now();
    let claims = IdClaims {
        iss: &ceiling.issuer,
        sub: subject,
        aud: client,
        iat,
        exp: iat + LIFETIME,
        auth_time: iat,
        nonce,
        name: "Person 1",
        preferred_username: "person1",
        email: "person1@example.org",
        email_verified: true,
    };
    ceiling.es256.sign(Kind::IdToken, &claims)
}

fn client_credentials(
    ceiling: &Ceiling,
    signer: &Signer,
    headers: &HeaderMap,
    body: &Bytes,
) -> Result<Response, Refusal> {
    let form = Form::parse(body);
    if form.get("grant_type")? != "client_credentials" {
        return Err(Refusal::bad("unsupported_grant_type"));
    }
    let client = authenticate(ceiling, headers)?;
    let token = access_token(ceiling, signer, &client, &client, "")?;
    TokenResponse::new(&token).answer()
}

/// T1.
pub(super) async fn es256(
    State(ceiling): State<Arc<Ceiling>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Refusal> {
    client_credentials(&ceiling, &ceiling.es256, &headers, &body)
}

/// T2.
pub(super) async fn eddsa(
    State(ceiling): State<Arc<Ceiling>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Refusal> {
    client_credentials(&ceiling, &ceiling.eddsa, &headers, &body)
}

/// T3.
pub(super) async fn rs256(
    State(ceiling): State<Arc<Ceiling>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Refusal> {
    client_credentials(&ceiling, &ceiling.rs256, &headers, &body)
}

/// U1: one verification.
pub(super) async fn userinfo(
    State(ceiling): State<Arc<Ceiling>>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let payload = ceiling.verifier.verify(bearer(&headers)?)?;
    let claims: AccessClaims<'_> = serde_json::from_slice(&payload)?;
    if claims.exp <= now() {
        return Err(Refusal::unauthorized());
    }
    json(&Person {
        sub: claims.sub,
        name: "Person 1",
        preferred_username: "person1",
        email: "person1@example.org",
        email_verified: true,
    })
}

/// What introspection answers (RFC 7662 §2.2).
#[derive(Serialize)]
struct Introspection<'a> {
    active: bool,
    #[serde(flatten)]
    claims: AccessClaims<'a>,
}

/// I1: one client authentication and one verification.
pub(super) async fn introspect(
    State(ceiling): State<Arc<Ceiling>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Refusal> {
    authenticate(&ceiling, &headers)?;
    let form = Form::parse(&body);
    let payload = ceiling.verifier.verify(form.get("token")?)?;
    let claims: AccessClaims<'_> = serde_json::from_slice(&payload)?;
    json(&Introspection { active: claims.exp > now(), claims })
}
