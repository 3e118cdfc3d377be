//! Ending one's own sessions: one, all others, or everything everywhere.
//!
//! One session may be ended by anybody who is signed in. What ends more than one takes a proof that
//! is young (SS-18).

use askama::Template;
use axum::{
    extract::{Request, State},
    http::{HeaderMap, StatusCode},
    response::Response,
};

use super::own;
use crate::{
    app::App,
    audit::Event,
    foundation::{
        clock::{Span, Timestamp},
        ids::{SessionId, UserId},
    },
    sessions,
    store::{
        StoreError, audit_events, grants::RevokedBecause, personal_access_tokens,
        sessions as session_rows,
    },
    urls,
    web::{
        address,
        browser::{self, BrowserMark},
        cookies::{self, Cookie},
        csrf,
        error::{Link, PageError},
        pages::{PageFrame, page, see_other},
        params,
    },
};

/// For how long afterwards the next sign-in begins with a choice.
const SIGNED_OUT_LIFE: Span = Span::from_hours(1);
/// The box by which tokens end as well.
const TOKENS: &str = "tokens";

#[derive(Template)]
#[template(path = "account/everywhere.html")]
struct EverywherePage {
    page: PageFrame,
    csrf: String,
    tokens: Vec<String>,
}

#[derive(Template)]
#[template(path = "logout/signed_out.html")]
struct SignedOutPage {
    page: PageFrame,
    return_link: Option<Link>,
    sign_in_href: &'static str,
    ended: Vec<String>,
    remaining: Vec<String>,
}

/// `POST /account/sessions/end`. Somebody else's session is as unknown as none (SS-11).
pub async fn end(State(app): State<App>, request: Request) -> Result<Response, PageError> {
    let now = app.now();
    let (headers, params) = params::of_page(request).await?;
    if !csrf::is_own(&app, &headers, params.get(csrf::FIELD)) {
        let event = Event::refused("end_session", "form_not_ours");
        return Err(PageError::forged_form().event(event));
    }
    let Some(session) = browser::session(&app, &headers, now).await? else {
        return Ok(see_other(urls::path::ACCOUNT));
    };
    let handle = SessionId::new(params.get("handle").unwrap_or_default().replace('\0', ""));
    let own = &session.person.user.id;
    let mut connection = app.connection().await?;
    let found = session_rows::find(&mut connection, &handle).await.map_err(StoreError::from)?;
    let Some((row, _)) = found.filter(|(row, _)| row.user_id == *own) else {
        return Err(unknown().event(Event::refused("end_session", "session_unknown").user(own)));
    };
    let event = Event::done("end_session").user(own).detail("session", handle.as_str());
    let event = event.row(now, app.random());
    connection
        .transaction(async |conn| {
            sessions::end(conn, &row, &app.clients, RevokedBecause::SignedOut, now).await?;
            audit_events::insert(conn, &event).await?;
            Ok::<_, StoreError>(())
        })
        .await?;
    Ok(see_other(urls::path::ACCOUNT))
}

/// `POST /account/sessions/end-others`: all but the one that asks.
pub async fn end_others(State(app): State<App>, request: Request) -> Result<Response, PageError> {
    let now = app.now();
    let from = address::of(&app, request.extensions(), request.headers());
    let (headers, params) = params::of_page(request).await?;
    let proved = own::proved(&app, "end_other_sessions", &headers, &params, now).await?;
    let Some(session) = proved else {
        return Ok(see_other(urls::path::ACCOUNT));
    };
    let (user, own) = (&session.person.user.id, &session.session.id);
    let mut connection = app.connection().await?;
    connection
        .transaction(async |conn| {
            let mut ended: u32 = 0;
            for other in session_rows::list_open_of_user(conn, user).await? {
                if other.id != *own {
                    let because = RevokedBecause::SignedOut;
                    sessions::end(conn, &other, &app.clients, because, now).await?;
                    ended += 1;
                }
            }
            let event = Event::done("end_other_sessions").user(user).address(from.to_string());
            let event = event.detail("sessions", ended).row(now, app.random());
            audit_events::insert(conn, &event).await?;
            Ok::<_, StoreError>(())
        })
        .await?;
    Ok(see_other(urls::path::ACCOUNT))
}

/// `GET /account/everywhere`: what would end.
pub async fn ask(State(app): State<App>, request: Request) -> Result<Response, PageError> {
    let now = app.now();
    let headers = request.headers();
    let Some(session) = browser::held_session(&app, headers, None, now).await? else {
        return Ok(see_other(urls::path::ACCOUNT));
    };
    let mark = BrowserMark::find_or_make(&app, headers);
    let mut connection = app.connection().await?;
    let tokens =
        personal_access_tokens::list_of_user(&mut connection, &session.person.user.id).await;
    let tokens = tokens.map_err(StoreError::from)?;
    let template = EverywherePage {
        page: PageFrame::new(&app),
        csrf: csrf::token(&app, &mark),
        tokens: tokens.into_iter().map(|token| token.name).collect(),
    };
    let mut response = page(StatusCode::OK, &template);
    cookies::add(response.headers_mut(), mark.cookie(&app));
    Ok(response)
}

/// `POST /account/everywhere`: every session of the person, every family of tokens, also those of apps
/// that work offline, and on request the personal access tokens (LO-09). Codes that are under way die
/// with their sessions.
pub async fn everywhere(State(app): State<App>, request: Request) -> Result<Response, PageError> {
    let now = app.now();
    let from = address::of(&app, request.extensions(), request.headers());
    let (headers, params) = params::of_page(request).await?;
    let proved = own::proved(&app, "sign_out_everywhere", &headers, &params, now).await?;
    let Some(session) = proved else {
        return Ok(see_other(urls::path::ACCOUNT));
    };
    let with_tokens = params.get(TOKENS).is_some();
    let user = &session.person.user.id;
    end_all(&app, user, from.to_string(), with_tokens, now).await?;
    Ok(signed_out(&app, &headers, with_tokens))
}

async fn end_all(
    app: &App,
    user: &UserId,
    from: String,
    with_tokens: bool,
    now: Timestamp,
) -> Result<(), PageError> {
    let mut connection = app.connection().await?;
    connection
        .transaction(async |conn| {
            let because = RevokedBecause::SignedOut;
            sessions::end_all_of_user(conn, user, &app.clients, because, now).await?;
            let tokens = if with_tokens {
                personal_access_tokens::revoke_of_user(conn, user, now).await?
            } else {
                0
            };
            let event = Event::done("sign_out_everywhere").user(user).address(from);
            let event = event.detail("tokens", tokens).row(now, app.random());
            audit_events::insert(conn, &event).await?;
            Ok::<_, StoreError>(())
        })
        .await?;
    Ok(())
}

fn signed_out(app: &App, headers: &HeaderMap, with_tokens: bool) -> Response {
    let mut ended = vec![
        "Every browser that you were signed in at".to_owned(),
        "Every app that works in your name".to_owned(),
    ];
    let mut remaining = vec!["Apps that you opened, until their own sessions end".to_owned()];
    let tokens = "Your personal access tokens".to_owned();
    if with_tokens {
        ended.push(tokens);
    } else {
        remaining.push(tokens);
    }
    let template = SignedOutPage {
        page: PageFrame::new(app),
        return_link: None,
        sign_in_href: urls::path::ACCOUNT,
        ended,
        remaining,
    };
    let mut response = page(StatusCode::OK, &template);
    let out = response.headers_mut();
    if cookies::read(headers, Cookie::Session, &app.urls).is_some() {
        cookies::add(out, cookies::clear(Cookie::Session, &app.urls));
    }
    // Nobody is signed in again behind their back.
    cookies::add(out, cookies::set(Cookie::SignedOut, "yes", SIGNED_OUT_LIFE, &app.urls));
    response
}

fn unknown() -> PageError {
    PageError::new("session_unknown", "There is no such session", "It may have ended already.")
        .status(StatusCode::NOT_FOUND)
        .action(urls::path::ACCOUNT, "Go to your account")
}
