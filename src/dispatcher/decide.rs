//! What comes next in a sign-in. The only place that decides it.

use super::second_factor::{self, Remaining};
use crate::{
    app::App,
    audit::Event,
    clients::Client,
    foundation::clock::Timestamp,
    interactions::{AuthorizationRequest, Interaction},
    protocol::{acr::Level, error::OAuthError, words::Prompt},
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
}

/// What comes next.
pub(super) enum Next<'a> {
    /// The person has to sign in.
    SignIn,
    /// Who is signed in here has to prove one thing more, or else to sign in.
    StepUp(&'a Session),
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
    /// The person takes an invitation, or not.
    Invitation,
    /// The person has to prove one thing more.
    SecondFactor(&'a Session),
    /// The app gets nothing.
    Page(Box<PageError>),
}

/// Whether who is signed in may go on as they are, where an account is to be chosen.
pub fn is_enough(app: &App, interaction: &Interaction, live: &LiveSession) -> bool {
    interaction.request().is_some_and(|request| {
        let client = app.clients.find(request.client_id.as_str());
        client.is_some_and(|client| client.accepts(live.session.upstream.as_ref()))
            && interaction.expects(&live.session.user_id)
            && live.session.acr >= request.level
    })
}

/// Decides for whoever brings a request.
pub(super) fn decide<'a>(
    app: &App,
    interaction: &'a Interaction,
    visitor: Visitor<'a>,
    now: Timestamp,
) -> Next<'a> {
    let Some(request) = interaction.request() else {
        let known = matches!(visitor, Visitor::SignedIn(_)) && !interaction.prompts(Prompt::Login);
        // Where something is to be linked nobody signs in (UP-07).
        let over = known || interaction.is_link();
        return if over { Next::End(Ending::Account) } else { Next::SignIn };
    };
    let Some(client) = app.clients.find(request.client_id.as_str()) else {
        return Next::End(Ending::Page(Box::new(client_gone())));
    };
    let Visitor::SignedIn(live) = visitor else {
        return sign_in(interaction, request);
    };
    let session = &live.session;
    let another_way = !client.accepts(session.upstream.as_ref());
    if another_way || !interaction.expects(&session.user_id) || wants_sign_in(request, session, now)
    {
        return sign_in(interaction, request);
    }
    if is_too_weak(app, request, session) {
        // An upstream may reach more when it is asked for it; a password never does.
        let alone = session.upstream.is_none() && request.level == Some(Level::MultiFactor);
        let here = alone && !interaction.is_silent();
        return if here { Next::StepUp(session) } else { sign_in(interaction, request) };
    }
    Next::End(if client.admits(&live.person.groups()) {
        Ending::Code(request, &live.session)
    } else {
        Ending::Error(request, not_admitted())
    })
}

/// Decides for who has just proved, within this interaction, who they are.
pub(super) async fn conclude<'a>(
    app: &App,
    interaction: &'a Interaction,
    session: &'a Session,
) -> StoreResult<Ending<'a>> {
    let remaining = second_factor::in_session(app, interaction, session).await?;
    let Some(request) = interaction.request() else {
        if remaining != Remaining::Nothing {
            return Ok(Ending::SecondFactor(session));
        }
        let invited = interaction.invitation().is_some();
        return Ok(if invited { Ending::Invitation } else { Ending::Account });
    };
    // The client may have been removed while the person signed in (AZ-28).
    let Some(client) = app.clients.find(request.client_id.as_str()) else {
        return Ok(Ending::Page(Box::new(client_gone())));
    };
    if !interaction.expects(&session.user_id) {
        let error = OAuthError::login_required("another person has signed in");
        return Ok(Ending::Error(request, error));
    }
    // Whoever has come another way has not come for this app (UP-22).
    if !client.accepts(session.upstream.as_ref()) {
        let error = OAuthError::access_denied("the app lets nobody in who comes this way");
        return Ok(Ending::Error(request, error));
    }
    if remaining != Remaining::Nothing && !interaction.is_silent() {
        return Ok(Ending::SecondFactor(session));
    }
    if session.acr < request.level || remaining != Remaining::Nothing {
        return Ok(Ending::Error(request, unmet()));
    }
    if !admits(app, &client, session).await? {
        return Ok(Ending::Error(request, not_admitted()));
    }
    Ok(Ending::Code(request, session))
}

/// Nobody here, and no upstream, has seen a proof of that level (RFC 9470 §5).
pub(super) const fn unmet() -> OAuthError {
    OAuthError::unmet_authentication_requirements("the person cannot sign in at that level")
}

const fn not_admitted() -> OAuthError {
    OAuthError::access_denied("the person is in no group that may enter")
}

fn sign_in<'a>(interaction: &'a Interaction, request: &'a AuthorizationRequest) -> Next<'a> {
    if interaction.is_silent() && interaction.returning.is_none() {
        // OIDC Core §3.1.2.6.
        let error = OAuthError::login_required("nobody is signed in at this browser");
        return Next::End(Ending::Error(request, error));
    }
    Next::SignIn
}

/// Whether a new proof is wanted, whatever the session is worth (OIDC Core §3.1.2.1, `prompt` and
/// `max_age`).
fn wants_sign_in(request: &AuthorizationRequest, session: &Session, now: Timestamp) -> bool {
    let age = now.since(session.auth_time);
    let too_old = request.max_age.is_some_and(|max_age| age > max_age);
    let prompts = [Prompt::Login, Prompt::SelectAccount, Prompt::Create];
    too_old || prompts.into_iter().any(|prompt| request.prompts(prompt))
}

/// Whether a session is worth too little (OIDC Core §3.1.2.1, `acr_values`).
fn is_too_weak(app: &App, request: &AuthorizationRequest, session: &Session) -> bool {
    // An upstream may be trusted for less than when the session began.
    let upstream = session.upstream.as_ref().and_then(|slug| app.upstreams.find(slug.as_str()));
    let of_upstream = upstream.and_then(|upstream| upstream.settings.require_acr);
    session.acr < request.level.max(of_upstream)
}

/// Whether the person is in a group that may enter. Groups are asked for only where they decide.
async fn admits(app: &App, client: &Client, session: &Session) -> StoreResult<bool> {
    if client.settings.allowed_groups.is_empty() {
        return Ok(true);
    }
    let mut connection = app.connection().await?;
    let person = users::find_person(&mut connection, &session.user_id).await;
    let person = person.map_err(StoreError::from)?;
    Ok(person.is_some_and(|person| client.admits(&person.groups())))
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
