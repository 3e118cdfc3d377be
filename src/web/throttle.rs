//! Brakes against guessing. They count in the short-lived state and are comfort: when they cannot
//! count, they let through, and the metric says so.

use std::net::IpAddr;

use super::{address, error::PageError};
use crate::{
    app::App,
    ephemeral::{Key, KeyKind},
    foundation::{clock::Timestamp, ids::ClientId},
};

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

/// Counts a failed authentication of a client from a network.
pub async fn client_failure(app: &App, client: &ClientId, from: IpAddr) -> Brake {
    let who = format!("{client} {}", address::network(from));
    let key = Key::of_text(KeyKind::ClientFailures, &who);
    count(app, &key, app.config.rate_limits.client_failures_per_minute).await
}

/// Refuses a sign-in that begins, if too many have begun from its network (AZ-30).
pub fn begin_flow(app: &App, from: IpAddr, now: Timestamp) -> Result<(), PageError> {
    let most = app.config.rate_limits.max_new_flows;
    let fits = app.flow_brake.begin(address::network(from), most, now);
    fits.then_some(()).ok_or_else(PageError::too_many_flows)
}

async fn count(app: &App, key: &Key, most: u32) -> Brake {
    match app.state.increment(key).await {
        Ok(counted) if counted > u64::from(most) => Brake::On,
        Ok(_) => Brake::Off,
        Err(error) => {
            app.metrics.state_errors.inc();
            tracing::warn!(%error, "a rate limit could not be counted");
            Brake::Off
        }
    }
}
