//! Out of the database: all rows as they were at one moment, while others go on writing.

use diesel::{
    QueryableByName,
    sql_types::{BigInt, Text},
};
use diesel_async::{RunQueryDsl, SimpleAsyncConnection as _};

use super::{Column, Kind, Line, columns, list, quoted, schema};
use crate::store::{Connection, Store, StoreError, StoreResult};

/// So many rows are in memory at a time.
const PAGE: usize = 200;

/// Nothing is waited for that long but whoever takes the rows.
const BEGIN_IN_POSTGRES: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; \
                                 SET LOCAL idle_in_transaction_session_timeout = 0";
/// The moment is that of the first look.
const BEGIN_IN_SQLITE: &str = "BEGIN; SELECT 1 FROM sqlite_schema LIMIT 1";

/// The database as it was at the moment when this was begun.
pub struct Snapshot {
    conn: Connection,
}

impl std::fmt::Debug for Snapshot {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Snapshot")
    }
}

#[derive(QueryableByName)]
struct PlacedLine {
    #[diesel(sql_type = BigInt)]
    place: i64,
    #[diesel(sql_type = Text)]
    line: String,
}

impl Snapshot {
    /// Begins one. It holds nobody up: neither database makes writers wait for readers.
    pub async fn begin(store: &Store) -> StoreResult<Self> {
        let mut conn = store.connection().await?;
        // Its transaction stays open to the end, so the connection never goes back to the pool.
        conn.give_up();
        let begun = on_backend!(
            conn,
            postgres | conn | conn.batch_execute(BEGIN_IN_POSTGRES).await,
            sqlite | conn | conn.batch_execute(BEGIN_IN_SQLITE).await
        );
        begun?;
        Ok(Self { conn })
    }

    /// The newest migration that the database has seen.
    pub async fn schema(&mut self) -> StoreResult<String> {
        Ok(schema(&mut self.conn).await?)
    }

    /// The columns of a table; none if the database has not heard of it yet.
    pub async fn columns(&mut self, table: &str) -> StoreResult<Vec<Column>> {
        Ok(columns(&mut self.conn, table).await?)
    }

    /// Hands over every row of a table, one after the other.
    pub async fn rows(
        &mut self,
        table: &str,
        columns: &[Column],
        mut take: impl FnMut(&str) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let table = quoted(table);
        let printed = list(columns, |(_, column)| in_postgres(column));
        let cursor = format!(
            "DECLARE whole NO SCROLL CURSOR FOR \
             SELECT json_build_array({printed})::text AS line FROM {table}"
        );
        let printed = list(columns, |(_, column)| in_sqlite(column));
        let page = format!(
            "SELECT rowid AS place, json_array({printed}) AS line FROM {table} \
             WHERE rowid > $1 ORDER BY rowid LIMIT {PAGE}"
        );
        on_backend!(
            self.conn,
            postgres | conn | conn.batch_execute(&cursor).await,
            sqlite | _conn | Ok(())
        )
        .map_err(StoreError::from)?;
        let mut after = i64::MIN;
        loop {
            let rows = self.page(&page, after).await?;
            for row in &rows {
                take(&row.line)?;
            }
            match rows.last() {
                Some(last) => after = last.place,
                None => break,
            }
        }
        on_backend!(
            self.conn,
            postgres | conn | conn.batch_execute("CLOSE whole").await,
            sqlite | _conn | Ok(())
        )
        .map_err(StoreError::from)?;
        Ok(())
    }

    /// The next rows: in PostgreSQL those of the cursor, in SQLite those behind a place.
    async fn page(&mut self, page: &str, after: i64) -> StoreResult<Vec<PlacedLine>> {
        let fetch = format!("FETCH {PAGE} FROM whole");
        let rows = on_backend!(
            self.conn,
            postgres | conn | {
                let lines: Vec<Line> = diesel::sql_query(fetch).load(conn).await?;
                let placed = |line: Line| PlacedLine { place: 0, line: line.line };
                Ok(lines.into_iter().map(placed).collect())
            },
            sqlite
                | conn
                | diesel::sql_query(page).bind::<BigInt, _>(after).load::<PlacedLine>(conn).await
        );
        Ok(rows?)
    }
}

fn in_postgres(column: &Column) -> String {
    let name = quoted(&column.name);
    match column.kind {
        Kind::Text | Kind::Number => name,
        Kind::Truth => format!("{name}::int"),
        Kind::Bytes => format!("encode({name}, 'hex')"),
    }
}

fn in_sqlite(column: &Column) -> String {
    let name = quoted(&column.name);
    match column.kind {
        Kind::Text | Kind::Number | Kind::Truth => name,
        // `hex` makes an empty text of nothing.
        Kind::Bytes => format!("CASE WHEN {name} IS NOT NULL THEN lower(hex({name})) END"),
    }
}
