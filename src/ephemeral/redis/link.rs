//! Connections to a server, to whichever server sentinels choose, or to a cluster.

use std::time::Duration;

use deadpool_redis::{
    PoolConfig, Runtime, Timeouts, cluster,
    redis::{
        Cmd, FromRedisValue, IntoConnectionInfo as _, Pipeline, RedisError,
        aio::{ConnectionLike, MultiplexedConnection},
        cluster_async::ClusterConnection,
    },
    sentinel,
};

use crate::{
    config::RedisUrl,
    ephemeral::{EphemeralError, EphemeralResult},
    foundation::secret::Secret,
};

/// Nobody waits for so long: an answer that comes later is thrown away.
const LONGEST_ANSWER: Duration = Duration::from_secs(5);

/// What makes connections.
pub(super) enum Links {
    Server(deadpool_redis::Pool),
    Sentinels(sentinel::Pool),
    Cluster(cluster::Pool),
}

impl Links {
    /// To this address. Contacts nobody yet.
    pub(super) fn new(url: &RedisUrl, most: u32, patience: Duration) -> anyhow::Result<Self> {
        let patience = Some(patience);
        let pool = Some(PoolConfig {
            max_size: most.max(1) as usize,
            timeouts: Timeouts { wait: patience, create: patience, recycle: patience },
            ..PoolConfig::default()
        });
        let runtime = Some(Runtime::Tokio1);
        Ok(match url {
            RedisUrl::Server(url) => {
                let mut config = deadpool_redis::Config::from_url(url.expose());
                config.pool = pool;
                Self::Server(config.create_pool(runtime)?)
            }
            RedisUrl::Sentinels { sentinels, master, server } => {
                let kind = sentinel::SentinelServerType::Master;
                let mut config =
                    sentinel::Config::from_urls(exposed(sentinels), master.clone(), kind)
                        .with_node_connection_info(Some(of_servers(server)?));
                config.pool = pool;
                Self::Sentinels(config.create_pool(runtime)?)
            }
            RedisUrl::Cluster(nodes) => {
                let mut config = cluster::Config::from_urls(exposed(nodes));
                config.pool = pool;
                Self::Cluster(config.create_pool(runtime)?)
            }
        })
    }

    /// A connection that many share.
    pub(super) async fn connect(&self) -> EphemeralResult<Link> {
        Ok(match self {
            Self::Server(pool) => {
                let pooled = pool.get().await.map_err(fault)?;
                Link::Server(patient(deadpool_redis::Connection::take(pooled)))
            }
            Self::Sentinels(pool) => {
                let pooled = pool.get().await.map_err(fault)?;
                Link::Server(patient(sentinel::Connection::take(pooled)))
            }
            Self::Cluster(pool) => {
                let pooled = pool.get().await.map_err(fault)?;
                Link::Cluster(cluster::Connection::take(pooled))
            }
        })
    }
}

/// How long one command may take is said by whoever sends it.
fn patient(mut connection: MultiplexedConnection) -> MultiplexedConnection {
    connection.set_response_timeout(LONGEST_ANSWER);
    connection
}

fn fault(error: impl std::fmt::Display) -> EphemeralError {
    EphemeralError(error.to_string())
}

fn exposed(urls: &[Secret]) -> Vec<String> {
    urls.iter().map(|url| url.expose().to_owned()).collect()
}

/// User, password, database and TLS of the servers behind sentinels.
fn of_servers(server: &Secret) -> anyhow::Result<sentinel::SentinelNodeConnectionInfo> {
    let info = server.expose().into_connection_info()?;
    let tls = server.expose().starts_with("rediss:").then_some(sentinel::TlsMode::Secure);
    let of_redis = info.redis_settings().clone();
    Ok(sentinel::SentinelNodeConnectionInfo {
        tls_mode: tls,
        redis_connection_info: Some(of_redis.into()),
    })
}

/// A connection. Its copies are the same one.
#[derive(Clone)]
pub(super) enum Link {
    Server(MultiplexedConnection),
    Cluster(ClusterConnection),
}

impl Link {
    pub(super) async fn query<T: FromRedisValue>(
        &mut self,
        command: &Command<'_>,
    ) -> Result<T, RedisError> {
        match self {
            Self::Server(connection) => command.query(connection).await,
            Self::Cluster(connection) => command.query(connection).await,
        }
    }
}

/// What is sent in one round trip.
pub(super) enum Command<'a> {
    One(&'a Cmd),
    Transaction(&'a Pipeline),
}

impl Command<'_> {
    async fn query<T: FromRedisValue>(
        &self,
        connection: &mut (impl ConnectionLike + Send),
    ) -> Result<T, RedisError> {
        match self {
            Self::One(command) => command.query_async(connection).await,
            Self::Transaction(commands) => commands.query_async(connection).await,
        }
    }
}
