//! Who may change something of an account: whoever is signed in to it, sends our own form, and has
//! proved a moment ago who they are. A session that somebody left open is not enough (SS-18, LK-06),
//! nor is one factor where the account has two (MF-03, MF-04).

use std::net::IpAddr;

use axum::{
    http::{HeaderMap, StatusCode},
    response::Response,
};

use crate::{
    accounts::own_password,
    app::App,
    audit::Event,
    dispatcher::second_factor::is_whole,
    foundation::clock::{Span, Timestamp},
    sessions::LiveSession,
    store::{Connection, StoreResult, users::User},
    urls,
    web::{address, browser, csrf, error::PageError, pages::see_other, params::Params},
};

/// How old the proof of a session may be.
const YOUNG: Span = Span::from_minutes(5);

/// The session of who sends our own form to do `action`; none if nobody is signed in.
///
/// # Errors
/// A form that is not ours, or a proof that is not young: the page that says so, and its event.
pub(super) async fn proved(
    app: &App,
    action: &'static str,
    headers: &HeaderMap,
    params: &Params,
    now: Timestamp,
) -> Result<Option<LiveSession>, PageError> {
    let Some(session) = posted(app, action, headers, params, now).await? else {
        return Ok(None);
    };
    if !is_young(&session, now) || !is_whole(app, &session.session).await? {
        let event = Event::refused(action, "reauth_required").user(&session.person.user.id);
        return Err(reauth_required().event(event));
    }
    Ok(Some(session))
}

/// The session of who wants to see `page`, a form for such a change; or where they have to go first, to
/// sign in or to prove anew who they are, so that nobody fills in what is refused afterwards.
pub(super) async fn fresh(
    app: &App,
    headers: &HeaderMap,
    page: &str,
    now: Timestamp,
) -> Result<Result<LiveSession, Response>, PageError> {
    let Some(session) = browser::held_session(app, headers, None, now).await? else {
        return Ok(Err(see_other(urls::path::ACCOUNT)));
    };
    let is_fresh = is_young(&session, now) && is_whole(app, &session.session).await?;
    Ok(if is_fresh { Ok(session) } else { Err(see_other(&urls::prove(page))) })
}

/// The same for what anybody may do who is signed in, however long ago: to end and to revoke.
///
/// # Errors
/// A form that is not ours: the page that says so, and its event.
pub(super) async fn posted(
    app: &App,
    action: &'static str,
    headers: &HeaderMap,
    params: &Params,
    now: Timestamp,
) -> Result<Option<LiveSession>, PageError> {
    let token = params.get(csrf::FIELD);
    let forged = || PageError::forged_form().event(Event::refused(action, "form_not_ours"));
    if !csrf::is_own(app, headers, token) {
        return Err(forged());
    }
    let session = browser::held_session(app, headers, None, now).await?;
    if session.is_some() && !csrf::is_of_session(app, headers, token) {
        // Somebody else may have opened it, who was signed in here before (SS-13).
        return Err(forged());
    }
    Ok(session)
}

/// From where somebody does something, in human words.
pub(super) fn from_where(from: IpAddr, headers: &HeaderMap) -> String {
    format!("{from}, {}", super::device(&address::user_agent(headers)))
}

/// Whether the person has proved a moment ago who they are.
pub(super) fn is_young(session: &LiveSession, now: Timestamp) -> bool {
    now.since(session.session.auth_time) <= YOUNG
}

fn reauth_required() -> PageError {
    PageError::new(
        "reauth_required",
        "Please sign in again first",
        "The ways into your account can be changed for five minutes after you have signed in.",
    )
    .status(StatusCode::FORBIDDEN)
    .next_step("Sign in again. You come back to your account, and can try again there.")
    .action(urls::path::PROVE, "Sign in again")
}

/// Whatever was to be taken away is the only way into the account (LK-19).
pub(super) fn last_way_in() -> PageError {
    PageError::new(
        "last_way_in",
        "This is your only way in",
        "Without it you could not sign in to your account any more.",
    )
    .status(StatusCode::CONFLICT)
    .next_step("Connect another way to sign in first.")
    .action(urls::path::ACCOUNT, "Go to your account")
}

/// Nobody else would administer this place (AD-06).
pub(super) fn last_administrator() -> PageError {
    PageError::new(
        "last_administrator",
        "Nobody else administers this place",
        "By this you do, and there is no other administrator.",
    )
    .status(StatusCode::CONFLICT)
    .next_step("Make somebody else an administrator first.")
    .action(urls::path::ACCOUNT, "Go to your account")
}

/// The account of a session that still stands, held until the transaction ends: what ends all sessions
/// ends what they are about to do. None if it does not stand any more.
pub(super) async fn still(conn: &mut Connection, live: &LiveSession) -> StoreResult<Option<User>> {
    own_password::still(conn, &live.session, &live.person.user).await
}
