//! `POST /par`: pushed authorization requests (RFC 9126). The client proves who it is, its request is
//! checked as if a browser had brought it, and gets a name that the browser brings instead.

use axum::{extract::State, http::StatusCode, response::Response};
use serde_json::json as value;

use crate::{
    app::App,
    authorization::{self, pushed},
    protocol::error::OAuthError,
    web::{
        client_request::ClientRequest,
        error::{WireError, json},
        throttle,
    },
};

/// `POST /par`.
pub async fn push(State(app): State<App>, request: ClientRequest) -> Result<Response, WireError> {
    let (client, now) = (&request.client, app.now());
    if request.params.get("request_uri").is_some() {
        // RFC 9126 §2.1.
        let fault = "request_uri has no place in a request that is pushed";
        return Err(OAuthError::invalid_request(fault).into());
    }
    if client.is_public() {
        // Anybody can say to be this client: what is kept for it is limited by network.
        throttle::push_request(&app, request.from, now)?;
    }
    let params = request.params.clone().without_credentials(client.id().as_str());
    authorization::check_pushed(&app, client, &params).await?;
    let name = pushed::keep(&app, client, &params, now).await?;
    let answer = value!({ "request_uri": name.expose(), "expires_in": pushed::LIFE.seconds() });
    Ok(json(StatusCode::CREATED, &answer))
}
