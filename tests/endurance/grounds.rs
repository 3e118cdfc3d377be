//! Where houses stand: on files of their own, or on a PostgreSQL and a Redis that die as well.

use anyhow::Context as _;

use crate::{postgres_server::PostgresServer, redis_server::RedisServer};

/// The stores of a run.
#[derive(Default)]
pub(crate) struct Grounds {
    servers: Option<(PostgresServer, RedisServer)>,
    /// Which of both were killed.
    gone: (bool, bool),
}

impl Grounds {
    /// A PostgreSQL and a Redis of this run's own.
    pub(crate) fn with_servers() -> anyhow::Result<Self> {
        let redis = RedisServer::start().context("Redis is not installed")?;
        Ok(Self { servers: Some((PostgresServer::start()?, redis)), gone: (false, false) })
    }

    pub(crate) const fn has_servers(&self) -> bool {
        self.servers.is_some()
    }

    /// The addresses of an empty database and an empty state.
    pub(crate) fn stores_for(&self, seed: u64) -> anyhow::Result<Option<(String, String)>> {
        let Some((postgres, redis)) = &self.servers else { return Ok(None) };
        redis.flush();
        Ok(Some((postgres.database(&format!("house_{seed}"))?, redis.url())))
    }

    pub(crate) fn kill_postgres(&mut self) {
        if let Some((postgres, _)) = &mut self.servers {
            postgres.kill();
            self.gone.0 = true;
        }
    }

    pub(crate) fn kill_redis(&mut self) {
        if let Some((_, redis)) = &mut self.servers {
            redis.kill();
            self.gone.1 = true;
        }
    }

    /// Starts what was killed. Redis has forgotten everything.
    pub(crate) fn start_again(&mut self) -> anyhow::Result<()> {
        let gone = std::mem::take(&mut self.gone);
        if let Some((postgres, redis)) = &mut self.servers {
            if gone.0 {
                postgres.start_again()?;
            }
            if gone.1 {
                redis.start_again();
            }
        }
        Ok(())
    }
}
