//! The edge of the house: what happens to every request and every answer, once.

use std::{
    net::IpAddr,
    panic::AssertUnwindSafe,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    extract::{MatchedPath, Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use futures_util::FutureExt as _;
use tokio::sync::Semaphore;

use super::{
    address,
    error::{PageError, Refusal, WireError},
    pages,
    problem::Problem,
};
use crate::{
    app::App,
    audit::{Event, printable},
    foundation::ids::TraceId,
};

/// Refusals that come in floods, when they come: the first in a minute is kept, and no other.
const FLOODS: [&str; 2] = ["too_busy", "too_many_requests"];
/// The longest that any request takes, reading its body included (HT-02).
const REQUEST_TIME: Duration = Duration::from_secs(30);

const SECURITY_HEADERS: [(HeaderName, HeaderValue); 6] = [
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (
        HeaderName::from_static("cross-origin-opener-policy"),
        HeaderValue::from_static("same-origin"),
    ),
    (
        HeaderName::from_static("permissions-policy"),
        HeaderValue::from_static("camera=(), geolocation=(), microphone=(), payment=()"),
    ),
    (
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'"),
    ),
];
const HSTS: HeaderValue = HeaderValue::from_static("max-age=31536000; includeSubDomains");

/// Measures, catches panics, renders refusals, logs once, and adds the headers that every answer
/// has.
#[expect(clippy::disallowed_methods, reason = "how long an answer took is a metric")]
pub async fn edge(
    State((app, in_flight)): State<(App, Arc<Semaphore>)>,
    request: Request,
    next: Next,
) -> Response {
    let began = Instant::now();
    let method = request.method().clone();
    let matched = request.extensions().get::<MatchedPath>().cloned();
    let route = matched.as_ref().map_or("none", MatchedPath::as_str);
    let from = address::of(&app, request.extensions(), request.headers());

    let mut response = match in_flight.try_acquire() {
        Ok(_place) => handle(request, next).await,
        Err(full) => PageError::too_busy(full).answering(request.headers()).into_response(),
    };
    if let Some(refusal) = response.extensions_mut().remove::<Refusal>() {
        let answer = match refusal {
            Refusal::Page(error) => Some(refuse_page(&app, &error, route, from)),
            Refusal::Wire(error) => {
                refuse_wire(&app, &error, route, from);
                None
            }
            Refusal::Problem(problem) => {
                let trace = note_problem(&app, &problem, route, from);
                *response.body_mut() = problem.body(&app, &trace);
                None
            }
        };
        if let Some(page) = answer {
            let cookies = response.headers().get_all(header::SET_COOKIE).iter().cloned();
            let cookies: Vec<HeaderValue> = cookies.collect();
            response = page;
            for cookie in cookies {
                response.headers_mut().append(header::SET_COOKIE, cookie);
            }
        }
    }
    add_security_headers(&app, response.headers_mut());
    let status = response.status().as_u16();
    app.metrics.count_request(route, word(&method), status, began.elapsed());
    response
}

async fn handle(request: Request, next: Next) -> Response {
    let handled = AssertUnwindSafe(next.run(request)).catch_unwind();
    match tokio::time::timeout(REQUEST_TIME, handled).await {
        Ok(Ok(response)) => response,
        Ok(Err(_)) => PageError::broken(anyhow::anyhow!("a handler panicked")).into_response(),
        Err(_) => {
            PageError::unavailable(anyhow::anyhow!("the request took too long")).into_response()
        }
    }
}

/// The method as a label: strangers may invent others, and each would be a line for ever (HT-10).
fn word(method: &Method) -> &'static str {
    const KNOWN: [&str; 9] =
        ["GET", "POST", "HEAD", "OPTIONS", "PUT", "DELETE", "PATCH", "TRACE", "CONNECT"];
    KNOWN.into_iter().find(|known| *known == method.as_str()).unwrap_or("other")
}

/// Adds what every answer has, unless the handler knew better.
pub fn add_security_headers(app: &App, headers: &mut HeaderMap) {
    for (name, value) in SECURITY_HEADERS {
        headers.entry(name).or_insert(value);
    }
    if app.urls.is_https() {
        headers.insert(header::STRICT_TRANSPORT_SECURITY, HSTS);
    }
}

fn refuse_page(app: &App, error: &PageError, route: &str, from: IpAddr) -> Response {
    if matches!(error.code, "not_found" | "too_many_sign_ins") {
        // Strangers ask for what does not exist, or for too much, all day: no story is kept, so none
        // is named.
        return not_kept(app, error, route);
    }
    if !is_news(app, error.code, error.status, from) {
        return not_kept(app, error, route);
    }
    let trace = error.trace_id.clone().unwrap_or_else(|| TraceId::generate(app.random()));
    let source = error.source.as_ref().map(|cause| printable(&format!("{cause:#}")));
    let cause = source.as_deref().unwrap_or_default();
    let (code, status) = (error.code, error.status.as_u16());
    if error.status.is_server_error() {
        tracing::error!(%trace, route, code, status, cause, "refused");
    } else {
        tracing::info!(%trace, route, code, status, cause, "refused");
    }
    let event = error.event.clone().unwrap_or_else(|| Event::refused("page", error.code));
    let event = error
        .details
        .iter()
        .fold(event, |event, (label, value)| event.detail(label, value.as_str()));
    let event = event.trace(&trace).address(from.to_string()).detail("route", route);
    app.audit.note(match source {
        Some(cause) => event.detail("cause", cause),
        None => event,
    });
    answer(app, error, &trace)
}

fn answer(app: &App, error: &PageError, trace: &TraceId) -> Response {
    if error.in_json {
        return pages::error_in_json(error);
    }
    pages::error_page(app, error, trace, app.now())
}

fn not_kept(app: &App, error: &PageError, route: &str) -> Response {
    tracing::debug!(route, code = error.code, "not kept");
    answer(app, error, &TraceId::new("-"))
}

/// Whether this has not been said yet in this minute: of a network that asks for too much, or of a
/// house that is full.
fn is_news(app: &App, code: &str, status: StatusCode, from: IpAddr) -> bool {
    if !FLOODS.contains(&code) {
        return true;
    }
    let network = (status == StatusCode::TOO_MANY_REQUESTS).then(|| address::network(from));
    app.floods.count(&(code, network), app.now()) == Some(1)
}

/// Keeps what an app is told, and names the story.
fn note_problem(app: &App, problem: &Problem, route: &str, from: IpAddr) -> TraceId {
    let told = problem.event.as_ref().and_then(Event::trace_id).cloned();
    let trace = told.unwrap_or_else(|| TraceId::generate(app.random()));
    let source = problem.source.as_ref().map(|cause| printable(&format!("{cause:#}")));
    let cause = source.as_deref().unwrap_or_default();
    let (code, status) = (problem.code, problem.status.as_u16());
    app.metrics.count_error(route, code);
    if !is_news(app, code, problem.status, from) {
        return TraceId::new("-");
    }
    if problem.status.is_server_error() {
        tracing::error!(%trace, route, code, status, cause, "refused");
    } else {
        tracing::info!(%trace, route, code, status, cause, "refused");
    }
    let event = problem.event.clone().unwrap_or_else(|| Event::refused("request", code));
    let event = event.trace(&trace).address(from.to_string()).detail("route", route);
    app.audit.note(match source {
        Some(cause) => event.detail("cause", cause),
        None => event,
    });
    trace
}

fn refuse_wire(app: &App, refusal: &WireError, route: &str, from: IpAddr) {
    let error = &refusal.error;
    let cause = error.source.as_ref().map(|cause| printable(&cause.to_string()));
    let cause = cause.unwrap_or_default();
    let (code, description) = (error.code.as_str(), error.description);
    let trace = refusal.event.as_ref().and_then(Event::trace_id).map(TraceId::as_str);
    let trace = trace.unwrap_or_default();
    if error.code.status() >= 500 {
        tracing::error!(trace, route, code, description, cause, "refused");
    } else {
        tracing::info!(trace, route, code, description, cause, "refused");
    }
    app.metrics.count_error(route, code);
    let event = refusal.event.clone().unwrap_or_else(|| Event::refused("request", code));
    let event = event.address(from.to_string()).detail("route", route);
    app.audit.note(event.detail("description", description));
}
