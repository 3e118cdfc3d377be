//! A personal access token for a short access token (RFC 8693): so that an API which checks JWTs by
//! itself never sees the token that lives for months.
//!
//! What comes of it is for the client that asks, reaches no further than the token, the client and
//! the owner do at this moment, and dies with the token. Nothing else is exchanged, and nobody acts
//! for somebody who acts for somebody.

use super::{Exchange, Story, TokenResponse};
use crate::{
    foundation::opaque::{Opaque, OpaqueKind},
    protocol::{error::OAuthError, scope::Scope},
    tokens::{
        access::{self, Issuing},
        personal,
    },
    web::{
        client_request::ClientRequest,
        error::WireError,
        personal_access_token::{self, Dead, Good, Showing},
    },
};

/// RFC 8693 §3: what is given, and what comes of it.
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
const JWT: &str = "urn:ietf:params:oauth:token-type:jwt";

/// RFC 8693 §2.2.2 wants `invalid_request` for a subject token that is not good.
const UNKNOWN: OAuthError =
    OAuthError::invalid_request("the subject token is unknown, expired or revoked");

/// A token for the token of the request.
pub async fn exchange(
    exchange: &Exchange<'_>,
    request: &ClientRequest,
) -> Result<TokenResponse, WireError> {
    check_form(exchange)?;
    let text = exchange.param("subject_token", "subject_token is missing")?;
    let Some(secret) = Opaque::parse(OpaqueKind::PersonalAccessToken, text) else {
        return Err(exchange.refuse(UNKNOWN, "token_malformed", Story::default()));
    };
    let (app, now) = (exchange.app, exchange.now);
    let good = personal_access_token::find(app, &secret, now).await?;
    let good = good.map_err(|dead| refuse(exchange, &dead))?;
    let reach = good.scope_at(exchange.client, now).map_err(|dead| refuse(exchange, &dead))?;
    let scope = narrowed(exchange, reach)?;
    exchange.use_proof().await?;
    personal_access_token::note_use(app, &good.token, Showing::to_client(request), now).await;
    issue(exchange, &good, &scope)
}

fn refuse(exchange: &Exchange<'_>, dead: &Dead) -> WireError {
    exchange.refuse(UNKNOWN, dead.reason, Story { trace: None, user: dead.user.as_ref() })
}

/// What is asked for is something that we do.
fn check_form(exchange: &Exchange<'_>) -> Result<(), OAuthError> {
    let given = exchange.param("subject_token_type", "subject_token_type is missing")?;
    if given != ACCESS_TOKEN {
        return Err(OAuthError::invalid_request(
            "subject_token_type must be that of access tokens",
        ));
    }
    let wanted = exchange.params.get("requested_token_type");
    if !matches!(wanted, None | Some(ACCESS_TOKEN | JWT)) {
        return Err(OAuthError::invalid_request("only access tokens are issued in exchange"));
    }
    if ["actor_token", "actor_token_type"].iter().any(|name| exchange.params.get(name).is_some()) {
        return Err(OAuthError::invalid_request("nobody acts for somebody else here"));
    }
    let client = exchange.client;
    let own = |audience: &str| audience == client.audience() || audience == client.id().as_str();
    let elsewhere = exchange.params.get("audience").is_some_and(|audience| !own(audience));
    if elsewhere || exchange.params.get("resource").is_some() {
        return Err(OAuthError::invalid_target("the client gets tokens for its own audience only"));
    }
    Ok(())
}

/// What is asked, within what can be given; all of it when nothing is asked.
fn narrowed(exchange: &Exchange<'_>, reach: Scope) -> Result<Scope, OAuthError> {
    let Some(text) = exchange.params.get("scope") else {
        return Ok(reach);
    };
    let asked = Scope::parse(text)
        .ok_or_else(|| OAuthError::invalid_scope("scope is too long or cannot be read"))?;
    if asked.is_empty() || !asked.is_within(&reach) {
        return Err(OAuthError::invalid_scope("scope reaches beyond the subject token"));
    }
    Ok(asked)
}

fn issue(exchange: &Exchange<'_>, good: &Good, scope: &Scope) -> Result<TokenResponse, WireError> {
    let (client, token) = (exchange.client, &good.token.id);
    // Neither longer than the token, nor than the word of an upstream on which it rests.
    let own = personal::ends_at(&good.token, &exchange.app.config.tokens);
    let until = own.into_iter().chain(good.word_ends_at(client)).min();
    let issuing = Issuing { until, ..exchange.issuing() };
    let access = access::issue_in_exchange(issuing, client, token, &good.person, scope)?;
    Ok(TokenResponse { issued_token_type: Some(ACCESS_TOKEN), ..TokenResponse::of(access, scope) })
}
