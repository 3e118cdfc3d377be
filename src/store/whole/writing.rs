//! Into the database: rows as they were handed over, in the transaction of whoever restores.

use diesel::{QueryResult, sql_types::Text};
use diesel_async::{RunQueryDsl, SimpleAsyncConnection as _};

use super::{Column, Kind, Number, list, quoted};
use crate::store::{Connection, migrations};

/// How many other connections this account has open to the database. In SQLite whoever serves holds
/// the lock of the file instead.
pub async fn count_others(conn: &mut Connection) -> QueryResult<i64> {
    let others = "SELECT count(*) AS number FROM pg_stat_activity \
                  WHERE datname = current_database() AND usename = current_user \
                  AND pid <> pg_backend_pid()";
    on_backend!(
        conn,
        postgres
            | conn
            | diesel::sql_query(others).get_result(conn).await.map(|row: Number| row.number),
        sqlite | _conn | Ok(0)
    )
}

/// Keeps migrators away to the end of the transaction, and with them servers that start and others who
/// restore; `false` if one is at work. In SQLite nobody writes beside a transaction anyway.
#[must_use = "false means that somebody else is at work"]
pub async fn hold_alone(conn: &mut Connection) -> QueryResult<bool> {
    let lock =
        format!("SELECT pg_try_advisory_xact_lock({})::int::bigint AS number", migrations::LOCK);
    on_backend!(
        conn,
        postgres
            | conn
            | diesel::sql_query(lock).get_result(conn).await.map(|row: Number| row.number == 1),
        sqlite | _conn | Ok(true)
    )
}

/// The first of these tables that has a row.
pub async fn first_filled<'t>(
    conn: &mut Connection,
    tables: impl Iterator<Item = &'t str>,
) -> QueryResult<Option<&'t str>> {
    for table in tables {
        let sql = format!(
            "SELECT count(*) AS number FROM (SELECT 1 FROM {} LIMIT 1) AS first_row",
            quoted(table)
        );
        let row: Number = on_backend!(conn, |conn| diesel::sql_query(sql).get_result(conn).await)?;
        if row.number > 0 {
            return Ok(Some(table));
        }
    }
    Ok(None)
}

/// Forgets every row of these tables, of which the later ones refer to the earlier ones.
pub async fn clear(conn: &mut Connection, tables: &[&str]) -> QueryResult<()> {
    let names: Vec<String> = tables.iter().map(|table| quoted(table)).collect();
    let truncate = format!("TRUNCATE {}", names.join(", "));
    let deletes: Vec<String> =
        names.iter().rev().map(|name| format!("DELETE FROM {name}")).collect();
    let delete = deletes.join("; ");
    on_backend!(
        conn,
        postgres | conn | conn.batch_execute(&truncate).await,
        sqlite | conn | conn.batch_execute(&delete).await
    )
}

/// Stores rows, which come as one JSON array of arrays; answers how many they were.
pub async fn insert(
    conn: &mut Connection,
    table: &str,
    columns: &[Column],
    rows: &str,
) -> QueryResult<usize> {
    let (table, names) = (quoted(table), list(columns, |(_, column)| quoted(&column.name)));
    let postgres = format!(
        "INSERT INTO {table} ({names}) SELECT {} FROM json_array_elements($1::json) AS given(line)",
        list(columns, in_postgres)
    );
    let sqlite = format!(
        "INSERT INTO {table} ({names}) SELECT {} FROM json_each($1)",
        list(columns, in_sqlite)
    );
    on_backend!(
        conn,
        postgres | conn | diesel::sql_query(postgres).bind::<Text, _>(rows).execute(conn).await,
        sqlite | conn | diesel::sql_query(sqlite).bind::<Text, _>(rows).execute(conn).await
    )
}

fn in_postgres((at, column): (usize, &Column)) -> String {
    match column.kind {
        Kind::Text => format!("line->>{at}"),
        Kind::Number => format!("(line->>{at})::bigint"),
        Kind::Truth => format!("(line->>{at})::int::boolean"),
        Kind::Bytes => format!("decode(line->>{at}, 'hex')"),
    }
}

fn in_sqlite((at, column): (usize, &Column)) -> String {
    let value = format!("json_extract(value, '$[{at}]')");
    match column.kind {
        Kind::Text | Kind::Number | Kind::Truth => value,
        Kind::Bytes => format!("unhex({value})"),
    }
}
