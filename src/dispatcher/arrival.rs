//! Somebody has proved who they are: their session begins, and they go on.

use axum::{
    http::HeaderMap,
    response::{IntoResponse, Response},
};

use super::proceed;
use crate::{
    app::App,
    audit::Event,
    foundation::{clock::Timestamp, secret::Secret},
    interactions::Interaction,
    sessions::{self, Proof},
    store::{Connection, StoreResult, sessions::Session},
    web::{
        browser,
        cookies::{self, Cookie},
    },
};

/// Begins the session of who has just proved who they are, and keeps the event with it.
pub async fn begin_session(
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
    sessions::begin(conn, former, proof, &event, app.session_policy(), now).await
}

/// Goes on with who has just signed in. Whatever comes of it, they are signed in at this browser now.
pub async fn welcome(
    app: &App,
    headers: &HeaderMap,
    interaction: &Interaction,
    (session, secret): (Session, Secret),
    now: Timestamp,
) -> Response {
    let answered = proceed(app, interaction, &session, now).await;
    signed_in(app, headers, answered.unwrap_or_else(IntoResponse::into_response), &secret)
}

/// The answer to who is signed in from now on, with the secret of their session.
pub fn signed_in(
    app: &App,
    headers: &HeaderMap,
    mut response: Response,
    secret: &Secret,
) -> Response {
    let life = app.config.sessions.absolute_lifetime;
    let cookie = cookies::set(Cookie::Session, secret.expose(), life, &app.urls);
    cookies::add(response.headers_mut(), cookie);
    if browser::has_signed_out(app, headers) {
        cookies::add(response.headers_mut(), cookies::clear(Cookie::SignedOut, &app.urls));
    }
    response
}
