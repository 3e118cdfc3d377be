//! What every endpoint for clients begins with.

use std::{net::IpAddr, sync::Arc};

use axum::{
    extract::{FromRequest, Request},
    http::HeaderMap,
};

use super::{
    address,
    client_auth::{self, Caller},
    error::WireError,
    params::{self, Params},
};
use crate::{app::App, clients::Client, protocol::error::OAuthError};

/// A client's request: its form was read strictly, and the client is who it says it is.
#[derive(Debug)]
pub struct ClientRequest {
    /// Who asks.
    pub client: Arc<Client>,
    /// What the form says.
    pub params: Params,
    /// From which address the client asks.
    pub from: IpAddr,
    /// The headers of its request.
    pub headers: HeaderMap,
    /// Whether one of our proxies has brought it.
    pub by_proxy: bool,
}

impl ClientRequest {
    /// The `token` that it is about (RFC 7009 §2.1, RFC 7662 §2.1).
    pub fn token(&self) -> Result<&str, OAuthError> {
        self.params.get("token").ok_or_else(|| OAuthError::invalid_request("token is missing"))
    }
}

impl FromRequest<App> for ClientRequest {
    type Rejection = WireError;

    async fn from_request(request: Request, app: &App) -> Result<Self, WireError> {
        let from = address::of(app, request.extensions(), request.headers());
        let by_proxy = address::is_by_proxy(app, request.extensions());
        let (uri, headers) = (request.uri().clone(), request.headers().clone());
        let body = params::body(request).await;
        let params = params::of_form(&uri, &headers, body)?;
        let caller = Caller { path: uri.path(), headers: &headers, from, by_proxy };
        let client = client_auth::authenticate(app, &caller, &params).await?;
        Ok(Self { client, params, from, headers, by_proxy })
    }
}
