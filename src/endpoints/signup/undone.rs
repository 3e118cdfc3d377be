//! Why nothing came of an invitation, or of an account: everything was rolled back.

use axum::http::StatusCode;

use super::invited;
use crate::{
    accounts::invitations::Useless, audit::Event, interactions::Interaction, store::StoreError,
    urls, web::error::PageError,
};

/// Why the transaction was rolled back.
pub(super) enum Undone {
    /// The invitation was used up, taken back or too old in the very moment.
    Useless,
    /// The invitation is for somebody else.
    OtherAddress,
    /// Another account has the address of the invitation.
    AddressTaken,
    /// The session in which it was accepted is over.
    SessionOver,
    /// The database said no.
    Store(StoreError),
}

impl<E: Into<StoreError>> From<E> for Undone {
    fn from(error: E) -> Self {
        Self::Store(error.into())
    }
}

impl Undone {
    /// For the person.
    pub(super) fn page(self, interaction: &Interaction) -> PageError {
        match self {
            Self::Useless => invited::useless(Useless::Used, interaction),
            Self::OtherAddress => refused(interaction, other_address()),
            Self::AddressTaken => refused(interaction, address_taken()),
            Self::SessionOver => refused(interaction, session_over()),
            Self::Store(error) => PageError::from(error).trace(&interaction.trace_id),
        }
    }
}

fn refused(interaction: &Interaction, page: PageError) -> PageError {
    let event = Event::refused("invitation", page.code).detail("story", interaction.story());
    let page = page.action(urls::login(&interaction.flow), "Sign in with another account");
    page.trace(&interaction.trace_id).event(event)
}

fn other_address() -> PageError {
    PageError::new(
        "invitation_other_address",
        "This invitation is for somebody else",
        "It is for another address than the one that is proved to be yours here.",
    )
    .status(StatusCode::UNPROCESSABLE_ENTITY)
    .next_step("Ask whoever invited you for an invitation to your own address.")
}

fn address_taken() -> PageError {
    PageError::new(
        "invitation_address_taken",
        "There is an account with this address",
        "The address that was invited belongs to an account already.",
    )
    .status(StatusCode::UNPROCESSABLE_ENTITY)
    .next_step("Sign in to that account: the invitation can be accepted there.")
}

fn session_over() -> PageError {
    PageError::new("session_over", "You are not signed in any more", "Nothing was changed.")
        .status(StatusCode::FORBIDDEN)
        .next_step("Sign in and open the invitation again.")
}
