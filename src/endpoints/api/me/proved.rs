//! Who may change something of an account by the API: whoever has both tokens of one family, and the
//! secret of a client that has one.

use axum::{
    extract::Request,
    http::{HeaderMap, StatusCode},
};
use serde::de::DeserializeOwned;

use super::{Speaker, from, speaker};
use crate::{
    app::App,
    audit::Event,
    dispatcher::{password::Tried, second_factor},
    endpoints::api::{
        call::{self, Call},
        entering::Tokens,
        session::rotate,
        signin::password_change_required,
    },
    foundation::{
        clock::{Span, Timestamp},
        ids::TraceId,
        opaque::Opaque,
        secret::Secret,
    },
    protocol::acr::Level,
    sessions as session_rules,
    store::{
        StoreError, StoreResult,
        grants::Grant,
        refresh_tokens,
        sessions::{self, Session},
        users::User,
    },
    urls::path,
    web::{client_auth, problem::Problem},
};

/// How old a second factor may be.
const YOUNG: Span = Span::from_minutes(5);

/// What every change says of itself.
pub(super) trait Change: DeserializeOwned + Send + Sync {
    /// As events call it.
    const ACTION: &'static str;
    fn refresh_token(&self) -> Option<&Secret>;
    fn client_secret(&self) -> Option<&Secret>;
}

/// A change whose author has both tokens.
pub(super) struct Proved<T> {
    pub(super) call: Call<T>,
    pub(super) grant: Grant,
    pub(super) session: Session,
    pub(super) user: User,
}

impl<T: Change> Proved<T> {
    /// Reads it. Nothing is used up yet.
    pub(super) async fn read(app: &App, request: Request) -> Result<Self, Problem> {
        let (now, from) = (app.now(), from(app, &request));
        let Speaker { client, grant, person, .. } = speaker(app, request.headers(), now).await?;
        call::check_page(&client, request.headers())?;
        let (headers, body): (_, T) = call::read(request).await?;
        // The header holds the access token already.
        let secret = body.client_secret().map(Secret::expose);
        let in_body = (Some(client.id().as_str()), secret);
        client_auth::prove(app, &HeaderMap::new(), in_body, from).await?;
        let trace = TraceId::generate(app.random());
        let call = Call { client, body, headers, from, trace, now };
        let user = person.user.clone();
        let held = call.held(app, call.body.refresh_token())?;
        if !is_of_family(app, &grant, held.as_ref()).await? {
            let detail = "refresh_token is not that of the access token's own family";
            let problem = Problem::new(StatusCode::FORBIDDEN, "refresh_token_required", detail);
            return Err(call.refuse(
                problem,
                (T::ACTION, "refresh_token_required"),
                Some(&user.id),
            ));
        }
        // As on the pages, where no change is made by an old proof: a second factor was given a moment
        // ago, or there is none. The present password takes its place where it is asked for (MF-04).
        let is_young = now.since(grant.auth_time) <= YOUNG;
        let whole = (is_young && grant.acr >= Some(Level::MultiFactor))
            || !second_factor::has(app, &user.id).await?;
        let live = live_session(app, &grant, now).await?;
        if let Some(session) = live.filter(|_| whole) {
            return Ok(Self { call, grant, session, user });
        }
        let detail = "sign in again, with everything that the account asks for";
        let problem = Problem::new(StatusCode::FORBIDDEN, "reauthentication_required", detail);
        Err(call.refuse(problem, (T::ACTION, "reauth_required"), Some(&user.id)))
    }

    /// Whoever changes who gets in knows the present password (PW-17). It counts like any other try.
    pub(super) async fn confirm(&self, app: &App, current: Option<&Secret>) -> Result<(), Problem> {
        if self.user.password_hash.is_none() {
            let detail = "the account has no password here: use the page that is named";
            let page = app.urls.absolute(path::ACCOUNT);
            return Err(self.forbid("no_password", detail).with("page", page));
        }
        if self.user.password_temporary {
            let (problem, why) = (password_change_required(app), (T::ACTION, "password_temporary"));
            return Err(self.call.refuse(problem, why, Some(&self.user.id)));
        }
        let Some(current) = current else {
            return Err(self.forbid("current_password_required", "current_password is missing"));
        };
        // Whoever has both tokens is known: a stranger's wrong tries do not keep them out (PW-14).
        let known = Some(self.grant.id.as_str().as_bytes());
        let tried = self.call.attempt(app).confirm((&self.user, current), known).await;
        match tried.map_err(|page| self.call.told(page))? {
            Tried::Right(..) | Tried::Waiting(_) => Ok(()),
            Tried::Wrong(_) => Err(self.forbid("wrong_password", "that is not the password")),
            Tried::TooMany(wait, _) => {
                let (status, detail) = (StatusCode::TOO_MANY_REQUESTS, "too many tries: wait");
                let problem = Problem::new(status, "too_many_tries", detail).retry_after(wait);
                let why = (T::ACTION, "too_many_tries");
                Err(self.call.refuse(problem, why, Some(&self.user.id)))
            }
        }
    }

    /// Uses the refresh token: of two that bring it, one changes something.
    pub(super) async fn rotate(&self, app: &App) -> Result<Tokens, Problem> {
        rotate(app, &self.call, self.call.held(app, self.call.body.refresh_token())?).await
    }

    /// What is asked is not allowed.
    pub(super) fn forbid(&self, code: &'static str, detail: &str) -> Problem {
        let problem = Problem::new(StatusCode::FORBIDDEN, code, detail);
        self.call.refuse(problem, (T::ACTION, code), Some(&self.user.id))
    }

    /// What is asked cannot be.
    pub(super) fn unfit(&self, code: &'static str, detail: &str) -> Problem {
        let problem = call::unfit(code, detail);
        self.call.refuse(problem, (T::ACTION, code), Some(&self.user.id))
    }

    /// An event of this person's.
    pub(super) fn event(&self, event: Event) -> Event {
        self.call.event(event).user(&self.user.id)
    }
}

async fn is_of_family(app: &App, grant: &Grant, held: Option<&Opaque>) -> StoreResult<bool> {
    let Some(opaque) = held else {
        return Ok(false);
    };
    let mut connection = app.connection().await?;
    let found = refresh_tokens::find(&mut connection, &opaque.digest()).await?;
    Ok(found.is_some_and(|found| found.grant.id == grant.id))
}

/// The session of the family, if it is not over.
async fn live_session(app: &App, grant: &Grant, now: Timestamp) -> StoreResult<Option<Session>> {
    let mut connection = app.connection().await?;
    let found = sessions::find(&mut connection, &grant.session_id).await;
    let found = found.map_err(StoreError::from)?;
    let settings = &app.config.sessions;
    let live = found.filter(|(own, person)| session_rules::is_live(own, person, settings, now));
    Ok(live.map(|(session, _)| session))
}
