//! Pushed authorization requests (RFC 9126): the client brings its request itself, and the browser only
//! the name of it.

use axum::http::StatusCode;
use serde::{Deserialize, Serialize};

use crate::{
    app::App,
    audit::Event,
    clients::Client,
    ephemeral::{EphemeralResult, Key, KeyKind},
    foundation::{
        clock::{Span, Timestamp},
        ids::ClientId,
        opaque::{Opaque, OpaqueKind},
        secret::Secret,
    },
    web::{error::PageError, params::Params},
};

/// Begins the name of every pushed request (RFC 9126 §2.2).
const PREFIX: &str = "urn:ietf:params:oauth:request_uri:";
/// How long the browser may take to come with it.
pub const LIFE: Span = Span::from_minutes(1);

/// A request as it waits for the browser.
#[derive(Debug, Serialize, Deserialize)]
struct Pushed {
    client_id: ClientId,
    query: String,
    at: Timestamp,
}

/// Keeps a request that has been found good, and answers its name.
pub async fn keep(
    app: &App,
    client: &Client,
    params: &Params,
    now: Timestamp,
) -> EphemeralResult<Secret> {
    let name = Opaque::generate(OpaqueKind::PushedRequest, app.random());
    let pushed = Pushed { client_id: client.id().clone(), query: params.to_query(), at: now };
    app.state
        .put(
            &Key::of_text(KeyKind::PushedRequest, &name.digest().to_text()),
            &pushed,
            KeyKind::PushedRequest.life(),
        )
        .await?;
    Ok(Secret::new(format!("{PREFIX}{}", name.reveal().expose())))
}

/// The request that `request_uri` names, and the digest of its name, if it names one that was pushed. One
/// of another client is as good as none (RFC 9126 §7.1). It stays until the sign-in is finished, so that a
/// page can be loaded again.
pub(super) async fn find(
    app: &App,
    client: &Client,
    params: &Params,
) -> Result<Option<(Params, String)>, PageError> {
    let Some(name) = params.get("request_uri").and_then(|uri| uri.strip_prefix(PREFIX)) else {
        return Ok(None);
    };
    let Some(name) = Opaque::parse(OpaqueKind::PushedRequest, name) else {
        return Err(gone(client));
    };
    let digest = name.digest().to_text();
    let pushed: Option<Pushed> =
        app.state.get(&Key::of_text(KeyKind::PushedRequest, &digest)).await?;
    let (own, latest) = (client.id(), app.now().minus(LIFE));
    match pushed.filter(|pushed| pushed.client_id == *own && pushed.at >= latest) {
        Some(pushed) => Ok(Some((Params::read(pushed.query.as_bytes())?, digest))),
        None => Err(gone(client)),
    }
}

/// Nobody knows where the answer would go: the person is told (RFC 6749 §4.1.2.1).
fn gone(client: &Client) -> PageError {
    PageError::new(
        "request_expired",
        "This sign-in was not begun in time",
        "The app has announced it a while ago. It was used already, or it has waited too long.",
    )
    .status(StatusCode::BAD_REQUEST)
    .next_step("Go back to the app and sign in from there again.")
    .detail("client_id", client.id().as_str())
    .event(Event::refused("authorize", "invalid_request_uri").client(client.id()))
}
