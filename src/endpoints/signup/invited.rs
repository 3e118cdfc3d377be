//! `GET|POST /invitation`: an invitation, for whoever has its link.
//!
//! The link only begins a way that is bound to the browser, and leads on without the secret: looking at it
//! uses nothing, and no address, history or log of ours keeps it. The invitation is used by making an
//! account for it, by coming from an upstream for the first time, or, by whoever has an account, here.

use askama::Template;
use axum::{
    extract::{Request, State},
    http::{HeaderMap, StatusCode},
    response::Response,
};

use super::undone::Undone;
use crate::{
    accounts::invitations::{self, PARAMETER, Useless},
    app::App,
    audit::Event,
    dispatcher::second_factor,
    foundation::{
        clock::{Span, Timestamp},
        ids::TraceId,
    },
    interactions::{self, Interaction, Purpose},
    sessions::LiveSession,
    store::{
        StoreError, StoreResult, audit_events,
        invitations::{self as rows, Invitation},
        users,
    },
    urls,
    web::{
        address,
        browser::{self, BrowserMark},
        cookies, csrf,
        error::PageError,
        flow,
        pages::{PageFrame, page, see_other},
        params, throttle,
    },
};

/// How old the proof of a session may be by which somebody becomes an administrator.
const YOUNG: Span = Span::from_minutes(5);

#[derive(Template)]
#[template(path = "signup/invitation.html")]
struct InvitationPage {
    page: PageFrame,
    administers: bool,
    for_address: Option<String>,
    groups: Vec<String>,
    until: String,
    /// Where somebody new makes an account, if they may.
    signup: Option<String>,
    sign_in: String,
    account: Option<Account>,
}

/// Whoever is signed in.
struct Account {
    name: String,
    action: String,
    csrf: String,
}

/// `GET /invitation`.
pub async fn show(State(app): State<App>, request: Request) -> Result<Response, PageError> {
    let now = app.now();
    let from = address::of(&app, request.extensions(), request.headers());
    let (headers, params) = params::of_page(request).await?;
    if let Some(secret) = params.get(PARAMETER) {
        throttle::begin_flow(&app, from, now)?;
        return begin(&app, &headers, secret, now).await;
    }
    let (mut interaction, mark) = flow::find(&app, &headers, &params).await?;
    let invitation = row(&app, &interaction).await?;
    let session = browser::held_session(&app, &headers, None, now).await?;
    if session.as_ref().is_some_and(|live| invitations::has_all(&live.person.user, &invitation)) {
        return done(&app, &mut interaction).await;
    }
    refuse_useless(&invitation, &interaction, now)?;
    let session = match session {
        Some(live) if may_accept(&app, &live, &invitation, now).await? => Some(live),
        _ => None,
    };
    let template = build(&app, &interaction, &mark, (&invitation, session.as_ref()));
    Ok(page(StatusCode::OK, &template))
}

/// Whoever opens the link goes on without it.
async fn begin(
    app: &App,
    headers: &HeaderMap,
    secret: &str,
    now: Timestamp,
) -> Result<Response, PageError> {
    let found = invitations::find(async || app.connection().await, secret, now).await?;
    let invitation = found.map_err(|useless| {
        let event = Event::refused("invitation", useless.reason());
        flow::useless_invitation(useless).event(event)
    })?;
    let mark = BrowserMark::find_or_make(app, headers);
    let trace = TraceId::generate(app.random());
    let purpose = Purpose::Invited { invitation: invitation.id.clone(), kind: invitation.kind };
    let mut interaction = Interaction::begin(purpose, trace, &mark.digest(), app.random());
    interaction.note(now, format!("opened the link of the invitation {}", invitation.id));
    interactions::put(&app.state, &mut interaction).await?;
    let mut response = see_other(&urls::invitation(&interaction.flow));
    cookies::add(response.headers_mut(), mark.cookie(app));
    Ok(response)
}

/// The invitation of this way.
async fn row(app: &App, interaction: &Interaction) -> Result<Invitation, PageError> {
    let Some((id, _)) = interaction.invitation() else {
        return Err(flow::expired());
    };
    let mut connection = app.connection().await?;
    let found = rows::find(&mut connection, id).await.map_err(StoreError::from)?;
    found.ok_or_else(|| useless(Useless::Unknown, interaction))
}

/// The invitation of this way, if it is one and counts; refused if it is of no use any more.
pub(super) async fn of(
    app: &App,
    interaction: &Interaction,
    now: Timestamp,
) -> Result<Option<Invitation>, PageError> {
    if app.invitation_of(interaction).is_none() {
        return Ok(None);
    }
    let invitation = row(app, interaction).await?;
    refuse_useless(&invitation, interaction, now)?;
    Ok(Some(invitation))
}

fn refuse_useless(
    invitation: &Invitation,
    interaction: &Interaction,
    now: Timestamp,
) -> Result<(), PageError> {
    let useless_now = invitations::uselessness(invitation, now);
    useless_now.map_or(Ok(()), |fault| Err(useless(fault, interaction)))
}

/// As part of this story.
pub(super) fn useless(fault: Useless, interaction: &Interaction) -> PageError {
    let event = Event::refused("invitation", fault.reason());
    let event = event.detail("story", interaction.story());
    flow::useless_invitation(fault).trace(&interaction.trace_id).event(event)
}

fn build(
    app: &App,
    interaction: &Interaction,
    mark: &BrowserMark,
    (invitation, session): (&Invitation, Option<&LiveSession>),
) -> InvitationPage {
    let account = session.map(|live| Account {
        name: live.person.user.username.clone(),
        action: urls::invitation(&interaction.flow),
        csrf: csrf::token(app, mark),
    });
    let opens = app.signup_is_open(Some(interaction));
    InvitationPage {
        page: PageFrame::new(app),
        administers: invitation.kind.administers(),
        for_address: invitation.email.clone(),
        groups: invitation.groups.to_vec(),
        until: invitation.expires_at.for_people(),
        signup: opens.then(|| urls::signup(&interaction.flow)),
        sign_in: urls::login(&interaction.flow),
        account,
    }
}

/// Whether the proof of a session is good enough: an administrator has shown a moment ago who they are,
/// by everything that they have for it.
async fn may_accept(
    app: &App,
    live: &LiveSession,
    invitation: &Invitation,
    now: Timestamp,
) -> StoreResult<bool> {
    if !invitation.kind.administers() {
        return Ok(true);
    }
    let is_young = now.since(live.session.auth_time) <= YOUNG;
    Ok(is_young && second_factor::is_whole(app, &live.session).await?)
}

/// `POST /invitation`: whoever is signed in takes it.
pub async fn accept(State(app): State<App>, request: Request) -> Result<Response, PageError> {
    let now = app.now();
    let from = address::of(&app, request.extensions(), request.headers()).to_string();
    let (headers, params) = params::of_page(request).await?;
    if !csrf::is_own(&app, &headers, params.get(csrf::FIELD)) {
        return Err(PageError::forged_form().event(Event::refused("invitation", "form_not_ours")));
    }
    let (mut interaction, _) = flow::find(&app, &headers, &params).await?;
    let invitation = row(&app, &interaction).await?;
    let Some(live) = browser::held_session(&app, &headers, None, now).await? else {
        return Ok(see_other(&urls::login(&interaction.flow)));
    };
    if !may_accept(&app, &live, &invitation, now).await? {
        return Err(reauth_required(&interaction, &live));
    }
    if !invitations::has_all(&live.person.user, &invitation) {
        let given = give(&app, &live, &invitation, (&interaction, from), now).await;
        given.map_err(|undone| undone.page(&interaction))?;
    }
    done(&app, &mut interaction).await
}

/// The way ends at the account's own page.
async fn done(app: &App, interaction: &mut Interaction) -> Result<Response, PageError> {
    // Another tab may have ended it.
    let _ = interactions::claim(&app.state, interaction).await?;
    Ok(see_other(urls::path::ACCOUNT))
}

/// Uses the invitation for an account that there is.
async fn give(
    app: &App,
    live: &LiveSession,
    invitation: &Invitation,
    (interaction, from): (&Interaction, String),
    now: Timestamp,
) -> Result<(), Undone> {
    let mut connection = app.connection().await?;
    connection
        .transaction(async |conn| {
            let user = users::hold_alone(conn, &live.person.user.id).await?;
            let Some(mut user) = user.filter(|user| user.disabled_at.is_none()) else {
                return Err(Undone::SessionOver);
            };
            let proved = user.email_key.as_deref().filter(|_| user.email_verified == Some(true));
            if !invitations::is_for(invitation, proved) {
                return Err(Undone::OtherAddress);
            }
            invitations::endow(&mut user, invitation);
            if !invitations::take(conn, invitation, &user.id, now).await? {
                return Err(Undone::Useless);
            }
            let rights = (&user.groups, &user.roles);
            if !users::set_rights(conn, &user.id, rights, now).await? {
                return Err(Undone::SessionOver);
            }
            let event = invitations::event(invitation, &user.id).trace(&interaction.trace_id);
            let event = event.address(from).row(now, app.random());
            audit_events::insert(conn, &event).await?;
            Ok(())
        })
        .await
}

fn reauth_required(interaction: &Interaction, live: &LiveSession) -> PageError {
    let event = Event::refused("invitation", "reauth_required").user(&live.person.user.id);
    PageError::new(
        "reauth_required",
        "Please sign in again first",
        "Whoever becomes an administrator has to have signed in within the last five minutes.",
    )
    .status(StatusCode::FORBIDDEN)
    .action(urls::login(&interaction.flow), "Sign in again")
    .trace(&interaction.trace_id)
    .event(event)
}
