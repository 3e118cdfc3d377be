//! Refusals for apps that draw their own forms (RFC 9457): what happened, for the app by a word and for
//! its developer by a sentence. The edge names the story and keeps the event.

use axum::{
    body::Body,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::{Map, Value, json};

use super::error::{PageError, Refusal, WireError, come_back};
use crate::{
    app::App,
    audit::Event,
    ephemeral::EphemeralError,
    foundation::{clock::Span, ids::TraceId},
    protocol::error::ErrorCode,
    store::StoreError,
    urls::path,
};

/// RFC 9457 §3.
const MEDIA_TYPE: HeaderValue = HeaderValue::from_static("application/problem+json");
/// RFC 9110 §11.6.1: whoever is told 401 is told how to come.
const BEARER: &str = "Bearer realm=\"keywright\"";

/// A refusal.
#[derive(Debug)]
pub struct Problem {
    /// The HTTP status.
    pub status: StatusCode,
    /// The reason in one word, by which apps go.
    pub code: &'static str,
    /// What happened, in a sentence.
    pub detail: String,
    /// What else there is to say.
    pub more: Map<String, Value>,
    /// After how long it may be tried again.
    pub retry_after: Option<Span>,
    /// The value of `WWW-Authenticate`.
    pub challenge: Option<&'static str>,
    /// What is kept about it.
    pub event: Option<Event>,
    /// Why it really happened, for the log.
    pub source: Option<anyhow::Error>,
}

impl Problem {
    /// A refusal with this status.
    pub fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self {
            status,
            code,
            detail: detail.into(),
            more: Map::new(),
            retry_after: None,
            challenge: None,
            event: None,
            source: None,
        }
    }

    /// With one more member.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.more.insert(name.to_owned(), value.into());
        self
    }

    /// With the event that is kept about it.
    #[must_use]
    pub fn event(mut self, event: Event) -> Self {
        self.event = Some(event);
        self
    }

    /// With the time after which it may be tried again.
    #[must_use]
    pub const fn retry_after(mut self, wait: Span) -> Self {
        self.retry_after = Some(wait);
        self
    }

    /// What is said (RFC 9457 §3.1), and the name of the story.
    pub(super) fn body(&self, app: &App, trace: &TraceId) -> Body {
        let mut all = self.more.clone();
        let mut put = |name: &str, value: Value| {
            all.insert(name.to_owned(), value);
        };
        let document = app.urls.absolute(path::API_DOCUMENT);
        put("type", json!(format!("{document}#{}", self.code)));
        put("title", json!(self.status.canonical_reason().unwrap_or_default()));
        put("status", json!(self.status.as_u16()));
        put("detail", json!(self.detail));
        put("code", json!(self.code));
        put("trace_id", json!(trace));
        Body::from(serde_json::to_vec(&all).unwrap_or_default())
    }
}

impl IntoResponse for Problem {
    /// Leaves the body to the edge, which names the story.
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, MEDIA_TYPE);
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if self.status == StatusCode::UNAUTHORIZED {
            let challenge = self.challenge.unwrap_or(BEARER);
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        if let Some(wait) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(wait.seconds()));
        } else if matches!(self.status.as_u16(), 429 | 503) {
            headers.insert(header::RETRY_AFTER, come_back());
        }
        response.extensions_mut().insert(Refusal::Problem(std::sync::Arc::new(self)));
        response
    }
}

impl From<WireError> for Problem {
    /// A grant that is not good is 401 here: apps that speak no OAuth go by that.
    fn from(wire: WireError) -> Self {
        let code = wire.error.code;
        let status = match code {
            ErrorCode::InvalidGrant => StatusCode::UNAUTHORIZED,
            ErrorCode::UnauthorizedClient => StatusCode::FORBIDDEN,
            code => StatusCode::from_u16(code.status()).unwrap_or(StatusCode::BAD_REQUEST),
        };
        Self {
            challenge: wire.challenge,
            event: wire.event,
            source: wire.error.source.map(|source| anyhow::anyhow!(source)),
            ..Self::new(wire.status.unwrap_or(status), code.as_str(), wire.error.description)
        }
    }
}

impl From<PageError> for Problem {
    fn from(page: PageError) -> Self {
        let problem = Self::new(page.status, page.code, page.explanation);
        Self { event: page.event, source: page.source, retry_after: page.retry_after, ..problem }
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        WireError::from(error).into()
    }
}

impl From<EphemeralError> for Problem {
    fn from(error: EphemeralError) -> Self {
        WireError::from(error).into()
    }
}
