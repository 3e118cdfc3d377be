//! Strictly read parameters: none twice, empty ones as if absent (RFC 6749 §3.1, §3.2).

use std::time::Duration;

use axum::{
    body::Bytes,
    extract::{FromRequest, Request},
    http::{HeaderMap, Method, StatusCode, Uri, header},
};
use url::form_urlencoded;

use super::error::{PageError, WireError};
use crate::{audit::Event, protocol::error::OAuthError};

/// How long a body may take to arrive.
const BODY_TIME: Duration = Duration::from_secs(10);
/// More parameters than this are an attack.
const MAX_PARAMS: usize = 100;

/// Parameters of a query or form.
#[derive(Clone, Debug, Default)]
pub struct Params {
    pairs: Vec<(String, String)>,
}

/// A parameter stands twice, is no UTF-8, or there are too many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Repeated;

impl Params {
    /// Reads `application/x-www-form-urlencoded` text.
    pub fn read(text: &[u8]) -> Result<Self, Repeated> {
        Self::default().and(text)
    }

    /// Adds the parameters of another text; none may stand in both (AZ-07).
    pub fn and(mut self, text: &[u8]) -> Result<Self, Repeated> {
        for (name, value) in form_urlencoded::parse(text) {
            let repeated = self.pairs.iter().any(|(own, _)| *own == name);
            // The parser puts U+FFFD where the bytes are no UTF-8; we could not return such a
            // value as it came.
            let broken = value.contains('\u{fffd}') || name.contains('\u{fffd}');
            if repeated || broken || self.pairs.len() >= MAX_PARAMS {
                return Err(Repeated);
            }
            self.pairs.push((name.into_owned(), value.into_owned()));
        }
        Ok(self)
    }

    /// The value of a parameter, unless it is empty.
    pub fn get(&self, name: &str) -> Option<&str> {
        let pair = self.pairs.iter().find(|(own, value)| own == name && !value.is_empty());
        pair.map(|(_, value)| value.as_str())
    }

    /// The names of those that are not empty.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.pairs.iter().filter(|(_, value)| !value.is_empty()).map(|(name, _)| name.as_str())
    }

    /// The same without what a client proves itself by, and with its id.
    #[must_use]
    pub fn without_credentials(mut self, client_id: &str) -> Self {
        let credentials =
            ["client_id", "client_secret", "client_assertion", "client_assertion_type"];
        self.pairs.retain(|(name, _)| !credentials.contains(&name.as_str()));
        self.pairs.push(("client_id".to_owned(), client_id.to_owned()));
        self
    }

    /// All of them as the query of an address.
    pub fn to_query(&self) -> String {
        form_urlencoded::Serializer::new(String::new()).extend_pairs(&self.pairs).finish()
    }
}

/// The body of a request, or the status of its refusal: 413 for what is too large, 408 for what does
/// not arrive in time (HT-02).
pub async fn body(request: Request) -> Result<Bytes, StatusCode> {
    body_within(request, BODY_TIME).await
}

/// The same, with more patience.
pub async fn body_within(request: Request, patience: Duration) -> Result<Bytes, StatusCode> {
    let read = tokio::time::timeout(patience, Bytes::from_request(request, &())).await;
    let read = read.map_err(|_elapsed| StatusCode::REQUEST_TIMEOUT)?;
    read.map_err(|rejection| rejection.status())
}

/// The parameters of a request to a page: of the query and, for POST, of the form.
pub async fn of_page(request: Request) -> Result<(HeaderMap, Params), PageError> {
    let headers = request.headers().clone();
    let query = request.uri().query().unwrap_or_default().as_bytes().to_vec();
    let mut params = Params::read(&query)?;
    if request.method() == Method::POST {
        if !is_form(&headers) {
            return Err(unreadable("The request was posted, but not as a form."));
        }
        let body = body(request).await;
        let body = body.map_err(|status| {
            unreadable("The request is too large, or did not arrive in time.").status(status)
        })?;
        params = params.and(&body)?;
    }
    Ok((headers, params))
}

/// The page for a request that cannot be read at all (AZ-07).
pub(super) fn unreadable(explanation: &'static str) -> PageError {
    PageError::new("invalid_request", "This request cannot be read", explanation)
        .next_step("Whoever runs the app has to fix this; trying again will not help.")
        .event(Event::refused("request", "invalid_request"))
}

impl From<Repeated> for PageError {
    fn from(_: Repeated) -> Self {
        unreadable("A parameter of the request stands twice or cannot be read.")
    }
}

impl From<Repeated> for OAuthError {
    fn from(_: Repeated) -> Self {
        Self::invalid_request("a parameter stands twice, or cannot be read")
    }
}

fn is_form(headers: &HeaderMap) -> bool {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = value.map(|value| value.split(';').next().unwrap_or_default().trim());
    essence.is_some_and(|essence| essence.eq_ignore_ascii_case("application/x-www-form-urlencoded"))
}

/// The form of a request to an OAuth endpoint. Credentials and codes never stand in an address:
/// any parameter in the query refuses the request (RFC 6749 §2.3.1, §3.2; TK-01).
pub fn of_form(
    uri: &Uri,
    headers: &HeaderMap,
    body: Result<Bytes, StatusCode>,
) -> Result<Params, WireError> {
    let body = body.map_err(|status| WireError {
        status: Some(status),
        ..OAuthError::invalid_request("the body is too large, or did not arrive in time").into()
    })?;
    if uri.query().is_some_and(|query| !query.is_empty()) {
        let fault = "parameters belong in the body, not in the query";
        return Err(OAuthError::invalid_request(fault).into());
    }
    if headers.contains_key(header::CONTENT_ENCODING) || !is_form(headers) {
        let fault = "the body must be application/x-www-form-urlencoded";
        return Err(OAuthError::invalid_request(fault).into());
    }
    Ok(Params::read(&body).map_err(OAuthError::from)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_stand_once_or_are_refused() {
        let params = Params::read(b"a=1&b=&c=x+y%26").unwrap();
        assert_eq!(
            (params.get("a"), params.get("b"), params.get("c")),
            (Some("1"), None, Some("x y&"))
        );
        assert!(Params::read(b"a=1&a=1").is_err());
        assert!(Params::read(b"a=1&a=").is_err());
        assert!(Params::read(b"a=1").unwrap().and(b"a=2").is_err());
        let many: Vec<String> = (0..200).map(|n| format!("p{n}=1")).collect();
        assert!(Params::read(many.join("&").as_bytes()).is_err(), "HT-04");
    }
}
