//! `/account/delete`: the end of one's own account.

use askama::Template;
use axum::{
    extract::{Request, State},
    http::StatusCode,
    response::Response,
};

use super::own;
use crate::{
    accounts::deletion::{self, Deleting},
    app::{App, Whence},
    audit::Event,
    foundation::{ids::UserId, names::username_key},
    store::{StoreError, StoreResult, audit_events, users::User},
    urls::path,
    web::{
        address,
        browser::BrowserMark,
        cookies::{self, Cookie},
        csrf,
        error::{Link, PageError},
        pages::{self, PageFrame, page, see_other},
        params,
    },
};

const ACTION: &str = "account_deletion";

#[derive(Template)]
#[template(path = "account/delete.html")]
struct DeletePage {
    page: PageFrame,
    csrf: String,
    username: String,
    days: i64,
    is_told: bool,
    fault: Option<&'static str>,
}

/// `GET /account/delete`.
pub async fn show(State(app): State<App>, request: Request) -> Result<Response, PageError> {
    let now = app.now();
    let headers = request.headers();
    let session = match own::fresh(&app, headers, path::MY_DELETION, now).await? {
        Ok(session) => session,
        Err(elsewhere) => return Ok(elsewhere),
    };
    refuse_switched_off(&app, &session.person.user.id)?;
    let mark = BrowserMark::find_or_make(&app, headers);
    let mut response = form(&app, &mark, &session.person.user, None);
    cookies::add(response.headers_mut(), mark.cookie(&app));
    Ok(response)
}

fn form(app: &App, mark: &BrowserMark, user: &User, fault: Option<&'static str>) -> Response {
    let status = if fault.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    let template = DeletePage {
        page: PageFrame::new(app),
        csrf: csrf::token(app, mark),
        username: user.username.clone(),
        days: app.config.accounts.deletion_grace.seconds() / 86_400,
        is_told: app.mail.is_configured() && user.email_verified == Some(true),
        fault,
    };
    page(status, &template)
}

/// `POST /account/delete`, with one's own username, so that nobody does it by mistake.
pub async fn delete(State(app): State<App>, request: Request) -> Result<Response, PageError> {
    let now = app.now();
    let from = address::of(&app, request.extensions(), request.headers()).to_string();
    let (headers, params) = params::of_page(request).await?;
    let Some(session) = own::proved(&app, ACTION, &headers, &params, now).await? else {
        return Ok(see_other(path::ACCOUNT));
    };
    let user = &session.person.user;
    refuse_switched_off(&app, &user.id)?;
    if username_key(params.get("username").unwrap_or_default()) != user.username_key {
        app.audit.note(Event::refused(ACTION, "not_confirmed").user(&user.id).address(from));
        let mark = BrowserMark::find_or_make(&app, &headers);
        return Ok(form(&app, &mark, user, Some("Type your username as it stands here.")));
    }
    let text = match delete_account(&app, &user.id, Whence { address: &from, at: now }).await? {
        Deleting::Done(_, due) if due > now => {
            format!("Nobody can sign in to it any more. On {} it is erased.", due.for_people())
        }
        Deleting::Done(..) => {
            "Nobody can sign in to it any more, and it is erased within a minute.".to_owned()
        }
        Deleting::Shut => "Nobody can sign in to it any more.".to_owned(),
        Deleting::LastAdministrator => {
            let event = Event::refused(ACTION, "last_administrator").user(&user.id);
            return Err(own::last_administrator().event(event.address(from)));
        }
    };
    let action =
        Link { href: path::ACCOUNT.to_owned(), label: "Sign in as somebody else".to_owned() };
    let mut response = pages::done(&app, "Your account is deleted", text, action);
    cookies::add(response.headers_mut(), cookies::clear(Cookie::Session, &app.urls));
    Ok(response)
}

async fn delete_account(app: &App, id: &UserId, whence: Whence<'_>) -> StoreResult<Deleting> {
    let grace = app.config.accounts.deletion_grace;
    let mut connection = app.connection().await?;
    connection
        .transaction(async |conn| {
            let deleted = deletion::delete(conn, id, &app.clients, grace, whence.at).await?;
            if let Deleting::Done(user, due) = &deleted {
                let event = Event::done(ACTION).user(id).address(whence.address);
                let event = event.detail("username", user.username.as_str());
                let event = event.detail("due", due.rfc3339()).row(whence.at, app.random());
                audit_events::insert(conn, &event).await?;
                app.queue_deleted(conn, user, *due, whence).await?;
            }
            Ok::<_, StoreError>(deleted)
        })
        .await
}

fn refuse_switched_off(app: &App, user: &UserId) -> Result<(), PageError> {
    if app.config.accounts.self_deletion {
        return Ok(());
    }
    Err(PageError::new(
        "deletion_off",
        "Accounts are not deleted here",
        "Accounts of this service are deleted by the people who run it.",
    )
    .status(StatusCode::FORBIDDEN)
    .next_step("Ask your administrator.")
    .action(path::ACCOUNT, "Go to your account")
    .event(Event::refused(ACTION, "deletion_off").user(user)))
}
