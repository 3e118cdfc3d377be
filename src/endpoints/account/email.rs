//! `/account/email`: another address, or proof of the one there is.
//!
//! A new address counts when what was sent to it has come back, and not before (LK-20). Nobody is
//! told here whether it belongs to somebody: its owner is, by mail (PW-09).

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
    foundation::{
        clock::Timestamp,
        names::{email_key, is_email},
    },
    sessions::LiveSession,
    store::{StoreError, StoreResult, audit_events, one_time_links::LinkPurpose, users::User},
    urls::path,
    web::{
        address,
        browser::{self, BrowserMark},
        cookies, csrf,
        error::{Link, PageError},
        pages::{self, PageFrame, page, see_other},
        params,
    },
};

const ACTION: &str = "email_change";

#[derive(Template)]
#[template(path = "account/email.html")]
struct EmailPage {
    page: PageFrame,
    csrf: String,
    current: Option<String>,
    is_verified: bool,
    typed: String,
    fault: Option<&'static str>,
}

/// `GET /account/email`.
pub async fn show(State(app): State<App>, request: Request) -> Result<Response, PageError> {
    let now = app.now();
    let headers = request.headers();
    let session = match own::fresh(&app, headers, path::MY_EMAIL, now).await? {
        Ok(session) => session,
        Err(elsewhere) => return Ok(elsewhere),
    };
    refuse_unchangeable(&app, &session.person.user)?;
    let mark = BrowserMark::find_or_make(&app, headers);
    let mut response = form(&app, &mark, &session.person.user, String::new(), None);
    cookies::add(response.headers_mut(), mark.cookie(&app));
    Ok(response)
}

fn form(
    app: &App,
    mark: &BrowserMark,
    user: &User,
    typed: String,
    fault: Option<&'static str>,
) -> Response {
    let status = if fault.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    let template = EmailPage {
        page: PageFrame::new(app),
        csrf: csrf::token(app, mark),
        current: user.email.clone(),
        is_verified: user.email_verified == Some(true),
        typed,
        fault,
    };
    page(status, &template)
}

/// `POST /account/email`.
pub async fn change(State(app): State<App>, request: Request) -> Result<Response, PageError> {
    let now = app.now();
    let from = address::of(&app, request.extensions(), request.headers()).to_string();
    let (headers, params) = params::of_page(request).await?;
    let Some(session) = own::proved(&app, ACTION, &headers, &params, now).await? else {
        return Ok(see_other(path::ACCOUNT));
    };
    let user = &session.person.user;
    refuse_unchangeable(&app, user)?;
    let typed = params.get("email").unwrap_or_default().trim().to_owned();
    if let Some(fault) = fault(user, &typed) {
        app.audit.note(Event::refused(ACTION, "email_unfit").user(&user.id).address(from));
        let mark = BrowserMark::find_or_make(&app, &headers);
        return Ok(form(&app, &mark, user, typed, Some(fault)));
    }
    let event = Event::done("email_change_asked").user(&user.id).address(from);
    send(&app, &session, (LinkPurpose::ChangeEmail, &typed), event, now).await?;
    Ok(sent(&app, &typed))
}

fn fault(user: &User, typed: &str) -> Option<&'static str> {
    if !is_email(typed) {
        return Some("Enter an email address such as anna@example.org.");
    }
    let same = user.email_verified == Some(true) && user.email_key == Some(email_key(typed));
    same.then_some("This is your address already.")
}

/// `POST /account/email/verify`: the link to the address there is, once more.
pub async fn verify(State(app): State<App>, request: Request) -> Result<Response, PageError> {
    let now = app.now();
    let from = address::of(&app, request.extensions(), request.headers()).to_string();
    let (headers, params) = params::of_page(request).await?;
    let action = "verify_email";
    if !csrf::is_own(&app, &headers, params.get(csrf::FIELD)) {
        return Err(PageError::forged_form().event(Event::refused(action, "form_not_ours")));
    }
    let Some(session) = browser::held_session(&app, &headers, None, now).await? else {
        return Ok(see_other(path::ACCOUNT));
    };
    let user = &session.person.user;
    refuse_unchangeable(&app, user)?;
    let Some(email) = user.email.clone().filter(|_| user.email_verified != Some(true)) else {
        return Ok(see_other(path::ACCOUNT));
    };
    let event = Event::done("verification_asked").user(&user.id).address(from);
    send(&app, &session, (LinkPurpose::VerifyEmail, &email), event, now).await?;
    Ok(sent(&app, &email))
}

async fn send(
    app: &App,
    session: &LiveSession,
    (purpose, email): (LinkPurpose, &str),
    event: Event,
    now: Timestamp,
) -> StoreResult<()> {
    let user = &session.person.user;
    let row = event.detail("email", email).row(now, app.random());
    let mut connection = app.connection().await?;
    connection
        .transaction(async |conn| {
            if own::still(conn, session).await?.is_some() {
                let _ = app.queue_verification(conn, user, (purpose, email), now).await?;
                audit_events::insert(conn, &row).await?;
            }
            Ok::<_, StoreError>(())
        })
        .await
}

fn sent(app: &App, email: &str) -> Response {
    let text = format!("Open the link that was sent to {email}. It is good for 24 hours.");
    let label = "Go to your account".to_owned();
    pages::done(app, "Look into your mail", text, Link { href: path::ACCOUNT.to_owned(), label })
}

/// Without mail no address can be proved; and one that an upstream asserts is changed there.
fn refuse_unchangeable(app: &App, user: &User) -> Result<(), PageError> {
    let (reason, text) = if !app.mail.is_configured() {
        (
            "mail_off",
            "This service sends no mail, so that it cannot ask whether an address is yours.",
        )
    } else if user.email_issuer.is_some() {
        ("email_of_upstream", "Your address comes from where you sign in. Change it there.")
    } else {
        return Ok(());
    };
    Err(PageError::new(reason, "Your address cannot be changed here", text)
        .status(StatusCode::FORBIDDEN)
        .action(path::ACCOUNT, "Go to your account")
        .event(Event::refused(ACTION, reason).user(&user.id)))
}
