//! The token endpoint of browser apps without a backend of their own: as RFC 6749 §3.2 has it, but
//! the refresh token is a cookie, which no script can read.
//!
//! `POST` with a code, or with nothing but the cookie; `DELETE` gives the refresh token back. Whatever
//! is refused because of who asks happens before the token is looked at: nothing is rotated then.

use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
};

use crate::{
    app::App,
    clients::Client,
    foundation::clock::Timestamp,
    grant_types::{Exchange, Story, TokenResponse, authorization_code, refresh_token},
    protocol::{
        error::{ErrorCode, OAuthError},
        words::GrantType,
    },
    store::grants::RevokedBecause,
    urls::path,
    web::{
        browser_app,
        client_auth::{self, Caller},
        client_request::ClientRequest,
        dpop,
        error::{WireError, json},
        params::Params,
    },
};

/// `POST /session/token`.
pub async fn post(State(app): State<App>, request: ClientRequest) -> Response {
    let now = app.now();
    let answer = give(&app, &request, now).await.into_response();
    dpop::with_nonce(&app, answer, now)
}

async fn give(app: &App, request: &ClientRequest, now: Timestamp) -> Result<Response, WireError> {
    let (client, headers) = (&*request.client, &request.headers);
    browser_app::check(client, headers)?;
    app.keys.catch_up(&app.store, now).await;
    let proof = dpop::proof_for_tokens(app, client, headers, path::SESSION_TOKEN, now)?;
    let (params, proof) = (&request.params, proof.as_ref());
    let exchange = Exchange { app, client, params, proof, certificate: None, now };
    let grant_type = grant_type(&exchange)?;
    let response = match grant_type {
        GrantType::RefreshToken => go_on(&exchange, headers).await,
        _ => begin(&exchange, headers).await,
    };
    match response {
        Ok(response) => {
            app.metrics.count_tokens(grant_type.as_str(), client.id().as_str());
            Ok(answer(app, client, response))
        }
        Err(refused) if is_dead(grant_type, &refused) => {
            // What is dead is not worth keeping; the page would only try it again. But where a sign-in
            // in another tab has put its own in place, this answer must not take that away.
            let held = browser_app::refresh_token(app, client, headers);
            let keeps = match &held {
                Some(held) => refresh_token::was_replaced(app, held).await?,
                None => false,
            };
            let mut answer = refused.into_response();
            if !keeps {
                browser_app::keep(app, client, None, answer.headers_mut());
            }
            Ok(answer)
        }
        Err(refused) => Err(refused),
    }
}

fn grant_type(exchange: &Exchange<'_>) -> Result<GrantType, OAuthError> {
    let word = exchange.param("grant_type", "grant_type is missing")?;
    let own = GrantType::from_word(word).filter(|grant_type| {
        matches!(grant_type, GrantType::AuthorizationCode | GrantType::RefreshToken)
    });
    let fault = "browser apps bring a code, or their cookie";
    own.ok_or_else(|| OAuthError::unsupported_grant_type(fault))
}

fn is_dead(grant_type: GrantType, refused: &WireError) -> bool {
    grant_type == GrantType::RefreshToken && refused.error.code == ErrorCode::InvalidGrant
}

/// The refresh token into the cookie, the rest into the body.
fn answer(app: &App, client: &Client, mut response: TokenResponse) -> Response {
    let token = response.refresh_token.take();
    let mut answer = json(StatusCode::OK, &response);
    browser_app::keep(app, client, token.as_deref(), answer.headers_mut());
    answer
}

/// The first tokens. What the browser had for this app before ends: nobody could use it any more.
async fn begin(exchange: &Exchange<'_>, headers: &HeaderMap) -> Result<TokenResponse, WireError> {
    let response = authorization_code::redeem(exchange).await?;
    let (app, client, now) = (exchange.app, exchange.client, exchange.now);
    if let Some(former) = browser_app::refresh_token(app, client, headers) {
        refresh_token::replace(app, client, &former, now).await;
    }
    Ok(response)
}

/// The next tokens.
async fn go_on(exchange: &Exchange<'_>, headers: &HeaderMap) -> Result<TokenResponse, WireError> {
    let (app, client) = (exchange.app, exchange.client);
    if exchange.params.get("refresh_token").is_some() {
        let fault = "the refresh token is the cookie; the body names none";
        return Err(OAuthError::invalid_request(fault).into());
    }
    let Some(presented) = browser_app::refresh_token(app, client, headers) else {
        // Whoever opens the app for the first time has none: not worth an event.
        let fault = "the browser has no refresh token for this client";
        return Err(OAuthError::invalid_grant(fault).into());
    };
    let mut connection = app.connection().await?;
    if refresh_token::runs_in_a_circle(&mut connection, &presented, exchange.now).await? {
        let fault = "the client refreshes over and over; it has to wait";
        let error = OAuthError::temporarily_unavailable(fault);
        let refused = exchange.refuse(error, "refresh_loop", Story::default());
        return Err(refused.status(StatusCode::TOO_MANY_REQUESTS));
    }
    drop(connection);
    refresh_token::go_on(exchange, &presented).await
}

/// `DELETE /session/token?client_id=...`: the person signs out of the app. There may be nothing left
/// to give back.
pub async fn delete(State(app): State<App>, request: Request) -> Result<Response, WireError> {
    let now = app.now();
    let (parts, _) = request.into_parts();
    let headers = &parts.headers;
    let caller = Caller::of(&app, parts.uri.path(), &parts.extensions, headers);
    let query = parts.uri.query().unwrap_or_default();
    let params = Params::read(query.as_bytes()).map_err(OAuthError::from)?;
    let client = client_auth::authenticate(&app, &caller, &params).await?;
    browser_app::check(&client, headers)?;
    end(&app, &client, headers, now).await?;
    let no_store = [(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))];
    let mut answer = (StatusCode::NO_CONTENT, no_store).into_response();
    browser_app::keep(&app, &client, None, answer.headers_mut());
    Ok(answer)
}

async fn end(
    app: &App,
    client: &Client,
    headers: &HeaderMap,
    now: Timestamp,
) -> Result<(), WireError> {
    if let Some(presented) = browser_app::refresh_token(app, client, headers) {
        let because = RevokedBecause::RevokedByClient;
        refresh_token::give_back(app, client, &presented, because, now).await?;
    }
    Ok(())
}
