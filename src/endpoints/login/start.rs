//! `GET /upstream/{slug}/start`: off to an upstream.

use axum::{
    extract::{Path, Request, State},
    http::StatusCode,
    response::Response,
};

use super::UpstreamState;
use crate::{
    app::App,
    audit::Event,
    ephemeral::{Key, KeyKind},
    federation::{Begin, FaultKind, Upstream, UpstreamFault},
    foundation::{
        clock::Timestamp,
        opaque::{Opaque, OpaqueKind},
    },
    interactions::Interaction,
    protocol::words::Prompt,
    urls,
    web::{browser::BrowserMark, error::PageError, flow, pages::see_other, params},
};

/// `GET /upstream/{slug}/start`.
pub async fn start(
    State(app): State<App>,
    Path(slug): Path<String>,
    request: Request,
) -> Result<Response, PageError> {
    let now = app.now();
    let (headers, params) = params::of_page(request).await?;
    let Some(upstream) = app.upstreams.find(&slug) else {
        return Err(PageError::not_found());
    };
    let (interaction, mark) = flow::find(&app, &headers, &params).await?;
    let begun = begin(&app, upstream, &interaction, &mark, now).await;
    // That the person was sent there is told by the state, when they come back.
    let url = begun.map_err(|error| error.trace(&interaction.trace_id))?;
    Ok(see_other(&url))
}

async fn begin(
    app: &App,
    upstream: &Upstream,
    interaction: &Interaction,
    mark: &BrowserMark,
    now: Timestamp,
) -> Result<String, PageError> {
    let state = Opaque::generate(OpaqueKind::UpstreamState, app.random());
    let request = interaction.request();
    let prompt = request.and_then(|request| {
        let wanted = [(Prompt::Login, "login"), (Prompt::SelectAccount, "select_account")];
        wanted.into_iter().find(|(prompt, _)| request.prompts(*prompt)).map(|(_, word)| word)
    });
    let max_age = request.and_then(|request| request.max_age);
    let secret = state.reveal();
    let begin = Begin {
        state: secret.expose(),
        prompt,
        max_age: max_age.and_then(|span| u32::try_from(span.seconds()).ok()),
        login_hint: request.and_then(|request| request.login_hint.as_deref()),
    };
    let started = upstream.begin(begin, app.random(), now).await;
    let started = started.map_err(|fault| cannot_start(app, upstream, interaction, &fault))?;
    let kept = UpstreamState {
        slug: upstream.slug().clone(),
        nonce: started.nonce,
        verifier: started.verifier,
        flow: interaction.flow.clone(),
        browser: mark.digest().to_text(),
        trace_id: interaction.trace_id.clone(),
        started_at: now,
    };
    let key = Key::of_digest(KeyKind::UpstreamState, &state.digest());
    app.state.put(&key, &kept, KeyKind::UpstreamState.life()).await?;
    Ok(started.url)
}

fn cannot_start(
    app: &App,
    upstream: &Upstream,
    interaction: &Interaction,
    fault: &UpstreamFault,
) -> PageError {
    let name = &upstream.settings.name;
    app.metrics.count_refused_sign_in(upstream.slug().as_str(), fault.reason);
    let explanation = match fault.kind {
        FaultKind::Unavailable => format!("{name} cannot be reached at the moment."),
        FaultKind::Unacceptable => format!("{name} is not set up in a way that can be used here."),
    };
    let event = Event::refused("sign_in", fault.reason).upstream(upstream.slug());
    PageError::new(fault.reason, "Sign-in cannot begin there", explanation)
        .status(StatusCode::SERVICE_UNAVAILABLE)
        .next_step("Try again in a moment, or choose another way to sign in.")
        .action(urls::login(&interaction.flow), "Choose another way")
        .event(event.detail("story", interaction.story()).detail("what", fault.detail.as_str()))
}
