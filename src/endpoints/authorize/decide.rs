//! What comes next in a sign-in. The only place that decides it.

use axum::http::StatusCode;

use crate::{
    app::App,
    audit::Event,
    foundation::clock::Timestamp,
    interactions::{AuthorizationRequest, Interaction},
    protocol::{error::OAuthError, words::Prompt},
    sessions::LiveSession,
    web::error::PageError,
};

/// What comes next.
pub(super) enum Next<'s> {
    /// The person has to sign in.
    SignIn,
    /// The app gets its code.
    Answer(&'s LiveSession),
    /// The app gets an error.
    Refuse(OAuthError),
    /// The app gets nothing.
    ShowPage(Box<PageError>),
}

/// Decides. `interaction` is there once the person has been sent to sign in.
pub(super) fn decide<'s>(
    app: &App,
    request: &AuthorizationRequest,
    session: Option<&'s LiveSession>,
    interaction: Option<&Interaction>,
    now: Timestamp,
) -> Next<'s> {
    // The client may have been removed while the person signed in (AZ-28).
    let Some(client) = app.clients.find(request.client_id.as_str()) else {
        return Next::ShowPage(Box::new(client_gone()));
    };
    let Some(session) = session else {
        return without_session(request, interaction);
    };
    let signed_in_now =
        interaction.is_some_and(|interaction| interaction.has_signed_in(&session.session.id));
    let expected = request.expected_user.as_ref();
    let other_person = expected.is_some_and(|user| *user != session.person.user.id);
    if other_person && signed_in_now {
        return Next::Refuse(OAuthError::login_required("another person has signed in"));
    }
    if other_person || (!signed_in_now && wants_sign_in(request, session, now)) {
        return sign_in(request);
    }
    if !client.admits(&session.person.groups()) {
        return Next::Refuse(OAuthError::access_denied("the person is in no group that may enter"));
    }
    Next::Answer(session)
}

fn without_session<'s>(
    request: &AuthorizationRequest,
    interaction: Option<&Interaction>,
) -> Next<'s> {
    match interaction.filter(|interaction| interaction.signed_in.is_some()) {
        // Signed in a moment ago, and the session is gone: the account was shut or signed out.
        Some(interaction) => Next::ShowPage(Box::new(session_gone(interaction))),
        None => sign_in(request),
    }
}

fn sign_in<'s>(request: &AuthorizationRequest) -> Next<'s> {
    if request.prompts(Prompt::None) {
        // OIDC Core §3.1.2.6.
        return Next::Refuse(OAuthError::login_required("nobody is signed in at this browser"));
    }
    Next::SignIn
}

/// Whether a session is not enough (OIDC Core §3.1.2.1, `prompt` and `max_age`).
fn wants_sign_in(request: &AuthorizationRequest, session: &LiveSession, now: Timestamp) -> bool {
    let age = now.since(session.session.auth_time);
    let too_old = request.max_age.is_some_and(|max_age| age > max_age);
    too_old || request.prompts(Prompt::Login) || request.prompts(Prompt::SelectAccount)
}

fn client_gone() -> PageError {
    PageError::new(
        "client_unknown",
        "This app is not known here",
        "The app that sent you here is not registered, or has been switched off.",
    )
    .next_step("Its administrator has to fix this; trying again will not help.")
    .event(Event::refused("authorize", "client_unknown"))
}

fn session_gone(interaction: &Interaction) -> PageError {
    PageError::new(
        "session_ended",
        "You are not signed in any more",
        "Your sign-in ended before the app got its answer. Your account may have been shut.",
    )
    .status(StatusCode::BAD_REQUEST)
    .next_step("Go back to the app and sign in again, or ask your administrator.")
    .event(Event::refused("sign_in", "session_ended").detail("story", interaction.story()))
}
