//! `GET|POST /account/two-step`: one's authenticator apps and recovery codes.
//!
//! A secret that is being set up waits in the short-lived state under the name of the session: no other
//! browser gets to see it, and nothing is kept of one that is never confirmed.

use std::net::IpAddr;

use askama::Template;
use axum::{
    extract::{Request, State},
    http::{HeaderMap, StatusCode},
    response::Response,
};

use super::own;
use crate::{
    accounts::factors::{self, METHODS, NewApp, Picture, RECOVERY_CODES, TotpSecret},
    app::{App, Whence},
    audit::Event,
    dispatcher::signed_in,
    ephemeral::{Key, KeyKind},
    foundation::{clock::Timestamp, ids::FactorId, secret::Secret},
    protocol::acr::Level,
    sessions::{self, LiveSession},
    store::{
        Connection, StoreError, StoreResult, audit_events, recovery_codes,
        sessions::Session,
        totp_factors::{self, TotpFactor},
    },
    urls,
    web::{
        address,
        browser::{self, BrowserMark},
        cookies, csrf,
        error::PageError,
        pages::{PageFrame, page, see_other},
        params::{self, Params},
    },
};

const WRONG: &str =
    "That code is not right. Check that the clock of your device is, and try again.";

#[derive(Template)]
#[template(path = "account/two_step.html")]
struct TwoStepPage {
    page: PageFrame,
    csrf: String,
    apps: Vec<AppRow>,
    codes_left: i64,
    codes_of: usize,
    can_add: bool,
    set_up: Option<SetUp>,
    codes: Vec<String>,
    notice: Option<&'static str>,
}

struct AppRow {
    handle: String,
    name: String,
    added: String,
}

/// An authenticator app that is being set up.
struct SetUp {
    picture: Option<Picture>,
    secret: String,
    name: String,
    error: Option<&'static str>,
}

/// What the page shows beyond what there is.
#[derive(Default)]
struct Shown {
    error: Option<&'static str>,
    codes: Vec<Secret>,
    notice: Option<&'static str>,
}

/// `GET /account/two-step`.
pub async fn show(State(app): State<App>, request: Request) -> Result<Response, PageError> {
    let now = app.now();
    let (headers, params) = params::of_page(request).await?;
    let Some(session) = browser::held_session(&app, &headers, None, now).await? else {
        return Ok(see_other(urls::path::ACCOUNT));
    };
    let notice = match params.get("done") {
        Some("added") => Some("The authenticator app was added."),
        Some("removed") => Some("The authenticator app was removed."),
        _ => None,
    };
    let shown = Shown { notice, ..Shown::default() };
    draw(&app, &headers, &session, (shown, StatusCode::OK), now).await
}

/// `POST /account/two-step`.
pub async fn post(State(app): State<App>, request: Request) -> Result<Response, PageError> {
    let now = app.now();
    let from = address::of(&app, request.extensions(), request.headers());
    let (headers, params) = params::of_page(request).await?;
    let action = match params.get("step") {
        Some("remove") => "remove_second_factor",
        Some("codes") => "renew_recovery_codes",
        _ => "add_second_factor",
    };
    let Some(session) = own::proved(&app, action, &headers, &params, now).await? else {
        return Ok(see_other(urls::path::ACCOUNT));
    };
    let change = Change { app: &app, headers: &headers, session: &session, action, from, now };
    match params.get("step") {
        Some("begin") => change.begin().await,
        Some("confirm") => change.confirm(&params).await,
        Some("remove") => change.remove(&params).await,
        Some("codes") => change.renew_codes().await,
        _ => Err(PageError::not_found()),
    }
}

async fn draw(
    app: &App,
    headers: &HeaderMap,
    session: &LiveSession,
    (shown, status): (Shown, StatusCode),
    now: Timestamp,
) -> Result<Response, PageError> {
    let mark = BrowserMark::find_or_make(app, headers);
    let user = &session.person.user;
    let mut connection = app.connection().await?;
    let apps = totp_factors::list_of_user(&mut connection, &user.id).await;
    let apps = apps.map_err(StoreError::from)?;
    let codes_left = recovery_codes::count_of_user(&mut connection, &user.id).await;
    let codes_left = codes_left.map_err(StoreError::from)?;
    drop(connection);
    let frame = PageFrame::new(app);
    // Who was left alone with an open session does not get to see the secret either.
    let secret =
        if own::is_young(session, now) { begun(app, &session.session).await? } else { None };
    let set_up = secret.map(|secret| {
        let address = secret.address(&frame.brand, &user.username);
        let picture = address.and_then(|address| Picture::of(address.expose()));
        let secret = secret.to_text().expose().to_owned();
        SetUp { picture, secret, name: String::new(), error: shown.error }
    });
    let room = apps.len() < factors::MOST;
    let template = TwoStepPage {
        page: frame,
        csrf: csrf::token(app, &mark),
        apps: apps.iter().map(app_row).collect(),
        codes_left,
        codes_of: RECOVERY_CODES,
        can_add: room && app.config.second_factors.can_be_set_up(),
        set_up,
        codes: shown.codes.iter().map(|code| code.expose().to_owned()).collect(),
        notice: shown.notice,
    };
    let mut response = page(status, &template);
    cookies::add(response.headers_mut(), mark.cookie(app));
    Ok(response)
}

fn app_row(app: &TotpFactor) -> AppRow {
    let (handle, name) = (app.id.to_string(), app.name.clone());
    AppRow { handle, name, added: app.created_at.for_people() }
}

fn key(session: &Session) -> Key {
    Key::of_text(KeyKind::Enrolment, &format!("session {}", session.id))
}

/// The secret that is being set up in this session, if there is one.
async fn begun(app: &App, session: &Session) -> Result<Option<TotpSecret>, PageError> {
    let kept = app.state.get::<String>(&key(session)).await?;
    Ok(kept.as_deref().and_then(TotpSecret::from_text))
}

/// Somebody who changes their own second factors.
struct Change<'a> {
    app: &'a App,
    headers: &'a HeaderMap,
    session: &'a LiveSession,
    action: &'static str,
    from: IpAddr,
    now: Timestamp,
}

impl Change<'_> {
    /// Makes a secret.
    async fn begin(&self) -> Result<Response, PageError> {
        let app = self.app;
        self.refuse_switched_off()?;
        let secret = TotpSecret::generate(app.random()).to_text();
        let key = key(&self.session.session);
        app.state.put(&key, &secret.expose(), KeyKind::Enrolment.life()).await?;
        Ok(see_other(&format!("{}#set-up", urls::path::TWO_STEP)))
    }

    /// Takes the code that shows that the secret has arrived. The session is worth more from here on.
    async fn confirm(&self, params: &Params) -> Result<Response, PageError> {
        let (app, now) = (self.app, self.now);
        self.refuse_switched_off()?;
        let code = params.get("code").unwrap_or_default();
        let secret = begun(app, &self.session.session).await?;
        let step = secret.as_ref().and_then(|secret| secret.matching_step(code, now));
        let Some((secret, step)) = secret.zip(step) else {
            self.refused("wrong_code");
            let shown = Shown { error: Some(WRONG), ..Shown::default() };
            let page = (shown, StatusCode::BAD_REQUEST);
            return draw(app, self.headers, self.session, page, now).await;
        };
        let name = factors::name_of_app(params.get("name").unwrap_or_default());
        // It counts once, whoever else brings the same code at the same moment.
        if app.state.take::<String>(&key(&self.session.session)).await?.is_none() {
            return Ok(see_other(urls::path::TWO_STEP));
        }
        let Some((codes, raised)) = self.add(NewApp { secret, name, step }).await? else {
            return Err(self.too_many());
        };
        let response = if codes.is_empty() {
            see_other(&format!("{}?done=added", urls::path::TWO_STEP))
        } else {
            let shown = Shown { codes, ..Shown::default() };
            let page = (shown, StatusCode::OK);
            draw(app, self.headers, self.session, page, now).await?
        };
        Ok(match raised {
            Some((_, secret)) => signed_in(app, self.headers, response, &secret),
            None => response,
        })
    }

    async fn add(&self, new: NewApp) -> StoreResult<Option<Added>> {
        let (app, now) = (self.app, self.now);
        let user = &self.session.person.user;
        let mut connection = app.connection().await?;
        connection
            .transaction(async |conn| {
                if own::still(conn, self.session).await?.is_none() {
                    return Ok(None);
                }
                let means = (&*app.rows_ring, app.random());
                let Some(codes) = factors::add(conn, means, &user.id, new, now).await? else {
                    return Ok(None);
                };
                let proved = (METHODS.as_slice(), Level::MultiFactor);
                let id = &self.session.session.id;
                let raised = sessions::raise(conn, id, proved, app.random(), now).await?;
                self.tell(conn, "an authenticator app was added").await?;
                Ok::<_, StoreError>(Some((codes, raised)))
            })
            .await
    }

    /// Takes an app away. Somebody else's is as unknown as none.
    async fn remove(&self, params: &Params) -> Result<Response, PageError> {
        let (app, user) = (self.app, &self.session.person.user);
        let handle = FactorId::new(params.get("handle").unwrap_or_default().replace('\0', ""));
        let mut connection = app.connection().await?;
        let removed = connection
            .transaction(async |conn| {
                if own::still(conn, self.session).await?.is_none() {
                    return Ok(false);
                }
                let removed = factors::remove(conn, &handle, &user.id).await?;
                if removed {
                    self.tell(conn, "an authenticator app was removed").await?;
                }
                Ok::<_, StoreError>(removed)
            })
            .await?;
        if removed {
            return Ok(see_other(&format!("{}?done=removed", urls::path::TWO_STEP)));
        }
        let event = Event::refused(self.action, "second_factor_unknown").user(&user.id);
        Err(unknown().event(event))
    }

    /// Makes new recovery codes, where there is something that they stand in for.
    async fn renew_codes(&self) -> Result<Response, PageError> {
        let (app, now, user) = (self.app, self.now, &self.session.person.user);
        let mut connection = app.connection().await?;
        let codes = connection
            .transaction(async |conn| {
                if own::still(conn, self.session).await?.is_none() {
                    return Ok(None);
                }
                if totp_factors::list_of_user(conn, &user.id).await?.is_empty() {
                    return Ok(None);
                }
                let codes =
                    factors::renew_recovery_codes(conn, &user.id, app.random(), now).await?;
                self.tell(conn, "new recovery codes were made").await?;
                Ok::<_, StoreError>(Some(codes))
            })
            .await?;
        let Some(codes) = codes else {
            let event = Event::refused(self.action, "second_factor_unknown").user(&user.id);
            return Err(unknown().event(event));
        };
        drop(connection);
        let shown = Shown { codes, ..Shown::default() };
        draw(app, self.headers, self.session, (shown, StatusCode::OK), now).await
    }

    /// The event, and the mail to the owner.
    async fn tell(&self, conn: &mut Connection, what: &str) -> StoreResult<()> {
        let (app, now, user) = (self.app, self.now, &self.session.person.user);
        let from = self.from.to_string();
        let event = Event::done(self.action).user(&user.id).address(from.clone());
        audit_events::insert(conn, &event.row(now, app.random())).await?;
        app.queue_notice(conn, user, what, Whence { address: &from, at: now }).await?;
        Ok(())
    }

    fn refused(&self, reason: &'static str) {
        let event = Event::refused(self.action, reason).user(&self.session.person.user.id);
        self.app.audit.note(event);
    }

    fn refuse_switched_off(&self) -> Result<(), PageError> {
        if self.app.config.second_factors.can_be_set_up() {
            return Ok(());
        }
        let user = &self.session.person.user.id;
        Err(PageError::new(
            "second_factors_off",
            "No authenticator app can be added here",
            "Setting up codes of an authenticator app is switched off.",
        )
        .status(StatusCode::FORBIDDEN)
        .action(urls::path::ACCOUNT, "Go to your account")
        .event(Event::refused(self.action, "second_factors_off").user(user)))
    }

    fn too_many(&self) -> PageError {
        let user = &self.session.person.user.id;
        PageError::new(
            "too_many_second_factors",
            "You have enough authenticator apps",
            format!("An account can have {} of them.", factors::MOST),
        )
        .status(StatusCode::CONFLICT)
        .next_step("Remove one that you no longer use first.")
        .action(urls::path::TWO_STEP, "Go back")
        .event(Event::refused(self.action, "too_many_second_factors").user(user))
    }
}

/// New recovery codes, if these are the first ones, and the session as it is now.
type Added = (Vec<Secret>, Option<(Session, Secret)>);

fn unknown() -> PageError {
    PageError::new(
        "second_factor_unknown",
        "There is no such authenticator app",
        "It may have been removed already.",
    )
    .status(StatusCode::NOT_FOUND)
    .action(urls::path::TWO_STEP, "Go back")
}
