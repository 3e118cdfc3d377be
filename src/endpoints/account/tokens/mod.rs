//! `GET` and `POST /account/tokens`, `POST /account/tokens/revoke`: the tokens that one gives to
//! programs.
//!
//! A token is made by whoever has proved a moment ago who they are, and shown once, in the answer to
//! the form. Anybody who is signed in may revoke one of theirs, at once.

mod form;

use std::net::IpAddr;

use askama::Template;
use axum::{
    extract::{Request, State},
    http::{HeaderMap, StatusCode},
    response::Response,
};

use self::form::{LifeChoice, Problems, ScopeChoice};
use super::own;
use crate::{
    app::{App, Whence},
    audit::Event,
    config::PersonalAccessTokens,
    foundation::{
        clock::Timestamp,
        ids::{PersonalAccessTokenId, UserId},
        secret::Secret,
    },
    protocol::scope::Scope,
    sessions::LiveSession,
    store::{
        StoreError, StoreResult, audit_events,
        personal_access_tokens::{self, PersonalAccessToken},
    },
    tokens::personal::{self, Fault, Maker, Wish},
    urls,
    web::{
        address,
        browser::{self, BrowserMark},
        cookies, csrf,
        error::PageError,
        pages::{PageFrame, page, see_other},
        params,
    },
};

#[derive(Template)]
#[template(path = "account/tokens.html")]
struct TokensPage {
    page: PageFrame,
    csrf: String,
    made: Option<Made>,
    tokens: Vec<TokenRow>,
    form: Option<Form>,
    is_off: bool,
    prove: String,
}

/// A token that was made a moment ago.
struct Made {
    name: String,
    secret: Secret,
}

struct Form {
    name: String,
    scopes: Vec<ScopeChoice>,
    lives: Vec<LifeChoice>,
    problems: Problems,
}

struct TokenRow {
    handle: String,
    name: String,
    scopes: Vec<String>,
    made: String,
    end: Option<String>,
    is_dead: bool,
    last_used: Option<LastUse>,
}

struct LastUse {
    at: String,
    address: Option<String>,
    app: Option<String>,
}

/// `GET /account/tokens`.
pub async fn show(State(app): State<App>, request: Request) -> Result<Response, PageError> {
    let now = app.now();
    let headers = request.headers();
    let Some(session) = browser::held_session(&app, headers, None, now).await? else {
        return Ok(see_other(urls::path::ACCOUNT));
    };
    let view = View { app: &app, headers, session: &session, now };
    view.draw(StatusCode::OK, None, None, &[]).await
}

/// `POST /account/tokens`.
pub async fn make(State(app): State<App>, request: Request) -> Result<Response, PageError> {
    let now = app.now();
    let from = address::of(&app, request.extensions(), request.headers());
    let (headers, params) = params::of_page(request).await?;
    let Some(session) = own::proved(&app, "make_token", &headers, &params, now).await? else {
        return Ok(see_other(urls::path::ACCOUNT));
    };
    let user = &session.person.user.id;
    let Some(wish) = form::read(&params) else {
        return Err(odd_form().event(Event::refused("make_token", "field_unknown").user(user)));
    };
    let view = View { app: &app, headers: &headers, session: &session, now };
    let mut faults = wish.faults(&view.rights(), &app.config.tokens);
    if faults.is_empty() {
        match view.keep(&wish, from).await? {
            Ok(secret) => {
                let made = Made { name: wish.name, secret };
                return view.draw(StatusCode::OK, Some(made), None, &[]).await;
            }
            Err(fault) => faults.push(fault),
        }
    }
    for fault in &faults {
        app.audit.note(Event::refused("make_token", fault.as_str()).user(user));
    }
    view.draw(StatusCode::UNPROCESSABLE_ENTITY, None, Some(&wish), &faults).await
}

/// `POST /account/tokens/revoke`. Somebody else's token is as unknown as none (PT-06).
pub async fn revoke(State(app): State<App>, request: Request) -> Result<Response, PageError> {
    let now = app.now();
    let from = address::of(&app, request.extensions(), request.headers());
    let (headers, params) = params::of_page(request).await?;
    let Some(session) = own::posted(&app, "revoke_token", &headers, &params, now).await? else {
        return Ok(see_other(urls::path::ACCOUNT));
    };
    let user = &session.person.user.id;
    let handle = params.get("handle").unwrap_or_default().replace('\0', "");
    let handle = PersonalAccessTokenId::new(handle);
    let mut connection = app.connection().await?;
    let found = personal_access_tokens::find(&mut connection, &handle).await;
    let found = found.map_err(StoreError::from)?;
    let own = found.filter(|token| token.user_id == *user && token.revoked_at.is_none());
    let Some(token) = own else {
        return Err(unknown().event(Event::refused("revoke_token", "token_unknown").user(user)));
    };
    let event = about("revoke_token", &token, from).row(now, app.random());
    let what = format!("the personal access token \"{}\" was revoked", token.name);
    let from = own::from_where(from, &headers);
    let whence = Whence { address: &from, at: now };
    connection
        .transaction(async |conn| {
            if personal_access_tokens::revoke(conn, &token.id, user, now).await? {
                audit_events::insert(conn, &event).await?;
                app.queue_notice(conn, &session.person.user, &what, whence).await?;
            }
            Ok::<_, StoreError>(())
        })
        .await?;
    Ok(see_other(urls::path::TOKENS_OF_MINE))
}

/// An event about a token.
fn about(action: &'static str, token: &PersonalAccessToken, from: IpAddr) -> Event {
    let event = Event::done(action).user(&token.user_id).address(from.to_string());
    event.detail("token", token.id.as_str()).detail("name", token.name.as_str())
}

/// Whose page it is.
struct View<'a> {
    app: &'a App,
    headers: &'a HeaderMap,
    session: &'a LiveSession,
    now: Timestamp,
}

impl View<'_> {
    /// What a new token could do.
    fn rights(&self) -> Scope {
        let (session, person) = (&self.session.session, &self.session.person);
        self.app.clients.scope_of(person, session.upstream.as_ref(), session.acr)
    }

    /// Keeps a new token with its event, and answers its secret.
    async fn keep(&self, wish: &Wish, from: IpAddr) -> StoreResult<Result<Secret, Fault>> {
        let (app, now) = (self.app, self.now);
        let (session, user) = (&self.session.session, &self.session.person.user);
        let network = address::network(from);
        let maker = Maker {
            user: &user.id,
            upstream: session.upstream.as_ref(),
            level: session.acr,
            network: Some(&network),
        };
        let (token, secret) = personal::make(wish, maker, app.random(), now);
        let event = about("make_token", &token, from).detail("scope", token.scope.as_str());
        let event = event.row(now, app.random());
        let what = format!("the personal access token \"{}\" was made", token.name);
        let from = own::from_where(from, self.headers);
        let whence = Whence { address: &from, at: now };
        let mut connection = app.connection().await?;
        connection
            .transaction(async |conn| {
                // Held, so that two forms at once do not make one token too many.
                if own::still(conn, self.session).await?.is_none() {
                    return Ok(Err(Fault::SessionOver));
                }
                let living = personal_access_tokens::list_of_user(conn, &user.id).await?;
                if living.len() >= personal::MOST {
                    return Ok(Err(Fault::TooMany));
                }
                if !personal_access_tokens::insert(conn, &token).await? {
                    return Ok(Err(Fault::NameTaken));
                }
                audit_events::insert(conn, &event).await?;
                app.queue_notice(conn, user, &what, whence).await?;
                Ok(Ok(secret))
            })
            .await
    }

    async fn rows(&self, user: &UserId) -> StoreResult<Vec<TokenRow>> {
        let mut connection = self.app.connection().await?;
        let tokens = personal_access_tokens::list_of_user(&mut connection, user).await?;
        Ok(tokens.iter().map(|token| self.row(token)).collect())
    }

    fn row(&self, token: &PersonalAccessToken) -> TokenRow {
        let settings = &self.app.config.tokens;
        let app_name = token.last_client.as_ref().map(|id| {
            let client = self.app.clients.find(id.as_str());
            client.map_or_else(|| id.to_string(), |client| client.settings.name.clone())
        });
        TokenRow {
            handle: token.id.to_string(),
            name: token.name.clone(),
            scopes: Scope::from(token.scope.clone()).iter().map(str::to_owned).collect(),
            made: token.created_at.for_people(),
            end: personal::ends_at(token, settings).map(Timestamp::for_people),
            is_dead: personal::death(token, settings, self.now).is_some(),
            last_used: token.last_used_at.map(|at| LastUse {
                at: at.for_people(),
                address: token.last_address.clone(),
                app: app_name,
            }),
        }
    }

    async fn draw(
        &self,
        status: StatusCode,
        made: Option<Made>,
        wish: Option<&Wish>,
        faults: &[Fault],
    ) -> Result<Response, PageError> {
        let app = self.app;
        let mark = BrowserMark::find_or_make(app, self.headers);
        let settings = &app.config.tokens;
        let is_off = settings.personal_access_tokens == PersonalAccessTokens::Off;
        // Whoever would be turned away is not asked to fill in a form first.
        let may_make = !is_off && own::is_young(self.session, self.now);
        let form = may_make.then(|| Form {
            name: wish.map(|wish| wish.name.clone()).unwrap_or_default(),
            scopes: form::scopes(&self.rights(), wish),
            lives: form::lives(settings, wish),
            problems: Problems::of(faults),
        });
        let template = TokensPage {
            page: PageFrame::new(app),
            csrf: csrf::token(app, &mark),
            made,
            tokens: self.rows(&self.session.person.user.id).await?,
            form,
            is_off,
            prove: urls::prove(urls::path::TOKENS_OF_MINE),
        };
        let mut response = page(status, &template);
        cookies::add(response.headers_mut(), mark.cookie(app));
        Ok(response)
    }
}

fn odd_form() -> PageError {
    PageError::new(
        "field_unknown",
        "This form is not ours",
        "It has fields that our own form does not have. Nothing was made.",
    )
    .status(StatusCode::UNPROCESSABLE_ENTITY)
    .action(urls::path::TOKENS_OF_MINE, "Go to your tokens")
}

fn unknown() -> PageError {
    PageError::new("token_unknown", "There is no such token", "It may be revoked already.")
        .status(StatusCode::NOT_FOUND)
        .action(urls::path::TOKENS_OF_MINE, "Go to your tokens")
}
