//! `POST /upstream/{slug}/backchannel-logout`: an upstream says that a session there has ended (OIDC
//! Back-Channel Logout §2.5), and with it ends what it has led to here.

use std::sync::Arc;

use axum::{
    body::Body,
    extract::{Path, Request, State},
    http::{HeaderValue, StatusCode, header},
    response::Response,
};

use super::upstream_sessions::{self, Channel};
use crate::{
    app::App,
    audit::Event,
    ephemeral::{Key, KeyKind},
    federation::{FaultKind, LogoutNotice, Upstream, UpstreamFault},
    foundation::clock::Timestamp,
    protocol::error::OAuthError,
    store::{
        Connection, StoreResult, identities,
        sessions::{self as session_rows, Session},
    },
    web::{error::WireError, params},
};

/// `POST /upstream/{slug}/backchannel-logout`.
pub async fn backchannel(
    State(app): State<App>,
    Path(slug): Path<String>,
    request: Request,
) -> Result<Response, WireError> {
    let now = app.now();
    let (uri, headers) = (request.uri().clone(), request.headers().clone());
    let params = params::of_form(&uri, &headers, params::body(request).await)?;
    let Some(upstream) = app.upstreams.find(&slug) else {
        let error = OAuthError::invalid_request("there is no such upstream");
        return Err(WireError { status: Some(StatusCode::NOT_FOUND), ..error.into() });
    };
    let missing = || OAuthError::invalid_request("logout_token is missing");
    let token = params.get("logout_token").ok_or_else(missing)?;
    let notice = upstream.read_logout_token(token, now).await;
    let notice = notice.map_err(|fault| refuse(upstream, &fault))?;
    // Whoever hangs up in the middle must not leave a token that was used and has ended nothing (LO-08).
    let ending = end_once(app.clone(), Arc::clone(upstream), notice, now);
    let ended = app.questions.spawn(ending).await;
    ended
        .map_err(|error| OAuthError::server_error("something is broken here").because(error))??;
    let mut response = Response::new(Body::empty());
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// 400 for what is not acceptable, 503 while the upstream's keys cannot be had.
fn refuse(upstream: &Upstream, fault: &UpstreamFault) -> WireError {
    let event = Event::refused("upstream_logout", fault.reason).upstream(upstream.slug());
    let event = event.detail("what", fault.detail.as_str());
    let error = match fault.kind {
        FaultKind::Unavailable => {
            OAuthError::temporarily_unavailable("the keys of the upstream cannot be read")
        }
        _ => OAuthError::invalid_request("the logout token is not acceptable"),
    };
    WireError::from(error).event(event)
}

/// Uses a logout token up, and ends what it names.
async fn end_once(
    app: App,
    upstream: Arc<Upstream>,
    notice: LogoutNotice,
    now: Timestamp,
) -> Result<(), WireError> {
    let key = Key::of_text(KeyKind::LogoutToken, &format!("{} {}", upstream.slug(), notice.jti));
    // Without the short-lived state nobody knows whether it was used before (UP-26).
    if !app.state.insert_new(&key, key.kind().life()).await? {
        let detail = "the token was used before";
        return Err(refuse(&upstream, &UpstreamFault::unacceptable("logout_token_replay", detail)));
    }
    if let Err(error) = end(&app, &upstream, &notice, now).await {
        // The upstream will try again, with the same token perhaps.
        app.state.remove(&key).await?;
        return Err(error.into());
    }
    Ok(())
}

/// Ends what the session of the upstream has led to here, all of it or nothing.
async fn end(
    app: &App,
    upstream: &Upstream,
    notice: &LogoutNotice,
    now: Timestamp,
) -> StoreResult<()> {
    let mut connection = app.connection().await?;
    connection
        .transaction(async |conn| {
            let sessions = find(conn, upstream, notice).await?;
            upstream_sessions::end(app, conn, &sessions, Channel::Back, now).await
        })
        .await
}

/// The session that it names, or all that the person has through this upstream.
async fn find(
    conn: &mut Connection,
    upstream: &Upstream,
    notice: &LogoutNotice,
) -> StoreResult<Vec<Session>> {
    let identity = match &notice.subject {
        None => None,
        Some(subject) => match identities::find(conn, &notice.issuer, subject).await? {
            Some((identity, _)) => Some(identity.user_id),
            // Nobody here is meant.
            None => return Ok(Vec::new()),
        },
    };
    let (slug, user) = (upstream.slug(), identity.as_ref());
    Ok(match (&notice.session_id, user) {
        (Some(sid), user) => {
            session_rows::list_live_of_upstream_session(conn, slug, sid, user).await?
        }
        (None, Some(user)) => {
            let mut all = session_rows::list_of_upstream(conn, user, slug).await?;
            all.retain(|session| session.ended_at.is_none());
            all
        }
        (None, None) => Vec::new(),
    })
}
