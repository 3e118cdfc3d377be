//! Rows on their way into the database, many at a time.

use std::collections::BTreeMap;

use anyhow::{Context as _, ensure};

use super::{
    super::{
        fates::{self, Fate, Moment, Row},
        file::Fault,
    },
    contents::{Contents, Line, Table},
};
use crate::store::{
    Connection,
    whole::{self, Column},
};

/// So many rows, or so many bytes of them, are stored by one statement.
const ROWS: usize = 500;
const BYTES: usize = 256 * 1024;

/// A database that is being filled.
pub(super) struct Filling<'c> {
    conn: &'c mut Connection,
    moment: Moment,
    table: Option<Current>,
    /// The rows that wait, as the inside of a JSON array.
    waiting: String,
    waiting_rows: usize,
    stored: BTreeMap<String, u64>,
    left_out: BTreeMap<String, u64>,
    ended: BTreeMap<String, u64>,
}

/// The table whose rows come.
struct Current {
    name: &'static str,
    fate: Fate,
    names: Vec<String>,
    columns: Vec<Column>,
}

impl<'c> Filling<'c> {
    pub(super) fn new(conn: &'c mut Connection, moment: Moment) -> Self {
        Self {
            conn,
            moment,
            table: None,
            waiting: String::new(),
            waiting_rows: 0,
            stored: BTreeMap::new(),
            left_out: BTreeMap::new(),
            ended: BTreeMap::new(),
        }
    }

    /// Takes the next line.
    pub(super) async fn line(&mut self, line: Line<'_>) -> anyhow::Result<()> {
        match line {
            Line::Table(table) => {
                self.store().await?;
                self.table = Some(self.find(table).await?);
                Ok(())
            }
            Line::Row(row) => self.row(row).await,
            Line::End(_) => self.store().await,
        }
    }

    /// How many rows were stored, and how many of each table were ended by that; an error if it is not
    /// what the file had when it was examined.
    pub(super) async fn finish(
        mut self,
        contents: &Contents,
    ) -> anyhow::Result<(u64, BTreeMap<String, u64>)> {
        self.store().await?;
        for (table, expected) in &contents.rows {
            let of = |counts: &BTreeMap<String, u64>| counts.get(table).copied().unwrap_or(0);
            ensure!(of(&self.stored) + of(&self.left_out) == *expected, Fault::Changed);
        }
        let stored = self.stored.values().sum();
        self.ended.extend(self.left_out);
        self.ended.retain(|_, count| *count > 0);
        Ok((stored, self.ended))
    }

    /// The table of the database that these rows belong to. It has the shape that the backup had.
    async fn find(&mut self, table: Table) -> anyhow::Result<Current> {
        let (name, fate) = fates::of(&table.table, &self.moment).ok_or(Fault::NewerForm)?;
        let here = whole::columns(self.conn, name).await?;
        let of = |column: &String| {
            let found = here.iter().find(|here| here.name == *column);
            found.cloned().with_context(|| format!("the database has no {name}.{column}"))
        };
        let columns = table.columns.iter().map(of).collect::<anyhow::Result<_>>()?;
        Ok(Current { name, fate, names: table.columns, columns })
    }

    async fn row(&mut self, line: &str) -> anyhow::Result<()> {
        let table = self.table.as_ref().ok_or(Fault::Changed)?;
        let changed;
        let line = match table.fate {
            Fate::LeftOut | Fate::NotKept => {
                *self.left_out.entry(table.name.to_owned()).or_default() += 1;
                return Ok(());
            }
            Fate::AsTheyWere => line,
            Fate::Changed(change) => {
                let mut row = Row::parse(&table.names, line).ok_or(Fault::Changed)?;
                change(&mut row, &self.moment);
                let ended;
                (changed, ended) = row.into_line();
                *self.ended.entry(table.name.to_owned()).or_default() += u64::from(ended);
                &changed
            }
        };
        if !self.waiting.is_empty() {
            self.waiting.push(',');
        }
        self.waiting.push_str(line);
        self.waiting_rows += 1;
        if self.waiting_rows >= ROWS || self.waiting.len() >= BYTES {
            self.store().await?;
        }
        Ok(())
    }

    /// Stores the rows that wait.
    async fn store(&mut self) -> anyhow::Result<()> {
        let Some(table) = self.table.as_ref().filter(|_| self.waiting_rows > 0) else {
            return Ok(());
        };
        let rows = format!("[{}]", self.waiting);
        let stored = whole::insert(self.conn, table.name, &table.columns, &rows).await?;
        ensure!(stored == self.waiting_rows, "{} rows were not stored", table.name);
        let count = u64::try_from(stored).unwrap_or_default();
        *self.stored.entry(table.name.to_owned()).or_default() += count;
        self.waiting.clear();
        self.waiting_rows = 0;
        Ok(())
    }
}
