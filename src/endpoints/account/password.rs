//! `/account/password`: another password, or none.
//!
//! Whoever changes it has proved a moment ago who they are, and knows the one there is (PW-17): a
//! session that somebody left open is not enough. Everybody else who is signed in is signed out.

use std::net::IpAddr;

use askama::Template;
use axum::{
    extract::{Request, State},
    http::{HeaderValue, StatusCode, header},
    response::Response,
};

use super::own;
use crate::{
    accounts::{
        linking::WaysIn,
        own_password,
        passwords::{Known, NotTaken},
        signup::Faults,
    },
    app::{App, Whence},
    audit::Event,
    config::PasswordLogin,
    dispatcher::password::{Attempt, Tried},
    foundation::{clock::Timestamp, ids::TraceId, secret::Secret},
    sessions::LiveSession,
    store::{
        StoreError, StoreResult, audit_events, identities,
        one_time_links::{self, LinkPurpose},
        users::{self, User},
    },
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

const ACTION: &str = "password_change";

#[derive(Template)]
#[template(path = "account/password.html")]
struct PasswordPage {
    page: PageFrame,
    csrf: String,
    username: String,
    is_removable: bool,
    current_fault: Option<String>,
    new_fault: Option<String>,
}

/// What is wrong with what was typed.
#[derive(Default)]
struct Wrong {
    current: Option<String>,
    new: Option<String>,
}

/// `GET /account/password`.
pub async fn show(State(app): State<App>, request: Request) -> Result<Response, PageError> {
    let now = app.now();
    let headers = request.headers();
    let session = match own::fresh(&app, headers, path::MY_PASSWORD, now).await? {
        Ok(session) => session,
        Err(elsewhere) => return Ok(elsewhere),
    };
    refuse_without_password(&app, &session.person.user)?;
    let mark = BrowserMark::find_or_make(&app, headers);
    let mut response = form(&app, &mark, &session.person.user, Wrong::default()).await?;
    cookies::add(response.headers_mut(), mark.cookie(&app));
    Ok(response)
}

async fn form(
    app: &App,
    mark: &BrowserMark,
    user: &User,
    wrong: Wrong,
) -> Result<Response, PageError> {
    let is_wrong = wrong.current.is_some() || wrong.new.is_some();
    let status = if is_wrong { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    let template = PasswordPage {
        page: PageFrame::new(app),
        csrf: csrf::token(app, mark),
        username: user.username.clone(),
        is_removable: has_another_way(app, user).await?,
        current_fault: wrong.current,
        new_fault: wrong.new,
    };
    Ok(page(status, &template))
}

async fn has_another_way(app: &App, user: &User) -> StoreResult<bool> {
    let mut connection = app.connection().await?;
    let identities = identities::list_of_user(&mut connection, &user.id).await?;
    let ways = WaysIn { upstreams: &app.upstreams, passwords: PasswordLogin::Off };
    Ok(ways.remain(user, &identities))
}

/// `POST /account/password`.
pub async fn change(State(app): State<App>, request: Request) -> Result<Response, PageError> {
    let now = app.now();
    let from = address::of(&app, request.extensions(), request.headers());
    let (headers, params) = params::of_page(request).await?;
    let Some(session) = own::proved(&app, ACTION, &headers, &params, now).await? else {
        return Ok(see_other(path::ACCOUNT));
    };
    let user = session.person.user.clone();
    refuse_without_password(&app, &user)?;
    let mark = BrowserMark::find_or_make(&app, &headers);
    let (whence, from) = (from, from.to_string());
    let changing = Changing { app: &app, session, whence, from: &from, now };
    let (current, new) = (params.get("current"), params.get("password"));
    let current = Secret::new(current.unwrap_or_default());
    if let Some(refused) = changing.check(&mark, &current).await? {
        return Ok(refused);
    }
    let (username, email) = (user.username.clone(), user.email.clone());
    let known = Known { username, email, name: user.name.clone() };
    let hash = match app.passwords.take(&Secret::new(new.unwrap_or_default()), &known).await {
        Ok(hash) => hash,
        Err(NotTaken::Refused(faults)) => {
            app.audit.note(Event::refused(ACTION, "password_unfit").user(&user.id));
            let new = Faults::of_password(&faults).password;
            return form(&app, &mark, &user, Wrong { new, ..Wrong::default() }).await;
        }
        Err(NotTaken::Hashing(fault)) => {
            let event = Event::refused(ACTION, "too_many_sign_ins").user(&user.id);
            return Err(PageError::unavailable(fault).event(event));
        }
    };
    changing.change(&hash).await
}

/// A change of the password.
struct Changing<'a> {
    app: &'a App,
    session: LiveSession,
    whence: IpAddr,
    from: &'a str,
    now: Timestamp,
}

impl Changing<'_> {
    /// The form again, if this is not the password there is. It counts like any other try (PW-12).
    async fn check(
        &self,
        mark: &BrowserMark,
        current: &Secret,
    ) -> Result<Option<Response>, PageError> {
        let (app, user) = (self.app, &self.session.person.user);
        let trace = TraceId::generate(app.random());
        let (from, now) = (self.whence, self.now);
        let attempt = Attempt { app, from, client: None, trace: &trace, now };
        match attempt.confirm((user, current), Some(mark.bits().as_slice())).await? {
            Tried::Right(..) | Tried::Waiting(_) => Ok(None),
            Tried::TooMany(wait, _) => {
                let text = "Too many tries. Wait a while and try again.";
                let mut response = self.refuse(mark, "too_many_tries", text).await?;
                *response.status_mut() = StatusCode::TOO_MANY_REQUESTS;
                let wait = HeaderValue::from(wait.seconds());
                response.headers_mut().insert(header::RETRY_AFTER, wait);
                Ok(Some(response))
            }
            Tried::Wrong(_) => {
                let text = "This is not your password. Check for caps lock and try again.";
                self.refuse(mark, "wrong_password", text).await.map(Some)
            }
        }
    }

    async fn refuse(
        &self,
        mark: &BrowserMark,
        reason: &'static str,
        text: &str,
    ) -> Result<Response, PageError> {
        let user = &self.session.person.user;
        self.app.audit.note(Event::refused(ACTION, reason).user(&user.id).address(self.from));
        let wrong = Wrong { current: Some(text.to_owned()), ..Wrong::default() };
        form(self.app, mark, user, wrong).await
    }

    /// The new password, and a session of its own: every other one ends, and so does the secret of
    /// this one (PW-18).
    async fn change(self, hash: &str) -> Result<Response, PageError> {
        let (app, now) = (self.app, self.now);
        let whence = Whence { address: self.from, at: now };
        let own = &self.session;
        let mut connection = app.connection().await?;
        let renewed = connection
            .transaction(async |conn| {
                let policy = app.session_policy();
                let live = (&own.session, &own.person.user);
                let changed = own_password::change(conn, live, hash, policy, now).await?;
                let Some((user, secret)) = changed else {
                    return Ok(None);
                };
                let event = Event::done(ACTION).user(&user.id).address(self.from);
                audit_events::insert(conn, &event.row(now, app.random())).await?;
                app.queue_notice(conn, &user, "the password was changed", whence).await?;
                Ok::<_, StoreError>(Some(secret))
            })
            .await?;
        let Some(secret) = renewed else {
            return Ok(see_other(path::MY_PASSWORD));
        };
        let text = "Everybody else who was signed in to your account has been signed out.";
        let heading = "Your password is changed";
        let mut response = pages::done(app, heading, text.to_owned(), to_account());
        let cookie = browser::session_cookie(app, &own.session, &secret, now);
        cookies::add(response.headers_mut(), cookie);
        Ok(response)
    }
}

/// `POST /account/password/remove`: whoever signs in elsewhere needs none here.
pub async fn remove(State(app): State<App>, request: Request) -> Result<Response, PageError> {
    let now = app.now();
    let from = address::of(&app, request.extensions(), request.headers()).to_string();
    let (headers, params) = params::of_page(request).await?;
    let action = "password_removal";
    let Some(session) = own::proved(&app, action, &headers, &params, now).await? else {
        return Ok(see_other(path::ACCOUNT));
    };
    let (id, whence) = (&session.person.user.id, Whence { address: &from, at: now });
    let ways = WaysIn { upstreams: &app.upstreams, passwords: PasswordLogin::Off };
    let mut connection = app.connection().await?;
    let removed = connection
        .transaction(async |conn| {
            let user = own::still(conn, &session).await?;
            let identities = identities::list_of_user(conn, id).await?;
            let Some(user) = user.filter(|user| ways.remain(user, &identities)) else {
                return Ok(false);
            };
            if users::remove_password(conn, id, now).await? {
                let begun = [LinkPurpose::Recover, LinkPurpose::ChangeEmail];
                one_time_links::forget(conn, id, &begun).await?;
                let event = Event::done(action).user(id).address(whence.address);
                audit_events::insert(conn, &event.row(now, app.random())).await?;
                app.queue_notice(conn, &user, "the password was removed", whence).await?;
            }
            Ok::<_, StoreError>(true)
        })
        .await?;
    if !removed {
        return Err(own::last_way_in().event(Event::refused(action, "last_way_in").user(id)));
    }
    let text = "From now on you sign in with what is connected to your account.";
    Ok(pages::done(&app, "Your password is removed", text.to_owned(), to_account()))
}

/// Who signs in elsewhere has nothing to change here.
fn refuse_without_password(app: &App, user: &User) -> Result<(), PageError> {
    if user.password_hash.is_some() && app.config.passwords.login == PasswordLogin::On {
        return Ok(());
    }
    Err(PageError::new(
        "no_password",
        "Your account has no password",
        "You sign in with what is connected to your account, or passwords are switched off here.",
    )
    .status(StatusCode::FORBIDDEN)
    .action(path::ACCOUNT, "Go to your account")
    .event(Event::refused(ACTION, "no_password").user(&user.id)))
}

fn to_account() -> Link {
    Link { href: path::ACCOUNT.to_owned(), label: "Go to your account".to_owned() }
}
