//! Signing in: choosing a way, a local password, a second factor, an upstream.
//!
//! Each step proves who the person is, begins the session and hands over to the dispatcher.

pub mod callback;
pub mod choose;
pub mod connect;
mod name;
pub mod passkey;
pub mod password;
pub mod second_factor;
pub mod start;

use axum::http::StatusCode;

use crate::{
    audit::Event,
    dispatcher::{begin_session, welcome},
    foundation::ids::UserId,
    interactions::Interaction,
    urls,
    web::error::PageError,
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

/// The account waits for an administrator. Only who has proved that it is theirs hears it.
fn waits(interaction: &Interaction) -> PageError {
    PageError::new(
        "account_waits",
        "Your account waits for approval",
        "An administrator has to approve it before it can be used. Nothing is wrong with what you entered.",
    )
    .status(StatusCode::FORBIDDEN)
    .next_step("Sign in again later. If your address is confirmed, a mail tells you when you can.")
    .trace(&interaction.trace_id)
}

/// What is kept when somebody comes back too early.
fn still_waits(interaction: &Interaction, user: &UserId) -> Event {
    let event = Event::refused(interaction.action(), "account_waits").user(user);
    event.trace(&interaction.trace_id).detail("story", interaction.story())
}
