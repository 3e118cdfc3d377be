//! The databases and the state of one run, and the processes whose CPU time belongs to them.

use std::path::Path;

use anyhow::Context as _;
use deadpool_redis::redis;
use tokio_postgres::NoTls;

use crate::cpu;
use crate::options::{self, Profile};

/// The databases of one run: one for each Keywright, the ceiling's own, and one with Keywright's
/// tables for the ceiling.
const NAMES: [&str; 4] = ["main", "page", "ceiling", "migrated"];

/// Where the servers keep things.
pub(crate) enum Stores {
    /// One file per server, state in the processes.
    Lite,
    /// One throw-away database per server.
    Pg(Box<Servers>),
}

/// PostgreSQL and Redis.
pub(crate) struct Servers {
    admin_url: String,
    prefix: String,
    redis_url: String,
    /// Whether commits wait for the disk: it belongs beside the figures.
    durability: String,
    postgres: Option<u32>,
    redis: Option<u32>,
}

/// CPU-seconds so far; `None` where the process is not on this machine.
#[derive(Clone, Copy, Default)]
pub(crate) struct Spent {
    pub(crate) postgres: Option<f64>,
    pub(crate) redis: Option<f64>,
}

impl Spent {
    /// The difference to an earlier reading.
    pub(crate) fn since(&self, earlier: &Self) -> Self {
        let difference = |now: Option<f64>, then: Option<f64>| Some(now? - then?);
        Self {
            postgres: difference(self.postgres, earlier.postgres),
            redis: difference(self.redis, earlier.redis),
        }
    }
}

impl Stores {
    /// Makes what the profile needs.
    pub(crate) async fn open(profile: Profile) -> anyhow::Result<Self> {
        if profile == Profile::Lite {
            return Ok(Self::Lite);
        }
        let (admin_url, redis_url) = (options::database_url()?, options::redis_url()?);
        let client = connect(&admin_url).await?;
        let backend: i32 = client.query_one("SELECT pg_backend_pid()", &[]).await?.get(0);
        let setting = "SELECT format('fsync %s, synchronous_commit %s', \
                       current_setting('fsync'), current_setting('synchronous_commit'))";
        let servers = Servers {
            durability: client.query_one(setting, &[]).await?.get(0),
            postgres: cpu::parent_named(u32::try_from(backend)?, "postgres"),
            redis: redis_process(&redis_url).await?,
            prefix: format!("keywright_bench_{}", std::process::id()),
            admin_url,
            redis_url,
        };
        for name in NAMES {
            let database = servers.database(name);
            client.batch_execute(&format!("CREATE DATABASE {database}")).await?;
        }
        Ok(Self::Pg(Box::new(servers)))
    }

    /// The address of a server's database; `folder` is where files go.
    pub(crate) fn database_url(&self, name: &str, folder: &Path) -> String {
        match self {
            Self::Lite => format!("sqlite:{}", folder.join(format!("{name}.sqlite")).display()),
            Self::Pg(servers) => with_database(&servers.admin_url, &servers.database(name)),
        }
    }

    /// The address of the short-lived state.
    pub(crate) fn state_url(&self) -> &str {
        match self {
            Self::Lite => "memory:",
            Self::Pg(servers) => &servers.redis_url,
        }
    }

    /// The profile in words.
    pub(crate) fn label(&self) -> String {
        match self {
            Self::Lite => "lite: SQLite, in-process state".to_owned(),
            Self::Pg(servers) => format!("pg: PostgreSQL ({}), Redis", servers.durability),
        }
    }

    /// What the store processes have used.
    pub(crate) fn spent(&self) -> anyhow::Result<Spent> {
        let Self::Pg(servers) = self else {
            return Ok(Spent::default());
        };
        Ok(Spent {
            postgres: servers.postgres.map(cpu::tree_seconds).transpose()?,
            redis: servers.redis.map(cpu::tree_seconds).transpose()?,
        })
    }

    /// Drops the databases. State in Redis has a lifetime and goes by itself.
    pub(crate) async fn close(&self) -> anyhow::Result<()> {
        let Self::Pg(servers) = self else {
            return Ok(());
        };
        let client = connect(&servers.admin_url).await?;
        for name in NAMES {
            let statement =
                format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", servers.database(name));
            client.batch_execute(&statement).await?;
        }
        Ok(())
    }
}

impl Servers {
    fn database(&self, name: &str) -> String {
        format!("{}_{name}", self.prefix)
    }
}

async fn connect(url: &str) -> anyhow::Result<tokio_postgres::Client> {
    let (client, connection) =
        tokio_postgres::connect(url, NoTls).await.context("connecting to PostgreSQL")?;
    tokio::spawn(connection);
    Ok(client)
}

async fn redis_process(url: &str) -> anyhow::Result<Option<u32>> {
    let client = redis::Client::open(url)?;
    let mut connection =
        client.get_multiplexed_async_connection().await.context("connecting to Redis")?;
    let info: String = redis::cmd("INFO").arg("server").query_async(&mut connection).await?;
    let pid = info
        .lines()
        .find_map(|line| line.strip_prefix("process_id:"))
        .and_then(|pid| pid.trim().parse().ok());
    Ok(pid.filter(|pid| cpu::is_named(*pid, "redis")))
}

/// The same server, another database: the path of the address is its name.
fn with_database(url: &str, database: &str) -> String {
    let (address, query) = url
        .split_once('?')
        .map_or((url, String::new()), |(address, query)| (address, format!("?{query}")));
    let (scheme, rest) = address.split_once("://").unwrap_or(("postgres", address));
    let authority = rest.split('/').next().unwrap_or_default();
    format!("{scheme}://{authority}/{database}{query}")
}
