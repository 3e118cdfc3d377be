//! `GET /login`: the ways to sign in.

use askama::Template;
use axum::{
    extract::{Request, State},
    http::{HeaderMap, StatusCode},
    response::Response,
};

use crate::{
    app::App,
    dispatcher,
    interactions::Interaction,
    protocol::words::Prompt,
    sessions::LiveSession,
    urls,
    web::{
        browser::{self, BrowserMark},
        cookies::{self, Cookie},
        csrf,
        error::PageError,
        flow,
        pages::{PageFrame, page},
        params,
    },
};

#[derive(Template)]
#[template(path = "login/choose.html")]
pub(super) struct ChoosePage {
    page: PageFrame,
    app_name: Option<String>,
    app_host: Option<String>,
    flow: String,
    upstreams: Vec<UpstreamButton>,
    continue_as: Option<ContinueAs>,
    password_form: Option<PasswordForm>,
    notice: Option<String>,
}

struct UpstreamButton {
    name: String,
    href: String,
    last_used: bool,
}

struct ContinueAs {
    name: String,
    href: String,
}

/// The form for a local password.
pub(super) struct PasswordForm {
    csrf: String,
    username: String,
    error: Option<String>,
}

/// What the form shows when it comes back.
#[derive(Default)]
pub(super) struct Attempt {
    pub(super) username: String,
    pub(super) error: Option<String>,
}

/// `GET /login`.
pub async fn show(State(app): State<App>, request: Request) -> Result<Response, PageError> {
    let (headers, params) = params::of_page(request).await?;
    let now = app.now();
    let (mut interaction, mark) = flow::find(&app, &headers, &params).await?;
    let trace = interaction.trace_id.clone();
    let told = |error: PageError| error.trace(&trace);
    if params.get("same").is_some()
        && let Some(session) = same_person(&app, &headers, &interaction).await.map_err(told)?
    {
        dispatcher::claim(&app, &mut interaction).await?;
        return dispatcher::proceed(&app, &interaction, &session.session, now).await;
    }
    let template = build(&app, &headers, &interaction, &mark, Attempt::default()).await;
    let template = template.map_err(told)?;
    Ok(page(StatusCode::OK, &template))
}

/// The page for this interaction.
pub(super) async fn build(
    app: &App,
    headers: &HeaderMap,
    interaction: &Interaction,
    mark: &BrowserMark,
    attempt: Attempt,
) -> Result<ChoosePage, PageError> {
    let request = interaction.request();
    let client = request.and_then(|request| app.clients.find(request.client_id.as_str()));
    let with_passwords = app.has_local_accounts(app.now()).await?;
    let hint = request.and_then(|request| request.login_hint.clone()).unwrap_or_default();
    let form = with_passwords.then(|| PasswordForm {
        csrf: csrf::token(app, mark),
        username: if attempt.username.is_empty() { hint } else { attempt.username },
        error: attempt.error,
    });
    let host = client.as_ref().and_then(|client| client.home());
    Ok(ChoosePage {
        page: PageFrame::new(app),
        app_name: client.as_ref().map(|client| client.settings.name.clone()),
        app_host: host.and_then(|home| home.split_once("://").map(|(_, host)| host.to_owned())),
        flow: interaction.flow.clone(),
        upstreams: buttons(app, headers, interaction),
        continue_as: continue_as(app, headers, interaction).await?,
        password_form: form,
        notice: None,
    })
}

/// A button for each upstream, the one that was used last in front.
fn buttons(app: &App, headers: &HeaderMap, interaction: &Interaction) -> Vec<UpstreamButton> {
    let last = cookies::read(headers, Cookie::LastUpstream, &app.urls);
    let mut buttons: Vec<UpstreamButton> = app
        .upstreams
        .iter()
        .map(|upstream| UpstreamButton {
            name: upstream.settings.name.clone(),
            href: urls::upstream_start(upstream.slug(), &interaction.flow),
            last_used: last == Some(upstream.slug().as_str()),
        })
        .collect();
    buttons.sort_by_key(|button| !button.last_used);
    buttons
}

/// Whoever is signed in may go on as themselves.
async fn continue_as(
    app: &App,
    headers: &HeaderMap,
    interaction: &Interaction,
) -> Result<Option<ContinueAs>, PageError> {
    let session = same_person(app, headers, interaction).await?;
    Ok(session.map(|session| ContinueAs {
        name: session.person.user.username,
        href: format!("{}&same=yes", urls::login(&interaction.flow)),
    }))
}

/// The person who is signed in, when the app only wants an account to be chosen and no new proof.
async fn same_person(
    app: &App,
    headers: &HeaderMap,
    interaction: &Interaction,
) -> Result<Option<LiveSession>, PageError> {
    let only_choosing = interaction.request().is_some_and(|request| {
        request.prompts(Prompt::SelectAccount)
            && !request.prompts(Prompt::Login)
            && request.max_age.is_none()
    });
    if !only_choosing {
        return Ok(None);
    }
    let client = interaction.request().and_then(|r| app.clients.find(r.client_id.as_str()));
    let limit = client.and_then(|client| client.settings.max_staleness);
    Ok(browser::held_session(app, headers, limit, app.now()).await?)
}
