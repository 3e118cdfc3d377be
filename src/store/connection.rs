//! One connection to whichever database there is, and transactions on it.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};
use std::time::Duration;

use diesel::{
    QueryResult,
    result::{DatabaseErrorKind, Error as QueryError},
};
use diesel_async::{
    AsyncPgConnection, SimpleAsyncConnection as _, pooled_connection::deadpool::Object,
    sync_connection_wrapper::SyncConnectionWrapper,
};

use super::groups::Meanings;

/// The embedded database, driven from blocking threads.
pub(super) type Sqlite = SyncConnectionWrapper<diesel::SqliteConnection>;

/// A pooled connection of either kind. The PostgreSQL one is large, and boxing it would cost an
/// allocation per request.
#[expect(clippy::large_enum_variant, reason = "see above")]
pub(super) enum Backend {
    Postgres(Object<AsyncPgConnection>),
    Sqlite(Object<Sqlite>),
    /// Given up in the middle of a transaction.
    Abandoned,
}

/// A connection to the database, out of the pool.
pub struct Connection {
    backend: Backend,
    transaction: Transaction,
    /// A statement was not answered, so nothing on this connection may be waited for any more.
    lost: bool,
    statements: Arc<AtomicU64>,
    meanings: Arc<Meanings>,
}

/// How far a connection is in a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Transaction {
    None,
    /// PostgreSQL hears of it together with the first statement, which saves a round trip.
    Wanted,
    Open,
}

/// Runs the same query on whichever database this connection belongs to; or, of two that differ,
/// its own.
macro_rules! on_backend {
    ($any:expr, |$conn:ident| $query:expr) => {
        on_backend!($any, postgres | $conn | $query, sqlite | $conn | $query)
    };
    ($any:expr, postgres |$pg:ident| $postgres:expr, sqlite |$lite:ident| $sqlite:expr) => {{
        let begins = $any.note_statement();
        let answer = match $any.backend_mut() {
            $crate::store::connection::Backend::Postgres(conn) => {
                // Statements on a shared connection are sent in the order in which they are first
                // polled, without waiting for one another's answers.
                let conn: &diesel_async::AsyncPgConnection = conn;
                let query = async {
                    let $pg = &mut &*conn;
                    $postgres
                };
                $crate::store::connection::bounded(conn, begins, query).await
            }
            $crate::store::connection::Backend::Sqlite($lite) => $sqlite,
            $crate::store::connection::Backend::Abandoned => {
                Err(diesel::result::Error::BrokenTransactionManager)
            }
        };
        $any.note_answer(&answer);
        answer
    }};
}

/// How long PostgreSQL may take over a statement. The server's own limit is shorter; this one is for
/// a server that is not there any more and has not said so.
const PATIENCE: Duration = Duration::from_secs(7);

/// Gives up on a statement whose answer does not come. The connection's driver has to read that
/// answer before any other, so such a connection is lost.
pub(super) async fn bounded<T>(
    mut conn: &AsyncPgConnection,
    begins: bool,
    statement: impl Future<Output = QueryResult<T>>,
) -> QueryResult<T> {
    let answered = async {
        if begins {
            let begun = conn.batch_execute("BEGIN");
            return futures_util::try_join!(begun, statement).map(|((), answer)| answer);
        }
        statement.await
    };
    tokio::time::timeout(PATIENCE, answered).await.unwrap_or_else(|_| {
        let text = Box::new("timeout: the database does not answer".to_owned());
        Err(QueryError::DatabaseError(DatabaseErrorKind::UnableToSendCommand, text))
    })
}

impl Connection {
    pub(super) const fn new(
        backend: Backend,
        statements: Arc<AtomicU64>,
        meanings: Arc<Meanings>,
    ) -> Self {
        Self { backend, transaction: Transaction::None, lost: false, statements, meanings }
    }

    /// What groups meant when the connection left the pool.
    pub fn meanings(&self) -> Arc<Meanings> {
        Arc::clone(&self.meanings)
    }

    /// Counts a statement: how many a flow takes is part of what is tested. Answers whether it is
    /// the first of a transaction that the database has not heard of.
    pub(super) fn note_statement(&mut self) -> bool {
        self.statements.fetch_add(1, Ordering::Relaxed);
        let begins = self.transaction == Transaction::Wanted;
        if begins {
            self.statements.fetch_add(1, Ordering::Relaxed);
            self.transaction = Transaction::Open;
        }
        begins
    }

    /// Notes that a connection is lost: the next one out of the pool is another. So is one that leads to a
    /// server which only reads: after a fail-over the same address leads to one that writes.
    pub(super) const fn note_answer<T>(&mut self, answer: &QueryResult<T>) {
        if let Err(QueryError::DatabaseError(
            DatabaseErrorKind::UnableToSendCommand | DatabaseErrorKind::ReadOnlyTransaction,
            _,
        )) = answer
        {
            self.lost = true;
        }
    }

    /// Keeps this connection from being used again.
    pub(super) const fn give_up(&mut self) {
        self.lost = true;
    }

    /// The connection to run one statement on.
    pub(super) const fn backend_mut(&mut self) -> &mut Backend {
        &mut self.backend
    }

    /// The pooled connection itself, for what no query can do.
    pub(super) fn into_backend(mut self) -> Backend {
        std::mem::replace(&mut self.backend, Backend::Abandoned)
    }

    /// Runs `work` in a transaction: all of it is stored, or nothing.
    ///
    /// An error of `work` rolls back and is passed on. What must be stored although the request is
    /// refused (a revocation) is therefore an `Ok` of `work`, not an `Err`.
    pub async fn transaction<T, E>(
        &mut self,
        work: impl AsyncFnOnce(&mut Self) -> Result<T, E>,
    ) -> Result<T, E>
    where
        E: From<QueryError>,
    {
        self.begin().await?;
        let result = work(self).await;
        let ended = self.end(result.is_ok()).await;
        match result {
            Ok(value) => {
                ended?;
                self.transaction = Transaction::None;
                Ok(value)
            }
            Err(error) => {
                // A connection that cannot even roll back stays marked and is given up.
                if ended.is_ok() {
                    self.transaction = Transaction::None;
                }
                Err(error)
            }
        }
    }

    async fn begin(&mut self) -> QueryResult<()> {
        if let Backend::Sqlite(_) = self.backend {
            // Taking the write lock at once: a reader that turns writer later could fail with a
            // stale snapshot.
            self.transaction = Transaction::Open;
            let begun = self.execute("BEGIN IMMEDIATE").await;
            if begun.is_err() {
                self.transaction = Transaction::None;
            }
            return begun;
        }
        self.transaction = Transaction::Wanted;
        Ok(())
    }

    async fn end(&mut self, keep: bool) -> QueryResult<()> {
        if self.transaction == Transaction::Wanted {
            // Nothing was asked, so nothing was begun.
            return Ok(());
        }
        self.execute(if keep { "COMMIT" } else { "ROLLBACK" }).await
    }

    pub(super) async fn execute(&mut self, sql: &str) -> QueryResult<()> {
        on_backend!(self, |conn| conn.batch_execute(sql).await)
    }
}

impl Drop for Connection {
    /// Keeps a connection with an open transaction, or a lost one, out of the pool.
    ///
    /// The web server drops a handler's future when the client goes away. Dropped inside a
    /// transaction, the connection would return to the pool with the transaction open and its
    /// locks held. Detached, it closes, and the database rolls back.
    fn drop(&mut self) {
        if self.transaction != Transaction::Open && !self.lost {
            return;
        }
        match std::mem::replace(&mut self.backend, Backend::Abandoned) {
            Backend::Postgres(conn) => {
                if let Some(pool) = Object::pool(&conn).filter(|_| self.lost) {
                    // Those that rest in the pool led to the same server.
                    pool.retain(|_, _| false);
                }
                drop(Object::take(conn));
            }
            Backend::Sqlite(conn) => drop(Object::take(conn)),
            Backend::Abandoned => {}
        }
    }
}
