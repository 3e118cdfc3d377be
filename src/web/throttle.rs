//! Brakes: against guessing, and against whoever asks for more than a person can. They count in the
//! short-lived state and are comfort: when they cannot count, they let through, and the metric says so.

use std::net::IpAddr;

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse as _, Response},
};

use super::{address, error::PageError};
use crate::{
    app::App,
    ephemeral::{EphemeralError, Key, KeyKind, Passage, rest_of_minute},
    foundation::{clock::Timestamp, ids::ClientId},
    protocol::error::OAuthError,
};

/// Counts whatever a network asks for that people ask for (RL-05). Apps are not counted here: they
/// prove who they are, ask for thousands of people from one address, and have limits of their own.
pub async fn general(State(app): State<App>, request: Request, next: Next) -> Response {
    let Some(allowances) = &app.allowances else {
        return next.run(request).await;
    };
    let from = address::of(&app, request.extensions(), request.headers());
    let taken = allowances.take(&app.state, &address::network(from), app.now()).await;
    if let (_, Err(error)) = &taken {
        not_counted(&app, error);
    }
    match taken.0 {
        Passage::Free => next.run(request).await,
        Passage::After(wait) => {
            PageError::too_many_requests(wait).answering(request.headers()).into_response()
        }
    }
}

/// Whether the brake is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Brake {
    /// Go on.
    Off,
    /// Too many tries.
    On,
}

/// Counts a password attempt from a network.
pub async fn password_attempt(app: &App, from: IpAddr) -> Brake {
    let key = Key::of_text(KeyKind::SignInAttempts, &address::network(from));
    count(app, &key, app.config.rate_limits.sign_in_per_minute).await
}

/// Counts an account that is about to be made from a network.
pub async fn sign_up(app: &App, from: IpAddr) -> Brake {
    let key = Key::of_text(KeyKind::SignUps, &address::network(from));
    count(app, &key, app.config.rate_limits.sign_up_per_hour).await
}

/// Counts a wish to get back into an account from a network.
pub async fn recovery(app: &App, from: IpAddr) -> Brake {
    let key = Key::of_text(KeyKind::Recoveries, &address::network(from));
    count(app, &key, app.config.rate_limits.recovery_per_hour).await
}

/// Counts a failed authentication from a network: of a client, or of whatever calls itself one.
pub async fn client_failure(app: &App, client: Option<&ClientId>, from: IpAddr) -> Brake {
    // Names that strangers invent share one count.
    let client = client.map_or("", ClientId::as_str);
    let who = format!("{client} {}", address::network(from));
    let key = Key::of_text(KeyKind::ClientFailures, &who);
    count(app, &key, app.config.rate_limits.client_failures_per_minute).await
}

/// The same for a request that somebody pushes who has proved nothing (RFC 9126).
pub fn push_request(app: &App, from: IpAddr, now: Timestamp) -> Result<(), OAuthError> {
    let most = app.config.rate_limits.max_new_flows;
    let fits = app.flow_brake.begin(&address::network(from), most, now);
    let fault = "too many requests were pushed from this network; try again in a minute";
    fits.then_some(()).ok_or_else(|| OAuthError::temporarily_unavailable(fault))
}

/// Refuses a sign-in that begins, if too many have begun from its network (AZ-30).
pub fn begin_flow(app: &App, from: IpAddr, now: Timestamp) -> Result<(), PageError> {
    let most = app.config.rate_limits.max_new_flows;
    let fits = app.flow_brake.begin(&address::network(from), most, now);
    fits.then_some(()).ok_or_else(|| PageError::too_many_flows(rest_of_minute(now)))
}

async fn count(app: &App, key: &Key, most: u32) -> Brake {
    match app.state.increment(key).await {
        Ok(counted) if counted > u64::from(most) => Brake::On,
        Ok(_) => Brake::Off,
        Err(error) => {
            not_counted(app, &error);
            Brake::Off
        }
    }
}

fn not_counted(app: &App, error: &EphemeralError) {
    app.metrics.state_errors.inc();
    tracing::warn!(%error, "a rate limit could not be counted");
}
