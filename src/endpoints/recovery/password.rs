//! The new password of whoever has presented what was mailed to them. The account is the one of the
//! link, whatever else the request names (RC-08).

use askama::Template;
use axum::{
    extract::{Request, State},
    http::{HeaderMap, StatusCode},
    response::Response,
};

use super::{ACTION, sign_in_href};
use crate::{
    accounts::{
        passwords::{Known, NotTaken},
        recovery,
        signup::Faults,
    },
    app::{App, Whence},
    audit::Event,
    config::PasswordLogin,
    foundation::{clock::Timestamp, digest::TokenDigest, secret::Secret},
    store::{StoreError, StoreResult, audit_events, users::User},
    web::{
        address,
        browser::BrowserMark,
        csrf,
        error::{Link, PageError},
        opened_link,
        pages::{self, PageFrame, page},
        params::{self, Params},
    },
};

#[derive(Template)]
#[template(path = "recovery/password.html")]
struct PasswordPage {
    page: PageFrame,
    csrf: String,
    link: String,
    username: String,
    fault: Option<String>,
}

/// The form, as long as the link is good.
pub(super) async fn show(
    app: &App,
    headers: &HeaderMap,
    params: &Params,
    now: Timestamp,
) -> Result<Response, PageError> {
    let (opened, name, mark) = opened_link::find(app, headers, params, ACTION).await?;
    let (_, user) = look(app, opened.digest(), now).await?;
    Ok(password_page(app, (&mark, name), &user, None))
}

fn password_page(
    app: &App,
    (mark, link): (&BrowserMark, &str),
    user: &User,
    fault: Option<String>,
) -> Response {
    let status = if fault.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    let template = PasswordPage {
        page: PageFrame::new(app),
        csrf: csrf::token(app, mark),
        link: link.to_owned(),
        username: user.username.clone(),
        fault,
    };
    page(status, &template)
}

/// The account of a link that is open in this browser and still good.
async fn look(
    app: &App,
    digest: Option<TokenDigest>,
    now: Timestamp,
) -> Result<(TokenDigest, User), PageError> {
    if app.config.passwords.login == PasswordLogin::Off {
        return Err(opened_link::gone(ACTION, "password_login_off"));
    }
    let digest = digest.ok_or_else(|| opened_link::gone(ACTION, "link_not_opened"))?;
    let mut connection = app.connection().await?;
    let found = recovery::look(&mut connection, &digest, now).await?;
    let (_, user) = found.ok_or_else(|| opened_link::gone(ACTION, "link_gone"))?;
    Ok((digest, user))
}

/// `POST /recovery/password`.
pub async fn post(State(app): State<App>, request: Request) -> Result<Response, PageError> {
    let now = app.now();
    let from = address::of(&app, request.extensions(), request.headers()).to_string();
    let (headers, params) = params::of_page(request).await?;
    if !csrf::is_own(&app, &headers, params.get(csrf::FIELD)) {
        return Err(PageError::forged_form().event(Event::refused(ACTION, "form_not_ours")));
    }
    let (opened, name, mark) = opened_link::find(&app, &headers, &params, ACTION).await?;
    let (digest, user) = look(&app, opened.digest(), now).await?;
    let password = Secret::new(params.get("password").unwrap_or_default());
    let (username, email) = (user.username.clone(), user.email.clone());
    let known = Known { username, email, name: user.name.clone() };
    let hash = match app.passwords.take(&password, &known).await {
        Ok(hash) => hash,
        Err(NotTaken::Refused(faults)) => {
            app.audit.note(Event::refused(ACTION, "password_unfit").user(&user.id));
            let fault = Faults::of_password(&faults).password;
            return Ok(password_page(&app, (&mark, name), &user, fault));
        }
        Err(NotTaken::Hashing(fault)) => {
            let event = Event::refused(ACTION, "too_many_sign_ins");
            return Err(PageError::unavailable(fault).event(event));
        }
    };
    let whence = Whence { address: &from, at: now };
    if !reset(&app, &digest, &hash, whence).await? {
        return Err(opened_link::gone(ACTION, "link_gone"));
    }
    let sign_in = sign_in_href(opened.flow.as_deref());
    let text = "Everybody who was signed in to your account has been signed out. Sign in with the \
                new password.";
    let action = Link { href: sign_in, label: "Sign in".to_owned() };
    Ok(pages::done(&app, "Your password is changed", text.to_owned(), action))
}

async fn reset(
    app: &App,
    digest: &TokenDigest,
    hash: &str,
    whence: Whence<'_>,
) -> StoreResult<bool> {
    let mut connection = app.connection().await?;
    connection
        .transaction(async |conn| {
            let done = recovery::reset(conn, digest, hash, &app.clients, whence.at).await?;
            let Some(user) = done else {
                return Ok(false);
            };
            let event = Event::done(ACTION).user(&user.id).address(whence.address);
            audit_events::insert(conn, &event.row(whence.at, app.random())).await?;
            let what = "the password was replaced by way of a mail";
            app.queue_notice(conn, &user, what, whence).await?;
            Ok::<_, StoreError>(true)
        })
        .await
}
