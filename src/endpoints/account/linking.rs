//! `POST /account/link` and `POST /account/unlink`: more than one way into one's account.
//!
//! Whoever changes the ways in must have proved a moment ago who they are: a session that somebody
//! left open is not enough (LK-06).

use axum::{
    extract::{Request, State},
    http::StatusCode,
    response::Response,
};

use super::own;
use crate::{
    accounts::{
        administrators,
        linking::{self, Unlinking, WaysIn},
    },
    app::{App, Whence},
    audit::{Event, printable},
    dispatcher,
    foundation::ids::{IdentityId, TraceId},
    interactions::{Interaction, Purpose},
    sessions,
    store::{StoreError, audit_events, grants::RevokedBecause},
    urls,
    web::{address, browser::BrowserMark, error::PageError, pages::see_other, params, throttle},
};

/// `POST /account/link`: off to the upstream whose account is to be linked.
pub async fn link(State(app): State<App>, request: Request) -> Result<Response, PageError> {
    let now = app.now();
    let from = address::of(&app, request.extensions(), request.headers());
    let (headers, params) = params::of_page(request).await?;
    let Some(session) = own::proved(&app, "link", &headers, &params, now).await? else {
        return Ok(see_other(urls::path::ACCOUNT));
    };
    let user = &session.person.user.id;
    let Some(upstream) = params.get("upstream").and_then(|slug| app.upstreams.find(slug)) else {
        let event = Event::refused("link", "upstream_unknown").user(user);
        return Err(upstream_unknown().event(event));
    };
    throttle::begin_flow(&app, from, now)?;
    let mark = BrowserMark::find_or_make(&app, &headers);
    let purpose = Purpose::Link { user_id: user.clone(), session_id: session.session.id.clone() };
    let trace = TraceId::generate(app.random());
    let mut interaction = Interaction::begin(purpose, trace, &mark.digest(), app.random());
    interaction.note(now, format!("{} wanted to link", session.person.user.username));
    dispatcher::depart(&app, upstream, interaction, now).await
}

/// `POST /account/unlink`. Somebody else's identity is as unknown as none.
pub async fn unlink(State(app): State<App>, request: Request) -> Result<Response, PageError> {
    let now = app.now();
    let from = address::of(&app, request.extensions(), request.headers()).to_string();
    let (headers, params) = params::of_page(request).await?;
    let Some(session) = own::proved(&app, "unlink", &headers, &params, now).await? else {
        return Ok(see_other(urls::path::ACCOUNT));
    };
    let user = &session.person.user.id;
    let handle = IdentityId::new(params.get("handle").unwrap_or_default().replace('\0', ""));
    let ways = WaysIn { upstreams: &app.upstreams, passwords: app.config.passwords.login };
    let mut connection = app.connection().await?;
    let unlinked = connection
        .transaction(async |conn| {
            administrators::hold(conn).await?;
            let unlinked = linking::unlink(conn, &handle, user, ways).await?;
            if let Unlinking::Gone(identity) = &unlinked {
                let of = (user, &identity.upstream);
                let because = RevokedBecause::Unlinked;
                sessions::end_all_of_upstream(conn, of, &app.clients, because, now).await?;
                let event = Event::done("unlink").user(user).upstream(&identity.upstream);
                let event = event.detail("subject", printable(&identity.subject));
                audit_events::insert(conn, &event.row(now, app.random())).await?;
                let upstream = app.upstreams.find(identity.upstream.as_str());
                let name = upstream.map_or(identity.upstream.as_str(), |one| &one.settings.name);
                let what = format!("signing in with {name} was removed");
                let whence = Whence { address: &from, at: now };
                app.queue_notice(conn, &session.person.user, &what, whence).await?;
            }
            Ok::<_, StoreError>(unlinked)
        })
        .await?;
    match unlinked {
        Unlinking::Gone(_) => Ok(see_other(urls::path::ACCOUNT)),
        Unlinking::Unknown => {
            Err(unknown().event(Event::refused("unlink", "identity_unknown").user(user)))
        }
        Unlinking::LastWayIn => {
            Err(own::last_way_in().event(Event::refused("unlink", "last_way_in").user(user)))
        }
        Unlinking::LastAdministrator => {
            let event = Event::refused("unlink", "last_administrator").user(user);
            Err(own::last_administrator().event(event))
        }
    }
}

fn upstream_unknown() -> PageError {
    PageError::new(
        "upstream_unknown",
        "There is nothing to connect",
        "This way to sign in does not exist here, or has been switched off.",
    )
    .status(StatusCode::NOT_FOUND)
    .action(urls::path::ACCOUNT, "Go to your account")
}

fn unknown() -> PageError {
    PageError::new("identity_unknown", "There is no such link", "It may be gone already.")
        .status(StatusCode::NOT_FOUND)
        .action(urls::path::ACCOUNT, "Go to your account")
}
