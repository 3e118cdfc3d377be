//! A client for itself (RFC 6749 §4.4). Stores nothing and asks no store.

use super::{Exchange, TokenResponse};
use crate::{
    protocol::{
        error::OAuthError,
        scope::{OFFLINE_ACCESS, OPENID, Scope},
    },
    tokens::access,
    web::error::WireError,
};

/// Scopes that speak of a person, of whom there is none here.
const PERSONAL: [&str; 2] = [OPENID, OFFLINE_ACCESS];

pub(super) fn issue(exchange: &Exchange<'_>) -> Result<TokenResponse, WireError> {
    let scope = scope(exchange)?;
    let issuing = exchange.app.issuing(exchange.now);
    let access = access::issue_for_client(issuing, exchange.client, &scope)?;
    Ok(TokenResponse {
        access_token: access.token,
        token_type: "Bearer",
        expires_in: access.expires_in.seconds(),
        refresh_token: None,
        id_token: None,
        scope: scope.to_string(),
    })
}

/// What is asked and allowed; everything that is allowed when nothing is asked (RFC 6749 §3.3).
fn scope(exchange: &Exchange<'_>) -> Result<Scope, OAuthError> {
    let own: Scope = exchange.client.scope.iter().filter(|word| !PERSONAL.contains(word)).collect();
    let Some(text) = exchange.params.get("scope") else {
        return Ok(own);
    };
    let asked = Scope::parse(text)
        .ok_or_else(|| OAuthError::invalid_scope("scope is too long or cannot be read"))?;
    let granted = asked.limited_to(&own);
    if granted.is_empty() {
        return Err(OAuthError::invalid_scope("nothing of the scope can be granted"));
    }
    Ok(granted)
}
