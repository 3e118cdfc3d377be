//! `GET|POST /login/passkey`: signing in with a passkey, instead of a password and whatever follows it.
//!
//! What has to be signed is made for one sign-in and taken with the first answer (MF-05). Whatever is
//! wrong with an answer, nothing has changed.

use std::net::IpAddr;

use askama::Template;
use axum::{
    extract::{Request, State},
    http::{HeaderMap, StatusCode},
    response::Response,
};

use super::{begin_session, not_accepted, welcome};
use crate::{
    accounts::factors::{PasskeyFault, Passkeys, Presented, Presenting},
    app::App,
    audit::Event,
    dispatcher,
    ephemeral::{Key, KeyKind},
    foundation::{clock::Timestamp, secret::Secret},
    interactions::{self, Interaction},
    protocol::acr::Level,
    sessions::Proof,
    store::{
        StoreError, StoreResult, passkeys, passkeys::PasskeyRow, sessions::Session, users,
        users::User,
    },
    urls,
    web::{
        address,
        browser::{self, BrowserMark},
        csrf,
        error::PageError,
        flow,
        pages::{PageFrame, page},
        params,
    },
};

#[derive(Template)]
#[template(path = "login/passkey.html")]
struct PasskeyPage {
    page: PageFrame,
    app_name: Option<String>,
    flow: String,
    csrf: String,
    /// What the browser is to be asked, as JSON.
    options: String,
}

/// `GET /login/passkey`.
pub async fn show(State(app): State<App>, request: Request) -> Result<Response, PageError> {
    let (headers, params) = params::of_page(request).await?;
    let (interaction, mark) = flow::find(&app, &headers, &params).await?;
    let passkeys = taken(&app, &interaction)?;
    draw(&app, passkeys, &interaction, &mark).await.map_err(|e| e.trace(&interaction.trace_id))
}

async fn draw(
    app: &App,
    passkeys: &Passkeys,
    interaction: &Interaction,
    mark: &BrowserMark,
) -> Result<Response, PageError> {
    let options = ask(app, passkeys, interaction).await?;
    let request = interaction.request();
    let client = request.and_then(|request| app.clients.find(request.client_id.as_str()));
    let template = PasskeyPage {
        page: PageFrame::new(app),
        app_name: client.map(|client| client.settings.name.clone()),
        flow: interaction.flow.clone(),
        csrf: csrf::token(app, mark),
        options,
    };
    Ok(page(StatusCode::OK, &template))
}

/// What the browser is asked, as JSON. What it has to sign is kept for this sign-in, in place of what
/// it was asked before.
pub(super) async fn ask(
    app: &App,
    passkeys: &Passkeys,
    interaction: &Interaction,
) -> Result<String, PageError> {
    let (options, state) = passkeys.begin().map_err(PageError::broken)?;
    app.state.put(&key(interaction), &state, KeyKind::Passkey.life()).await?;
    Ok(options)
}

/// `POST /login/passkey`.
pub async fn post(State(app): State<App>, request: Request) -> Result<Response, PageError> {
    let now = app.now();
    let from = address::of(&app, request.extensions(), request.headers());
    let (headers, params) = params::of_page(request).await?;
    if !csrf::is_own(&app, &headers, params.get(csrf::FIELD)) {
        return Err(PageError::forged_form().event(Event::refused("sign_in", "form_not_ours")));
    }
    let (interaction, _) = flow::find(&app, &headers, &params).await?;
    let passkeys = taken(&app, &interaction)?;
    let trace = interaction.trace_id.clone();
    let mut visit = Visit { app: &app, passkeys, headers: &headers, interaction, from, now };
    let answer = params.get("credential").unwrap_or_default();
    visit.arrive(answer).await.map_err(|error| error.trace(&trace))
}

/// The passkeys, if they are taken here and lead to the app.
fn taken<'a>(app: &'a App, interaction: &Interaction) -> Result<&'a Passkeys, PageError> {
    let Some(passkeys) = &app.passkeys else {
        return Err(PageError::new(
            "passkeys_off",
            "Passkeys are not accepted here",
            "Signing in with a passkey is switched off.",
        )
        .status(StatusCode::FORBIDDEN)
        .action(urls::login(&interaction.flow), "Choose another way")
        .trace(&interaction.trace_id)
        .event(Event::refused("sign_in", "passkeys_off")));
    };
    if !dispatcher::accepts(app, interaction, None) {
        let event = Event::refused("sign_in", "upstream_not_allowed");
        return Err(not_accepted(interaction, "a passkey", event));
    }
    Ok(passkeys)
}

fn key(interaction: &Interaction) -> Key {
    Key::of_text(KeyKind::Passkey, &format!("flow {}", interaction.flow))
}

/// Why an answer does not sign anybody in.
enum Refused {
    /// It answers nothing that was asked: it came too late, or a second time.
    NotAsked,
    /// Nobody here has such a passkey, or the account is shut.
    Unknown,
    /// It was not signed rightly.
    Fault(PasskeyFault),
}

/// Somebody with the answer of their browser.
struct Visit<'a> {
    app: &'a App,
    passkeys: &'a Passkeys,
    headers: &'a HeaderMap,
    interaction: Interaction,
    from: IpAddr,
    now: Timestamp,
}

impl Visit<'_> {
    async fn arrive(&mut self, answer: &str) -> Result<Response, PageError> {
        let (app, now) = (self.app, self.now);
        let (row, presented) = match self.check(answer).await? {
            Ok(good) => good,
            Err(refused) => return Err(self.refuse(&refused)),
        };
        dispatcher::claim(app, &mut self.interaction).await?;
        self.interaction.note(now, "a passkey was presented");
        match self.sign_in(&row, presented).await {
            Ok(Some(begun)) => {
                app.metrics.count_sign_in("passkey");
                Ok(welcome(app, self.headers, &self.interaction, begun, now).await)
            }
            Ok(None) => {
                interactions::put(&app.state, &mut self.interaction).await?;
                Err(self.refuse(&Refused::Unknown))
            }
            Err(error) => Err(dispatcher::stay(app, &mut self.interaction, error.into()).await),
        }
    }

    /// The passkey, if the answer is its own, to what was asked here and not answered before.
    async fn check(
        &self,
        answer: &str,
    ) -> Result<Result<(PasskeyRow, Presented), Refused>, PageError> {
        let Some(state) = self.app.state.take::<Presenting>(&key(&self.interaction)).await? else {
            return Ok(Err(Refused::NotAsked));
        };
        let (user, credential) = match self.passkeys.identify(answer) {
            Ok(identified) => identified,
            Err(fault) => return Ok(Err(Refused::Fault(fault))),
        };
        let mut connection = self.app.connection().await?;
        let row = passkeys::find(&mut connection, &credential).await.map_err(StoreError::from)?;
        drop(connection);
        let Some(row) = row.filter(|row| row.user_id == user) else {
            return Ok(Err(Refused::Unknown));
        };
        let checked = self.passkeys.check(answer, state, &row);
        Ok(checked.map(|presented| (row, presented)).map_err(Refused::Fault))
    }

    /// Begins the session; nothing, if the passkey is gone by now, or its account is shut.
    async fn sign_in(
        &self,
        row: &PasskeyRow,
        presented: Presented,
    ) -> StoreResult<Option<(Session, Secret)>> {
        let (app, now) = (self.app, self.now);
        let former = browser::session(app, self.headers, now).await?.map(|live| live.session);
        let proof = Proof {
            user_id: row.user_id.clone(),
            upstream: None,
            upstream_sid: None,
            auth_time: now,
            amr: presented.methods.map(str::to_owned).to_vec(),
            acr: Level::PhishingResistant,
            address: self.from.to_string(),
            user_agent: address::user_agent(self.headers),
        };
        let mut connection = app.connection().await?;
        connection
            .transaction(async |conn| {
                let user = users::hold(conn, &row.user_id).await?;
                // Without a password the account is an upstream's alone, or is locked.
                let is_open =
                    |user: User| user.disabled_at.is_none() && user.password_hash.is_some();
                if !user.is_some_and(is_open) {
                    return Ok(None);
                }
                if !passkeys::note_use(conn, row, &presented.credential, now).await? {
                    return Ok(None);
                }
                let (former, interaction) = (former.as_ref(), &self.interaction);
                begin_session(app, conn, former, proof, interaction, now).await.map(Some)
            })
            .await
    }

    fn refuse(&self, refused: &Refused) -> PageError {
        let (reason, what) = match refused {
            Refused::NotAsked => ("passkey_not_asked", String::new()),
            Refused::Unknown => ("passkey_unknown", String::new()),
            Refused::Fault(fault) => ("passkey_refused", fault.to_string()),
        };
        self.app.metrics.count_refused_sign_in("passkey", reason);
        let event = Event::refused("sign_in", reason).detail("what", what);
        let event = event.address(self.from.to_string());
        PageError::new(
            reason,
            "That passkey did not sign you in",
            "It is not known here, or its answer was not to what was asked.",
        )
        .next_step("Try again, or choose another way to sign in.")
        .action(urls::login(&self.interaction.flow), "Choose another way")
        .event(event)
    }
}
