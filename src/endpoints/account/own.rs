//! Who may change something of an account: whoever is signed in to it, sends our own form, and has
//! proved a moment ago who they are. A session that somebody left open is not enough (SS-18, LK-06).

use std::net::IpAddr;

use axum::http::{HeaderMap, StatusCode};

use crate::{
    app::App,
    audit::Event,
    foundation::clock::{Span, Timestamp},
    mail::{Link, Message},
    sessions::LiveSession,
    store::{Connection, StoreResult, users::User},
    urls,
    web::{address, browser, csrf, error::PageError, params::Params},
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
    if !is_young(&session, now) {
        let event = Event::refused(action, "reauth_required").user(&session.person.user.id);
        return Err(reauth_required().event(event));
    }
    Ok(Some(session))
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
    if !csrf::is_own(app, headers, params.get(csrf::FIELD)) {
        return Err(PageError::forged_form().event(Event::refused(action, "form_not_ours")));
    }
    Ok(browser::held_session(app, headers, None, now).await?)
}

/// Queues the mail that says what was done to somebody's account, and from where, if they have an
/// address that is theirs.
pub(super) async fn tell(
    app: &App,
    conn: &mut Connection,
    user: &User,
    (what, from_where): (String, String),
    now: Timestamp,
) -> StoreResult<()> {
    let address = user.email.as_deref().filter(|_| user.email_verified == Some(true));
    let Some(to) = address.filter(|_| app.mail.is_configured()) else {
        return Ok(());
    };
    let message = Message::MethodChanged {
        what,
        when: now,
        from_where,
        account: Link::new(&app.urls, urls::path::ACCOUNT, &[]),
    };
    // A mail that the brake has stopped is noted where it was stopped.
    let _ = app.queue_mail(conn, to, &message, now).await?;
    Ok(())
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
