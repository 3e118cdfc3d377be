//! Signing in: choosing a way, a local password, an upstream.
//!
//! Each step proves who the person is, begins the session and hands over to the dispatcher.

pub mod callback;
pub mod choose;
mod name;
pub mod password;
pub mod start;

use axum::{
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};

use crate::{
    app::App,
    audit::Event,
    dispatcher,
    foundation::{clock::Timestamp, secret::Secret},
    interactions::Interaction,
    sessions::{self, Policy, Proof},
    store::{Connection, StoreResult, sessions::Session},
    urls,
    web::{
        browser,
        cookies::{self, Cookie},
        error::PageError,
    },
};

/// The app does not let in who comes this way (UP-22).
fn not_accepted(interaction: &Interaction, way: &str, event: Event) -> PageError {
    let explanation = format!("The app that sent you here does not let anybody in with {way}.");
    PageError::new("upstream_not_allowed", "This way does not lead to the app", explanation)
        .status(StatusCode::FORBIDDEN)
        .action(urls::login(&interaction.flow), "Choose another way")
        .trace(&interaction.trace_id)
        .event(event.detail("story", interaction.story()))
}

/// Begins the session of who has just proved who they are, and keeps the event with it.
async fn begin_session(
    app: &App,
    conn: &mut Connection,
    former: Option<&Session>,
    proof: Proof,
    interaction: &Interaction,
    now: Timestamp,
) -> StoreResult<(Session, Secret)> {
    let mut event = Event::done("sign_in").user(&proof.user_id).trace(&interaction.trace_id);
    if let Some(slug) = &proof.upstream {
        event = event.upstream(slug);
    }
    if let Some(request) = interaction.request() {
        event = event.client(&request.client_id);
    }
    let event = event.address(proof.address.clone()).detail("story", interaction.story());
    let event = event.row(now, app.random());
    let policy =
        Policy { settings: &app.config.sessions, clients: &app.clients, random: app.random() };
    sessions::begin(conn, former, proof, &event, policy, now).await
}

/// Hands over to the dispatcher. Whatever it answers, the person is signed in at this browser now.
async fn proceed(
    app: &App,
    headers: &HeaderMap,
    interaction: &Interaction,
    (session, secret): (Session, Secret),
    now: Timestamp,
) -> Response {
    let answered = dispatcher::proceed(app, interaction, &session, now).await;
    let mut response = answered.unwrap_or_else(IntoResponse::into_response);
    let life = app.config.sessions.absolute_lifetime;
    let cookie = cookies::set(Cookie::Session, secret.expose(), life, &app.urls);
    cookies::add(response.headers_mut(), cookie);
    if browser::has_signed_out(app, headers) {
        cookies::add(response.headers_mut(), cookies::clear(Cookie::SignedOut, &app.urls));
    }
    response
}
