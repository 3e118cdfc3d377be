//! `GET|POST /login/connect`: whoever has signed in elsewhere shows that the account of their address is
//! theirs, by the code that was mailed to it, or would rather be somebody new.

use askama::Template;
use axum::{
    extract::{Request, State},
    http::{HeaderMap, StatusCode},
    response::Response,
};

use crate::{
    accounts::{
        one_time_links::{MAX_WRONG_CODES, digest_of_code},
        recovery,
    },
    app::App,
    audit::Event,
    dispatcher,
    ephemeral::{Key, KeyKind},
    foundation::{clock::Timestamp, digest::constant_time_eq},
    interactions::{self, Candidate, CandidateWord, Interaction},
    urls,
    web::{
        address,
        browser::BrowserMark,
        csrf,
        error::PageError,
        flow,
        pages::{PageFrame, page},
        params::{self, Params},
        throttle,
    },
};

const ACTION: &str = "link";
const WRONG: &str = "That code is not right. Look at the newest mail, and type it again.";

#[derive(Template)]
#[template(path = "login/connect.html")]
struct ConnectPage {
    page: PageFrame,
    flow: String,
    csrf: String,
    upstream: String,
    /// What the person is called there.
    name: String,
    /// Whether a code is on its way.
    sent: bool,
    fault: Option<&'static str>,
}

/// `GET /login/connect`.
pub async fn show(State(app): State<App>, request: Request) -> Result<Response, PageError> {
    let now = app.now();
    let (headers, params) = params::of_page(request).await?;
    let visit = Visit::find(&app, &headers, &params, now).await?;
    visit.ask(None)
}

/// `POST /login/connect`.
pub async fn post(State(app): State<App>, request: Request) -> Result<Response, PageError> {
    let now = app.now();
    let from = address::of(&app, request.extensions(), request.headers());
    let (headers, params) = params::of_page(request).await?;
    if !csrf::is_own(&app, &headers, params.get(csrf::FIELD)) {
        return Err(PageError::forged_form().event(Event::refused(ACTION, "form_not_ours")));
    }
    let visit = Visit::find(&app, &headers, &params, now).await?;
    let trace = visit.interaction.trace_id.clone();
    throttle::begin_flow(&app, from, now).map_err(|error| error.trace(&trace))?;
    if params.get("instead") == Some("new") {
        return visit.go_back(CandidateWord::Declined).await;
    }
    if visit.is_right(&params).await? {
        return visit.go_back(CandidateWord::Proved).await;
    }
    app.audit.note(visit.event("wrong_code").address(from.to_string()));
    visit.ask(Some(WRONG))
}

/// Somebody who is asked whether an account is theirs.
struct Visit<'a> {
    app: &'a App,
    interaction: Interaction,
    candidate: Candidate,
    /// The digest of the code that was mailed.
    code: Option<String>,
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
        let candidate = interaction.candidate.clone();
        let Some(candidate) = candidate.filter(|one| now.since(one.at) < recovery::LIFE) else {
            return Err(over(&interaction, "nothing_asked"));
        };
        let CandidateWord::Asked(code) = candidate.word.clone() else {
            return Err(over(&interaction, "nothing_asked"));
        };
        Ok(Self { app, interaction, candidate, code, mark, now })
    }

    fn ask(&self, fault: Option<&'static str>) -> Result<Response, PageError> {
        let Some(upstream) = self.app.upstreams.find(self.candidate.upstream.as_str()) else {
            return Err(over(&self.interaction, "nothing_asked"));
        };
        let template = ConnectPage {
            page: PageFrame::new(self.app),
            flow: self.interaction.flow.clone(),
            csrf: csrf::token(self.app, &self.mark),
            upstream: upstream.settings.name.clone(),
            name: self.candidate.name.clone(),
            sent: self.code.is_some(),
            fault,
        };
        let wrong = StatusCode::UNPROCESSABLE_ENTITY;
        Ok(page(if fault.is_some() { wrong } else { StatusCode::OK }, &template))
    }

    /// Whether this is the code. Tries are counted before they are looked at, so that tries at once are
    /// no more tries (RC-15).
    async fn is_right(&self, params: &Params) -> Result<bool, PageError> {
        let flow = &self.interaction.flow;
        // Each code has its own tries: a new one begins anew, and there are ten a day.
        let of_code = format!("{flow} {}", self.code.as_deref().unwrap_or_default());
        let tries = self.app.state.increment(&Key::of_text(KeyKind::LinkCodes, &of_code)).await?;
        if tries > MAX_WRONG_CODES {
            let page = over(&self.interaction, "too_many_codes");
            return Err(page.event(self.event("too_many_codes")));
        }
        let typed = params.get("code").unwrap_or_default();
        let typed: String = typed.chars().filter(char::is_ascii_digit).collect();
        let (typed, sent) = (digest_of_code(flow, &typed), self.code.as_deref());
        Ok(sent.is_some_and(|sent| constant_time_eq(typed.as_bytes(), sent.as_bytes())))
    }

    /// To the upstream once more: it says again who it is.
    async fn go_back(mut self, word: CandidateWord) -> Result<Response, PageError> {
        let Some(upstream) = self.app.upstreams.find(self.candidate.upstream.as_str()) else {
            return Err(over(&self.interaction, "nothing_asked"));
        };
        let what = match word {
            CandidateWord::Proved => "the code from the mail was typed",
            _ => "would rather have a new account",
        };
        self.interaction.note(self.now, what);
        self.interaction.candidate = Some(Candidate { word, ..self.candidate });
        // It is over if it was finished in another tab (AZ-30).
        dispatcher::claim(self.app, &mut self.interaction).await?;
        interactions::put(&self.app.state, &mut self.interaction).await?;
        dispatcher::depart(self.app, upstream, self.interaction, self.now).await
    }

    fn event(&self, reason: &'static str) -> Event {
        event(&self.interaction, reason)
            .user(&self.candidate.user_id)
            .upstream(&self.candidate.upstream)
    }
}

fn event(interaction: &Interaction, reason: &'static str) -> Event {
    Event::refused(ACTION, reason).trace(&interaction.trace_id)
}

/// There is nothing to be typed, or not any more.
fn over(interaction: &Interaction, reason: &'static str) -> PageError {
    PageError::new(
        "code_over",
        "This code does not work any more",
        "It was used, it was typed wrong too often, or too much time has passed.",
    )
    .status(StatusCode::GONE)
    .next_step("Sign in again: a new code is mailed then.")
    .action(urls::login(&interaction.flow), "Sign in")
    .trace(&interaction.trace_id)
    .event(event(interaction, reason))
}
