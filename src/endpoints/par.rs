//! `POST /par`: pushed authorization requests (RFC 9126). The client proves who it is, its request is
//! checked as if a browser had brought it, and gets a name that the browser brings instead.

use axum::{
    extract::State,
    http::StatusCode,
    response::{IntoResponse as _, Response},
};
use serde_json::json as value;

use crate::{
    app::App,
    authorization::{self, pushed},
    foundation::clock::Timestamp,
    protocol::error::{ErrorCode, OAuthError},
    urls::path,
    web::{
        client_request::ClientRequest,
        dpop::{self, Purpose},
        error::{WireError, json},
        throttle,
    },
};

const DPOP_JKT: &str = "dpop_jkt";

/// `POST /par`.
pub async fn push(State(app): State<App>, request: ClientRequest) -> Response {
    let now = app.now();
    let answer = answer(&app, &request, now).await.into_response();
    dpop::with_nonce(&app, answer, now)
}

async fn answer(app: &App, request: &ClientRequest, now: Timestamp) -> Result<Response, WireError> {
    let client = &request.client;
    if request.params.get("request_uri").is_some() {
        // RFC 9126 §2.1.
        let fault = "request_uri has no place in a request that is pushed";
        return Err(OAuthError::invalid_request(fault).into());
    }
    if client.is_public() {
        // Anybody can say to be this client: what is kept for it is limited by network.
        throttle::push_request(app, request.from, now)?;
    }
    let mut params = request.params.clone().without_credentials(client.id().as_str());
    let purpose = Purpose { method: "POST", path: path::PAR, access_token: None };
    let proof = dpop::read(app, &request.headers, purpose, now).map_err(OAuthError::from)?;
    if let Some(proof) = &proof {
        // RFC 9449 §10.1: the code is bound to the key that is shown here.
        if params.get(DPOP_JKT).is_some_and(|named| named != proof.key) {
            let fault = "dpop_jkt is not the key of the DPoP proof";
            return Err(OAuthError::new(ErrorCode::InvalidDpopProof, fault).into());
        }
        params = params.with(DPOP_JKT, &proof.key);
    }
    authorization::check_pushed(app, client, &params).await?;
    if let Some(proof) = &proof {
        proof.use_up(app).await.map_err(OAuthError::from)?;
    }
    let name = pushed::keep(app, client, &params, now).await?;
    let answer = value!({ "request_uri": name.expose(), "expires_in": pushed::LIFE.seconds() });
    Ok(json(StatusCode::CREATED, &answer))
}
