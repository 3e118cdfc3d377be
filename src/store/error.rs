//! What can go wrong between us and the database.

use diesel::result::{DatabaseErrorKind, Error as QueryError};

/// A failure of the database, or of the way to it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// No connection could be had.
    #[error("the database cannot be reached: {0}")]
    Unreachable(String),
    /// A statement failed.
    #[error("the database refused a statement: {0}")]
    Query(#[from] QueryError),
}

/// The result of something that asks the database.
pub type StoreResult<T> = Result<T, StoreError>;

impl StoreError {
    /// Whether trying again later may help: the database is away, busy or full, and not confused.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable(_) | Self::Query(QueryError::BrokenTransactionManager) => true,
            Self::Query(QueryError::DatabaseError(kind, info)) => match kind {
                DatabaseErrorKind::UnableToSendCommand
                | DatabaseErrorKind::ClosedConnection
                | DatabaseErrorKind::SerializationFailure
                | DatabaseErrorKind::ReadOnlyTransaction => true,
                // SQLite reports a held lock and a full disk, PostgreSQL a time-out, a full disk and two that
                // wait for each other, as `Unknown`.
                _ => [
                    "locked",
                    "busy",
                    "full",
                    "No space left",
                    "timeout",
                    "terminating",
                    "closed",
                    "shutting",
                    "deadlock",
                ]
                .iter()
                .any(|sign| info.message().contains(sign)),
            },
            Self::Query(_) => false,
        }
    }
}
