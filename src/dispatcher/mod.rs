//! The dispatcher of sign-ins: what comes next, and the only way out of the house.
//!
//! `/authorize` turns a request into an interaction, and each step of a sign-in proves one thing.
//! Both hand over to the dispatcher; steps never call each other. Only `decide` knows what is next;
//! `departure` sends people to upstreams, and `respond` back to the app.

mod arrival;
pub mod consent;
mod decide;
mod departure;
pub mod direct;
pub mod factor;
pub mod password;
mod posted_answer;
mod respond;
pub mod second_factor;
mod silent;
mod ways;

use std::net::IpAddr;

use axum::response::{IntoResponse, Response};

use self::decide::{Ending, Next, conclude, decide};
pub use self::{
    arrival::{begin_session, signed_in, welcome},
    decide::{Visitor, is_enough},
    departure::{Departure, come_back, depart, stay, with_way_on},
    posted_answer::{fetch_answer, park_answer},
    respond::Target,
    silent::without_page,
    ways::{Ways, accepts},
};
use crate::{
    app::App,
    audit::{Event, printable},
    ephemeral::{Key, KeyKind},
    foundation::{clock::Timestamp, ids::TraceId},
    interactions::{self, AuthorizationRequest, Interaction},
    protocol::{acr::Level, error::OAuthError, words::Prompt},
    store::{StoreError, sessions::Session},
    tokens::codes::{self, CodePayload},
    urls,
    web::{browser::BrowserMark, cookies, error::PageError, flow, pages::see_other, throttle},
};

/// Answers what a browser wants at once, or begins a sign-in for it.
pub async fn begin(
    app: &App,
    interaction: Interaction,
    visitor: Visitor<'_>,
    (mark, from): (&BrowserMark, IpAddr),
    now: Timestamp,
) -> Result<Response, PageError> {
    let trace = interaction.trace_id.clone();
    let session = match decide(app, &interaction, visitor, now) {
        Next::StepUp(session) => Some(session.clone()),
        Next::SignIn => None,
        Next::End(ending) => {
            let ended = end(app, &interaction, ending, now).await;
            let mut response = ended.or_else(|page| without_page(app, &interaction, page))?;
            // What comes next may be a page of ours.
            cookies::add(response.headers_mut(), mark.cookie(app));
            return Ok(response);
        }
    };
    if let Err(error) = throttle::begin_flow(app, from, now) {
        return without_page(app, &interaction, error.trace(&trace));
    }
    let response = match session {
        Some(session) => step_up(app, interaction, &session, now).await,
        None => sign_in(app, interaction, now).await,
    };
    // A page that offers another way needs the mark as well.
    let mut response = response.unwrap_or_else(IntoResponse::into_response);
    cookies::add(response.headers_mut(), mark.cookie(app));
    Ok(response)
}

/// Asks for the second factor of who has one, and anybody else to sign in.
async fn step_up(
    app: &App,
    interaction: Interaction,
    session: &Session,
    now: Timestamp,
) -> Result<Response, PageError> {
    let has = second_factor::has(app, &session.user_id).await;
    if has.map_err(|error| PageError::from(error).trace(&interaction.trace_id))? {
        return second_factor::ask_in_session(app, interaction, session, now).await;
    }
    sign_in(app, interaction, now).await
}

/// Takes the interaction before a proof is acted upon: it answers once, and of two proofs at once
/// only one begins a session (AZ-30). A step that fails afterwards lets it [`stay`].
pub async fn claim(app: &App, interaction: &mut Interaction) -> Result<(), PageError> {
    let claimed = interactions::claim(&app.state, interaction).await;
    let trace = &interaction.trace_id;
    if claimed.map_err(|error| PageError::from(error).trace(trace))? {
        return Ok(());
    }
    Err(with_way_home(app, flow::expired(), interaction).trace(trace))
}

/// Goes on after a step in which the person of this session has proved who they are. The step has
/// claimed the interaction.
pub async fn proceed(
    app: &App,
    interaction: &Interaction,
    session: &Session,
    now: Timestamp,
) -> Result<Response, PageError> {
    let ending = conclude(app, interaction, session).await;
    let answered = match ending {
        Ok(ending) => end(app, interaction, ending, now).await,
        Err(error) => Err(PageError::from(error).trace(&interaction.trace_id)),
    };
    let answered = answered.or_else(|page| without_page(app, interaction, page));
    // The person is signed in, whatever became of the answer.
    answered.map_err(|error| with_way_home(app, error, interaction))
}

/// The page with a link to the app that wanted the sign-in.
fn with_way_home(app: &App, page: PageError, interaction: &Interaction) -> PageError {
    let client = ways::client_of(app, interaction);
    match client.and_then(|client| Some((client.home()?, client))) {
        Some((home, client)) => page.action(home, format!("Back to {}", client.settings.name)),
        None => page,
    }
}

/// Sends the person to sign in: to the only upstream there is, else to our page.
async fn sign_in(
    app: &App,
    mut interaction: Interaction,
    now: Timestamp,
) -> Result<Response, PageError> {
    if interaction.is_silent() {
        return silent::ask(app, interaction, now).await;
    }
    let trace = interaction.trace_id.clone();
    let told = |error: StoreError| PageError::from(error).trace(&trace);
    let ways = Ways::of(app, &interaction, now).await.map_err(told)?;
    let creates = ways.signup && interaction.prompts(Prompt::Create);
    if let Some(upstream) = ways.straight(app, &interaction).filter(|_| !creates) {
        return depart(app, upstream, interaction, now).await;
    }
    if let Some(request) = interaction.request().filter(|_| ways.is_empty())
        && (request.level > Some(Level::SingleFactor) || request.max_age.is_some())
    {
        let error = decide::unmet();
        return Ok(refuse(app, &Target::of(request), &error, &trace, Some(&interaction)));
    }
    let kept = interactions::put(&app.state, &mut interaction).await;
    kept.map_err(|error| PageError::from(error).trace(&trace))?;
    let flow = &interaction.flow;
    Ok(see_other(&if creates { urls::signup(flow) } else { urls::login(flow) }))
}

/// Ends the interaction.
async fn end(
    app: &App,
    interaction: &Interaction,
    ending: Ending<'_>,
    now: Timestamp,
) -> Result<Response, PageError> {
    let trace = &interaction.trace_id;
    match ending {
        Ending::Code(request, session) => {
            let agreed = consent::is_given(app, interaction, request, session).await;
            if agreed.map_err(|error| PageError::from(error).trace(trace))? {
                return answer_with_code(app, request, session, trace, now).await;
            }
            if interaction.is_silent() {
                let error = OAuthError::consent_required("the person has not agreed to it yet");
                return Ok(refuse(app, &Target::of(request), &error, trace, Some(interaction)));
            }
            consent::ask(app, interaction.clone(), session).await
        }
        Ending::Error(request, error) => {
            Ok(refuse(app, &Target::of(request), &error, trace, Some(interaction)))
        }
        Ending::Account => Ok(see_other(interaction.own_page())),
        Ending::Invitation => {
            // It goes on under the same name, for the same browser.
            let mut interaction = interaction.clone();
            let kept = interactions::put(&app.state, &mut interaction).await;
            kept.map_err(|error| PageError::from(error).trace(trace))?;
            Ok(see_other(&urls::invitation(&interaction.flow)))
        }
        Ending::SecondFactor(session) => {
            second_factor::ask_in_session(app, interaction.clone(), session, now).await
        }
        Ending::Page(error) => Err(error.trace(trace)),
    }
}

/// Issues the code and sends the browser back to the app (OIDC Core §3.1.2.5).
async fn answer_with_code(
    app: &App,
    request: &AuthorizationRequest,
    session: &Session,
    trace: &TraceId,
    now: Timestamp,
) -> Result<Response, PageError> {
    let payload = CodePayload {
        client_id: request.client_id.clone(),
        redirect_uri: request.redirect_uri.clone(),
        scope: request.scope.clone(),
        nonce: request.nonce.clone(),
        code_challenge: request.code_challenge.clone(),
        dpop_jkt: request.dpop_jkt.clone(),
        user_id: session.user_id.clone(),
        session_id: session.id.clone(),
        issued_at: now,
        trace_id: trace.clone(),
    };
    if let Some(name) = &request.pushed {
        // RFC 9126 §7.3: it has had its answer.
        let used = app.state.remove(&Key::of_text(KeyKind::PushedRequest, name)).await;
        used.map_err(|error| PageError::from(error).trace(trace))?;
    }
    let life = app.config.tokens.authorization_code_lifetime;
    let issued = codes::issue_code(&app.state, &payload, life, app.random()).await;
    let code = issued.map_err(|error| PageError::from(error).trace(trace))?;
    Ok(respond::with_code(app, &Target::of(request), &code))
}

/// Sends an error to the app, and keeps why.
pub fn refuse(
    app: &App,
    target: &Target,
    error: &OAuthError,
    trace: &TraceId,
    story: Option<&Interaction>,
) -> Response {
    let (client, code) = (&target.client_id, error.code.as_str());
    let cause = error.source.as_ref().map(|cause| printable(&cause.to_string()));
    let cause = cause.unwrap_or_default();
    tracing::info!(%trace, %client, code, cause, "authorization refused");
    let event = Event::refused("authorize", code).trace(trace).client(client);
    let event = event.detail("description", error.description);
    app.audit.note(match story {
        Some(interaction) => event.detail("story", interaction.story()),
        None => event,
    });
    respond::with_error(app, target, error)
}
