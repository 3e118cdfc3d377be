//! The whole database at once: every row of every table, out of it as one moment had it, and into it.
//!
//! Backups are made and restored with this. A row travels as a JSON array, which both databases print
//! and read by themselves: texts and numbers as they are, truth as 0 or 1, bytes in hexadecimal. Which
//! columns there are is asked of the database, so that no migration can forget one here.

mod reading;
mod writing;

use diesel::{
    QueryResult, QueryableByName,
    result::Error as QueryError,
    sql_types::{BigInt, Text},
};
use diesel_async::RunQueryDsl;

pub use reading::Snapshot;
pub use writing::{clear, count_others, first_filled, hold_alone, insert};

use super::Connection;

/// A column of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// What it is called.
    pub name: String,
    kind: Kind,
}

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Text,
    Number,
    Truth,
    Bytes,
}

impl Kind {
    /// The kind of a column that either database has declared so.
    fn of(declared: &str) -> Option<Self> {
        match declared {
            "TEXT" | "text" => Some(Self::Text),
            "INTEGER" | "bigint" => Some(Self::Number),
            "boolean" => Some(Self::Truth),
            "BLOB" | "bytea" => Some(Self::Bytes),
            _ => None,
        }
    }
}

#[derive(QueryableByName)]
struct Declared {
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Text)]
    kind: String,
}

#[derive(QueryableByName)]
struct Line {
    #[diesel(sql_type = Text)]
    line: String,
}

#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = BigInt)]
    number: i64,
}

/// The newest migration that the database has seen.
pub async fn schema(conn: &mut Connection) -> QueryResult<String> {
    let newest = "SELECT CAST(max(version) AS TEXT) AS line FROM __diesel_schema_migrations";
    let row: Line = on_backend!(conn, |conn| diesel::sql_query(newest).get_result(conn).await)?;
    Ok(row.line)
}

/// The columns of a table, in their order; none if there is no such table.
pub async fn columns(conn: &mut Connection, table: &str) -> QueryResult<Vec<Column>> {
    let in_postgres = "SELECT column_name::text AS name, data_type::text AS kind \
                       FROM information_schema.columns \
                       WHERE table_schema = current_schema() AND table_name = $1 \
                       ORDER BY ordinal_position";
    let in_sqlite = "SELECT name, type AS kind FROM pragma_table_info($1) ORDER BY cid";
    let rows: Vec<Declared> = on_backend!(
        conn,
        postgres | conn | diesel::sql_query(in_postgres).bind::<Text, _>(table).load(conn).await,
        sqlite | conn | diesel::sql_query(in_sqlite).bind::<Text, _>(table).load(conn).await
    )?;
    rows.into_iter().map(|row| column(table, row)).collect()
}

fn column(table: &str, Declared { name, kind }: Declared) -> QueryResult<Column> {
    let known = Kind::of(&kind);
    let unknown = || format!("{table}.{name} is of the type {kind}, which is not portable");
    let kind = known.ok_or_else(|| QueryError::DeserializationError(unknown().into()))?;
    Ok(Column { name, kind })
}

/// A name as it stands in a statement. The names are our own.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', ""))
}

/// What is said of each column, with commas between.
fn list(columns: &[Column], said: impl Fn((usize, &Column)) -> String) -> String {
    columns.iter().enumerate().map(said).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_that_is_not_portable_is_refused_by_its_name() {
        let declared = |kind: &str| Declared { name: "at".to_owned(), kind: kind.to_owned() };
        assert_eq!(column("t", declared("bytea")).unwrap().kind, Kind::Bytes);
        let refused = column("t", declared("timestamptz")).unwrap_err().to_string();
        assert!(refused.contains("t.at") && refused.contains("timestamptz"), "{refused}");
    }
}
