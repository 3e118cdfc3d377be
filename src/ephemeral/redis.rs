//! Short-lived state in Redis: shared by all instances.
//!
//! Each method is one round trip and one atomic command. All requests share one connection, over
//! which the client pipelines; the pool makes it and makes it anew when it breaks. A command whose
//! connection broke is sent once more: should the first have been carried out all the same, the
//! second only errs on the safe side (a value is gone, a name is taken, a counter is one higher).

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use deadpool_redis::{
    Config, Pool, PoolConfig, Runtime, Timeouts,
    redis::{Cmd, FromRedisValue, Pipeline, RedisError, aio::MultiplexedConnection, cmd, pipe},
};

use super::{EphemeralError, EphemeralResult, EphemeralStore, Key};
use crate::foundation::{clock::Span, secret::Secret};

/// How long Redis may take before the request is answered without it.
const PATIENCE: Duration = Duration::from_millis(500);

/// The way to Redis.
pub struct RedisStore {
    pool: Pool,
    shared: Mutex<Option<MultiplexedConnection>>,
}

impl std::fmt::Debug for RedisStore {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("RedisStore")
    }
}

impl RedisStore {
    /// A store at this address. Contacts it only when it is first needed.
    pub fn new(url: &Secret, max_connections: u32) -> anyhow::Result<Self> {
        let mut config = Config::from_url(url.expose());
        let patience = Some(PATIENCE);
        config.pool = Some(PoolConfig {
            max_size: max_connections.max(1) as usize,
            timeouts: Timeouts { wait: patience, create: patience, recycle: patience },
            ..PoolConfig::default()
        });
        let pool = config.create_pool(Some(Runtime::Tokio1))?;
        Ok(Self { pool, shared: Mutex::default() })
    }

    async fn connection(&self) -> EphemeralResult<MultiplexedConnection> {
        if let Some(connection) = self.shared().clone() {
            return Ok(connection);
        }
        let pooled = self.pool.get().await.map_err(|error| EphemeralError(error.to_string()))?;
        let connection: MultiplexedConnection = deadpool_redis::Connection::take(pooled);
        *self.shared() = Some(connection.clone());
        Ok(connection)
    }

    fn shared(&self) -> std::sync::MutexGuard<'_, Option<MultiplexedConnection>> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn run<T: FromRedisValue>(&self, command: &Cmd) -> EphemeralResult<T> {
        self.send(&Command::One(command)).await
    }

    async fn send<T: FromRedisValue>(&self, command: &Command<'_>) -> EphemeralResult<T> {
        let mut connection = self.connection().await?;
        match command.query(&mut connection).await {
            Ok(value) => return Ok(value),
            Err(error) if !is_broken(&error) => return Err(EphemeralError(error.to_string())),
            Err(_) => *self.shared() = None,
        }
        let mut connection = self.connection().await?;
        command.query(&mut connection).await.map_err(|error| {
            *self.shared() = None;
            EphemeralError(error.to_string())
        })
    }
}

/// What is sent in one round trip.
enum Command<'a> {
    One(&'a Cmd),
    Transaction(&'a Pipeline),
}

impl Command<'_> {
    async fn query<T: FromRedisValue>(
        &self,
        connection: &mut MultiplexedConnection,
    ) -> Result<T, RedisError> {
        let answer = async {
            match self {
                Self::One(command) => command.query_async(connection).await,
                Self::Transaction(commands) => commands.query_async(connection).await,
            }
        };
        let timed_out = || Err(std::io::Error::from(std::io::ErrorKind::TimedOut).into());
        tokio::time::timeout(PATIENCE, answer).await.unwrap_or_else(|_| timed_out())
    }
}

/// Whether another connection may do better: this one is gone, or leads to a server that no longer
/// is the primary.
fn is_broken(error: &RedisError) -> bool {
    let demoted = matches!(error.code(), Some("READONLY" | "MASTERDOWN" | "LOADING"));
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

    async fn increment(&self, key: &Key, life: Span) -> EphemeralResult<u64> {
        let mut commands = pipe();
        commands.atomic();
        commands.cmd("INCR").arg(key.as_str());
        commands.cmd("PEXPIRE").arg(key.as_str()).arg(millis(life)).arg("NX").ignore();
        let (counted,): (u64,) = self.send(&Command::Transaction(&commands)).await?;
        Ok(counted)
    }

    async fn ping(&self) -> EphemeralResult<()> {
        self.run(&cmd("PING")).await
    }
}
