//! The token endpoint: authorization codes (OIDC Core §3.1.3) and refresh tokens (§12).

use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};
use url::form_urlencoded;

use super::requests::Recorded;
use super::server::answer;
use super::state::{Access, ClientAuth, Grant, Proofs, State, unique};
use super::{bound, id_token};

/// An error of RFC 6749 §5.2.
pub(super) struct Refusal(pub(super) u16, pub(super) &'static str, pub(super) &'static str);

impl Refusal {
    pub(super) fn answer(self) -> Response {
        let Self(status, code, description) = self;
        answer::json(status, &json!({"error": code, "error_description": description}))
    }
}

/// Answers the token endpoint.
pub(super) fn serve(state: &mut State, request: &Recorded) -> Response {
    match redeem(state, request) {
        Ok(response) => answer::json(200, &Value::Object(response)),
        Err(refusal) => bound::with_nonce(state, refusal.answer()),
    }
}

fn redeem(state: &mut State, request: &Recorded) -> Result<Map<String, Value>, Refusal> {
    let client_id = authenticate(state, request)?;
    let jkt = bound::check(state, request, None)?;
    let (grant, refresh_token) = match request.param("grant_type") {
        Some("authorization_code") => {
            let mut grant = consume(state, request, &client_id)?;
            grant.jkt.clone_from(&jkt);
            let first = state.refresh_tokens.issue(&grant);
            (grant, first)
        }
        Some("refresh_token") => {
            let presented = request.param("refresh_token").unwrap_or_default();
            let redeemed = state.refresh_tokens.redeem(presented);
            let (grant, next) = redeemed.ok_or(Refusal(400, "invalid_grant", "no such token"))?;
            if grant.jkt.is_some() && grant.jkt != jkt {
                return Err(Refusal(400, "invalid_grant", "bound to another key"));
            }
            (state.today(grant), next)
        }
        _ => return Err(Refusal(400, "unsupported_grant_type", "code or refresh token")),
    };
    let jkt = jkt.filter(|_| state.offers.proofs != Proofs::BindRefresh);
    let access_token = unique("upstream-access");
    let token_type = if jkt.is_some() { "DPoP" } else { "Bearer" };
    let access = Access { client_id, person: grant.person.clone(), jkt };
    state.accesses.insert(access_token.clone(), access);
    let plain = state.plain;
    let id_token = id_token::issue(state, &grant, &access_token);
    let honest = [
        ("access_token", json!(access_token)),
        ("token_type", json!(token_type)),
        ("expires_in", json!(300)),
        ("scope", json!("openid profile email")),
        ("id_token", json!(id_token)),
    ];
    let honest = honest.into_iter().filter(|(name, _)| !(plain && *name == "id_token"));
    let mut response: Map<String, Value> =
        honest.map(|(name, value)| (name.to_owned(), value)).collect();
    if let Some(refresh_token) = refresh_token {
        response.insert("refresh_token".to_owned(), json!(refresh_token));
    }
    state.lies.token_response.apply(&mut response, state.now());
    Ok(response)
}

fn consume(state: &mut State, request: &Recorded, client_id: &str) -> Result<Grant, Refusal> {
    let reuse = state.lies.accept_used_codes;
    let code = request.param("code").unwrap_or_default();
    let grant = state.grants.get_mut(code);
    let grant = grant.ok_or(Refusal(400, "invalid_grant", "unknown code"))?;
    if grant.client_id != client_id {
        return Err(Refusal(400, "invalid_grant", "the code belongs to another client"));
    }
    if grant.used && !reuse {
        return Err(Refusal(400, "invalid_grant", "the code was already used"));
    }
    grant.used = true;
    if request.param("redirect_uri") != Some(&grant.redirect_uri) {
        return Err(Refusal(400, "invalid_grant", "redirect_uri differs"));
    }
    let verifier = request.param("code_verifier").unwrap_or_default();
    let computed = URL_SAFE_NO_PAD.encode(Sha256::digest(verifier));
    if grant.challenge.as_deref() != Some(&computed) {
        return Err(Refusal(400, "invalid_grant", "code_verifier does not fit"));
    }
    Ok(grant.clone())
}

/// RFC 6749 §2.3.1: one method at a time; identifier and secret are form-encoded within Basic.
pub(super) fn authenticate(state: &State, request: &Recorded) -> Result<String, Refusal> {
    let basic = request.header("authorization").and_then(|value| value.strip_prefix("Basic "));
    let posted = request.param("client_secret");
    let (id, secret) = match (basic, posted, state.client_auth) {
        (Some(_), Some(_), _) => {
            return Err(Refusal(400, "invalid_request", "two ways of client authentication"));
        }
        (Some(basic), None, ClientAuth::Basic | ClientAuth::BasicOrPost) => {
            decode_basic(basic).ok_or(Refusal(401, "invalid_client", "malformed Basic"))?
        }
        (_, _, ClientAuth::Unchecked) => {
            return Ok(request.param("client_id").unwrap_or_default().to_owned());
        }
        (None, Some(secret), ClientAuth::Post | ClientAuth::BasicOrPost) => {
            (request.param("client_id").unwrap_or_default().to_owned(), secret.to_owned())
        }
        _ => return Err(Refusal(401, "invalid_client", "client authentication is missing")),
    };
    if state.clients.get(&id) == Some(&secret) {
        Ok(id)
    } else {
        Err(Refusal(401, "invalid_client", "wrong client or secret"))
    }
}

fn decode_basic(encoded: &str) -> Option<(String, String)> {
    let text = String::from_utf8(STANDARD.decode(encoded).ok()?).ok()?;
    let (id, secret) = text.split_once(':')?;
    Some((form_decode(id), form_decode(secret)))
}

fn form_decode(text: &str) -> String {
    // A whole form whose only name is the text: decoding it decodes the text.
    let text = text.replace('=', "%3D").replace('&', "%26");
    form_urlencoded::parse(text.as_bytes()).map(|(name, _)| name.into_owned()).collect()
}
