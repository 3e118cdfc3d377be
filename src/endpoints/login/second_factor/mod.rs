//! `GET|POST /login/second-factor`: the second half of a sign-in.
//!
//! Whoever comes here has proved one thing, and is nobody yet (MF-01). A second factor begins the
//! session, or raises the one that there is; who must have one and has none sets it up here.

mod device;
mod enrolling;
mod giving;

use std::net::IpAddr;

use axum::{
    extract::{Request, State},
    http::{HeaderMap, StatusCode},
    response::Response,
};

pub(super) use self::device::Device;
use super::begin_session;
use crate::{
    accounts::factors::METHODS,
    app::App,
    audit::Event,
    dispatcher::{
        self,
        password::has_password_of,
        second_factor::{Remaining, half_of, of_half},
    },
    foundation::{clock::Timestamp, secret::Secret},
    interactions::{Half, HalfBy, Interaction},
    protocol::acr::Level,
    sessions::{self, Proof},
    store::{Connection, StoreResult, audit_events, sessions::Session, users::User},
    urls,
    web::{
        address,
        browser::{self, BrowserMark},
        csrf,
        error::PageError,
        flow,
        params::{self, Params},
    },
};

/// `GET /login/second-factor`.
pub async fn show(State(app): State<App>, request: Request) -> Result<Response, PageError> {
    let now = app.now();
    let from = address::of(&app, request.extensions(), request.headers());
    let (headers, params) = params::of_page(request).await?;
    let mut visit = Visit::find(&app, &headers, &params, (from, now)).await?;
    // A password that was given anew is to be followed by a code that is.
    let raises = matches!(visit.half.by, HalfBy::Session(_));
    let reached = |own: &Session| raises && own.acr >= Some(Level::MultiFactor);
    if visit.session.as_ref().is_some_and(reached) {
        return visit.go_on().await;
    }
    match visit.remaining().await? {
        Remaining::Factor => visit.ask(&params, None, StatusCode::OK).await,
        Remaining::Enrolment => visit.show_enrolment(None).await,
        Remaining::Nothing => Err(visit.begin_again()),
    }
}

/// `POST /login/second-factor`.
pub async fn post(State(app): State<App>, request: Request) -> Result<Response, PageError> {
    let now = app.now();
    let from = address::of(&app, request.extensions(), request.headers());
    let (headers, params) = params::of_page(request).await?;
    if !csrf::is_own(&app, &headers, params.get(csrf::FIELD)) {
        return Err(PageError::forged_form().event(Event::refused("sign_in", "form_not_ours")));
    }
    let mut visit = Visit::find(&app, &headers, &params, (from, now)).await?;
    let trace = visit.interaction.trace_id.clone();
    let answered = match visit.remaining().await? {
        Remaining::Factor => visit.give(&params).await,
        Remaining::Enrolment => visit.enrol(&params).await,
        Remaining::Nothing => Err(visit.begin_again()),
    };
    answered.map_err(|error| error.trace(&trace))
}

/// Somebody who has proved one thing.
struct Visit<'a> {
    app: &'a App,
    headers: &'a HeaderMap,
    interaction: Interaction,
    mark: BrowserMark,
    half: Half,
    /// The session of this browser, whatever it is worth.
    session: Option<Session>,
    from: IpAddr,
    now: Timestamp,
}

impl<'a> Visit<'a> {
    /// Who comes with a sign-in of this browser that has come half the way.
    async fn find(
        app: &'a App,
        headers: &'a HeaderMap,
        params: &Params,
        (from, now): (IpAddr, Timestamp),
    ) -> Result<Self, PageError> {
        let (interaction, mark) = flow::find(app, headers, params).await?;
        let Some(half) = half_of(&interaction, now).cloned() else {
            return Err(begin_again(&interaction));
        };
        let session = browser::session(app, headers, now).await?.map(|live| live.session);
        let visit = Self { app, headers, interaction, mark, half, session, from, now };
        match &visit.half.by {
            HalfBy::Session(id) if visit.session.as_ref().is_none_or(|own| own.id != *id) => {
                Err(visit.begin_again())
            }
            HalfBy::Session(_) | HalfBy::Password(_) => Ok(visit),
        }
    }

    async fn remaining(&self) -> StoreResult<Remaining> {
        let mut connection = self.app.connection().await?;
        of_half(self.app, &mut connection, &self.interaction, &self.half).await
    }

    /// Goes on with a session that is worth enough by now.
    async fn go_on(&mut self) -> Result<Response, PageError> {
        let Some(session) = self.session.clone() else {
            return Err(self.begin_again());
        };
        dispatcher::claim(self.app, &mut self.interaction).await?;
        dispatcher::proceed(self.app, &self.interaction, &session, self.now).await
    }

    /// Whether what was proved still counts for this account.
    fn stands(&self, user: &User) -> bool {
        match &self.half.by {
            HalfBy::Password(digest) => has_password_of(user, digest),
            HalfBy::Session(_) => user.disabled_at.is_none(),
        }
    }

    /// Begins the session, or raises the one that there is; nothing, if that has ended.
    async fn begin(&self, conn: &mut Connection) -> StoreResult<Option<(Session, Secret)>> {
        let Self { app, now, .. } = *self;
        if let HalfBy::Session(id) = &self.half.by {
            let proved = (METHODS.as_slice(), Level::MultiFactor);
            let raised = sessions::raise(conn, id, proved, app.random(), now).await?;
            if raised.is_some() {
                let event = self.event(Event::done("step_up"));
                audit_events::insert(conn, &event.row(now, app.random())).await?;
            }
            return Ok(raised);
        }
        let proof = Proof {
            user_id: self.half.user_id.clone(),
            upstream: None,
            upstream_sid: None,
            auth_time: now,
            amr: std::iter::once("pwd").chain(METHODS).map(str::to_owned).collect(),
            acr: Level::MultiFactor,
            address: self.from.to_string(),
            user_agent: address::user_agent(self.headers),
        };
        let former = self.session.as_ref();
        begin_session(app, conn, former, proof, &self.interaction, now).await.map(Some)
    }

    /// What this person does here, as events call it.
    const fn action(&self) -> &'static str {
        match self.half.by {
            HalfBy::Password(_) => "sign_in",
            HalfBy::Session(_) => "step_up",
        }
    }

    fn event(&self, event: Event) -> Event {
        let event = event.user(&self.half.user_id).trace(&self.interaction.trace_id);
        let event = event.address(self.from.to_string());
        match self.interaction.request() {
            Some(request) => event.client(&request.client_id),
            None => event,
        }
    }

    fn begin_again(&self) -> PageError {
        begin_again(&self.interaction)
    }
}

/// What was proved counts no longer, or nothing was.
fn begin_again(interaction: &Interaction) -> PageError {
    PageError::new(
        "second_factor_expired",
        "Please begin again",
        "There is no first step of a sign-in here that still counts.",
    )
    .next_step("Sign in again. You have ten minutes for the second step.")
    .action(urls::login(&interaction.flow), "Sign in")
    .trace(&interaction.trace_id)
    .event(Event::refused("sign_in", "second_factor_expired"))
}
