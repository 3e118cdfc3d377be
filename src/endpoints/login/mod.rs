//! Signing in: choosing a way, a local password, a second factor, an upstream.
//!
//! Each step proves who the person is, begins the session and hands over to the dispatcher.

pub mod callback;
pub mod choose;
mod name;
pub mod passkey;
pub mod password;
pub mod second_factor;
pub mod start;

use axum::http::StatusCode;

use crate::{
    audit::Event,
    dispatcher::{begin_session, welcome},
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
