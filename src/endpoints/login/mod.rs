//! Signing in: choosing a way, a local password, an upstream.
//!
//! Each step proves who the person is, begins the session, notes it in the interaction and returns
//! to the dispatcher.

pub mod callback;
pub mod choose;
pub mod password;
pub mod start;

use axum::{http::HeaderMap, response::Response};

use crate::{
    app::App,
    audit::Event,
    foundation::{
        clock::Timestamp,
        ids::{SessionId, TraceId, UpstreamSlug},
        secret::Secret,
    },
    interactions::{self, FreshSignIn, Interaction},
    sessions::{self, Proof},
    store::{Connection, StoreResult, sessions::Session},
    urls,
    web::{
        cookies::{self, Cookie},
        error::PageError,
        pages::see_other,
    },
};

/// A person who is away at an upstream.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
struct UpstreamState {
    slug: UpstreamSlug,
    nonce: String,
    verifier: String,
    flow: String,
    browser: String,
    trace_id: TraceId,
    started_at: Timestamp,
}

/// Begins the session of who has just proved who they are, and keeps the event with it.
async fn begin_session(
    app: &App,
    conn: &mut Connection,
    former: Option<&Session>,
    proof: Proof,
    interaction: &Interaction,
    now: Timestamp,
) -> StoreResult<(SessionId, Secret)> {
    let mut event = Event::done("sign_in").user(&proof.user_id).trace(&interaction.trace_id);
    if let Some(slug) = &proof.upstream {
        event = event.upstream(slug);
    }
    if let Some(request) = interaction.request() {
        event = event.client(&request.client_id);
    }
    let event = event.address(proof.address.clone()).detail("story", interaction.story());
    let (event, policy) = (event.row(now, app.random()), (&app.config.sessions, app.random()));
    sessions::begin(conn, former, proof, &event, policy, now).await
}

/// Notes the sign-in in the interaction and returns to the dispatcher with the session's cookie.
async fn return_to_dispatcher(
    app: &App,
    interaction: &mut Interaction,
    (session_id, secret): (SessionId, Secret),
    auth_time: Timestamp,
) -> Result<Response, PageError> {
    interaction.signed_in = Some(FreshSignIn { session_id, auth_time });
    interactions::put(&app.state, interaction).await?;
    let mut response = see_other(&urls::resume(&interaction.flow));
    set_session_cookie(app, response.headers_mut(), &secret);
    Ok(response)
}

fn set_session_cookie(app: &App, headers: &mut HeaderMap, secret: &Secret) {
    let life = app.config.sessions.absolute_lifetime;
    cookies::add(headers, cookies::set(Cookie::Session, secret.expose(), life, &app.urls));
}
