//! `GET|POST /consent`: the person sees what an app would get to know, and agrees or does not.
//!
//! Only who has proved in this sign-in who they are is asked, in the session that came of it. What they
//! are shown are the values themselves, as the app would see them today.

use std::sync::Arc;

use askama::Template;
use axum::{
    extract::{Request, State},
    http::{HeaderMap, StatusCode},
    response::Response,
};
use serde_json::{Map, Value};

use crate::{
    app::App,
    audit::Event,
    clients::Client,
    dispatcher::{self, Target, consent},
    foundation::clock::Timestamp,
    interactions::{AuthorizationRequest, ConsentWord, Interaction},
    protocol::{
        error::OAuthError,
        scope::{EMAIL, GROUPS, OFFLINE_ACCESS, OPENID, PROFILE, Scope},
    },
    sessions::LiveSession,
    store::{StoreError, StoreResult, audit_events, consents, consents::Consent},
    tokens::claims,
    urls,
    web::{
        address,
        browser::{self, BrowserMark},
        csrf,
        error::PageError,
        flow,
        pages::{PageFrame, page},
        params::{self, Params},
    },
};

const ACTION: &str = "consent";

#[derive(Template)]
#[template(path = "consent.html")]
struct ConsentPage {
    page: PageFrame,
    flow: String,
    csrf: String,
    app_name: String,
    app_host: Option<String>,
    account_name: String,
    shared: Vec<Shared>,
}

/// One thing that the app gets.
struct Shared {
    title: String,
    /// Whether the person has not agreed to it before, where they have agreed to something.
    is_new: bool,
    values: Vec<String>,
}

/// `GET /consent`.
pub async fn show(State(app): State<App>, request: Request) -> Result<Response, PageError> {
    let now = app.now();
    let (headers, params) = params::of_page(request).await?;
    let visit = Visit::find(&app, &headers, &params, now).await?;
    visit.ask().await
}

/// `POST /consent`.
pub async fn post(State(app): State<App>, request: Request) -> Result<Response, PageError> {
    let now = app.now();
    let from = address::of(&app, request.extensions(), request.headers());
    let (headers, params) = params::of_page(request).await?;
    // What one person left open says nothing for another at the same browser (SS-13).
    let token = params.get(csrf::FIELD);
    if !csrf::is_own(&app, &headers, token) || !csrf::is_of_session(&app, &headers, token) {
        return Err(PageError::forged_form().event(Event::refused(ACTION, "form_not_ours")));
    }
    let visit = Visit::find(&app, &headers, &params, now).await?;
    match params.get("answer") {
        Some("allow") => visit.agree(&from.to_string()).await,
        Some("deny") => visit.deny().await,
        _ => visit.ask().await,
    }
}

/// Somebody who is asked.
struct Visit<'a> {
    app: &'a App,
    interaction: Interaction,
    request: AuthorizationRequest,
    client: Arc<Client>,
    live: LiveSession,
    mark: BrowserMark,
    now: Timestamp,
}

impl<'a> Visit<'a> {
    async fn find(
        app: &'a App,
        headers: &HeaderMap,
        params: &Params,
        now: Timestamp,
    ) -> Result<Self, PageError> {
        let (interaction, mark) = flow::find(app, headers, params).await?;
        let Some((request, client)) = asking(app, &interaction) else {
            return Err(over(&interaction));
        };
        let limit = client.settings.max_staleness;
        let live = browser::held_session(app, headers, limit, now).await;
        let live = live.map_err(|error| PageError::from(error).trace(&interaction.trace_id))?;
        let asked = |live: &LiveSession| {
            interaction.consent == Some(ConsentWord::Asked(live.session.id.clone()))
        };
        let Some(live) = live.filter(asked) else {
            return Err(over(&interaction));
        };
        Ok(Self { app, interaction, request, client, live, mark, now })
    }

    async fn ask(&self) -> Result<Response, PageError> {
        let shared = self.shared().await;
        let shared = shared.map_err(|error| self.told(error.into()))?;
        let host = self.client.home();
        let host = host.and_then(|home| home.split_once("://").map(|(_, host)| host.to_owned()));
        let template = ConsentPage {
            page: PageFrame::new(self.app),
            flow: self.interaction.flow.clone(),
            csrf: csrf::token(self.app, &self.mark),
            app_name: self.client.settings.name.clone(),
            app_host: host,
            account_name: self.live.person.user.username.clone(),
            shared,
        };
        Ok(page(StatusCode::OK, &template))
    }

    /// What the app would see today, by what it is called.
    async fn shared(&self) -> StoreResult<Vec<Shared>> {
        let mut connection = self.app.connection().await?;
        let (user, client) = (&self.live.session.user_id, self.client.id());
        let agreed = consents::find(&mut connection, user, client).await;
        let agreed = agreed.map_err(StoreError::from)?.map(|row| Scope::from(row.scope));
        let person = self.live.person.clone();
        let person = claims::complete(&mut connection, &self.client, person).await?;
        drop(connection);
        let upstream = self.live.session.upstream.as_ref();
        let all = claims::for_app(&self.client, upstream, &person, &self.request.scope);
        let is_new = |word: &str| agreed.as_ref().is_some_and(|agreed| !agreed.contains(word));
        let of_scope = |word: &str| Shared {
            title: title(word),
            is_new: is_new(word),
            values: values(&claims::about(&person, &[word].into_iter().collect())),
        };
        let mut shared: Vec<Shared> = self.request.scope.iter().map(of_scope).collect();
        let told = claims::about(&person, &self.request.scope);
        let own: Map<String, Value> =
            all.into_iter().filter(|(name, _)| !told.contains_key(name)).collect();
        if !own.is_empty() {
            let title = "What the app was given beyond".to_owned();
            shared.push(Shared { title, is_new: false, values: values(&own) });
        }
        Ok(shared)
    }

    /// The person's word is kept, and they go on.
    async fn agree(mut self, from: &str) -> Result<Response, PageError> {
        // Of two answers at once one counts (AZ-30).
        dispatcher::claim(self.app, &mut self.interaction).await?;
        if let Err(error) = self.keep(from).await {
            let page = self.told(error.into());
            return Err(dispatcher::stay(self.app, &mut self.interaction, page).await);
        }
        let session = &self.live.session;
        self.interaction.consent = Some(ConsentWord::Given(session.id.clone()));
        self.interaction.note(self.now, "agreed to what the app asks for");
        dispatcher::proceed(self.app, &self.interaction, session, self.now).await
    }

    async fn keep(&self, from: &str) -> StoreResult<Consent> {
        let (session, request, now) = (&self.live.session, &self.request, self.now);
        let event = self.event(Event::done(ACTION)).address(from);
        let event = event.detail("scope", request.scope.to_string());
        let event = event.row(now, self.app.random());
        let mut connection = self.app.connection().await?;
        connection
            .transaction(async |conn| {
                let former = consents::find(conn, &session.user_id, &request.client_id).await?;
                let consent = consent::with(former, request, session, now);
                consents::replace(conn, &consent).await?;
                audit_events::insert(conn, &event).await?;
                Ok(consent)
            })
            .await
    }

    /// The app hears that the person did not want it (RFC 6749 §4.1.2.1).
    async fn deny(mut self) -> Result<Response, PageError> {
        dispatcher::claim(self.app, &mut self.interaction).await?;
        self.interaction.note(self.now, "did not agree to what the app asks for");
        let error = OAuthError::access_denied("the person did not agree");
        let (trace, story) = (&self.interaction.trace_id, Some(&self.interaction));
        Ok(dispatcher::refuse(self.app, &Target::of(&self.request), &error, trace, story))
    }

    fn event(&self, event: Event) -> Event {
        let session = &self.live.session;
        event.user(&session.user_id).client(self.client.id()).trace(&self.interaction.trace_id)
    }

    fn told(&self, error: PageError) -> PageError {
        error.trace(&self.interaction.trace_id)
    }
}

/// The request that waits for an answer, and whose it is.
fn asking(app: &App, interaction: &Interaction) -> Option<(AuthorizationRequest, Arc<Client>)> {
    let request = interaction.request()?;
    Some((request.clone(), app.clients.find(request.client_id.as_str())?))
}

/// What a scope gives, in the words of people.
fn title(word: &str) -> String {
    let known = match word {
        OPENID => "Who you are: a number that stands for your account",
        PROFILE => "Your profile",
        EMAIL => "Your email address",
        GROUPS => "Your groups and roles",
        OFFLINE_ACCESS => "Access while you are away, until you disconnect it",
        _ => return format!("“{word}” in the app's own services"),
    };
    known.to_owned()
}

/// The values, for people to read.
fn values(claims: &Map<String, Value>) -> Vec<String> {
    let shown = claims.iter().filter(|(name, _)| name.as_str() != "updated_at");
    shown.filter_map(|(name, value)| line(name, value)).collect()
}

fn line(name: &str, value: &Value) -> Option<String> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => {
            let items =
                items.iter().map(|item| item.as_str().map_or(item.to_string(), str::to_owned));
            items.collect::<Vec<_>>().join(", ")
        }
        other => other.to_string(),
    };
    let label = match name {
        "preferred_username" => "username",
        "email" => "address",
        "email_verified" => return (*value == Value::Bool(true)).then(|| "verified".to_owned()),
        "picture" => return Some("your picture".to_owned()),
        "locale" => "language",
        other => other,
    };
    (!text.is_empty()).then(|| format!("{label}: {text}"))
}

/// There is nothing to agree to here, or not any more: another person has signed in meanwhile, or nobody
/// is signed in.
fn over(interaction: &Interaction) -> PageError {
    PageError::new(
        "nothing_to_agree_to",
        "There is nothing to agree to here",
        "It was answered already, or another person has signed in at this browser meanwhile.",
    )
    .status(StatusCode::CONFLICT)
    .next_step("Go on with the sign-in.")
    .action(urls::login(&interaction.flow), "Sign in")
    .trace(&interaction.trace_id)
    .event(Event::refused(ACTION, "nothing_asked").trace(&interaction.trace_id))
}
