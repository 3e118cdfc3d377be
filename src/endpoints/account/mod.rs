//! A person's own page: who I am here, my ways in, my sessions.

pub mod activity;
pub mod apps;
pub mod deletion;
pub mod email;
pub mod export;
pub mod keep;
pub mod linking;
mod own;
pub mod passkeys;
pub mod password;
pub mod picture;
pub mod profile;
pub mod sessions;
pub mod tokens;
pub mod two_step;

use std::{net::IpAddr, sync::Arc};

use askama::Template;
use axum::{
    extract::{Request, State},
    http::{HeaderMap, StatusCode},
    response::Response,
};

use crate::{
    accounts::linking::WaysIn,
    app::App,
    config::PasswordLogin,
    dispatcher::{self, Visitor},
    federation::Upstream,
    foundation::{
        clock::Timestamp,
        ids::{TraceId, UpstreamSlug},
    },
    interactions::{Interaction, Purpose},
    sessions::LiveSession,
    store::{
        StoreError,
        identities::{self, Identity},
        sessions as session_rows,
        sessions::Session,
        users::User,
    },
    urls,
    web::{
        address,
        browser::{self, BrowserMark},
        cookies, csrf,
        error::PageError,
        pages::{PageFrame, page, see_other},
        params,
    },
};

#[derive(Template)]
#[template(path = "account/home.html")]
struct HomePage {
    page: PageFrame,
    csrf: String,
    name: String,
    username: String,
    email: Option<String>,
    email_state: &'static str,
    picture: Option<String>,
    groups: Vec<String>,
    roles: Vec<String>,
    signed_in_with: String,
    signed_in_at: String,
    identities: Vec<IdentityRow>,
    not_linked: Vec<UpstreamRow>,
    sessions: Vec<SessionRow>,
    has_password: bool,
    may_change_email: bool,
    may_delete: bool,
    notice: Option<String>,
}

struct IdentityRow {
    handle: String,
    upstream: String,
    subject: String,
    linked_at: String,
    last_confirmed: String,
    removable: bool,
}

/// An upstream that can be linked.
struct UpstreamRow {
    slug: String,
    name: String,
}

struct SessionRow {
    handle: String,
    device: String,
    address: String,
    signed_in_at: String,
    last_seen: String,
    method: String,
    current: bool,
}

/// `GET /account`.
pub async fn home(State(app): State<App>, request: Request) -> Result<Response, PageError> {
    let now = app.now();
    let headers = request.headers();
    if let Some(session) = browser::held_session(&app, headers, None, now).await? {
        return show(&app, headers, &session, now).await;
    }
    let from = address::of(&app, request.extensions(), headers);
    let story = (Purpose::Account, "wanted to see their own account");
    sign_in(&app, headers, from, story, now).await
}

/// `GET /account/prove`: signing in anew, whoever is signed in, and back to the page that asks for it.
pub async fn prove(State(app): State<App>, request: Request) -> Result<Response, PageError> {
    let from = address::of(&app, request.extensions(), request.headers());
    let (headers, params) = params::of_page(request).await?;
    let then = urls::page_behind_proof(params.get(urls::THEN)).to_owned();
    let story = (Purpose::Prove { then }, "wanted to prove anew who they are");
    sign_in(&app, &headers, from, story, app.now()).await
}

async fn sign_in(
    app: &App,
    headers: &HeaderMap,
    from: IpAddr,
    (purpose, story): (Purpose, &'static str),
    now: Timestamp,
) -> Result<Response, PageError> {
    let mark = BrowserMark::find_or_make(app, headers);
    let trace = TraceId::generate(app.random());
    let mut interaction = Interaction::begin(purpose, trace, &mark.digest(), app.random());
    interaction.note(now, story);
    interaction.chooses = browser::has_signed_out(app, headers);
    dispatcher::begin(app, interaction, Visitor::Nobody, (&mark, from), now).await
}

/// `GET /`: the account page is the front door.
pub async fn front_door() -> Response {
    see_other(urls::path::ACCOUNT)
}

async fn show(
    app: &App,
    headers: &HeaderMap,
    session: &LiveSession,
    now: Timestamp,
) -> Result<Response, PageError> {
    let mark = BrowserMark::find_or_make(app, headers);
    let user = &session.person.user;
    let mut connection = app.connection().await?;
    let identities =
        identities::list_of_user(&mut connection, &user.id).await.map_err(StoreError::from)?;
    let used_since = now.minus(app.config.sessions.idle_lifetime);
    let sessions =
        session_rows::list_live_of_user(&mut connection, &user.id, used_since, now).await;
    let sessions = sessions.map_err(StoreError::from)?;
    drop(connection);
    let own = &session.session;
    let template = HomePage {
        page: PageFrame::new(app),
        csrf: csrf::token(app, &mark),
        name: user.name.clone().unwrap_or_else(|| user.username.clone()),
        username: user.username.clone(),
        email: user.email.clone(),
        email_state: email_state(user.email_verified),
        picture: user.shown_picture().map(str::to_owned),
        groups: session.person.groups(),
        roles: session.person.roles(),
        signed_in_with: way_of(app, own),
        signed_in_at: own.auth_time.for_people(),
        not_linked: not_linked(app, &identities),
        identities: identity_rows(app, user, &identities),
        sessions: sessions.iter().map(|row| session_row(app, row, own)).collect(),
        has_password: user.password_hash.is_some()
            && app.config.passwords.login == PasswordLogin::On,
        may_delete: app.config.accounts.self_deletion,
        may_change_email: app.mail.is_configured() && user.email_issuer.is_none(),
        notice: None,
    };
    let mut response = page(StatusCode::OK, &template);
    cookies::add(response.headers_mut(), mark.cookie(app));
    Ok(response)
}

fn identity_rows(app: &App, user: &User, identities: &[Identity]) -> Vec<IdentityRow> {
    let ways = WaysIn { upstreams: &app.upstreams, passwords: app.config.passwords.login };
    let row = |identity: &Identity| IdentityRow {
        handle: identity.id.to_string(),
        upstream: method(app, Some(&identity.upstream)),
        subject: identity.subject.clone(),
        linked_at: identity.linked_at.for_people(),
        last_confirmed: identity.confirmed_at.for_people(),
        removable: ways.remain_without(user, identities, &identity.id),
    };
    identities.iter().map(row).collect()
}

/// The upstreams of which the account has no identity yet.
fn not_linked(app: &App, identities: &[Identity]) -> Vec<UpstreamRow> {
    let is_linked = |slug: &UpstreamSlug| identities.iter().any(|own| own.upstream == *slug);
    let others = app.upstreams.iter().filter(|upstream| !is_linked(upstream.slug()));
    let row = |upstream: &Arc<Upstream>| UpstreamRow {
        slug: upstream.slug().to_string(),
        name: upstream.settings.name.clone(),
    };
    others.map(row).collect()
}

const fn email_state(verified: Option<bool>) -> &'static str {
    match verified {
        Some(true) => "verified",
        Some(false) => "not verified",
        None => "unknown",
    }
}

fn method(app: &App, upstream: Option<&UpstreamSlug>) -> String {
    let Some(slug) = upstream else {
        return "a password".to_owned();
    };
    let known = app.upstreams.find(slug.as_str());
    known.map_or_else(|| slug.to_string(), |upstream| upstream.settings.name.clone())
}

/// What somebody signed in with.
fn way_of(app: &App, session: &Session) -> String {
    let by_key = |method: &String| method == "hwk" || method == "swk";
    if session.upstream.is_none() && session.amr.to_vec().iter().any(by_key) {
        return "a passkey".to_owned();
    }
    method(app, session.upstream.as_ref())
}

fn session_row(app: &App, row: &Session, own: &Session) -> SessionRow {
    SessionRow {
        handle: row.id.to_string(),
        device: device(&row.user_agent),
        address: row.address.clone(),
        signed_in_at: row.auth_time.for_people(),
        last_seen: row.last_seen_at.for_people(),
        method: way_of(app, row),
        current: row.id == own.id,
    }
}

/// A browser's name in human words.
fn device(user_agent: &str) -> String {
    let first = |signs: &[(&str, &str)]| {
        let found = signs.iter().find(|(sign, _)| user_agent.contains(sign));
        found.map(|(_, name)| (*name).to_owned())
    };
    // The order matters: nearly every browser also calls itself Safari.
    let browser = first(&[
        ("Edg/", "Edge"),
        ("OPR/", "Opera"),
        ("Firefox/", "Firefox"),
        ("Chrome/", "Chrome"),
        ("Safari/", "Safari"),
    ]);
    let system = first(&[
        ("Android", "Android"),
        ("iPhone", "iPhone"),
        ("iPad", "iPad"),
        ("Windows", "Windows"),
        ("Mac OS X", "macOS"),
        ("Linux", "Linux"),
    ]);
    if let Some(name) = address::app_in(user_agent) {
        return system.map_or_else(|| name.to_owned(), |system| format!("{name} on {system}"));
    }
    match (browser, system) {
        (Some(browser), Some(system)) => format!("{browser} on {system}"),
        (Some(one), None) | (None, Some(one)) => one,
        (None, None) => "An unknown browser".to_owned(),
    }
}
