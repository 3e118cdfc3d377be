//! Refusals, for machines and for people. Handlers answer with a value; the edge renders pages,
//! logs once and keeps the audit event.

use std::sync::atomic::{AtomicU64, Ordering};

use axum::{
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};

use crate::{
    audit::Event,
    ephemeral::EphemeralError,
    foundation::{clock::Span, ids::TraceId},
    keys::KeyError,
    protocol::error::{ErrorCode, OAuthError},
    store::StoreError,
};

/// After how many seconds to come back after a fault that will probably pass: two to six, in turn, so
/// that those who were turned away at once do not come back at once.
pub fn come_back() -> HeaderValue {
    static TURN: AtomicU64 = AtomicU64::new(0);
    HeaderValue::from(2 + TURN.fetch_add(1, Ordering::Relaxed) % 5)
}

/// A link on a page.
#[derive(Clone, Debug)]
pub struct Link {
    /// Where it leads.
    pub href: String,
    /// What it says.
    pub label: String,
}

/// A refusal for a person.
#[derive(Debug)]
pub struct PageError {
    /// The HTTP status.
    pub status: StatusCode,
    /// The reason in one word, as the page and the audit event name it.
    pub code: &'static str,
    /// What happened, in a few words.
    pub heading: &'static str,
    /// What happened, in a sentence.
    pub explanation: String,
    /// What to do now.
    pub next_step: Option<String>,
    /// The way on.
    pub action: Option<Link>,
    /// After how long it may be tried again, if that is known.
    pub retry_after: Option<Span>,
    /// Whether whoever asked reads JSON rather than pages.
    pub in_json: bool,
    /// The story, if one has begun.
    pub trace_id: Option<TraceId>,
    /// What an administrator needs to see, and anybody may.
    pub details: Vec<(&'static str, String)>,
    /// What is kept about it.
    pub event: Option<Event>,
    /// Why it really happened, for the log.
    pub source: Option<anyhow::Error>,
}

impl PageError {
    /// A refusal with status 400.
    pub fn new(code: &'static str, heading: &'static str, explanation: impl Into<String>) -> Self {
        Self {
            status: StatusCode::BAD_REQUEST,
            code,
            heading,
            explanation: explanation.into(),
            next_step: None,
            action: None,
            retry_after: None,
            in_json: false,
            trace_id: None,
            details: Vec::new(),
            event: None,
            source: None,
        }
    }

    /// With another status.
    #[must_use]
    pub const fn status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    /// With what to do now.
    #[must_use]
    pub fn next_step(mut self, text: impl Into<String>) -> Self {
        self.next_step = Some(text.into());
        self
    }

    /// With the time after which it may be tried again.
    #[must_use]
    pub const fn retry_after(mut self, wait: Span) -> Self {
        self.retry_after = Some(wait);
        self
    }

    /// In the form that whoever asked reads: browsers say that they take pages.
    #[must_use]
    pub fn answering(mut self, headers: &HeaderMap) -> Self {
        let accepted = headers.get_all(header::ACCEPT).iter().filter_map(|line| line.to_str().ok());
        self.in_json = !accepted.into_iter().any(|line| line.contains("text/html"));
        self
    }

    /// With the way on.
    #[must_use]
    pub fn action(mut self, href: impl Into<String>, label: impl Into<String>) -> Self {
        self.action = Some(Link { href: href.into(), label: label.into() });
        self
    }

    /// As part of a story.
    #[must_use]
    pub fn trace(mut self, trace: &TraceId) -> Self {
        self.trace_id = Some(trace.clone());
        self
    }

    /// With something that an administrator needs to see.
    #[must_use]
    pub fn detail(mut self, label: &'static str, value: impl Into<String>) -> Self {
        self.details.push((label, crate::audit::printable(&value.into())));
        self
    }

    /// With the event that is kept about it.
    #[must_use]
    pub fn event(mut self, event: Event) -> Self {
        self.event = Some(event);
        self
    }

    /// With the private cause.
    #[must_use]
    pub fn because(mut self, cause: impl Into<anyhow::Error>) -> Self {
        self.source = Some(cause.into());
        self
    }

    /// The page does not exist.
    pub fn not_found() -> Self {
        Self::new("not_found", "Page not found", "There is nothing at this address.")
            .status(StatusCode::NOT_FOUND)
            .action("/account", "Go to your account")
    }

    /// The form did not come from our own page in this browser.
    pub fn forged_form() -> Self {
        Self::new(
            "form_not_ours",
            "Please try again",
            "This form was not sent from our own page in this browser, or cookies are blocked.",
        )
        .status(StatusCode::FORBIDDEN)
        .next_step("Go back, reload the page and send the form again.")
    }

    /// One place asks for more than it may in a minute.
    pub fn too_many_requests(wait: Span) -> Self {
        Self::new(
            "too_many_requests",
            "Too many requests",
            "More was asked for from your network within this minute than is allowed.",
        )
        .status(StatusCode::TOO_MANY_REQUESTS)
        .next_step("Please wait a minute and try again.")
        .retry_after(wait)
    }

    /// More is wanted at this moment than can be done.
    pub fn too_busy(cause: impl Into<anyhow::Error>) -> Self {
        Self::new(
            "too_busy",
            "Too many people are signing in right now",
            "This service is busier than it can be at this moment. Nothing is wrong with your \
             account.",
        )
        .status(StatusCode::SERVICE_UNAVAILABLE)
        .next_step("Please try again in a few seconds.")
        .because(cause)
    }

    /// Too many sign-ins begin at once in one place.
    pub fn too_many_flows(wait: Span) -> Self {
        Self::new(
            "too_many_sign_ins",
            "Too many sign-ins begin where you are",
            "More sign-ins began from your network within this minute than are allowed.",
        )
        .status(StatusCode::TOO_MANY_REQUESTS)
        .next_step("Please try again in a minute.")
        .retry_after(wait)
    }

    /// Something that we need is away for the moment.
    pub fn unavailable(cause: impl Into<anyhow::Error>) -> Self {
        Self::new(
            "temporarily_unavailable",
            "Sign-in is not possible right now",
            "A part of this service cannot be reached at the moment. Nothing is wrong with your \
             account.",
        )
        .status(StatusCode::SERVICE_UNAVAILABLE)
        .next_step("Please try again in a few seconds.")
        .because(cause)
    }

    /// Something of ours is broken.
    pub fn broken(cause: impl Into<anyhow::Error>) -> Self {
        Self::new(
            "server_error",
            "Something went wrong here",
            "This is our fault, and it has been recorded.",
        )
        .status(StatusCode::INTERNAL_SERVER_ERROR)
        .next_step("Please try again. If it happens again, pass on the details below.")
        .because(cause)
    }
}

impl IntoResponse for PageError {
    /// Leaves the rendering to the edge, which knows how pages look here.
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(Refusal::Page(std::sync::Arc::new(self)));
        response
    }
}

/// A refusal on its way to the edge.
#[derive(Clone, Debug)]
pub enum Refusal {
    /// For a person.
    Page(std::sync::Arc<PageError>),
    /// For a machine.
    Wire(std::sync::Arc<WireError>),
    /// For an app that draws its own forms.
    Problem(std::sync::Arc<super::problem::Problem>),
}

/// A refusal for a machine, with what is kept about it.
#[derive(Debug)]
pub struct WireError {
    /// What is said.
    pub error: OAuthError,
    /// What is kept.
    pub event: Option<Event>,
    /// The value of `WWW-Authenticate`.
    pub challenge: Option<&'static str>,
    /// Another status than the code's own.
    pub status: Option<StatusCode>,
}

impl From<OAuthError> for WireError {
    fn from(error: OAuthError) -> Self {
        Self { error, event: None, challenge: None, status: None }
    }
}

impl WireError {
    /// With another status than the code's own.
    #[must_use]
    pub const fn status(mut self, status: StatusCode) -> Self {
        self.status = Some(status);
        self
    }

    /// With the event that is kept about it.
    #[must_use]
    pub fn event(mut self, event: Event) -> Self {
        self.event = Some(event);
        self
    }
}

impl IntoResponse for WireError {
    /// RFC 6749 §5.2.
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.error.code.status());
        let status = self.status.unwrap_or(status.unwrap_or(StatusCode::BAD_REQUEST));
        let body = serde_json::json!({
            "error": self.error.code.as_str(),
            "error_description": self.error.description,
        });
        let mut response = json(status, &body);
        let headers = response.headers_mut();
        if let Some(challenge) = self.challenge {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        if matches!(status.as_u16(), 429 | 503) {
            headers.insert(header::RETRY_AFTER, come_back());
        }
        response.extensions_mut().insert(Refusal::Wire(std::sync::Arc::new(self)));
        response
    }
}

/// A JSON answer that no cache keeps (RFC 6749 §5.1).
pub fn json<T: serde::Serialize>(status: StatusCode, body: &T) -> Response {
    let text = serde_json::to_vec(body).unwrap_or_default();
    let mut headers = HeaderMap::with_capacity(12);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    (status, headers, text).into_response()
}

impl From<StoreError> for OAuthError {
    fn from(error: StoreError) -> Self {
        if error.is_transient() {
            Self::temporarily_unavailable("the database cannot be reached; try again")
                .because(error)
        } else {
            Self::server_error("something is broken here").because(error)
        }
    }
}

impl From<EphemeralError> for OAuthError {
    fn from(error: EphemeralError) -> Self {
        Self::temporarily_unavailable("short-lived state cannot be reached; try again")
            .because(error)
    }
}

impl From<KeyError> for OAuthError {
    fn from(error: KeyError) -> Self {
        Self::new(ErrorCode::TemporarilyUnavailable, "nothing can be signed; try again")
            .because(error)
    }
}

impl From<StoreError> for WireError {
    fn from(error: StoreError) -> Self {
        OAuthError::from(error).into()
    }
}

impl From<EphemeralError> for WireError {
    fn from(error: EphemeralError) -> Self {
        OAuthError::from(error).into()
    }
}

impl From<KeyError> for WireError {
    fn from(error: KeyError) -> Self {
        OAuthError::from(error).into()
    }
}

impl From<StoreError> for PageError {
    fn from(error: StoreError) -> Self {
        if error.is_transient() { Self::unavailable(error) } else { Self::broken(error) }
    }
}

impl From<EphemeralError> for PageError {
    fn from(error: EphemeralError) -> Self {
        Self::unavailable(error)
    }
}
