//! `GET /upstream/{slug}/frontchannel-logout`: a frame on the upstream's sign-out page says that the
//! session there has ended (OIDC Front-Channel Logout §2).
//!
//! Nobody has signed what it says, and any page can show such a frame. So it ends the session of this
//! very browser only (UP-27), unless the administrator has decided that a session's name at the
//! upstream is enough. The answer is the same whatever has become of it.

use axum::{
    extract::{Path, Request, State},
    http::{HeaderMap, HeaderValue, header},
    response::{Html, IntoResponse as _, Response},
};

use super::{
    SIGNED_OUT_LIFE,
    upstream_sessions::{self, Channel},
};
use crate::{
    app::App,
    audit::Event,
    config::FrontChannelLogout,
    federation::Upstream,
    foundation::clock::Timestamp,
    store::{
        StoreError, StoreResult,
        sessions::{self as session_rows, Session},
    },
    web::{
        browser,
        cookies::{self, Cookie},
        error::PageError,
        params::{self, Params},
    },
};

/// The longest name of a session that a browser is read for.
const MAX_TEXT: usize = 255;

/// `GET /upstream/{slug}/frontchannel-logout`.
pub async fn frontchannel(
    State(app): State<App>,
    Path(slug): Path<String>,
    request: Request,
) -> Result<Response, PageError> {
    let now = app.now();
    let (headers, params) = params::of_page(request).await?;
    let Some(upstream) = app.upstreams.find(&slug) else {
        return Err(PageError::not_found());
    };
    let mut response = frame(upstream);
    let named = text(&params, "iss").zip(text(&params, "sid"));
    let Some((issuer, sid)) = named else {
        return Ok(response);
    };
    let own = own_session(&app, &headers, upstream, sid, now).await?;
    let meant = match (upstream.settings.frontchannel_logout, &own) {
        (FrontChannelLogout::Browser, own) => own.iter().cloned().collect(),
        (FrontChannelLogout::Sid, _) => named_sessions(&app, upstream, sid).await?,
    };
    // Asked last: a stranger's frame makes us ask nobody.
    if meant.is_empty()
        || !is_in_frame(&app, &headers, upstream)
        || !is_of(&app, upstream, issuer, now).await
    {
        return Ok(response);
    }
    end(&app, &meant, now).await?;
    if own.is_some() {
        cookies::add(response.headers_mut(), cookies::clear(Cookie::Session, &app.urls));
        let mark = cookies::set(Cookie::SignedOut, "yes", SIGNED_OUT_LIFE, &app.urls);
        cookies::add(response.headers_mut(), mark);
    }
    Ok(response)
}

/// A parameter, if it is a text of sane length.
fn text<'p>(params: &'p Params, name: &str) -> Option<&'p str> {
    params.get(name).filter(|text| (1..=MAX_TEXT).contains(&text.len()))
}

/// The session of this browser, if it began with this session of the upstream. The cookie comes along
/// only where upstream and we are of one site.
async fn own_session(
    app: &App,
    headers: &HeaderMap,
    upstream: &Upstream,
    sid: &str,
    now: Timestamp,
) -> StoreResult<Option<Session>> {
    let live = browser::session(app, headers, now).await?;
    Ok(live.map(|live| live.session).filter(|session| {
        session.upstream.as_ref() == Some(upstream.slug())
            && session.upstream_sid.as_deref() == Some(sid)
    }))
}

async fn named_sessions(app: &App, upstream: &Upstream, sid: &str) -> StoreResult<Vec<Session>> {
    let mut connection = app.connection().await?;
    let found =
        session_rows::list_live_of_upstream_session(&mut connection, upstream.slug(), sid, None);
    Ok(found.await?)
}

/// Whether this is a frame, as far as the browser says. A link that somebody is made to follow brings
/// the cookie of the session along, whatever site it stands on.
fn is_in_frame(app: &App, headers: &HeaderMap, upstream: &Upstream) -> bool {
    let Some(destination) = headers.get("sec-fetch-dest") else {
        return true;
    };
    let framed = destination == "iframe" || destination == "frame";
    if !framed {
        let event = Event::refused("upstream_logout", "not_in_a_frame").upstream(upstream.slug());
        app.audit.note(event.detail("channel", "front"));
    }
    framed
}

/// Whether the issuer is the upstream's; a session of another with the same name is not meant.
async fn is_of(app: &App, upstream: &Upstream, issuer: &str, now: Timestamp) -> bool {
    let checked = upstream.check_issuer_of_answer(Some(issuer), now).await;
    checked
        .map_err(|fault| {
            let event = Event::refused("upstream_logout", fault.reason).upstream(upstream.slug());
            app.audit.note(event.detail("what", fault.detail).detail("channel", "front"));
        })
        .is_ok()
}

async fn end(app: &App, sessions: &[Session], now: Timestamp) -> StoreResult<()> {
    let mut connection = app.connection().await?;
    connection
        .transaction(async |conn| {
            upstream_sessions::end(app, conn, sessions, Channel::Front, now).await?;
            Ok::<_, StoreError>(())
        })
        .await
}

/// A page without anything, which the upstream alone may show in a frame. Where a policy names who
/// may, browsers do not look at `X-Frame-Options` (CSP Level 3 §6.4.2).
fn frame(upstream: &Upstream) -> Response {
    let origin = upstream.settings.issuer.origin().ascii_serialization();
    let policy = format!("default-src 'none'; frame-ancestors {origin}");
    let mut response = Html("<!DOCTYPE html>\n<title>Signed out</title>\n").into_response();
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // An origin is always a header.
    if let Ok(policy) = HeaderValue::try_from(policy) {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    response
}
