//! Reading requests: client authentication, forms, bearer tokens; and the one refusal.

use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::Ceiling;

/// Anything that goes wrong: the benchmark sends no bad requests, so one answer is enough.
pub(super) struct Refusal(StatusCode, String);

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.0, self.1).into_response()
    }
}

impl<E: Into<anyhow::Error>> From<E> for Refusal {
    fn from(error: E) -> Self {
        Self(StatusCode::INTERNAL_SERVER_ERROR, format!("{:#}", error.into()))
    }
}

impl Refusal {
    /// The caller's fault.
    pub(super) fn bad(reason: &str) -> Self {
        Self(StatusCode::BAD_REQUEST, reason.to_owned())
    }

    /// The caller is not who it says.
    pub(super) fn unauthorized() -> Self {
        Self(StatusCode::UNAUTHORIZED, "unauthorized".to_owned())
    }
}

/// SHA-256 of a client secret.
pub(super) fn secret_digest(secret: &str) -> [u8; 32] {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, secret.as_bytes());
    let mut bytes = [0; 32];
    bytes.copy_from_slice(digest.as_ref());
    bytes
}

/// The client that a Basic header proves (RFC 6749 §2.3.1).
pub(super) fn authenticate(ceiling: &Ceiling, headers: &HeaderMap) -> Result<String, Refusal> {
    let value = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let pair = value
        .and_then(|value| value.strip_prefix("Basic "))
        .and_then(|pair| STANDARD.decode(pair).ok())
        .and_then(|pair| String::from_utf8(pair).ok())
        .ok_or_else(Refusal::unauthorized)?;
    let (client, secret) = pair.split_once(':').ok_or_else(Refusal::unauthorized)?;
    let known = ceiling.clients.get(client).ok_or_else(Refusal::unauthorized)?;
    aws_lc_rs::constant_time::verify_slices_are_equal(known, &secret_digest(secret))
        .map_err(|_unequal| Refusal::unauthorized())?;
    Ok(client.to_owned())
}

/// The token of a Bearer header (RFC 6750 §2.1).
pub(super) fn bearer(headers: &HeaderMap) -> Result<&str, Refusal> {
    headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.strip_prefix("Bearer "))
        .ok_or_else(Refusal::unauthorized)
}

/// The value of a cookie (RFC 6265 §4.2).
pub(super) fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let cookies = headers.get(header::COOKIE)?.to_str().ok()?;
    let mut pairs = cookies.split("; ").filter_map(|pair| pair.split_once('='));
    pairs.find_map(|(key, value)| (key == name).then_some(value))
}

/// A form or query, decoded.
pub(super) struct Form(Vec<(String, String)>);

impl Form {
    pub(super) fn parse(text: &[u8]) -> Self {
        Self(url::form_urlencoded::parse(text).into_owned().collect())
    }

    /// A parameter that must be there.
    pub(super) fn get(&self, name: &str) -> Result<&str, Refusal> {
        self.0
            .iter()
            .find_map(|(key, value)| (key == name).then_some(value.as_str()))
            .ok_or_else(|| Refusal::bad(name))
    }
}
