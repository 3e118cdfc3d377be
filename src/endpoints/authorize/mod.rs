//! The authorization endpoint (RFC 6749 §3.1, OIDC Core §3.1.2) and the dispatcher of sign-ins.
//!
//! A request is validated once. If the browser's session is good for it, the answer leaves at once;
//! otherwise the request becomes an interaction, and the person is sent to sign in. Every step
//! returns to `/authorize/continue`. Only this module decides what comes next, and only
//! `respond` leaves the house.

mod decide;
mod request;
mod respond;

use axum::{
    extract::{Request, State},
    http::{HeaderMap, Method},
    response::Response,
};

use self::{
    decide::{Next, decide},
    request::RequestFault,
};
use crate::{
    app::App,
    audit::{Event, printable},
    foundation::{clock::Timestamp, ids::TraceId},
    interactions::{self, AuthorizationRequest, Interaction, Purpose},
    protocol::{error::OAuthError, words::Prompt},
    sessions::LiveSession,
    tokens::codes::{self, CodePayload},
    urls,
    web::{
        address,
        browser::{self, BrowserMark},
        cookies,
        error::PageError,
        flow,
        pages::see_other,
        params, throttle,
    },
};

/// `GET` and `POST /authorize`.
pub async fn authorize(State(app): State<App>, request: Request) -> Result<Response, PageError> {
    let now = app.now();
    let trace = TraceId::generate(app.random());
    let posted = request.method() == Method::POST;
    let from = address::of(&app, request.extensions(), request.headers());
    let (headers, params) = params::of_page(request).await.map_err(|error| error.trace(&trace))?;
    let checked = request::check(&app, &params).await;
    let request = match checked {
        Ok(request) => request,
        Err(RequestFault::ShowPage(error)) => return Err((*error).trace(&trace)),
        Err(RequestFault::Redirect(answer, error)) => {
            note_refusal(&app, &trace, &answer.client_id, &error, None);
            return Ok(respond::with_error(&app, &answer, &error));
        }
    };
    let session = browser::session(&app, &headers, now)
        .await
        .map_err(|error| PageError::from(error).trace(&trace))?;
    if posted && session.is_none() {
        // Browsers hold back `SameSite=Lax` cookies when another site posts. As a GET the same
        // request brings them, so that neither the session nor the browser's mark is missed.
        return Ok(see_other(&format!("{}?{}", urls::path::AUTHORIZE, params.to_query())));
    }
    match decide(&app, &request, session.as_ref(), None, now) {
        Next::Answer(session) => answer_with_code(&app, &request, session, &trace, now).await,
        Next::Refuse(error) => {
            note_refusal(&app, &trace, &request.client_id, &error, None);
            Ok(respond::with_error(&app, &respond::Target::of(&request), &error))
        }
        Next::SignIn => {
            throttle::begin_flow(&app, from, now).map_err(|error| error.trace(&trace))?;
            begin(&app, &headers, request, trace, now).await
        }
        Next::ShowPage(error) => Err((*error).trace(&trace)),
    }
}

/// Turns a request into an interaction and sends the person to sign in.
async fn begin(
    app: &App,
    headers: &HeaderMap,
    request: AuthorizationRequest,
    trace: TraceId,
    now: Timestamp,
) -> Result<Response, PageError> {
    let mark = BrowserMark::find_or_make(app, headers);
    let what = format!("{} asked for {:?}", request.client_id, request.scope.to_string());
    let purpose = Purpose::Authorize(Box::new(request));
    let mut interaction = Interaction::begin(purpose, trace, &mark.digest(), app.random(), now);
    interaction.note(now, what);
    let kept = interactions::put(&app.state, &interaction).await;
    kept.map_err(|error| PageError::from(error).trace(&interaction.trace_id))?;
    let mut response = sign_in(app, &interaction, now).await?;
    cookies::add(response.headers_mut(), mark.cookie(app));
    Ok(response)
}

/// Where the person signs in: at the only upstream there is, else on our page.
async fn way_in(app: &App, interaction: &Interaction, now: Timestamp) -> Result<String, PageError> {
    let chooses = interaction.request().is_some_and(|r| r.prompts(Prompt::SelectAccount));
    if let Some(only) = app.upstreams.only().filter(|_| !chooses)
        && !app.has_local_accounts(now).await?
    {
        return Ok(urls::upstream_start(only.slug(), &interaction.flow));
    }
    Ok(urls::login(&interaction.flow))
}

/// `GET /authorize/continue`: a step has returned; what is next?
pub async fn resume(State(app): State<App>, request: Request) -> Result<Response, PageError> {
    let now = app.now();
    let (headers, params) = params::of_page(request).await?;
    let (interaction, _) = flow::find(&app, &headers, &params).await?;
    let trace = interaction.trace_id.clone();
    let session = browser::session(&app, &headers, now).await;
    let session = session.map_err(|error| PageError::from(error).trace(&trace))?;
    let Some(request) = interaction.request() else {
        if session.is_none() {
            return sign_in(&app, &interaction, now).await;
        }
        interactions::take(&app.state, &interaction.flow).await?;
        return Ok(see_other(urls::path::ACCOUNT));
    };
    match decide(&app, request, session.as_ref(), Some(&interaction), now) {
        Next::SignIn => sign_in(&app, &interaction, now).await,
        Next::ShowPage(error) => Err((*error).trace(&trace)),
        Next::Answer(session) => {
            // Nobody knows the code before the answer leaves, so it may be kept in the same flight
            // that ends the interaction.
            let finished = finish(&app, &interaction);
            let answer = answer_with_code(&app, request, session, &trace, now);
            let (finished, answer) = futures_util::join!(finished, answer);
            finished.and(answer)
        }
        Next::Refuse(error) => {
            finish(&app, &interaction).await?;
            note_refusal(&app, &trace, &request.client_id, &error, Some(&interaction));
            Ok(respond::with_error(&app, &respond::Target::of(request), &error))
        }
    }
}

/// Sends the person to sign in.
async fn sign_in(
    app: &App,
    interaction: &Interaction,
    now: Timestamp,
) -> Result<Response, PageError> {
    let way = way_in(app, interaction, now).await;
    Ok(see_other(&way.map_err(|error| error.trace(&interaction.trace_id))?))
}

/// Ends the interaction: it answers once (AZ-30).
async fn finish(app: &App, interaction: &Interaction) -> Result<(), PageError> {
    let taken = interactions::take(&app.state, &interaction.flow).await?;
    taken.map(drop).ok_or_else(|| flow::expired().trace(&interaction.trace_id))
}

/// Issues the code and sends the browser back to the app (OIDC Core §3.1.2.5).
async fn answer_with_code(
    app: &App,
    request: &AuthorizationRequest,
    session: &LiveSession,
    trace: &TraceId,
    now: Timestamp,
) -> Result<Response, PageError> {
    let payload = CodePayload {
        client_id: request.client_id.clone(),
        redirect_uri: request.redirect_uri.clone(),
        scope: request.scope.clone(),
        nonce: request.nonce.clone(),
        code_challenge: request.code_challenge.clone(),
        user_id: session.person.user.id.clone(),
        session_id: session.session.id.clone(),
        issued_at: now,
        trace_id: trace.clone(),
    };
    let life = app.config.tokens.authorization_code_lifetime;
    let issued = codes::issue_code(&app.state, &payload, life, app.random()).await;
    let code = issued.map_err(|error| PageError::from(error).trace(trace))?;
    Ok(respond::with_code(app, &respond::Target::of(request), &code))
}

fn note_refusal(
    app: &App,
    trace: &TraceId,
    client: &crate::foundation::ids::ClientId,
    error: &OAuthError,
    interaction: Option<&Interaction>,
) {
    let code = error.code.as_str();
    let cause = error.source.as_ref().map(|cause| printable(&cause.to_string()));
    let cause = cause.unwrap_or_default();
    tracing::info!(%trace, %client, code, cause, "authorization refused");
    let event = Event::refused("authorize", code).trace(trace).client(client);
    let event = event.detail("description", error.description);
    app.audit.note(match interaction {
        Some(interaction) => event.detail("story", interaction.story()),
        None => event,
    });
}
