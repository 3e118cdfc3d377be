//! What comes next in a sign-in. The only place that decides it.

use crate::{
    app::App,
    audit::Event,
    clients::Client,
    foundation::clock::Timestamp,
    interactions::{AuthorizationRequest, Interaction},
    protocol::{error::OAuthError, words::Prompt},
    sessions::LiveSession,
    store::{StoreError, StoreResult, sessions::Session, users},
    web::error::PageError,
};

/// Who stands before the dispatcher.
#[derive(Clone, Copy, Debug)]
pub enum Visitor<'a> {
    /// Nobody that this browser tells of.
    Nobody,
    /// Who has signed in at this browser before.
    SignedIn(&'a LiveSession),
    /// Who has just proved, within this interaction, who they are.
    Proved(&'a Session),
}

/// What comes next.
pub(super) enum Next<'a> {
    /// The person has to sign in.
    SignIn,
    /// It is over.
    End(Ending<'a>),
}

/// How it ends.
pub(super) enum Ending<'a> {
    /// The app gets its code.
    Code(&'a AuthorizationRequest, &'a Session),
    /// The app gets an error.
    Error(&'a AuthorizationRequest, OAuthError),
    /// The person sees their own pages.
    Account,
    /// The app gets nothing.
    Page(Box<PageError>),
}

/// Decides.
pub(super) async fn decide<'a>(
    app: &App,
    interaction: &'a Interaction,
    visitor: Visitor<'a>,
    now: Timestamp,
) -> Result<Next<'a>, PageError> {
    let (session, proved) = match visitor {
        Visitor::Nobody => (None, false),
        Visitor::SignedIn(live) => (Some(&live.session), false),
        Visitor::Proved(session) => (Some(session), true),
    };
    let Some(request) = interaction.request() else {
        return Ok(session.map_or(Next::SignIn, |_| Next::End(Ending::Account)));
    };
    // The client may have been removed while the person signed in (AZ-28).
    let Some(client) = app.clients.find(request.client_id.as_str()) else {
        return Ok(Next::End(Ending::Page(Box::new(client_gone()))));
    };
    let Some(session) = session else {
        return Ok(sign_in(request));
    };
    let refuse = |error| Ok(Next::End(Ending::Error(request, error)));
    let other_person = request.expected_user.as_ref().is_some_and(|user| *user != session.user_id);
    if other_person && proved {
        return refuse(OAuthError::login_required("another person has signed in"));
    }
    if other_person || (!proved && wants_sign_in(request, session, now)) {
        return Ok(sign_in(request));
    }
    if !admits(app, &client, visitor).await? {
        return refuse(OAuthError::access_denied("the person is in no group that may enter"));
    }
    Ok(Next::End(Ending::Code(request, session)))
}

fn sign_in(request: &AuthorizationRequest) -> Next<'_> {
    if request.prompts(Prompt::None) {
        // OIDC Core §3.1.2.6.
        let error = OAuthError::login_required("nobody is signed in at this browser");
        return Next::End(Ending::Error(request, error));
    }
    Next::SignIn
}

/// Whether a session is not enough (OIDC Core §3.1.2.1, `prompt` and `max_age`).
fn wants_sign_in(request: &AuthorizationRequest, session: &Session, now: Timestamp) -> bool {
    let age = now.since(session.auth_time);
    let too_old = request.max_age.is_some_and(|max_age| age > max_age);
    too_old || request.prompts(Prompt::Login) || request.prompts(Prompt::SelectAccount)
}

/// Whether the person is in a group that may enter. Groups are asked for only where they decide.
async fn admits(app: &App, client: &Client, visitor: Visitor<'_>) -> StoreResult<bool> {
    if client.settings.allowed_groups.is_empty() {
        return Ok(true);
    }
    let groups = match visitor {
        Visitor::Nobody => Vec::new(),
        Visitor::SignedIn(live) => live.person.groups(),
        Visitor::Proved(session) => {
            let mut connection = app.connection().await?;
            let person = users::find_person(&mut connection, &session.user_id).await;
            person.map_err(StoreError::from)?.map(|person| person.groups()).unwrap_or_default()
        }
    };
    Ok(client.admits(&groups))
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
