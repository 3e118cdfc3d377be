//! How pages look and what headers they carry.

use askama::Template;
use axum::{
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
};

use super::{
    assets::HREFS,
    error::{Link, PageError, come_back, json},
};
use crate::{
    app::App,
    foundation::{clock::Timestamp, ids::TraceId},
    protocol::error::ErrorCode,
};

/// Nothing inline, nothing from elsewhere. `form-action` is left out on purpose: browsers apply it
/// to every redirect after a form, and a sign-in form ends at the app.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; \
                      img-src 'self' https: data:; connect-src 'self'; base-uri 'none'; \
                      frame-ancestors 'none'";

/// What every page shows.
#[derive(Clone, Debug)]
pub struct PageFrame {
    /// The language of the texts.
    pub lang: &'static str,
    /// The direction of the script.
    pub dir: &'static str,
    /// What this place is called.
    pub brand: String,
    /// The address of the style.
    pub css: &'static str,
    /// The address of the script.
    pub script: &'static str,
    /// The address of the icon.
    pub favicon: &'static str,
}

impl PageFrame {
    /// The frame of this deployment's pages.
    pub fn new(app: &App) -> Self {
        Self::branded(app.config.branding.name.clone())
    }

    /// The frame under any name.
    pub fn branded(brand: String) -> Self {
        let hrefs = &*HREFS;
        Self {
            lang: "en",
            dir: "ltr",
            brand,
            css: &hrefs.css,
            script: &hrefs.script,
            favicon: &hrefs.favicon,
        }
    }
}

/// A labelled value on a page.
#[derive(Clone, Debug)]
pub struct Detail {
    /// Its label.
    pub label: String,
    /// Its value.
    pub value: String,
}

/// A rendered page that no cache keeps.
pub fn page<T: Template>(status: StatusCode, template: &T) -> Response {
    let mut headers = HeaderMap::with_capacity(12);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    match template.render() {
        Ok(html) => (status, headers, html).into_response(),
        Err(error) => {
            tracing::error!(%error, "a page could not be rendered");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// A redirect that no cache keeps and that turns a POST into a GET, so that no credentials are
/// passed on (RFC 9700 §4.12).
pub fn see_other(to: &str) -> Response {
    let mut headers = HeaderMap::with_capacity(12);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    match HeaderValue::try_from(to) {
        Ok(location) => {
            headers.insert(header::LOCATION, location);
            (StatusCode::SEE_OTHER, headers).into_response()
        }
        Err(error) => PageError::broken(error).into_response(),
    }
}

#[derive(Template)]
#[template(path = "done.html")]
struct DonePage {
    page: PageFrame,
    heading: &'static str,
    text: String,
    action: Link,
}

/// A page that says what was done, and where to go from there.
pub fn done(app: &App, heading: &'static str, text: String, action: Link) -> Response {
    let template = DonePage { page: PageFrame::new(app), heading, text, action };
    page(StatusCode::OK, &template)
}

#[derive(Template)]
#[template(path = "error.html")]
struct ErrorPage<'a> {
    page: PageFrame,
    heading: &'a str,
    explanation: &'a str,
    next_step: Option<&'a str>,
    action: Option<&'a Link>,
    code: &'a str,
    trace_id: &'a TraceId,
    time: String,
    details: Vec<Detail>,
}

/// The page of a refusal.
pub fn error_page(app: &App, error: &PageError, trace_id: &TraceId, now: Timestamp) -> Response {
    let details = error
        .details
        .iter()
        .map(|(label, value)| Detail { label: (*label).to_owned(), value: value.clone() });
    let template = ErrorPage {
        page: PageFrame::new(app),
        heading: error.heading,
        explanation: &error.explanation,
        next_step: error.next_step.as_deref(),
        action: error.action.as_ref(),
        code: error.code,
        trace_id,
        time: now.rfc3339(),
        details: details.collect(),
    };
    let mut response = page(error.status, &template);
    add_retry_after(&mut response, error);
    response
}

/// The same refusal for whoever reads no pages.
pub fn error_in_json(error: &PageError) -> Response {
    let code = if error.status == StatusCode::SERVICE_UNAVAILABLE {
        ErrorCode::TemporarilyUnavailable.as_str()
    } else {
        error.code
    };
    let body = serde_json::json!({ "error": code, "error_description": error.explanation });
    let mut response = json(error.status, &body);
    add_retry_after(&mut response, error);
    response
}

fn add_retry_after(response: &mut Response, error: &PageError) {
    let wait = match error.retry_after {
        Some(wait) => HeaderValue::from(wait.seconds().max(1)),
        None if matches!(error.status.as_u16(), 429 | 503) => come_back(),
        None => return,
    };
    response.headers_mut().insert(header::RETRY_AFTER, wait);
}
