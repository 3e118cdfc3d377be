//! `/account/profile`: what one is called. Apps hear it with the next token.

use askama::Template;
use axum::{
    extract::{Request, State},
    http::StatusCode,
    response::Response,
};

use super::own;
use crate::{
    app::{App, Whence},
    audit::Event,
    foundation::names::{username_fault, username_key},
    store::{StoreError, StoreResult, audit_events, users, users::User},
    urls::path,
    web::{
        address,
        browser::BrowserMark,
        cookies, csrf,
        error::PageError,
        pages::{PageFrame, page, see_other},
        params::{self, Params},
    },
};

const ACTION: &str = "profile_change";
/// The longest name of a person.
const MAX_NAME: usize = 100;
const TAKEN: &str = "Somebody has this username already. Choose another one.";

#[derive(Template)]
#[template(path = "account/profile.html")]
struct ProfilePage {
    page: PageFrame,
    csrf: String,
    username: String,
    name: String,
    /// The name is an upstream's word, and changes there.
    is_name_fixed: bool,
    fault: Option<String>,
}

/// What was typed.
struct Typed {
    username: String,
    name: String,
}

impl Typed {
    fn of(user: &User) -> Self {
        Self { username: user.username.clone(), name: user.name.clone().unwrap_or_default() }
    }

    fn read(params: &Params, user: &User) -> Self {
        let text = |name: &str, most: usize| -> String {
            let typed = params.get(name).unwrap_or_default().trim();
            typed.chars().filter(|c| !c.is_control()).take(most).collect()
        };
        let name = if is_name_fixed(user) {
            user.name.clone().unwrap_or_default()
        } else {
            text("name", MAX_NAME)
        };
        Self { username: text("username", 320), name }
    }
}

fn is_name_fixed(user: &User) -> bool {
    user.email_issuer.is_some()
}

/// `GET /account/profile`.
pub async fn show(State(app): State<App>, request: Request) -> Result<Response, PageError> {
    let now = app.now();
    let headers = request.headers();
    let session = match own::fresh(&app, headers, path::MY_PROFILE, now).await? {
        Ok(session) => session,
        Err(elsewhere) => return Ok(elsewhere),
    };
    let mark = BrowserMark::find_or_make(&app, headers);
    let user = &session.person.user;
    let mut response = form(&app, &mark, user, Typed::of(user), None);
    cookies::add(response.headers_mut(), mark.cookie(&app));
    Ok(response)
}

fn form(
    app: &App,
    mark: &BrowserMark,
    user: &User,
    typed: Typed,
    fault: Option<String>,
) -> Response {
    let status = if fault.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    let template = ProfilePage {
        page: PageFrame::new(app),
        csrf: csrf::token(app, mark),
        username: typed.username,
        name: typed.name,
        is_name_fixed: is_name_fixed(user),
        fault,
    };
    page(status, &template)
}

/// `POST /account/profile`.
pub async fn change(State(app): State<App>, request: Request) -> Result<Response, PageError> {
    let now = app.now();
    let from = address::of(&app, request.extensions(), request.headers()).to_string();
    let (headers, params) = params::of_page(request).await?;
    let Some(session) = own::proved(&app, ACTION, &headers, &params, now).await? else {
        return Ok(see_other(path::ACCOUNT));
    };
    let user = &session.person.user;
    let typed = Typed::read(&params, user);
    let refuse = |typed: Typed, reason: &'static str, fault: String| {
        app.audit.note(Event::refused(ACTION, reason).user(&user.id).address(from.as_str()));
        let mark = BrowserMark::find_or_make(&app, &headers);
        form(&app, &mark, user, typed, Some(fault))
    };
    // What somebody is called already they may stay, whatever the rule says by now.
    let same = typed.username == user.username;
    if let Some(fault) = username_fault(&typed.username).filter(|_| !same) {
        return Ok(refuse(typed, "username_unfit", format!("This username {fault}.")));
    }
    if !rename(&app, user, &typed, Whence { address: &from, at: now }).await? {
        return Ok(refuse(typed, "username_taken", TAKEN.to_owned()));
    }
    Ok(see_other(path::ACCOUNT))
}

async fn rename(app: &App, user: &User, typed: &Typed, whence: Whence<'_>) -> StoreResult<bool> {
    let key = username_key(&typed.username);
    let name = Some(typed.name.as_str()).filter(|name| !name.is_empty());
    let event = Event::done(ACTION).user(&user.id).address(whence.address);
    let event = event.detail("former", user.username.as_str());
    let event = event.detail("username", typed.username.as_str()).row(whence.at, app.random());
    let mut connection = app.connection().await?;
    connection
        .transaction(async |conn| {
            let called = (typed.username.as_str(), key.as_str());
            if !users::rename(conn, &user.id, called, name, whence.at).await? {
                return Ok(false);
            }
            audit_events::insert(conn, &event).await?;
            if typed.username != user.username {
                app.queue_notice(conn, user, "the username was changed", whence).await?;
            }
            Ok::<_, StoreError>(true)
        })
        .await
}
