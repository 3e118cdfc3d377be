//! A person's own page: who I am here, how I signed in, my sessions.

pub mod sessions;

use askama::Template;
use axum::{
    extract::{Request, State},
    http::{HeaderMap, StatusCode},
    response::Response,
};

use crate::{
    app::App,
    dispatcher::{self, Visitor},
    foundation::{
        clock::Timestamp,
        ids::{TraceId, UpstreamSlug},
    },
    interactions::{Interaction, Purpose},
    sessions::LiveSession,
    store::{StoreError, identities, sessions as session_rows, sessions::Session},
    urls,
    web::{
        address,
        browser::{self, BrowserMark},
        cookies, csrf,
        error::PageError,
        pages::{PageFrame, page, see_other},
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
    signed_in_with: String,
    signed_in_at: String,
    identities: Vec<IdentityRow>,
    sessions: Vec<SessionRow>,
    notice: Option<String>,
}

struct IdentityRow {
    upstream: String,
    subject: String,
    last_confirmed: String,
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
    let mark = BrowserMark::find_or_make(&app, headers);
    let trace = TraceId::generate(app.random());
    let mut interaction = Interaction::begin(Purpose::Account, trace, &mark.digest(), app.random());
    interaction.note(now, "wanted to see their own account");
    interaction.chooses = browser::has_signed_out(&app, headers);
    dispatcher::begin(&app, interaction, Visitor::Nobody, (&mark, from), now).await
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
        picture: user.picture.clone(),
        groups: session.person.groups(),
        signed_in_with: method(app, own.upstream.as_ref()),
        signed_in_at: own.auth_time.for_people(),
        identities: identities
            .into_iter()
            .map(|identity| IdentityRow {
                upstream: method(app, Some(&identity.upstream)),
                subject: identity.subject,
                last_confirmed: identity.confirmed_at.for_people(),
            })
            .collect(),
        sessions: sessions.iter().map(|row| session_row(app, row, own)).collect(),
        notice: None,
    };
    let mut response = page(StatusCode::OK, &template);
    cookies::add(response.headers_mut(), mark.cookie(app));
    Ok(response)
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

fn session_row(app: &App, row: &Session, own: &Session) -> SessionRow {
    SessionRow {
        handle: row.id.to_string(),
        device: device(&row.user_agent),
        address: row.address.clone(),
        signed_in_at: row.auth_time.for_people(),
        last_seen: row.last_seen_at.for_people(),
        method: method(app, row.upstream.as_ref()),
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
    match (browser, system) {
        (Some(browser), Some(system)) => format!("{browser} on {system}"),
        (Some(one), None) | (None, Some(one)) => one,
        (None, None) => "An unknown browser".to_owned(),
    }
}
