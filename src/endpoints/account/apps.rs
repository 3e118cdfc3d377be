//! `GET /account/apps`, `POST /account/apps/disconnect`: the apps that hold tokens of the person's.

use std::collections::{BTreeMap, HashMap};

use askama::Template;
use axum::{
    extract::{Request, State},
    http::StatusCode,
    response::Response,
};

use super::own;
use crate::{
    app::App,
    audit::Event,
    foundation::{clock::Timestamp, ids::ClientId},
    protocol::scope::Scope,
    store::{
        StoreError, audit_events, consents,
        consents::Consent,
        grants::{self, Grant, RevokedBecause},
        refresh_tokens,
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
#[template(path = "account/apps.html")]
struct AppsPage {
    page: PageFrame,
    csrf: String,
    apps: Vec<AppRow>,
}

struct AppRow {
    client_id: String,
    name: String,
    home: Option<String>,
    scopes: Vec<String>,
    since: String,
    last_used: String,
}

/// All living families of one app, and what the person has agreed to.
struct Connected {
    since: Timestamp,
    last_used: Timestamp,
    scope: Scope,
}

/// `GET /account/apps`.
pub async fn show(State(app): State<App>, request: Request) -> Result<Response, PageError> {
    let now = app.now();
    let headers = request.headers();
    let Some(session) = browser::held_session(&app, headers, None, now).await? else {
        return Ok(see_other(urls::path::ACCOUNT));
    };
    let user = &session.person.user.id;
    let mut connection = app.connection().await?;
    let living = grants::list_live_of_user(&mut connection, user, now).await;
    let living = living.map_err(StoreError::from)?;
    let agreed = consents::list_of_user(&mut connection, user).await;
    let agreed = agreed.map_err(StoreError::from)?;
    let issued = refresh_tokens::last_issued(&mut connection, user, now).await;
    let issued: HashMap<_, _> = issued.map_err(StoreError::from)?.into_iter().collect();
    drop(connection);
    let last_issued = |grant: &Grant| issued.get(&grant.id).copied().flatten();
    let mark = BrowserMark::find_or_make(&app, headers);
    let template = AppsPage {
        page: PageFrame::new(&app),
        csrf: csrf::token(&app, &mark),
        apps: by_app(&living, &agreed, last_issued)
            .iter()
            .map(|(id, one)| row(&app, id, one))
            .collect(),
    };
    let mut response = page(StatusCode::OK, &template);
    cookies::add(response.headers_mut(), mark.cookie(&app));
    Ok(response)
}

fn by_app(
    living: &[Grant],
    agreed: &[Consent],
    last_issued: impl Fn(&Grant) -> Option<Timestamp>,
) -> BTreeMap<ClientId, Connected> {
    let mut apps: BTreeMap<ClientId, Connected> = BTreeMap::new();
    for grant in living {
        let (since, scope) = (grant.created_at, Scope::from(grant.scope.clone()));
        let last_used = last_issued(grant).map_or(since, |issued| issued.max(since));
        let fresh = Connected { since, last_used, scope: scope.clone() };
        let one = apps.entry(grant.client_id.clone()).or_insert(fresh);
        one.since = one.since.min(since);
        one.last_used = one.last_used.max(last_used);
        one.scope = one.scope.iter().chain(scope.iter()).collect();
    }
    for consent in agreed {
        let (since, scope) = (consent.given_at, Scope::from(consent.scope.clone()));
        let fresh = Connected { since, last_used: consent.updated_at, scope };
        let _ = apps.entry(consent.client_id.clone()).or_insert(fresh);
    }
    apps
}

fn row(app: &App, id: &ClientId, one: &Connected) -> AppRow {
    // An app that was taken out of the configuration has its id and nothing else.
    let client = app.clients.find(id.as_str());
    AppRow {
        client_id: id.to_string(),
        name: client.as_ref().map_or_else(|| id.to_string(), |c| c.settings.name.clone()),
        home: client.and_then(|client| client.home()),
        scopes: one.scope.iter().map(str::to_owned).collect(),
        since: one.since.for_people(),
        last_used: one.last_used.for_people(),
    }
}

/// `POST /account/apps/disconnect`: every token that the app holds for the person dies, and what they
/// have agreed to counts no more. The next time they open it, it gets new ones, or asks again.
pub async fn disconnect(State(app): State<App>, request: Request) -> Result<Response, PageError> {
    let now = app.now();
    let from = address::of(&app, request.extensions(), request.headers());
    let (headers, params) = params::of_page(request).await?;
    let Some(session) = own::posted(&app, "disconnect_app", &headers, &params, now).await? else {
        return Ok(see_other(urls::path::ACCOUNT));
    };
    let user = &session.person.user.id;
    let client = ClientId::new(params.get("app").unwrap_or_default().replace('\0', ""));
    let event = Event::done("disconnect_app").user(user).client(&client);
    let event = event.address(from.to_string()).row(now, app.random());
    let mut connection = app.connection().await?;
    let was_connected = connection
        .transaction(async |conn| {
            let because = RevokedBecause::Disconnected;
            let ended = grants::revoke_of_client(conn, (user, &client), because, now).await?;
            let connected = consents::delete(conn, user, &client).await? || ended > 0;
            if connected {
                audit_events::insert(conn, &event).await?;
            }
            Ok::<_, StoreError>(connected)
        })
        .await?;
    if !was_connected {
        return Err(unknown().event(Event::refused("disconnect_app", "app_unknown").user(user)));
    }
    Ok(see_other(urls::path::APPS_OF_MINE))
}

fn unknown() -> PageError {
    PageError::new("app_unknown", "There is no such app", "It may be disconnected already.")
        .status(StatusCode::NOT_FOUND)
        .action(urls::path::APPS_OF_MINE, "Go to your apps")
}
