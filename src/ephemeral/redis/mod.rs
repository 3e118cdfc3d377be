//! Short-lived state in Redis: shared by all instances.
//!
//! Each method is one round trip and one atomic command on one key, so that a server, a server behind
//! sentinels and a cluster do alike. All requests share one connection, over which the client pipelines;
//! the pool makes it and makes it anew when it breaks. A command whose connection broke is sent once
//! more: should the first have been carried out all the same, the second only errs on the safe side (a
//! value is gone, a name is taken, a counter is one higher). One that was not answered in time is not:
//! nobody waits twice.

mod breaker;
mod link;
mod patience;

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use deadpool_redis::redis::{Cmd, FromRedisValue, RedisError, cmd, pipe};
use tokio::{sync::Notify, time::Instant};

use self::{
    breaker::Breaker,
    link::{Command, Link, Links},
};
use super::{EphemeralError, EphemeralResult, EphemeralStore, Key};
use crate::{config::RedisUrl, foundation::clock::Span};

/// How long a connection may take to be made. Whoever is the first to need it does not wait for so long.
const PATIENCE_TO_CONNECT: Duration = Duration::from_secs(2);

/// The way to Redis.
pub struct RedisStore {
    way: Arc<Way>,
    breaker: Breaker,
}

impl std::fmt::Debug for RedisStore {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("RedisStore")
    }
}

/// The connection that all share, and what makes it.
struct Way {
    links: Links,
    shared: Mutex<Shared>,
    connecting: tokio::sync::Mutex<()>,
    connected: Notify,
}

/// The connection, and how many there were before it: whoever gives up an old one leaves the new one.
#[derive(Default)]
struct Shared {
    link: Option<Link>,
    number: u64,
}

/// Why there is no answer.
enum Unanswered {
    /// Redis is away, or of no use at the moment.
    Away(String),
    /// Redis has refused the command.
    Refused(String),
}

impl RedisStore {
    /// A store at this address. Contacts it only when it is first needed.
    pub fn new(url: &RedisUrl, max_connections: u32) -> anyhow::Result<Self> {
        let links = Links::new(url, max_connections, PATIENCE_TO_CONNECT)?;
        let way = Way {
            links,
            shared: Mutex::default(),
            connecting: tokio::sync::Mutex::default(),
            connected: Notify::new(),
        };
        Ok(Self { way: Arc::new(way), breaker: Breaker::default() })
    }

    async fn run<T: FromRedisValue>(&self, command: &Cmd) -> EphemeralResult<T> {
        self.send(&Command::One(command)).await
    }

    /// Sends it, unless Redis has not answered for a while.
    async fn send<T: FromRedisValue>(&self, command: &Command<'_>) -> EphemeralResult<T> {
        if !self.breaker.admits(Instant::now()) {
            return Err(EphemeralError("it has not answered for a while".to_owned()));
        }
        self.try_to_send(command).await
    }

    async fn try_to_send<T: FromRedisValue>(&self, command: &Command<'_>) -> EphemeralResult<T> {
        let deadline = Instant::now() + self.breaker.patience();
        match self.way.ask(command, deadline).await {
            Err(Unanswered::Away(what)) => {
                self.breaker.failed(Instant::now());
                Err(EphemeralError(what))
            }
            Err(Unanswered::Refused(what)) => {
                self.breaker.succeeded();
                Err(EphemeralError(what))
            }
            Ok(value) => {
                self.breaker.succeeded();
                Ok(value)
            }
        }
    }
}

impl Way {
    /// Asks within the time that a request may wait, whatever it takes.
    async fn ask<T: FromRedisValue>(
        self: &Arc<Self>,
        command: &Command<'_>,
        deadline: Instant,
    ) -> Result<T, Unanswered> {
        let (mut link, number) = self.link(deadline).await?;
        match query(&mut link, command, deadline).await {
            Ok(value) => return Ok(value),
            Err(error) if !is_broken(&error) => {
                return Err(Unanswered::Refused(error.to_string()));
            }
            Err(error) if error.is_timeout() => {
                // A cluster mends its own connections, and others of its nodes may answer.
                if !matches!(link, Link::Cluster(_)) {
                    self.leave(number);
                }
                return Err(Unanswered::Away(error.to_string()));
            }
            Err(_) => self.leave(number),
        }
        let (mut link, number) = self.link(deadline).await?;
        query(&mut link, command, deadline).await.map_err(|error| {
            self.leave(number);
            Unanswered::Away(error.to_string())
        })
    }

    /// The connection. Where there is none it is made beside the requests, which wait a little for it
    /// and no more; whoever comes later finds it.
    async fn link(self: &Arc<Self>, deadline: Instant) -> Result<(Link, u64), Unanswered> {
        let tried = self.connected.notified();
        if let Some(found) = self.found() {
            return Ok(found);
        }
        self.connect();
        let in_time = patience::by(deadline, tried).await.is_some();
        let what = if in_time { "nobody listens, or refuses us" } else { "no connection in time" };
        self.found().ok_or_else(|| Unanswered::Away(what.to_owned()))
    }

    fn found(&self) -> Option<(Link, u64)> {
        let shared = self.shared();
        shared.link.clone().map(|link| (link, shared.number))
    }

    /// Makes the connection, unless somebody does already.
    #[expect(clippy::disallowed_methods, reason = "it ends by itself after two seconds at most")]
    fn connect(self: &Arc<Self>) {
        let way = Arc::clone(self);
        if self.connecting.try_lock().is_err() {
            return;
        }
        tokio::spawn(async move {
            way.try_to_connect().await;
            // Not before the next one may try: whoever finds somebody trying hears of the end.
            way.connected.notify_waiters();
        });
    }

    async fn try_to_connect(&self) {
        let Ok(_alone) = self.connecting.try_lock() else {
            return;
        };
        if self.found().is_some() {
            return;
        }
        match self.links.connect().await {
            Ok(link) => {
                let mut shared = self.shared();
                shared.link = Some(link);
                shared.number += 1;
            }
            Err(error) => tracing::debug!(%error, "no connection to Redis"),
        }
    }

    /// The next one has another connection, if this is the one still.
    fn leave(&self, number: u64) {
        let mut shared = self.shared();
        if shared.number == number {
            shared.link = None;
        }
    }

    fn shared(&self) -> std::sync::MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn query<T: FromRedisValue>(
    link: &mut Link,
    command: &Command<'_>,
    deadline: Instant,
) -> Result<T, RedisError> {
    let timed_out = || Err(std::io::Error::from(std::io::ErrorKind::TimedOut).into());
    patience::by(deadline, link.query(command)).await.unwrap_or_else(timed_out)
}

/// Whether another connection may do better: this one is gone, or leads to a server that no longer
/// is the primary.
fn is_broken(error: &RedisError) -> bool {
    let demoted = matches!(error.code(), Some("READONLY" | "MASTERDOWN" | "LOADING" | "EXECABORT"));
    demoted || error.is_io_error() || error.is_connection_dropped() || error.is_timeout()
}

fn millis(life: Span) -> i64 {
    life.seconds().max(1).saturating_mul(1_000)
}

#[async_trait]
impl EphemeralStore for RedisStore {
    async fn put(&self, key: &Key, value: &[u8], life: Span) -> EphemeralResult<()> {
        self.run(cmd("SET").arg(key.as_str()).arg(value).arg("PX").arg(millis(life))).await
    }

    async fn get(&self, key: &Key) -> EphemeralResult<Option<Vec<u8>>> {
        self.run(cmd("GET").arg(key.as_str())).await
    }

    async fn take(&self, key: &Key) -> EphemeralResult<Option<Vec<u8>>> {
        self.run(cmd("GETDEL").arg(key.as_str())).await
    }

    async fn insert_new(&self, key: &Key, value: &[u8], life: Span) -> EphemeralResult<bool> {
        let command = {
            let mut set = cmd("SET");
            set.arg(key.as_str()).arg(value).arg("NX").arg("PX").arg(millis(life));
            set
        };
        let answer: Option<String> = self.run(&command).await?;
        Ok(answer.is_some())
    }

    async fn add(&self, key: &Key, number: u64, life: Span) -> EphemeralResult<u64> {
        let mut commands = pipe();
        commands.atomic();
        commands.cmd("INCRBY").arg(key.as_str()).arg(number);
        commands.cmd("PEXPIRE").arg(key.as_str()).arg(millis(life)).arg("NX").ignore();
        let (counted,): (u64,) = self.send(&Command::Transaction(&commands)).await?;
        Ok(counted)
    }

    async fn ping(&self) -> EphemeralResult<()> {
        // Whoever asks this wants to know, however often there was no answer.
        self.try_to_send(&Command::One(&cmd("PING"))).await
    }
}
