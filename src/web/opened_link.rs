//! Links from mails, in the browser that opens them.
//!
//! The secret of a link leaves the address bar at once: what the browser goes on with is a name that
//! is worth nothing elsewhere (RC-12). Opening uses nothing up (RC-06).

use std::net::IpAddr;

use axum::{
    http::{HeaderMap, StatusCode},
    response::Response,
};

use super::{
    browser::BrowserMark, cookies, error::PageError, pages::see_other, params::Params, throttle,
};
use crate::{
    accounts::one_time_links::OpenedLink,
    app::App,
    audit::Event,
    foundation::opaque::{Opaque, OpaqueKind},
};

/// The parameter that holds the secret of a link, in mails only.
pub const TOKEN: &str = "token";
/// The parameter that holds the name of what was opened.
pub const LINK: &str = "link";

/// Remembers the link that `token` names for this browser, and goes on at `path` without it.
pub async fn open(
    app: &App,
    (headers, from): (&HeaderMap, IpAddr),
    token: &str,
    (path, action): (&str, &'static str),
) -> Result<Response, PageError> {
    throttle::begin_flow(app, from, app.now())?;
    let Some(secret) = Opaque::parse(OpaqueKind::OneTimeLink, token) else {
        return Err(gone(action, "link_malformed"));
    };
    let mark = BrowserMark::find_or_make(app, headers);
    let opened = OpenedLink::opened(&mark.digest(), &secret);
    let name = opened.keep(&app.state, app.random()).await?;
    let mut response = see_other(&format!("{path}?{LINK}={name}"));
    cookies::add(response.headers_mut(), mark.cookie(app));
    Ok(response)
}

/// What this browser has opened under the name in `link`, and the name.
pub async fn find<'a>(
    app: &App,
    headers: &HeaderMap,
    params: &'a Params,
    action: &'static str,
) -> Result<(OpenedLink, &'a str, BrowserMark), PageError> {
    let (Some(name), Some(mark)) = (params.get(LINK), BrowserMark::find(app, headers)) else {
        return Err(gone(action, "link_not_opened"));
    };
    match OpenedLink::find(&app.state, name, &mark.digest()).await? {
        Some(opened) => Ok((opened, name, mark)),
        None => Err(gone(action, "link_not_opened")),
    }
}

/// The link was used, has ended, or was opened in another browser.
pub fn gone(action: &'static str, reason: &'static str) -> PageError {
    PageError::new(
        "link_gone",
        "This link does not work any more",
        "It was used already, it is too old, or a newer one was sent. Nothing has changed now.",
    )
    .status(StatusCode::GONE)
    .next_step("Ask for a new one, and open it in one browser only.")
    .action("/account", "Go to your account")
    .event(Event::refused(action, reason))
}
