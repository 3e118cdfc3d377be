//! Apps that run in a browser and leave their refresh token in a cookie of ours.
//!
//! A cookie comes along with whatever the browser sends here, so it alone proves nothing. The
//! request has to name the app's own origin, and carry a header that no form, link or image can
//! send and for which a browser asks us first. `SameSite=Strict` stands behind both.

use axum::http::{HeaderMap, StatusCode, header};

use super::{
    cookies::{self, Cookie},
    error::WireError,
};
use crate::{
    app::App,
    audit::Event,
    clients::Client,
    foundation::{
        clock::Span,
        opaque::{Opaque, OpaqueKind},
    },
    protocol::error::OAuthError,
};

/// The header that only a script can send, and only after a browser has asked whether it may.
pub const HEADER: &str = "x-keywright-request";

/// Lets through what a page of this app has sent.
///
/// # Errors
///
/// A client that keeps no tokens in cookies, or a request that some other page may have sent.
pub fn check(client: &Client, headers: &HeaderMap) -> Result<(), WireError> {
    let refuse = |error: OAuthError, reason| {
        let event = Event::refused("session_token", reason).client(client.id());
        WireError::from(error).event(event)
    };
    if !client.settings.session_token {
        let fault = "the client gets its tokens at the token endpoint";
        return Err(refuse(OAuthError::unauthorized_client(fault), "session_token_not_allowed"));
    }
    let (fault, reason) = if !is_own_origin(client, headers) {
        ("the request does not come from an origin of the client", "origin_not_allowed")
    } else if is_cross_site(headers) {
        ("the app must be on the same site as the issuer", "cross_site")
    } else if !headers.contains_key(HEADER) {
        ("the header X-Keywright-Request is missing", "header_missing")
    } else {
        return Ok(());
    };
    Err(refuse(OAuthError::invalid_request(fault), reason).status(StatusCode::FORBIDDEN))
}

fn is_own_origin(client: &Client, headers: &HeaderMap) -> bool {
    let mut origins = headers.get_all(header::ORIGIN).iter();
    let (Some(origin), None) = (origins.next(), origins.next()) else {
        return false;
    };
    origin.to_str().is_ok_and(|origin| client.has_origin(origin))
}

/// A browser would neither send nor keep the cookie: better to say so than to sign people out.
fn is_cross_site(headers: &HeaderMap) -> bool {
    headers.get("sec-fetch-site").is_some_and(|site| site == "cross-site")
}

/// The refresh token that the browser keeps for this app.
pub fn refresh_token(app: &App, client: &Client, headers: &HeaderMap) -> Option<Opaque> {
    let text = cookies::read(headers, Cookie::refresh_token_of(client.id()), &app.urls)?;
    Opaque::parse(OpaqueKind::RefreshToken, text)
}

/// Has the browser keep this one from now on, or none.
pub fn keep(app: &App, client: &Client, token: Option<&str>, answer: &mut HeaderMap) {
    let life = token.map_or(Span::ZERO, |_| app.refresh_policy().idle_lifetime);
    let cookie = Cookie::refresh_token_of(client.id());
    cookies::add(answer, cookies::set(cookie, token.unwrap_or_default(), life, &app.urls));
}
