//! What each measurement needs before its clock starts: sessions, codes, tokens, requests.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};

use crate::browser::Jar;
use crate::flows::{Party, Traveller, scope_of};
use crate::http::{Connection, basic, get, post};
use crate::load;
use crate::members::{Member, Visitor};
use crate::scenarios::{Contestant, Scenario};
use crate::settings::{API, APP, APP_ES256, SECRET, WEB};
use crate::workers::{Collect, Exchange, Pool, Repeat, Return, Rotate, Worker};

/// Distinct access tokens in turn, as the many users of an app would bring.
const ACCESS_TOKENS: usize = 256;
/// Distinct people with sessions in turn.
const RETURNING: usize = 256;
/// Codes live for a minute; collecting them must leave time to use them.
const COLLECTING: Duration = Duration::from_secs(30);
/// The refusal when a scenario needs a server that was not started.
const NOT_STARTED: &str = "that server was not started";

/// Everybody's address.
#[derive(Clone)]
pub(crate) struct Site {
    pub(crate) keywright: Option<Party>,
    /// A second Keywright, with a local account, so that there is a login page.
    pub(crate) with_page: Option<Party>,
    pub(crate) upstream: Party,
    pub(crate) ceiling: Option<Party>,
    pub(crate) peer: Option<Party>,
}

/// Makes workers, and keeps what is reused between rounds.
pub(crate) struct Preparation {
    site: Site,
    connections: usize,
    sessions: HashMap<Contestant, Vec<Jar>>,
    /// Whether Keywright's answer to a refresh carries an ID token, so that the ceiling's does too.
    refresh_has_id_token: bool,
}

/// The targets of the two contestants, where they differ.
struct Targets {
    token: &'static str,
    exchange: &'static str,
    refresh: &'static str,
}

impl Preparation {
    pub(crate) fn new(site: Site, connections: usize) -> Self {
        Self {
            site,
            connections: connections.max(1),
            sessions: HashMap::new(),
            refresh_has_id_token: true,
        }
    }

    /// The workers of one measurement; `codes` is how many one-time codes it may use up.
    pub(crate) async fn workers(
        &mut self,
        scenario: Scenario,
        contestant: Contestant,
        codes: usize,
    ) -> anyhow::Result<Vec<Worker>> {
        let server = self.server(scenario, contestant)?;
        let targets = self.targets(scenario, contestant);
        match scenario {
            Scenario::H0 => {
                Ok(self.repeat(&server, vec![get(&server.host, "/hello", "")], b"hello"))
            }
            Scenario::T1 | Scenario::T2 | Scenario::T3 => {
                let authorization = basic(credentials_client(scenario), SECRET);
                let form = "grant_type=client_credentials";
                let request = post(&server.host, targets.token, &authorization, form);
                Ok(self.repeat(&server, vec![request], b"\"access_token\""))
            }
            Scenario::C1 => {
                let pool = self.codes(contestant, codes).await?;
                Ok((0..self.connections)
                    .map(|_| Worker::Exchange(exchanger(&server, &targets, pool.clone())))
                    .collect())
            }
            Scenario::R1 => self.rotators(&server, contestant).await,
            Scenario::U1 | Scenario::I1 => self.bearers(scenario, &server, contestant).await,
            Scenario::D2 | Scenario::D2n => self.key_set(scenario, &server).await,
            Scenario::A1 => Ok(self.pages(&server, contestant)),
            Scenario::F1 => Ok(self.sign_ins(&server, APP_ES256)),
            Scenario::F1r => Ok(self.sign_ins(&server, APP)),
            Scenario::F2 | Scenario::F2f => Ok(self.members(scenario, &server, contestant)),
            Scenario::F3 => self.returns(&server, contestant).await,
        }
    }

    fn sign_ins(&self, server: &Party, client: &'static str) -> Vec<Worker> {
        (0..self.connections)
            .map(|_| Worker::SignIn(Box::new(self.traveller(server, client))))
            .collect()
    }

    /// People with a password, each at one connection; the ceiling hashes and does nothing else.
    fn members(&self, scenario: Scenario, server: &Party, contestant: Contestant) -> Vec<Worker> {
        if contestant == Contestant::Ceiling {
            let kept = scenario == Scenario::F2;
            let path = if kept { "/argon2id" } else { "/argon2id/fresh" };
            let request = get(&server.host, path, "");
            return self.repeat(server, vec![request], b"right");
        }
        let worker = |first: usize| {
            let visitor = Visitor::new(server, APP_ES256);
            let step = self.connections;
            Worker::Member(Box::new(Member { visitor, first, step, turns: 0 }))
        };
        (0..self.connections).map(worker).collect()
    }

    /// People who are signed in already, each at one connection.
    async fn returns(
        &mut self,
        server: &Party,
        contestant: Contestant,
    ) -> anyhow::Result<Vec<Worker>> {
        let wanted = RETURNING.max(self.connections);
        let sessions = self.sessions(server, contestant, wanted).await?;
        let worker = |first: usize| {
            let own = sessions.iter().skip(first).step_by(self.connections);
            Worker::Return(Box::new(Return {
                traveller: self.traveller(server, APP_ES256),
                sessions: own.cloned().collect(),
                next: 0,
            }))
        };
        Ok((0..self.connections).map(worker).collect())
    }

    /// At least so many people with a session.
    async fn sessions(
        &mut self,
        server: &Party,
        contestant: Contestant,
        wanted: usize,
    ) -> anyhow::Result<Vec<Jar>> {
        let mut sessions = self.sessions.remove(&contestant).unwrap_or_default();
        while sessions.len() < wanted {
            let mut jar = Jar::default();
            self.traveller(server, WEB).authorize(&mut jar).await.context("signing in")?;
            sessions.push(jar);
        }
        self.sessions.insert(contestant, sessions.clone());
        Ok(sessions)
    }

    fn server(&self, scenario: Scenario, contestant: Contestant) -> anyhow::Result<Party> {
        let server = match contestant {
            Contestant::Ceiling => &self.site.ceiling,
            Contestant::Keywright if scenario.has_form() => &self.site.with_page,
            Contestant::Keywright => &self.site.keywright,
            Contestant::Peer => &self.site.peer,
        };
        server.clone().context(NOT_STARTED)
    }

    fn targets(&self, scenario: Scenario, contestant: Contestant) -> Targets {
        match contestant {
            Contestant::Keywright | Contestant::Peer => {
                Targets { token: "/token", exchange: "/token", refresh: "/token" }
            }
            Contestant::Ceiling => Targets {
                token: match scenario {
                    Scenario::T2 => "/token/eddsa",
                    Scenario::T3 => "/token/rs256",
                    _ => "/token/es256",
                },
                exchange: "/exchange",
                refresh: if self.refresh_has_id_token {
                    "/refresh/with-id-token"
                } else {
                    "/refresh"
                },
            },
        }
    }

    fn repeat(&self, server: &Party, requests: Vec<Vec<u8>>, mark: &'static [u8]) -> Vec<Worker> {
        self.repeat_with(server, requests, 200, mark)
    }

    fn repeat_with(
        &self,
        server: &Party,
        requests: Vec<Vec<u8>>,
        status: u16,
        mark: &'static [u8],
    ) -> Vec<Worker> {
        let requests = Arc::new(requests);
        let stride = requests.len().div_ceil(self.connections);
        (0..self.connections)
            .map(|number| {
                Worker::Repeat(Repeat {
                    connection: Connection::new(server.address),
                    requests: Arc::clone(&requests),
                    next: number * stride,
                    status,
                    mark,
                })
            })
            .collect()
    }

    fn traveller(&self, server: &Party, client: &'static str) -> Traveller {
        Traveller::new(server, &self.site.upstream, client, scope_of(client))
    }

    /// So many fresh codes, or as many as can be had in time.
    async fn codes(&mut self, contestant: Contestant, wanted: usize) -> anyhow::Result<Pool> {
        let pool = Pool::default();
        if contestant == Contestant::Ceiling {
            let server = self.site.ceiling.as_ref().context(NOT_STARTED)?;
            let request = get(&server.host, &format!("/codes?count={wanted}"), "");
            let response = Connection::new(server.address).send(&request).await?.expect(200)?;
            for code in std::str::from_utf8(&response.body)?.lines() {
                pool.push(code.to_owned());
            }
            return Ok(pool);
        }
        let server = self.site.keywright.clone().context(NOT_STARTED)?;
        let sessions = self.sessions(&server, contestant, self.connections).await?;
        let collectors = sessions.iter().take(self.connections).map(|jar| {
            Worker::Collect(Box::new(Collect {
                traveller: self.traveller(&server, WEB),
                jar: jar.clone(),
                codes: pool.clone(),
                wanted,
            }))
        });
        let (sample, _) = load::run(collectors.collect(), COLLECTING).await;
        if let Some(error) = sample.first_error {
            bail!("collecting codes: {error}");
        }
        Ok(pool)
    }

    async fn rotators(
        &mut self,
        server: &Party,
        contestant: Contestant,
    ) -> anyhow::Result<Vec<Worker>> {
        let targets = self.targets(Scenario::R1, contestant);
        let pool = self.codes(contestant, self.connections).await?;
        let mut first = exchanger(server, &targets, Pool::default());
        let mut workers = Vec::new();
        while let Some(code) = pool.pop() {
            let tokens = first.exchange(&code).await.context("exchanging")?;
            let mut rotate = Rotate {
                connection: Connection::new(server.address),
                server: server.clone(),
                target: targets.refresh,
                refresh_token: tokens.refresh_token.context("no refresh token came")?,
            };
            let rotated = rotate.rotate().await.context("refreshing")?;
            if contestant == Contestant::Keywright {
                self.refresh_has_id_token = rotated.id_token.is_some();
            }
            workers.push(Worker::Rotate(rotate));
        }
        Ok(workers)
    }

    async fn bearers(
        &mut self,
        scenario: Scenario,
        server: &Party,
        contestant: Contestant,
    ) -> anyhow::Result<Vec<Worker>> {
        let targets = self.targets(scenario, contestant);
        let pool = self.codes(contestant, ACCESS_TOKENS).await?;
        let mut exchange = exchanger(server, &targets, Pool::default());
        let mut requests = Vec::new();
        while let Some(code) = pool.pop() {
            let token = exchange.exchange(&code).await.context("exchanging")?.access_token;
            requests.push(if scenario == Scenario::U1 {
                get(&server.host, "/userinfo", &format!("Authorization: Bearer {token}\r\n"))
            } else {
                let form = format!("token={token}&token_type_hint=access_token");
                post(&server.host, "/introspect", &basic(API, SECRET), &form)
            });
        }
        let mark: &[u8] = if scenario == Scenario::U1 { b"\"sub\"" } else { b"\"active\":true" };
        Ok(self.repeat(server, requests, mark))
    }

    async fn key_set(&self, scenario: Scenario, server: &Party) -> anyhow::Result<Vec<Worker>> {
        let target = "/.well-known/jwks.json";
        let request = get(&server.host, target, "");
        if scenario == Scenario::D2 {
            return Ok(self.repeat(server, vec![request], b"\"keys\""));
        }
        let response = Connection::new(server.address).send(&request).await?.expect(200)?;
        let etag = response.etag.context("the JWKS has no ETag")?;
        let request = get(&server.host, target, &format!("If-None-Match: {etag}\r\n"));
        Ok(self.repeat_with(server, vec![request], 304, b""))
    }

    fn pages(&self, server: &Party, contestant: Contestant) -> Vec<Worker> {
        match contestant {
            Contestant::Keywright | Contestant::Peer => (0..self.connections)
                .map(|_| Worker::Page(Box::new(self.traveller(server, APP))))
                .collect(),
            Contestant::Ceiling => {
                let target = crate::flows::authorization_request(APP, scope_of(APP));
                let target = target.replacen("/authorize", "/login-page", 1);
                self.repeat(server, vec![get(&server.host, &target, "")], b"<html")
            }
        }
    }
}

fn exchanger(server: &Party, targets: &Targets, codes: Pool) -> Exchange {
    Exchange {
        connection: Connection::new(server.address),
        server: server.clone(),
        target: targets.exchange,
        codes,
    }
}

fn credentials_client(scenario: Scenario) -> &'static str {
    match scenario {
        Scenario::T2 => "bench-eddsa",
        Scenario::T3 => "bench-rs256",
        _ => "bench-es256",
    }
}
