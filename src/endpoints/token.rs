//! The token endpoint (RFC 6749 §3.2): read the form strictly, authenticate the client, look at its proof
//! of possession, check that it may use the grant type, let the grant type decide, answer.

use axum::{
    extract::State,
    http::StatusCode,
    response::{IntoResponse as _, Response},
};

use crate::{
    app::App,
    foundation::clock::Timestamp,
    grant_types::{
        Exchange, authorization_code, client_credentials, refresh_token, token_exchange,
    },
    protocol::{error::OAuthError, words::GrantType},
    urls::path,
    web::{
        client_auth::certificate,
        client_request::ClientRequest,
        dpop,
        error::{WireError, json},
    },
};

/// `POST /token`.
pub async fn token(State(app): State<App>, request: ClientRequest) -> Response {
    let now = app.now();
    let answer = answer(&app, &request, now).await.into_response();
    dpop::with_nonce(&app, answer, now)
}

async fn answer(app: &App, request: &ClientRequest, now: Timestamp) -> Result<Response, WireError> {
    app.keys.catch_up(&app.store, now).await;
    let (client, params) = (&*request.client, &request.params);
    let proof = dpop::proof_for_tokens(app, client, &request.headers, path::TOKEN, now)?;
    let certificate = certificate::for_tokens(app, request)?;
    let (proof, certificate) = (proof.as_ref(), certificate.as_deref());
    let exchange = Exchange { app, client, params, proof, certificate, now };
    let grant_type = grant_type(&exchange)?;
    let response = match grant_type {
        GrantType::AuthorizationCode => authorization_code::redeem(&exchange).await?,
        GrantType::RefreshToken => {
            let text = exchange.param("refresh_token", "refresh_token is missing")?;
            refresh_token::refresh(&exchange, text).await?
        }
        GrantType::ClientCredentials => client_credentials::issue(&exchange).await?,
        GrantType::TokenExchange => token_exchange::exchange(&exchange, request).await?,
    };
    app.metrics.count_tokens(grant_type.as_str(), client.id().as_str());
    Ok(json(StatusCode::OK, &response))
}

fn grant_type(exchange: &Exchange<'_>) -> Result<GrantType, OAuthError> {
    let word = exchange.param("grant_type", "grant_type is missing")?;
    let grant_type = GrantType::from_word(word)
        .ok_or_else(|| OAuthError::unsupported_grant_type("there is no such grant type here"))?;
    let of_people = matches!(grant_type, GrantType::AuthorizationCode | GrantType::RefreshToken);
    if of_people && exchange.client.settings.session_token {
        // Its pages are to see no refresh token, and what they never had they cannot lose.
        let fault = "the client gets its tokens at /session/token";
        return Err(OAuthError::unauthorized_client(fault));
    }
    if !exchange.client.may_use(grant_type) {
        return Err(OAuthError::unauthorized_client("the client may not use this grant type"));
    }
    Ok(grant_type)
}
