//! `GET /login`: the ways to sign in.

use askama::Template;
use axum::{
    extract::{Request, State},
    http::{HeaderMap, StatusCode},
    response::Response,
};

use super::passkey;
use crate::{
    app::App,
    dispatcher::{self, Ways},
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
    form: Option<SignInForm>,
    /// What the browser is asked for a passkey, where one would do.
    passkey: Option<PasskeyForm>,
    /// Whether a passkey would do, and is asked for on a page of its own.
    passkey_elsewhere: bool,
    /// Where somebody without an account gets one.
    signup: Option<String>,
    /// Where somebody who has lost their password gets back in.
    recovery: Option<String>,
    notice: Option<String>,
}

struct UpstreamButton {
    name: String,
    href: String,
    last_used: bool,
    away: bool,
}

struct ContinueAs {
    name: String,
    href: String,
}

/// The form that brings the answer of a passkey.
struct PasskeyForm {
    csrf: String,
    options: String,
}

/// The form for a local password, or for the address that leads to an upstream.
struct SignInForm {
    csrf: String,
    label: &'static str,
    username: String,
    error: Option<String>,
    step: Step,
}

/// What the form asks for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    /// The name and the password, together.
    Both,
    /// The name first: it may lead elsewhere.
    Name,
    /// The password of who has said their name.
    Password,
}

/// What the form shows when it comes back.
#[derive(Default)]
pub(super) struct Attempt {
    pub(super) username: String,
    pub(super) error: Option<String>,
    /// Whether the name is asked for once more.
    pub(super) rename: bool,
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
    let attempt = Attempt { rename: params.get("other").is_some(), ..Attempt::default() };
    let template = build(&app, &headers, &interaction, &mark, attempt).await;
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
    let ways = Ways::of(app, interaction, app.now()).await?;
    let form = form(app, &ways, interaction, mark, attempt);
    let at_password = form.as_ref().is_some_and(|form| form.step == Step::Password);
    let failed = form.as_ref().is_some_and(|form| form.error.is_some());
    // Every failure looks the same: what is asked anew each time stands on another page then.
    let passkey = if failed || at_password {
        None
    } else {
        passkey_form(app, &ways, interaction, mark).await?
    };
    let host = client.as_ref().and_then(|client| client.home());
    Ok(ChoosePage {
        page: PageFrame::new(app),
        app_name: client.as_ref().map(|client| client.settings.name.clone()),
        app_host: host.and_then(|home| home.split_once("://").map(|(_, host)| host.to_owned())),
        flow: interaction.flow.clone(),
        // One question at a time: who is asked for a password has another link back to the ways.
        upstreams: if at_password { Vec::new() } else { buttons(app, &ways, headers, interaction) },
        continue_as: continue_as(app, headers, interaction).await?,
        recovery: (ways.passwords && app.recovery_is_open())
            .then(|| urls::recovery(&interaction.flow)),
        form,
        passkey,
        passkey_elsewhere: failed && ways.passkeys,
        signup: ways.signup.then(|| urls::signup(&interaction.flow)),
        notice: None,
    })
}

async fn passkey_form(
    app: &App,
    ways: &Ways,
    interaction: &Interaction,
    mark: &BrowserMark,
) -> Result<Option<PasskeyForm>, PageError> {
    let Some(passkeys) = app.passkeys.as_ref().filter(|_| ways.passkeys) else {
        return Ok(None);
    };
    let options = passkey::ask(app, passkeys, interaction).await?;
    Ok(Some(PasskeyForm { csrf: csrf::token(app, mark), options }))
}

/// The form, if there are passwords, or addresses that lead somewhere.
fn form(
    app: &App,
    ways: &Ways,
    interaction: &Interaction,
    mark: &BrowserMark,
    attempt: Attempt,
) -> Option<SignInForm> {
    let step = match (ways.ask_for_address(), ways.passwords) {
        (false, false) => return None,
        (false, true) => Step::Both,
        (true, true) if has_said_name(app, ways, interaction) && !attempt.rename => Step::Password,
        (true, _) => Step::Name,
    };
    let hint = || interaction.login_hint().unwrap_or_default().to_owned();
    let username = if attempt.username.is_empty() { hint() } else { attempt.username };
    let label = if ways.passwords { "Email or username" } else { "Email" };
    let csrf = csrf::token(app, mark);
    Some(SignInForm { csrf, label, username, error: attempt.error, step })
}

/// Whether the person has said a name that leads to no upstream that is there.
fn has_said_name(app: &App, ways: &Ways, interaction: &Interaction) -> bool {
    let name = interaction.identifier.as_deref();
    name.is_some_and(|name| ways.for_address(app, name).is_none_or(|upstream| upstream.is_away()))
}

/// A button for each upstream, the one that was used last in front.
fn buttons(
    app: &App,
    ways: &Ways,
    headers: &HeaderMap,
    interaction: &Interaction,
) -> Vec<UpstreamButton> {
    let last = cookies::read(headers, Cookie::LastUpstream, &app.urls);
    let mut buttons: Vec<UpstreamButton> = ways
        .with_button()
        .map(|upstream| UpstreamButton {
            name: upstream.settings.name.clone(),
            href: urls::upstream_start(upstream.slug(), &interaction.flow),
            last_used: last == Some(upstream.slug().as_str()),
            away: upstream.is_away(),
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
    let live = browser::held_session(app, headers, limit, app.now()).await?;
    Ok(live.filter(|live| dispatcher::is_enough(app, interaction, live)))
}
