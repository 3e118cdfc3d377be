//! Off to an upstream, and back: what ties an answer of an upstream to the browser that asked.
//!
//! Whoever is sent straight to the only upstream there is leaves nothing else behind: the interaction
//! travels in the departure. Where a page has named the interaction, it is kept under its name too,
//! so that the page still works when the person comes back to it without having signed in.

use axum::{
    http::{HeaderMap, StatusCode},
    response::Response,
};
use serde::{Deserialize, Serialize};

use super::claim;
use crate::{
    app::App,
    audit::Event,
    ephemeral::{Key, KeyKind},
    federation::{Begin, Begun, FaultKind, Upstream, UpstreamFault},
    foundation::{
        clock::Timestamp,
        ids::UpstreamSlug,
        opaque::{Opaque, OpaqueKind},
    },
    interactions::{self, Candidate, Interaction},
    protocol::words::Prompt,
    urls,
    web::{browser::BrowserMark, error::PageError, pages::see_other, params::Params},
};

/// A person who is away at an upstream.
#[derive(Debug, Serialize, Deserialize)]
pub struct Departure {
    upstream: UpstreamSlug,
    /// What the ID token has to carry.
    pub nonce: String,
    /// What the code is redeemed with.
    pub verifier: String,
    /// When the person was sent there.
    pub at: Timestamp,
    /// The sign-in that goes on when they are back.
    pub interaction: Interaction,
}

/// Sends the person to an upstream.
pub async fn depart(
    app: &App,
    upstream: &Upstream,
    mut interaction: Interaction,
    now: Timestamp,
) -> Result<Response, PageError> {
    let state = Opaque::generate(OpaqueKind::UpstreamState, app.random());
    let started = match start(app, upstream, &interaction, &state, now).await {
        Ok(started) => started,
        Err(fault) => {
            let page = cannot_start(app, upstream, &interaction, &fault);
            // Where no page may be shown, none will offer another way; with one there may be one.
            if interaction.is_silent() {
                let passes = fault.kind == FaultKind::Unavailable;
                return Err(if passes { page } else { page.status(StatusCode::BAD_REQUEST) });
            }
            return Err(stay(app, &mut interaction, page).await);
        }
    };
    let slug = upstream.slug();
    interaction.note(now, format!("sent to {slug} to sign in"));
    let trace = interaction.trace_id.clone();
    let departure = Departure {
        upstream: slug.clone(),
        nonce: started.nonce,
        verifier: started.verifier,
        at: now,
        interaction,
    };
    let kept = app.state.put(&key(&state), &departure, KeyKind::UpstreamState.life()).await;
    kept.map_err(|error| PageError::from(error).trace(&trace))?;
    Ok(see_other(&started.url))
}

async fn start(
    app: &App,
    upstream: &Upstream,
    interaction: &Interaction,
    state: &Opaque,
    now: Timestamp,
) -> Result<Begun, UpstreamFault> {
    let request = interaction.request();
    let wanted = [
        (Prompt::None, "none"),
        (Prompt::Login, "login"),
        (Prompt::SelectAccount, "select_account"),
    ];
    // Whoever connects an account for good sees which one it is: somebody else may have signed in there
    // at this browser.
    let connects = interaction.candidate.as_ref().is_some_and(Candidate::is_proved);
    let asks =
        |prompt| interaction.prompts(prompt) || (connects && prompt == Prompt::SelectAccount);
    let prompt = wanted.into_iter().find(|(prompt, _)| asks(*prompt));
    let prompt = prompt.map(|(_, word)| word);
    let max_age = request.and_then(|request| request.max_age);
    let secret = state.reveal();
    let begin = Begin {
        state: secret.expose(),
        prompt,
        max_age: max_age.and_then(|span| u32::try_from(span.seconds()).ok()),
        login_hint: interaction.login_hint(),
        level: request.and_then(|request| request.level),
    };
    upstream.begin(begin, app.random(), now).await
}

/// The departure that this answer belongs to: known, to this upstream, of this browser. It is taken
/// before anything else: whatever comes of the answer, it counts once (UP-03). So is the sign-in:
/// one that was finished in another tab is over.
pub async fn come_back(
    app: &App,
    headers: &HeaderMap,
    upstream: &Upstream,
    params: &Params,
) -> Result<Departure, PageError> {
    let Some(presented) = state_in(params) else {
        return Err(failed("state_unknown"));
    };
    let Some(mut departure) = app.state.take::<Departure>(&key(&presented)).await? else {
        return Err(failed("state_unknown"));
    };
    let interaction = &mut departure.interaction;
    if departure.upstream != *upstream.slug() {
        // RFC 9700 §4.4.2.2: each upstream has a redirect URI of its own.
        return Err(foreign("upstream_mix_up", upstream, interaction));
    }
    let mark = BrowserMark::find(app, headers);
    if mark.is_none_or(|mark| !interaction.belongs_to(&mark.digest())) {
        let page = foreign("state_of_another_browser", upstream, interaction);
        return Err(page.next_step("Go back to the app and sign in again, with cookies allowed."));
    }
    claim(app, interaction).await?;
    Ok(departure)
}

/// An answer that somebody else's sign-in, or another upstream's, was waiting for.
fn foreign(reason: &'static str, upstream: &Upstream, interaction: &Interaction) -> PageError {
    let event = Event::refused(interaction.action(), reason).upstream(upstream.slug());
    let event = event.detail("story", interaction.story());
    failed(reason).trace(&interaction.trace_id).event(event)
}

/// Keeps the interaction of somebody who did not get in, so that the page that says so can offer
/// another way. Where it cannot be kept, the page says so without.
pub async fn stay(app: &App, interaction: &mut Interaction, mut page: PageError) -> PageError {
    // What is there to link is never kept under a name: a name is what ways to sign in are found by.
    if !interaction.kept
        && !interaction.is_link()
        && let Err(error) = interactions::put(&app.state, interaction).await
    {
        page.action = None;
        page.source.get_or_insert_with(|| error.into());
    }
    page
}

/// The departure that a state belongs to. It stays where it is.
pub(super) async fn find(app: &App, state: &Opaque) -> Result<Option<Departure>, PageError> {
    Ok(app.state.get(&key(state)).await?)
}

/// The state that an answer carries.
pub(super) fn state_in(params: &Params) -> Option<Opaque> {
    Opaque::parse(OpaqueKind::UpstreamState, params.get("state")?)
}

impl Departure {
    /// Whether the person was sent to this upstream.
    pub(super) fn is_to(&self, upstream: &Upstream) -> bool {
        self.upstream == *upstream.slug()
    }
}

fn key(state: &Opaque) -> Key {
    Key::of_digest(KeyKind::UpstreamState, &state.digest())
}

fn cannot_start(
    app: &App,
    upstream: &Upstream,
    interaction: &Interaction,
    fault: &UpstreamFault,
) -> PageError {
    let name = &upstream.settings.name;
    if !interaction.is_link() {
        app.metrics.count_refused_sign_in(upstream.slug().as_str(), fault.reason);
    }
    let explanation = match fault.kind {
        FaultKind::Unavailable => format!("{name} cannot be reached at the moment."),
        FaultKind::Unacceptable | FaultKind::NotInvited => {
            format!("{name} is not set up in a way that can be used here.")
        }
    };
    let event = Event::refused(interaction.action(), fault.reason).upstream(upstream.slug());
    let event = event.detail("story", interaction.story()).detail("what", fault.detail.as_str());
    let page = PageError::new(fault.reason, "Sign-in cannot begin there", explanation)
        .status(StatusCode::SERVICE_UNAVAILABLE)
        .next_step("Try again in a moment, or choose another way to sign in.")
        .trace(&interaction.trace_id)
        .event(event);
    with_way_on(page, interaction, "Choose another way")
}

/// The page with the way on: to the ways of signing in, or to the account that something was to be
/// linked to.
pub fn with_way_on(page: PageError, interaction: &Interaction, label: &str) -> PageError {
    if interaction.is_link() {
        page.action(urls::path::ACCOUNT, "Go to your account")
    } else {
        page.action(urls::login(&interaction.flow), label)
    }
}

/// An answer that belongs to no sign-in of this browser.
pub(super) fn failed(reason: &'static str) -> PageError {
    PageError::new(
        reason,
        "You are not signed in",
        "This answer belongs to no sign-in of this browser. It may have been open too long, or was \
         used before.",
    )
    .next_step("Go back to the app and sign in from there again.")
    .action("/account", "Go to your account")
    .event(Event::refused("sign_in", reason))
}
