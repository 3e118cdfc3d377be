//! The token endpoint (RFC 6749 §3.2): read the form strictly, authenticate the client, check that it
//! may use the grant type, let the grant type decide, answer.

use axum::{extract::State, http::StatusCode, response::Response};

use crate::{
    app::App,
    grant_types::{
        Exchange, authorization_code, client_credentials, refresh_token, token_exchange,
    },
    protocol::{error::OAuthError, words::GrantType},
    web::{
        client_request::ClientRequest,
        error::{WireError, json},
    },
};

/// `POST /token`.
pub async fn token(State(app): State<App>, request: ClientRequest) -> Result<Response, WireError> {
    let now = app.now();
    app.keys.catch_up(&app.store, now).await;
    let (client, params) = (&*request.client, &request.params);
    let exchange = Exchange { app: &app, client, params, now };
    let grant_type = grant_type(&exchange)?;
    let response = match grant_type {
        GrantType::AuthorizationCode => authorization_code::redeem(&exchange).await?,
        GrantType::RefreshToken => {
            let text = exchange.param("refresh_token", "refresh_token is missing")?;
            refresh_token::refresh(&exchange, text).await?
        }
        GrantType::ClientCredentials => client_credentials::issue(&exchange).await?,
        GrantType::TokenExchange => token_exchange::exchange(&exchange, &request).await?,
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
