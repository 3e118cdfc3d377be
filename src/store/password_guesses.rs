//! Wrong passwords in a row. What a key stands for is the counter's business (`accounts`).

use diesel::QueryResult;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Binary};
use diesel_async::RunQueryDsl;

use super::{Connection, schema::password_guesses as guesses};
use crate::foundation::{clock::Timestamp, digest::TokenDigest};

/// A row of `password_guesses`.
#[derive(Clone, Debug, Queryable, Selectable)]
#[diesel(table_name = guesses, check_for_backend(diesel::pg::Pg, diesel::sqlite::Sqlite))]
pub struct Guesses {
    /// Whom it is about.
    pub key: TokenDigest,
    /// How many there were.
    pub failures: i64,
    /// When the last one was.
    pub last_failed_at: Timestamp,
}

/// The counts of these keys that were added to since `since`.
pub async fn find(
    conn: &mut Connection,
    keys: &[TokenDigest],
    since: Timestamp,
) -> QueryResult<Vec<Guesses>> {
    on_backend!(conn, |conn| guesses::table
        .filter(guesses::key.eq_any(keys))
        .filter(guesses::last_failed_at.ge(since))
        .select(Guesses::as_select())
        .load(conn)
        .await)
}

/// Adds one to each of these counts. Those that nobody has added to since `since` begin again.
pub async fn add(
    conn: &mut Connection,
    keys: &[TokenDigest],
    since: Timestamp,
    now: Timestamp,
) -> QueryResult<usize> {
    // By hand: the query builder writes several rows with a conflict for PostgreSQL alone. Numbers
    // stand in the order in which they appear, because SQLite counts them so.
    let rows: Vec<String> =
        (0..keys.len()).map(|at| format!("(${}, 1, ${})", 2 * at + 1, 2 * at + 2)).collect();
    let sql = format!(
        "INSERT INTO password_guesses (key, failures, last_failed_at) VALUES {} \
         ON CONFLICT (key) DO UPDATE SET last_failed_at = excluded.last_failed_at, failures = \
         CASE WHEN password_guesses.last_failed_at < ${} THEN 1 \
         ELSE password_guesses.failures + 1 END",
        rows.join(", "),
        2 * keys.len() + 1,
    );
    on_backend!(conn, |conn| {
        let mut query = diesel::sql_query(sql).into_boxed();
        for key in keys {
            query = query.bind::<Binary, _>(key).bind::<BigInt, _>(now);
        }
        query.bind::<BigInt, _>(since).execute(conn).await
    })
}

/// Forgets a count.
pub async fn clear(conn: &mut Connection, key: &TokenDigest) -> QueryResult<usize> {
    on_backend!(conn, |conn| diesel::delete(guesses::table.find(key)).execute(conn).await)
}
