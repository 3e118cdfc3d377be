//! The authorization endpoint (RFC 6749 §3.1, OIDC Core §3.1.2).
//!
//! A request is validated once. What comes of it is the dispatcher's to say.

use axum::{
    extract::{Request, State},
    http::Method,
    response::Response,
};

use crate::{
    app::App,
    authorization::{self, RequestFault},
    dispatcher::{self, Visitor},
    foundation::ids::TraceId,
    interactions::{Interaction, Purpose},
    sessions::LiveSession,
    store::sessions::Session,
    urls,
    web::{
        address,
        browser::{self, AtBrowser, BrowserMark},
        error::PageError,
        pages::see_other,
        params,
    },
};

/// `GET` and `POST /authorize`.
pub async fn authorize(State(app): State<App>, request: Request) -> Result<Response, PageError> {
    let now = app.now();
    let trace = TraceId::generate(app.random());
    let posted = request.method() == Method::POST;
    let from = address::of(&app, request.extensions(), request.headers());
    let (headers, params) = params::of_page(request).await.map_err(|error| error.trace(&trace))?;
    let checked = authorization::check(&app, &params).await;
    let request = match checked {
        Ok(request) => request,
        Err(RequestFault::ShowPage(error)) => return Err((*error).trace(&trace)),
        Err(RequestFault::Redirect(target, error)) => {
            return Ok(dispatcher::refuse(&app, &target, &error, &trace, None));
        }
    };
    let client = app.clients.find(request.client_id.as_str());
    let limit = client.and_then(|client| client.settings.max_staleness);
    let standing = browser::standing(&app, &headers, limit, now).await;
    let standing = standing.map_err(|error| PageError::from(error).trace(&trace))?;
    if posted && !matches!(standing, AtBrowser::Held(_)) {
        // Browsers hold back `SameSite=Lax` cookies when another site posts. As a GET the same
        // request brings them, so that neither the session nor the browser's mark is missed.
        return Ok(see_other(&format!("{}?{}", urls::path::AUTHORIZE, params.to_query())));
    }
    let mark = BrowserMark::find_or_make(&app, &headers);
    let what = format!("{} asked for {:?}", request.client_id, request.scope.to_string());
    let purpose = Purpose::Authorize(Box::new(request));
    let mut interaction = Interaction::begin(purpose, trace, &mark.digest(), app.random());
    interaction.note(now, what);
    interaction.chooses = browser::has_signed_out(&app, &headers);
    if let AtBrowser::Unheld(live) = &standing
        && let Session { id, user_id, upstream: Some(upstream), .. } = &live.session
    {
        interaction.go_back(upstream, id, user_id);
    }
    let session = standing.held();
    if session.as_ref().is_some_and(|live| leads_away(&app, &interaction, live)) {
        interaction.chooses = true;
    }
    let visitor = session.as_ref().map_or(Visitor::Nobody, Visitor::SignedIn);
    dispatcher::begin(&app, interaction, visitor, (&mark, from), now).await
}

/// Whether a hint leads somebody who is signed in to another upstream. Any page can send a browser
/// here: none may exchange the person without a question.
fn leads_away(app: &App, interaction: &Interaction, live: &LiveSession) -> bool {
    let named = interaction.request().and_then(|request| request.upstream_hint.clone());
    let by_address = || app.upstreams.of_address(interaction.login_hint()?);
    let hinted = named.or_else(|| by_address().map(|upstream| upstream.slug().clone()));
    hinted.is_some() && hinted != live.session.upstream
}
