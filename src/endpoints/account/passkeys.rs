//! `GET|POST /account/passkeys`: one's passkeys.

use std::net::IpAddr;

use askama::Template;
use axum::{
    extract::{Request, State},
    http::{HeaderMap, StatusCode},
    response::Response,
};

use super::own;
use crate::{
    accounts::factors::{Adding, MOST_PASSKEYS, Passkeys},
    app::{App, Whence},
    audit::Event,
    dispatcher::second_factor,
    ephemeral::{Key, KeyKind},
    foundation::{clock::Timestamp, ids::FactorId},
    sessions::LiveSession,
    store::{
        Connection, StoreError, StoreResult, audit_events, passkeys, passkeys::PasskeyRow,
        sessions::Session,
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

#[derive(Template)]
#[template(path = "account/passkeys.html")]
struct PasskeysPage {
    page: PageFrame,
    csrf: String,
    passkeys: Vec<Row>,
    /// What the browser is to be asked, as JSON, if one may be added now.
    options: Option<String>,
    /// Whether there could be more, after a new sign-in.
    stale: bool,
    /// Where that is.
    prove: String,
    notice: Option<&'static str>,
}

struct Row {
    handle: String,
    name: String,
    added: String,
    last_used: Option<String>,
}

/// `GET /account/passkeys`.
pub async fn show(State(app): State<App>, request: Request) -> Result<Response, PageError> {
    let now = app.now();
    let (headers, params) = params::of_page(request).await?;
    let Some(session) = browser::held_session(&app, &headers, None, now).await? else {
        return Ok(see_other(urls::path::ACCOUNT));
    };
    let notice = match params.get("done") {
        Some("added") => Some("The passkey was added."),
        Some("renamed") => Some("The passkey was renamed."),
        Some("removed") => Some("The passkey was removed."),
        _ => None,
    };
    draw(&app, &headers, &session, notice, now).await
}

async fn draw(
    app: &App,
    headers: &HeaderMap,
    session: &LiveSession,
    notice: Option<&'static str>,
    now: Timestamp,
) -> Result<Response, PageError> {
    let mark = BrowserMark::find_or_make(app, headers);
    let user = &session.person.user;
    let mut connection = app.connection().await?;
    let rows = passkeys::list_of_user(&mut connection, &user.id).await.map_err(StoreError::from)?;
    drop(connection);
    // Whose account is an upstream's alone does not get round it.
    let open = user.password_hash.is_some() && rows.len() < MOST_PASSKEYS;
    let adds = app.passkeys.as_ref().filter(|_| open);
    let young =
        own::is_young(session, now) && second_factor::is_whole(app, &session.session).await?;
    let options = match adds.filter(|_| young) {
        None => None,
        Some(passkeys) => {
            let begun = passkeys.begin_adding(user, &rows).map_err(PageError::broken)?;
            app.state.put(&key(&session.session), &begun.1, KeyKind::Passkey.life()).await?;
            Some(begun.0)
        }
    };
    let template = PasskeysPage {
        page: PageFrame::new(app),
        csrf: csrf::token(app, &mark),
        passkeys: rows.iter().map(row).collect(),
        stale: adds.is_some() && options.is_none(),
        prove: urls::prove(urls::path::PASSKEYS),
        options,
        notice,
    };
    let mut response = page(StatusCode::OK, &template);
    cookies::add(response.headers_mut(), mark.cookie(app));
    Ok(response)
}

fn row(row: &PasskeyRow) -> Row {
    Row {
        handle: row.id.to_string(),
        name: row.name.clone(),
        added: row.created_at.for_people(),
        last_used: row.last_used_at.map(Timestamp::for_people),
    }
}

fn key(session: &Session) -> Key {
    Key::of_text(KeyKind::Passkey, &format!("session {}", session.id))
}

/// `POST /account/passkeys`.
pub async fn post(State(app): State<App>, request: Request) -> Result<Response, PageError> {
    let now = app.now();
    let from = address::of(&app, request.extensions(), request.headers());
    let (headers, params) = params::of_page(request).await?;
    let action = match params.get("step") {
        Some("rename") => "rename_passkey",
        Some("remove") => "remove_passkey",
        _ => "add_passkey",
    };
    let Some(session) = own::proved(&app, action, &headers, &params, now).await? else {
        return Ok(see_other(urls::path::ACCOUNT));
    };
    let change = Change { app: &app, session: &session, action, from, now };
    match params.get("step") {
        Some("add") => change.add(&params).await,
        Some("rename") => change.rename(&params).await,
        Some("remove") => change.remove(&params).await,
        _ => Err(PageError::not_found()),
    }
}

/// Somebody who changes their own passkeys.
struct Change<'a> {
    app: &'a App,
    session: &'a LiveSession,
    action: &'static str,
    from: IpAddr,
    now: Timestamp,
}

impl Change<'_> {
    /// Adds what the browser answers, if it answers what this session was asked.
    async fn add(&self, params: &Params) -> Result<Response, PageError> {
        let (app, now, user) = (self.app, self.now, &self.session.person.user);
        let taken: Option<&Passkeys> = app.passkeys.as_ref();
        let Some(passkeys) = taken.filter(|_| user.password_hash.is_some()) else {
            return Err(self.refused(not_here(), "passkeys_off"));
        };
        let state = app.state.take::<Adding>(&key(&self.session.session)).await?;
        let Some(state) = state else {
            return Err(self.refused(not_added(), "passkey_not_asked"));
        };
        let answer = params.get("credential").unwrap_or_default();
        let name = name(params);
        let added = passkeys.add(answer, &state, (&user.id, name), app.random(), now);
        let row = match added {
            Ok(row) => row,
            Err(fault) => {
                let event = Event::refused(self.action, "passkey_refused").user(&user.id);
                return Err(not_added().event(event.detail("what", fault.to_string())));
            }
        };
        if self.keep(&row).await? {
            return Ok(see_other(&format!("{}?done=added", urls::path::PASSKEYS)));
        }
        Err(self.refused(not_added(), "passkey_known"))
    }

    async fn keep(&self, row: &PasskeyRow) -> StoreResult<bool> {
        let mut connection = self.app.connection().await?;
        connection
            .transaction(async |conn| {
                if own::still(conn, self.session).await?.is_none() {
                    return Ok(false);
                }
                let others = passkeys::list_of_user(conn, &row.user_id).await?.len();
                if others >= MOST_PASSKEYS || !passkeys::insert(conn, row).await? {
                    return Ok(false);
                }
                self.tell(conn, Some("a passkey was added")).await?;
                Ok::<_, StoreError>(true)
            })
            .await
    }

    async fn rename(&self, params: &Params) -> Result<Response, PageError> {
        let (handle, user) = (handle(params), &self.session.person.user.id);
        let mut connection = self.app.connection().await?;
        let renamed = connection
            .transaction(async |conn| {
                let renamed = passkeys::rename(conn, &handle, user, &name(params)).await?;
                if renamed {
                    self.tell(conn, None).await?;
                }
                Ok::<_, StoreError>(renamed)
            })
            .await?;
        self.done(renamed, "renamed")
    }

    async fn remove(&self, params: &Params) -> Result<Response, PageError> {
        let (handle, user) = (handle(params), &self.session.person.user.id);
        let mut connection = self.app.connection().await?;
        let removed = connection
            .transaction(async |conn| {
                let removed = passkeys::delete(conn, &handle, user).await?;
                if removed {
                    self.tell(conn, Some("a passkey was removed")).await?;
                }
                Ok::<_, StoreError>(removed)
            })
            .await?;
        self.done(removed, "removed")
    }

    /// Somebody else's is as unknown as none.
    fn done(&self, done: bool, what: &str) -> Result<Response, PageError> {
        if done {
            return Ok(see_other(&format!("{}?done={what}", urls::path::PASSKEYS)));
        }
        let page = PageError::new(
            "passkey_unknown",
            "There is no such passkey",
            "It may have been removed already.",
        );
        Err(self.refused(page.status(StatusCode::NOT_FOUND), "passkey_unknown"))
    }

    /// The event, and, where a way in has changed, the mail to the owner.
    async fn tell(&self, conn: &mut Connection, what: Option<&str>) -> StoreResult<()> {
        let (app, now, user) = (self.app, self.now, &self.session.person.user);
        let from = self.from.to_string();
        let event = Event::done(self.action).user(&user.id).address(from.clone());
        audit_events::insert(conn, &event.row(now, app.random())).await?;
        if let Some(what) = what {
            app.queue_notice(conn, user, what, Whence { address: &from, at: now }).await?;
        }
        Ok(())
    }

    fn refused(&self, page: PageError, reason: &'static str) -> PageError {
        let event = Event::refused(self.action, reason).user(&self.session.person.user.id);
        page.action(urls::path::PASSKEYS, "Go back").event(event)
    }
}

fn handle(params: &Params) -> FactorId {
    FactorId::new(params.get("handle").unwrap_or_default().replace('\0', ""))
}

/// A name, as far as it is one.
fn name(params: &Params) -> String {
    let typed = params.get("name").unwrap_or_default().chars();
    let name: String = typed.filter(|c| !c.is_control()).take(60).collect();
    if name.trim().is_empty() { "Passkey".to_owned() } else { name.trim().to_owned() }
}

fn not_here() -> PageError {
    PageError::new(
        "passkeys_off",
        "No passkey can be added here",
        "Passkeys are switched off, or your account has no password of this service.",
    )
    .status(StatusCode::FORBIDDEN)
}

fn not_added() -> PageError {
    PageError::new(
        "passkey_refused",
        "The passkey was not added",
        "What your browser answered is not what it was asked, or the passkey is known already.",
    )
    .next_step("Reload the page with your passkeys and try again.")
    .action(urls::path::PASSKEYS, "Go back")
}
