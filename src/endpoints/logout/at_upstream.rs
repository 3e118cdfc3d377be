//! Signing out at the upstream as well: there, and back (RP-Initiated Logout §2, §3).

use axum::{
    extract::{Path, Request, State},
    response::Response,
};
use serde::{Deserialize, Serialize};
use url::Url;

use super::{Asked, signed_out};
use crate::{
    app::App,
    config::UpstreamLogout,
    ephemeral::{Key, KeyKind},
    federation::Upstream,
    foundation::{clock::Timestamp, digest::base64url, ids::ClientId, random},
    leases,
    sessions::LiveSession,
    web::{error::PageError, params},
};

/// Where a person goes on who comes back.
#[derive(Debug, Serialize, Deserialize)]
struct Continuation {
    client: Option<ClientId>,
    redirect: Option<String>,
}

/// Where the browser signs out at the upstream of this session, if that is wanted and possible. What
/// stands in the way is no reason to stay signed in here.
pub(super) async fn way_out(
    app: &App,
    session: &LiveSession,
    asked: &Asked,
    now: Timestamp,
) -> Option<String> {
    let slug = session.session.upstream.as_ref()?;
    let upstream = app.upstreams.find(slug.as_str())?;
    if upstream.settings.logout != UpstreamLogout::Always {
        return None;
    }
    let prepared = prepare(app, upstream, session, asked, now).await;
    prepared.unwrap_or_else(|error| {
        tracing::warn!(%slug, error = format!("{error:#}"), "nobody can be signed out there");
        None
    })
}

async fn prepare(
    app: &App,
    upstream: &Upstream,
    session: &LiveSession,
    asked: &Asked,
    now: Timestamp,
) -> anyhow::Result<Option<String>> {
    let Some(endpoint) = upstream.end_session_endpoint(now).await? else {
        return Ok(None);
    };
    let mut url = Url::parse(&endpoint)?;
    let continuation = Continuation {
        client: asked.client.as_ref().map(|client| client.id().clone()),
        redirect: asked.redirect.clone(),
    };
    let state = base64url(&random::bytes::<24>(app.random()));
    app.state.put(&key(&state), &continuation, KeyKind::SigningOut.life()).await?;
    let back = app.urls.upstream_signed_out(upstream.slug());
    let hint = leases::id_token(app, &session.session.id, upstream.slug()).await?;
    let mut query = url.query_pairs_mut();
    if let Some(hint) = &hint {
        query.append_pair("id_token_hint", hint);
    }
    query
        .append_pair("client_id", &upstream.settings.client_id)
        .append_pair("post_logout_redirect_uri", &back)
        .append_pair("state", &state);
    drop(query);
    Ok(Some(url.into()))
}

/// `GET /upstream/{slug}/signed-out`. Only what was kept here says where to go on.
pub async fn come_back(
    State(app): State<App>,
    Path(slug): Path<String>,
    request: Request,
) -> Result<Response, PageError> {
    let (headers, params) = params::of_page(request).await?;
    if app.upstreams.find(&slug).is_none() {
        return Err(PageError::not_found());
    }
    let kept = match params.get("state") {
        Some(state) => app.state.take::<Continuation>(&key(state)).await?,
        None => None,
    };
    let (client, redirect) = kept.map(|kept| (kept.client, kept.redirect)).unwrap_or_default();
    let client = client.and_then(|id| app.clients.find(id.as_str()));
    Ok(signed_out(&app, &headers, None, &Asked { client, hint: None, redirect }))
}

fn key(state: &str) -> Key {
    Key::of_text(KeyKind::SigningOut, state)
}
