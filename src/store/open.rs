//! Opening the database that the configuration names, and getting connections from it.

use std::{
    path::Path,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use diesel_async::{
    AsyncPgConnection,
    pooled_connection::deadpool::{Pool, PoolError},
};

use super::{
    connection::{Backend, Connection, Sqlite},
    error::{StoreError, StoreResult},
    groups::Meanings,
    postgres, sqlite,
};
use crate::config::{DatabaseSettings, DatabaseUrl};

/// How long a request waits for a free connection before it is turned away.
const WAIT_FOR_CONNECTION: Duration = Duration::from_secs(2);

/// Who opens the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// A server. It must be the only one on a SQLite file.
    Server,
    /// The verb that restores a database, which may be gone: alone on a SQLite file, too.
    Restorer,
    /// A verb of the command line that prepares a database, beside a server that may be running.
    Founder,
    /// A verb of the command line that works on what is there.
    Visitor,
}

/// The database.
pub struct Store {
    pool: Backing,
    statements: Arc<AtomicU64>,
    meanings: RwLock<Arc<Meanings>>,
    /// Held for as long as the store lives; releases the file when dropped.
    _lock: Option<std::fs::File>,
}

enum Backing {
    Postgres(Pool<AsyncPgConnection>),
    Sqlite(Pool<Sqlite>),
}

impl std::fmt::Debug for Store {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(self.kind())
    }
}

impl Store {
    /// Opens the database. Contacts SQLite at once; PostgreSQL when the first connection is asked.
    pub fn open(settings: &DatabaseSettings, access: Access) -> anyhow::Result<Self> {
        match &settings.url {
            DatabaseUrl::Postgres(url) => {
                let size = settings.max_connections.max(1) as usize;
                Ok(Self::new(Backing::Postgres(postgres::pool(url, size)?), None))
            }
            DatabaseUrl::Sqlite(file) => Self::open_sqlite(file, access),
        }
    }

    fn open_sqlite(file: &Path, access: Access) -> anyhow::Result<Self> {
        match access {
            Access::Visitor => sqlite::find_file(file)?,
            Access::Server => sqlite::refuse_lost(file)?,
            Access::Founder | Access::Restorer => {}
        }
        sqlite::prepare_file(file)?;
        let lock = match access {
            Access::Server | Access::Restorer => Some(sqlite::lock(file)?),
            Access::Founder | Access::Visitor => None,
        };
        Ok(Self::new(Backing::Sqlite(sqlite::pool(file)?), lock))
    }

    fn new(pool: Backing, lock: Option<std::fs::File>) -> Self {
        Self { pool, statements: Arc::default(), meanings: RwLock::default(), _lock: lock }
    }

    /// How many statements were run so far.
    pub fn statements(&self) -> u64 {
        self.statements.load(Ordering::Relaxed)
    }

    /// What groups mean at the moment, as far as this process knows.
    pub fn meanings(&self) -> Arc<Meanings> {
        Arc::clone(&self.meanings.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Tells every connection that leaves the pool from now on what groups mean.
    pub fn set_meanings(&self, meanings: Meanings) {
        *self.meanings.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(meanings);
    }

    /// The name of the kind of database.
    pub const fn kind(&self) -> &'static str {
        match self.pool {
            Backing::Postgres(_) => "PostgreSQL",
            Backing::Sqlite(_) => "SQLite",
        }
    }

    /// A connection from the pool.
    pub async fn connection(&self) -> StoreResult<Connection> {
        let backend = match &self.pool {
            Backing::Postgres(pool) => pool.get().await.map(Backend::Postgres),
            Backing::Sqlite(pool) => pool.get().await.map(Backend::Sqlite),
        };
        let connect =
            |backend| Connection::new(backend, Arc::clone(&self.statements), self.meanings());
        backend.map(connect).map_err(|error: PoolError| {
            // The chain of causes says what the pool's own message leaves out.
            let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}"));
            StoreError::Unreachable(format!("{error}{}", cause.unwrap_or_default()))
        })
    }

    /// Whether the database answers within `patience`. A connection that does not is lost.
    pub async fn ping(&self, patience: Duration) -> StoreResult<()> {
        let silent = || StoreError::Unreachable("no answer".to_owned());
        let connection = tokio::time::timeout(patience, self.connection()).await;
        let mut connection = connection.unwrap_or_else(|_| Err(silent()))?;
        let pinged = tokio::time::timeout(patience, connection.execute("SELECT 1")).await;
        let Ok(answer) = pinged else {
            connection.give_up();
            return Err(silent());
        };
        Ok(answer?)
    }
}

/// What both pools have in common.
pub(super) fn timeouts() -> deadpool::managed::Timeouts {
    deadpool::managed::Timeouts {
        wait: Some(WAIT_FOR_CONNECTION),
        create: Some(Duration::from_secs(2)),
        recycle: Some(Duration::from_secs(1)),
    }
}
