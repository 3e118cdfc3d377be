//! What one connection does over and over in each scenario.

use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, bail};

use crate::browser::Jar;
use crate::flows::{Party, Tokens, Traveller, exchange_form};
use crate::http::{Connection, basic, post};
use crate::members::Member;
use crate::settings::{SECRET, WEB};

/// One connection and its task.
pub(crate) enum Worker {
    Repeat(Repeat),
    Exchange(Exchange),
    Rotate(Rotate),
    /// A new browser, up to the login page.
    Page(Box<Traveller>),
    /// A new person, up to the tokens.
    SignIn(Box<Traveller>),
    /// People with a password, up to the tokens.
    Member(Box<Member>),
    /// People with sessions, up to the tokens.
    Return(Box<Return>),
    /// A person with a session, collecting codes.
    Collect(Box<Collect>),
}

/// What came of one step.
pub(crate) enum Step {
    Done,
    /// Nothing is left to do.
    Exhausted,
}

/// One-time values shared between workers.
#[derive(Clone, Default)]
pub(crate) struct Pool(Arc<Mutex<Vec<String>>>);

impl Pool {
    pub(crate) fn push(&self, value: String) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(value);
    }

    pub(crate) fn pop(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

/// Prepared requests, in turn.
pub(crate) struct Repeat {
    pub(crate) connection: Connection,
    pub(crate) requests: Arc<Vec<Vec<u8>>>,
    pub(crate) next: usize,
    pub(crate) status: u16,
    /// What the body must contain to count as the right answer.
    pub(crate) mark: &'static [u8],
}

/// Codes for tokens.
pub(crate) struct Exchange {
    pub(crate) connection: Connection,
    pub(crate) server: Party,
    pub(crate) target: &'static str,
    pub(crate) codes: Pool,
}

/// Refresh tokens for tokens, each for its successor.
pub(crate) struct Rotate {
    pub(crate) connection: Connection,
    pub(crate) server: Party,
    pub(crate) target: &'static str,
    pub(crate) refresh_token: String,
}

/// Sign-ins by live sessions, in turn.
pub(crate) struct Return {
    pub(crate) traveller: Traveller,
    pub(crate) sessions: Vec<Jar>,
    pub(crate) next: usize,
}

/// Codes by a live session.
pub(crate) struct Collect {
    pub(crate) traveller: Traveller,
    pub(crate) jar: Jar,
    pub(crate) codes: Pool,
    pub(crate) wanted: usize,
}

impl Worker {
    /// One request, or one journey.
    pub(crate) async fn step(&mut self) -> anyhow::Result<Step> {
        match self {
            Self::Repeat(worker) => worker.step().await,
            Self::Exchange(worker) => worker.step().await,
            Self::Rotate(worker) => worker.step().await,
            Self::Page(traveller) => traveller.login_page().await.map(|_| Step::Done),
            Self::SignIn(traveller) => traveller.sign_in().await.map(|_| Step::Done),
            Self::Member(member) => member.sign_in().await.map(|_| Step::Done),
            Self::Return(worker) => worker.step().await,
            Self::Collect(worker) => worker.step().await,
        }
    }
}

impl Repeat {
    async fn step(&mut self) -> anyhow::Result<Step> {
        let turn = self.next % self.requests.len().max(1);
        let request = self.requests.get(turn).context("nothing to send")?;
        self.next = turn + 1;
        let response = self.connection.send(request).await?.expect(self.status)?;
        let found = self.mark.is_empty()
            || response.body.windows(self.mark.len()).any(|window| window == self.mark);
        if !found {
            bail!("not the expected answer: {}", response.excerpt());
        }
        Ok(Step::Done)
    }
}

impl Exchange {
    async fn step(&mut self) -> anyhow::Result<Step> {
        let Some(code) = self.codes.pop() else {
            return Ok(Step::Exhausted);
        };
        self.exchange(&code).await.map(|_| Step::Done)
    }

    /// Exchanges one code.
    pub(crate) async fn exchange(&mut self, code: &str) -> anyhow::Result<Tokens> {
        let form = exchange_form(code);
        let request = post(&self.server.host, self.target, &basic(WEB, SECRET), &form);
        let response = self.connection.send(&request).await?.expect(200)?;
        serde_json::from_slice(&response.body).context("a token response")
    }
}

impl Rotate {
    async fn step(&mut self) -> anyhow::Result<Step> {
        self.rotate().await.map(|_| Step::Done)
    }

    /// Uses the refresh token and keeps its successor.
    pub(crate) async fn rotate(&mut self) -> anyhow::Result<Tokens> {
        let form = format!("grant_type=refresh_token&refresh_token={}", self.refresh_token);
        let request = post(&self.server.host, self.target, &basic(WEB, SECRET), &form);
        let response = self.connection.send(&request).await?.expect(200)?;
        let tokens: Tokens = serde_json::from_slice(&response.body).context("a token response")?;
        let successor = tokens.refresh_token.clone().context("no successor came")?;
        if successor == self.refresh_token {
            bail!("the refresh token was not rotated");
        }
        self.refresh_token = successor;
        Ok(tokens)
    }
}

impl Return {
    async fn step(&mut self) -> anyhow::Result<Step> {
        let turn = self.next % self.sessions.len().max(1);
        let session = self.sessions.get_mut(turn).context("nobody has a session")?;
        self.next = turn + 1;
        self.traveller.sign_in_again(session).await.map(|_| Step::Done)
    }
}

impl Collect {
    async fn step(&mut self) -> anyhow::Result<Step> {
        if self.codes.len() >= self.wanted {
            return Ok(Step::Exhausted);
        }
        let code = self.traveller.authorize(&mut self.jar).await?;
        self.codes.push(code);
        Ok(Step::Done)
    }
}
