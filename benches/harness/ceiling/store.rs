//! The stores of the ceiling server: PostgreSQL and Redis, or SQLite and memory.
//!
//! One transaction per exchange or rotation, prepared statements, a conditional update to decide
//! races: the least that keeps what was promised to the caller.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, bail};
use deadpool_redis::redis::{self, aio::MultiplexedConnection};
use diesel::connection::SimpleConnection as _;
use diesel::prelude::*;
use tokio::sync::{Mutex as AsyncMutex, Semaphore};
use tokio_postgres::{NoTls, Statement};

/// As many connections as the load has.
const CONNECTIONS: usize = 16;
/// How long short-lived state lives, in seconds.
const STATE_LIFETIME: u64 = 300;

const TABLES: &str = "
    CREATE TABLE grants (
        id text PRIMARY KEY, code_digest text NOT NULL UNIQUE, client text NOT NULL,
        subject text NOT NULL, scope text NOT NULL, created_at bigint NOT NULL);
    CREATE TABLE refresh_tokens (
        digest text PRIMARY KEY, grant_id text NOT NULL REFERENCES grants (id),
        created_at bigint NOT NULL, consumed_at bigint);";

diesel::table! {
    grants (id) {
        id -> Text,
        code_digest -> Text,
        client -> Text,
        subject -> Text,
        scope -> Text,
        created_at -> BigInt,
    }
}

diesel::table! {
    refresh_tokens (digest) {
        digest -> Text,
        grant_id -> Text,
        created_at -> BigInt,
        consumed_at -> Nullable<BigInt>,
    }
}

/// A new grant.
#[derive(Clone, Copy)]
pub(super) struct Grant<'a> {
    pub(super) id: &'a str,
    pub(super) code_digest: &'a str,
    pub(super) client: &'a str,
    pub(super) subject: &'a str,
    pub(super) scope: &'a str,
}

/// Where things are kept.
pub(super) struct Store {
    rows: Rows,
    state: State,
}

enum Rows {
    Postgres(Pool),
    // SQLite has one writer; more connections would only wait for each other.
    Sqlite(Arc<Mutex<SqliteConnection>>),
}

enum State {
    Redis(MultiplexedConnection),
    Memory(Mutex<HashMap<String, Vec<u8>>>),
}

struct Pool {
    idle: AsyncMutex<Vec<Session>>,
    permits: Semaphore,
}

struct Session {
    client: tokio_postgres::Client,
    insert_grant: Statement,
    insert_refresh: Statement,
    consume_refresh: Statement,
}

impl Store {
    pub(super) async fn connect(database: &str, state: &str) -> anyhow::Result<Self> {
        let rows = match database.strip_prefix("sqlite:") {
            Some(path) => Rows::Sqlite(Arc::new(Mutex::new(open_sqlite(path)?))),
            None => Rows::Postgres(Pool::open(database).await?),
        };
        let state = if state.starts_with("redis") {
            State::Redis(redis::Client::open(state)?.get_multiplexed_async_connection().await?)
        } else {
            State::Memory(Mutex::new(HashMap::new()))
        };
        Ok(Self { rows, state })
    }

    /// Keeps short-lived state.
    pub(super) async fn put(&self, key: &str, value: &[u8]) -> anyhow::Result<()> {
        match &self.state {
            State::Redis(connection) => {
                let mut command = redis::cmd("SET");
                command.arg(key).arg(value).arg("EX").arg(STATE_LIFETIME);
                command.query_async::<()>(&mut connection.clone()).await.context("SET")
            }
            State::Memory(map) => {
                let mut map = map.lock().unwrap_or_else(PoisonError::into_inner);
                map.insert(key.to_owned(), value.to_vec());
                Ok(())
            }
        }
    }

    /// Takes it out again; exactly one caller gets it.
    pub(super) async fn take(&self, key: &str) -> anyhow::Result<Option<Vec<u8>>> {
        match &self.state {
            State::Redis(connection) => {
                let mut command = redis::cmd("GETDEL");
                command.arg(key).query_async(&mut connection.clone()).await.context("GETDEL")
            }
            State::Memory(map) => {
                Ok(map.lock().unwrap_or_else(PoisonError::into_inner).remove(key))
            }
        }
    }

    /// One transaction: the grant and its first refresh token.
    pub(super) async fn insert_grant(
        &self,
        grant: &Grant<'_>,
        refresh: &str,
    ) -> anyhow::Result<()> {
        match &self.rows {
            Rows::Postgres(pool) => pool.insert_grant(grant, refresh).await,
            Rows::Sqlite(connection) => {
                let Grant { id, code_digest, client, subject, scope } = *grant;
                let row = (
                    grants::id.eq(id.to_owned()),
                    grants::code_digest.eq(code_digest.to_owned()),
                    grants::client.eq(client.to_owned()),
                    grants::subject.eq(subject.to_owned()),
                    grants::scope.eq(scope.to_owned()),
                    grants::created_at.eq(seconds()),
                );
                let (id, refresh) = (id.to_owned(), refresh.to_owned());
                on_sqlite(connection, move |connection| {
                    diesel::insert_into(grants::table).values(row).execute(connection)?;
                    insert_refresh(connection, &id, &refresh)
                })
                .await
            }
        }
    }

    /// One transaction: consume a refresh token and insert its successor. `false` if it was used.
    pub(super) async fn rotate(&self, old: &str, new: &str) -> anyhow::Result<bool> {
        match &self.rows {
            Rows::Postgres(pool) => pool.rotate(old, new).await,
            Rows::Sqlite(connection) => {
                let (old, new) = (old.to_owned(), new.to_owned());
                on_sqlite(connection, move |connection| {
                    let unused = refresh_tokens::table
                        .find(old)
                        .filter(refresh_tokens::consumed_at.is_null());
                    let grant: Option<String> = diesel::update(unused)
                        .set(refresh_tokens::consumed_at.eq(seconds()))
                        .returning(refresh_tokens::grant_id)
                        .get_result(connection)
                        .optional()?;
                    grant.map(|grant| insert_refresh(connection, &grant, &new)).transpose()
                })
                .await
                .map(|inserted| inserted.is_some())
            }
        }
    }
}

impl Pool {
    async fn open(url: &str) -> anyhow::Result<Self> {
        let mut idle = Vec::new();
        for number in 0..CONNECTIONS {
            let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
            tokio::spawn(connection);
            if number == 0 {
                client.batch_execute(TABLES).await?;
            }
            idle.push(Session::prepare(client).await?);
        }
        Ok(Self { idle: AsyncMutex::new(idle), permits: Semaphore::new(CONNECTIONS) })
    }

    async fn insert_grant(&self, grant: &Grant<'_>, refresh: &str) -> anyhow::Result<()> {
        let _permit = self.permits.acquire().await?;
        let mut session = self.idle.lock().await.pop().context("a session per permit")?;
        let at = seconds();
        let Grant { id, code_digest, client, subject, scope } = grant;
        let transaction = session.client.transaction().await?;
        let row: [&(dyn tokio_postgres::types::ToSql + Sync); 6] =
            [id, code_digest, client, subject, scope, &at];
        transaction.execute(&session.insert_grant, &row).await?;
        transaction.execute(&session.insert_refresh, &[&refresh, id, &at]).await?;
        transaction.commit().await?;
        self.idle.lock().await.push(session);
        Ok(())
    }

    async fn rotate(&self, old: &str, new: &str) -> anyhow::Result<bool> {
        let _permit = self.permits.acquire().await?;
        let mut session = self.idle.lock().await.pop().context("a session per permit")?;
        let at = seconds();
        let transaction = session.client.transaction().await?;
        let row = transaction.query_opt(&session.consume_refresh, &[&old, &at]).await?;
        if let Some(row) = &row {
            let grant: &str = row.get(0);
            transaction.execute(&session.insert_refresh, &[&new, &grant, &at]).await?;
        }
        transaction.commit().await?;
        self.idle.lock().await.push(session);
        Ok(row.is_some())
    }
}

impl Session {
    async fn prepare(client: tokio_postgres::Client) -> anyhow::Result<Self> {
        let insert_grant = "INSERT INTO grants VALUES ($1, $2, $3, $4, $5, $6)";
        let insert_refresh =
            "INSERT INTO refresh_tokens (digest, grant_id, created_at) VALUES ($1, $2, $3)";
        let consume_refresh = "UPDATE refresh_tokens SET consumed_at = $2 \
                               WHERE digest = $1 AND consumed_at IS NULL RETURNING grant_id";
        Ok(Self {
            insert_grant: client.prepare(insert_grant).await?,
            insert_refresh: client.prepare(insert_refresh).await?,
            consume_refresh: client.prepare(consume_refresh).await?,
            client,
        })
    }
}

fn open_sqlite(path: &str) -> anyhow::Result<SqliteConnection> {
    let mut connection = SqliteConnection::establish(path)?;
    connection.batch_execute(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;",
    )?;
    connection.batch_execute(TABLES)?;
    Ok(connection)
}

/// Runs one transaction on the thread pool: SQLite waits for the disk.
async fn on_sqlite<T, F>(connection: &Arc<Mutex<SqliteConnection>>, work: F) -> anyhow::Result<T>
where
    T: Send + 'static,
    F: FnOnce(&mut SqliteConnection) -> QueryResult<T> + Send + 'static,
{
    let connection = Arc::clone(connection);
    let done = tokio::task::spawn_blocking(move || {
        let Ok(mut connection) = connection.lock() else {
            bail!("the connection is lost");
        };
        Ok(connection.immediate_transaction(work)?)
    });
    done.await?
}

fn insert_refresh(connection: &mut SqliteConnection, grant: &str, digest: &str) -> QueryResult<()> {
    let row = (
        refresh_tokens::digest.eq(digest),
        refresh_tokens::grant_id.eq(grant),
        refresh_tokens::created_at.eq(seconds()),
    );
    diesel::insert_into(refresh_tokens::table).values(row).execute(connection).map(|_| ())
}

fn seconds() -> i64 {
    i64::try_from(crate::signing::now()).unwrap_or(i64::MAX)
}
