//! The routes with a store: code exchange, refresh with rotation, and the first login page.

use std::fmt::Write as _;
use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::http::HeaderMap;
use axum::response::Response;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::Ceiling;
use super::requests::{Form, Refusal, authenticate};
use super::tokens::{TokenResponse, access_token, id_token};
use crate::settings::{CALLBACK, VERIFIER, WEB};
use crate::signing::{digest_text, random_text};

const SUBJECT: &str = "0199c1f2-0000-7000-8000-000000000001";
const SCOPE: &str = "openid profile email offline_access";

/// What is kept between the authorization request and the exchange.
#[derive(Serialize, Deserialize)]
struct CodePayload {
    client: String,
    redirect_uri: String,
    scope: String,
    nonce: String,
    challenge: String,
    subject: String,
}

/// Makes codes ahead of a measurement, one a line.
pub(super) async fn codes(
    State(ceiling): State<Arc<Ceiling>>,
    RawQuery(query): RawQuery,
) -> Result<String, Refusal> {
    let query = Form::parse(query.unwrap_or_default().as_bytes());
    let count: usize = query.get("count")?.parse()?;
    let payload = serde_json::to_vec(&CodePayload {
        client: WEB.to_owned(),
        redirect_uri: CALLBACK.to_owned(),
        scope: SCOPE.to_owned(),
        nonce: "n-0123456789abcdef".to_owned(),
        challenge: digest_text(VERIFIER),
        subject: SUBJECT.to_owned(),
    })?;
    let mut lines = String::new();
    for _ in 0..count {
        let code = random_text::<32>()?;
        ceiling.store.put(&code_key(&code), &payload).await?;
        writeln!(lines, "{code}")?;
    }
    Ok(lines)
}

/// C1: take the payload, check PKCE, sign twice, store the grant and the refresh token.
pub(super) async fn exchange(
    State(ceiling): State<Arc<Ceiling>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Refusal> {
    let form = Form::parse(&body);
    let client = authenticate(&ceiling, &headers)?;
    let code = form.get("code")?;
    let payload = ceiling.store.take(&code_key(code)).await?;
    let payload = payload.ok_or_else(|| Refusal::bad("invalid_grant"))?;
    let payload: CodePayload = serde_json::from_slice(&payload)?;
    let proven = payload.challenge == digest_text(form.get("code_verifier")?)
        && payload.redirect_uri == form.get("redirect_uri")?
        && payload.client == client;
    if !proven {
        return Err(Refusal::bad("invalid_grant"));
    }
    let (grant, refresh) = (random_text::<16>()?, random_text::<32>()?);
    let access = access_token(&ceiling, &ceiling.es256, &client, &payload.subject, &payload.scope)?;
    let id = id_token(&ceiling, &client, &payload.subject, &payload.nonce)?;
    let row = super::store::Grant {
        id: &grant,
        code_digest: &digest_text(code),
        client: &client,
        subject: &payload.subject,
        scope: &payload.scope,
    };
    ceiling.store.insert_grant(&row, &digest_text(&refresh)).await?;
    let mut response = TokenResponse::new(&access);
    response.refresh_token = Some(&refresh);
    response.id_token = Some(&id);
    response.answer()
}

/// R1 where the answer carries no ID token.
pub(super) async fn refresh(
    State(ceiling): State<Arc<Ceiling>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Refusal> {
    rotate(&ceiling, &headers, &body, false).await
}

/// R1 where it does.
pub(super) async fn refresh_with_id_token(
    State(ceiling): State<Arc<Ceiling>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Refusal> {
    rotate(&ceiling, &headers, &body, true).await
}

async fn rotate(
    ceiling: &Ceiling,
    headers: &HeaderMap,
    body: &Bytes,
    with_id_token: bool,
) -> Result<Response, Refusal> {
    let form = Form::parse(body);
    let client = authenticate(ceiling, headers)?;
    let (presented, successor) = (form.get("refresh_token")?, random_text::<32>()?);
    let rotated = ceiling.store.rotate(&digest_text(presented), &digest_text(&successor)).await?;
    if !rotated {
        return Err(Refusal::bad("invalid_grant"));
    }
    let access = access_token(ceiling, &ceiling.es256, &client, SUBJECT, SCOPE)?;
    let id = with_id_token.then(|| id_token(ceiling, &client, SUBJECT, "")).transpose()?;
    let mut response = TokenResponse::new(&access);
    response.refresh_token = Some(&successor);
    response.id_token = id.as_deref();
    response.answer()
}

/// A1: one state write and a page of the same size.
pub(super) async fn login_page(
    State(ceiling): State<Arc<Ceiling>>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Result<Response, Refusal> {
    let query = query.unwrap_or_default();
    let form = Form::parse(query.as_bytes());
    if form.get("redirect_uri")? != CALLBACK {
        return Err(Refusal::bad("redirect_uri"));
    }
    // Two random bytes bound what is kept: the write costs the same, and nothing piles up.
    ceiling.store.put(&format!("bench-flow:{}", random_text::<2>()?), query.as_bytes()).await?;
    Ok(ceiling.page.answer(&headers))
}

fn code_key(code: &str) -> String {
    format!("bench-code:{}", digest_text(code))
}
