//! Faults of the transport and of whole answers: slow, broken, redirecting, huge or no JSON.

use std::io;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue};
use axum::response::Response;
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use http_body_util::BodyExt as _;
use tokio::time::sleep;

use super::gzip_bomb;
use super::requests::Recorded;
use super::server::answer;

/// What happens instead of, or to, the honest answer of an endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The honest answer, late.
    Delay(Duration),
    /// No answer, on an open connection.
    Hang,
    /// The connection closes without an answer.
    Drop,
    /// The connection closes in the middle of the honest answer's body.
    DropMidBody,
    /// The honest answer, one byte at a time with a pause before each.
    Trickle(Duration),
    /// A body that never ends.
    Endless,
    /// The honest JSON answer, made valid but huge by so many spaces in front.
    Padded(usize),
    /// The honest JSON answer behind 16 MiB of spaces, compressed to a hundredth.
    GzipBomb,
    /// The honest answer with so many headers more.
    ManyHeaders(usize),
    /// A redirect elsewhere, with its status.
    Redirect(u16, String),
    /// A redirect to the same address, for ever.
    RedirectLoop(u16),
    /// An error status with a JSON body that says nothing; 429 and 503 carry `Retry-After`.
    Status(u16),
    /// What was asked is done, and something in front of the endpoint answers with this status.
    Lost(u16),
    /// Any other answer.
    Answer { status: u16, content_type: String, body: Bytes },
}

impl Fault {
    /// A friendly page where JSON was wanted.
    pub(crate) fn html() -> Self {
        Self::answer(
            200,
            "text/html",
            "<!doctype html><title>Hi</title><p>Down for maintenance.</p>",
        )
    }

    /// JSON that stops in the middle.
    pub(crate) fn invalid_json() -> Self {
        Self::answer(200, "application/json", "{\"issuer\": \"http://")
    }

    /// A JSON text that is no object.
    pub(crate) fn json_array() -> Self {
        Self::answer(200, "application/json", "[]")
    }

    /// An OAuth error (RFC 6749 §5.2).
    pub(crate) fn oauth_error(status: u16, code: &str) -> Self {
        Self::answer(status, "application/json", format!("{{\"error\":\"{code}\"}}"))
    }

    /// Any answer.
    pub(crate) fn answer(status: u16, content_type: &str, body: impl Into<Bytes>) -> Self {
        Self::Answer { status, content_type: content_type.into(), body: body.into() }
    }

    pub(super) async fn apply(
        self,
        request: &Recorded,
        honest: impl FnOnce() -> Response,
    ) -> Result<Response, io::Error> {
        Ok(match self {
            Self::Delay(pause) => {
                sleep(pause).await;
                honest()
            }
            Self::Hang => std::future::pending().await,
            Self::Drop => return Err(io::Error::other("dropped on purpose")),
            Self::DropMidBody => drop_mid_body(honest()).await,
            Self::Trickle(pause) => trickle(honest(), pause).await,
            Self::Endless => honest().map(|_| answer::stream(stream::repeat(vec![b' '; 4096]))),
            Self::Padded(count) => prepend(vec![b' '; count], honest()).await,
            Self::GzipBomb => gzip_bomb(honest()).await,
            Self::ManyHeaders(count) => many_headers(honest(), count),
            Self::Redirect(status, to) => redirect(status, &to),
            Self::RedirectLoop(status) => redirect(status, &request.uri.to_string()),
            Self::Status(status) => error_status(status),
            Self::Lost(status) => {
                honest();
                error_status(status)
            }
            Self::Answer { status, content_type, body } => {
                answer::text(status, &content_type, body)
            }
        })
    }
}

/// A fault and how often it still strikes.
#[derive(Clone)]
pub(super) struct FaultPlan {
    fault: Fault,
    remaining: Option<usize>,
}

impl FaultPlan {
    pub(super) fn always(fault: Fault) -> Self {
        Self { fault, remaining: None }
    }

    pub(super) fn times(fault: Fault, times: usize) -> Self {
        Self { fault, remaining: Some(times) }
    }

    pub(super) fn next(&mut self) -> Option<Fault> {
        if let Some(remaining) = &mut self.remaining {
            *remaining = remaining.checked_sub(1)?;
        }
        Some(self.fault.clone())
    }
}

async fn bytes_of(body: Body) -> Bytes {
    body.collect().await.expect("a body made in this process").to_bytes()
}

async fn drop_mid_body(response: Response) -> Response {
    let (mut parts, body) = response.into_parts();
    let body = bytes_of(body).await;
    parts.headers.insert("content-length", body.len().into());
    let half = body.slice(..body.len() / 2);
    let pieces = [Ok(half), Err(io::Error::other("dropped on purpose"))];
    Response::from_parts(parts, Body::from_stream(stream::iter(pieces)))
}

async fn trickle(response: Response, pause: Duration) -> Response {
    let (parts, body) = response.into_parts();
    let pieces = stream::iter(bytes_of(body).await).then(move |byte| async move {
        sleep(pause).await;
        vec![byte]
    });
    Response::from_parts(parts, answer::stream(pieces))
}

async fn prepend(padding: Vec<u8>, response: Response) -> Response {
    let (parts, body) = response.into_parts();
    Response::from_parts(parts, Body::from([padding, bytes_of(body).await.to_vec()].concat()))
}

async fn gzip_bomb(response: Response) -> Response {
    let (mut parts, body) = response.into_parts();
    parts.headers.insert("content-encoding", HeaderValue::from_static("gzip"));
    Response::from_parts(parts, Body::from(gzip_bomb::compress(&bytes_of(body).await)))
}

fn many_headers(mut response: Response, count: usize) -> Response {
    for number in 0..count {
        let name = HeaderName::try_from(format!("x-filler-{number}")).expect("a header name");
        response.headers_mut().insert(name, HeaderValue::from_static("x"));
    }
    response
}

fn redirect(status: u16, to: &str) -> Response {
    let response = Response::builder().status(status).header("location", to);
    response.body(Body::empty()).expect("a redirect")
}

fn error_status(status: u16) -> Response {
    let mut response = answer::text(status, "application/json", "{\"message\":\"no\"}");
    if matches!(status, 429 | 503) {
        response.headers_mut().insert("retry-after", HeaderValue::from_static("1"));
    }
    response
}
