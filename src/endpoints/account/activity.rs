//! `GET /account/activity`: what has happened to one's account lately, in words.

use askama::Template;
use axum::{
    extract::{Request, State},
    http::StatusCode,
    response::Response,
};

use crate::{
    app::App,
    foundation::ids::ClientId,
    store::{
        StoreError,
        audit_events::{self, AuditEvent, Outcome},
    },
    urls,
    web::{
        browser,
        error::PageError,
        pages::{PageFrame, page, see_other},
    },
};

/// So many are shown.
const SHOWN: i64 = 50;

#[derive(Template)]
#[template(path = "account/activity.html")]
struct ActivityPage {
    page: PageFrame,
    events: Vec<EventRow>,
}

struct EventRow {
    what: String,
    /// Why it was refused.
    reason: Option<String>,
    is_refused: bool,
    at: String,
    address: Option<String>,
    app: Option<String>,
    upstream: Option<String>,
    trace: Option<String>,
}

/// `GET /account/activity`.
pub async fn show(State(app): State<App>, request: Request) -> Result<Response, PageError> {
    let now = app.now();
    let Some(session) = browser::held_session(&app, request.headers(), None, now).await? else {
        return Ok(see_other(urls::path::ACCOUNT));
    };
    let mut connection = app.connection().await?;
    let user = &session.person.user.id;
    let events = audit_events::list_of_user(&mut connection, user, (0, SHOWN)).await;
    let events = events.map_err(StoreError::from)?;
    drop(connection);
    let events = events.iter().map(|event| row(&app, event)).collect();
    Ok(page(StatusCode::OK, &ActivityPage { page: PageFrame::new(&app), events }))
}

fn row(app: &App, event: &AuditEvent) -> EventRow {
    let upstream = event.upstream.as_ref();
    EventRow {
        what: in_words(event),
        reason: event.reason.as_ref().map(|reason| reason.replace('_', " ")),
        is_refused: event.outcome == Outcome::Refused,
        at: event.at.for_people(),
        address: event.address.clone(),
        app: event.client_id.as_ref().map(|id| name_of(app, id)),
        upstream: upstream.map(|slug| super::method(app, Some(slug))),
        trace: event.trace_id.as_ref().map(ToString::to_string),
    }
}

fn name_of(app: &App, id: &ClientId) -> String {
    let client = app.clients.find(id.as_str());
    client.map_or_else(|| id.to_string(), |client| client.settings.name.clone())
}

/// What was done or tried. What is not listed here is told by its own name.
fn in_words(event: &AuditEvent) -> String {
    let detail: serde_json::Value = serde_json::from_str(&event.detail).unwrap_or_default();
    let text = |name: &str| detail.get(name).and_then(serde_json::Value::as_str);
    let said = match event.action.as_str() {
        "sign_in" => "Signing in",
        "sign_up" => "Making the account",
        "sign_out" => "Signing out",
        "sign_out_everywhere" => "Signing out everywhere",
        "end_session" if text("because").is_some() => {
            "The oldest session ended: there were too many"
        }
        "end_session" => "Ending a session",
        "end_other_sessions" => "Ending all other sessions",
        "upstream_logout" => "Signing out at the provider",
        "backchannel_logout" => "Telling an app of a sign-out",
        "lease" => "Asking the provider whether you are still there",
        "link" => "Connecting a way to sign in",
        "unlink" => "Removing a way to sign in",
        "password_set" => "An administrator replaced the password",
        "user_added" => "An administrator made the account",
        "user_disabled" => "An administrator shut the account",
        "user_enabled" => "An administrator opened the account",
        "token" => "Tokens for an app",
        "revoke" => "An app gave its tokens back",
        "disconnect_app" => "Disconnecting an app",
        "make_token" => "Making a personal access token",
        "revoke_token" => "Revoking a personal access token",
        "token_used_from_new_network" => "A personal access token was used from a new network",
        "export" => "Exporting everything about you",
        "mail" => "A mail to you",
        other => return sentence(other),
    };
    match text("name") {
        Some(name) => format!("{said}: {name}"),
        None => said.to_owned(),
    }
}

fn sentence(action: &str) -> String {
    let words = action.replace('_', " ");
    let mut letters = words.chars();
    let first = letters.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    first + letters.as_str()
}
