//! What is in a backup, line by line.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{BufReader, Read},
};

use anyhow::ensure;
use serde::Deserialize;

use super::super::{
    fates::TABLES,
    file::{Fault, Header, Opener},
};
use crate::foundation::seal::KeyRing;

/// A line of a backup.
#[derive(Debug)]
pub(super) enum Line<'l> {
    /// Rows of this table follow.
    Table(Table),
    /// A row of the table, as JSON.
    Row(&'l str),
    /// Everything was said.
    End(End),
}

/// A table, and the names of its columns in the order of the values.
#[derive(Debug, Deserialize)]
pub(super) struct Table {
    pub(super) table: String,
    pub(super) columns: Vec<String>,
}

/// How many rows there were.
#[derive(Debug, Deserialize)]
pub(super) struct End {
    rows: BTreeMap<String, u64>,
}

impl<'l> Line<'l> {
    fn parse(line: &'l str) -> Option<Self> {
        let mut letters = line.chars();
        let kind = letters.next()?;
        let rest = letters.as_str();
        match kind {
            'T' => serde_json::from_str(rest).ok().map(Self::Table),
            'R' => Some(Self::Row(rest)),
            'E' => serde_json::from_str(rest).ok().map(Self::End),
            _ => None,
        }
    }
}

/// A backup that was found good from its first to its last byte.
#[derive(Debug)]
pub(super) struct Contents {
    pub(super) header: Header,
    /// How many rows of each table are in it.
    pub(super) rows: BTreeMap<String, u64>,
}

/// Looks at the whole of a backup.
pub(super) fn examine(file: File, ring: &KeyRing) -> anyhow::Result<Contents> {
    let mut opener = Opener::begin(BufReader::new(file), ring)?;
    let mut counted = BTreeMap::new();
    let mut table = None;
    let mut ended = None;
    frames(&mut opener, |line| {
        ensure!(ended.is_none(), Fault::Changed);
        match line {
            Line::Table(next) => {
                let known = TABLES.iter().any(|(name, _)| *name == next.table);
                ensure!(known && !counted.contains_key(&next.table), Fault::NewerForm);
                counted.insert(next.table.clone(), 0);
                table = Some(next.table);
            }
            Line::Row(_) => {
                let count = table.as_ref().and_then(|table| counted.get_mut(table));
                *count.ok_or(Fault::Changed)? += 1;
            }
            Line::End(end) => ended = Some(end),
        }
        Ok(())
    })?;
    let ended: End = ended.ok_or(Fault::Cut)?;
    ensure!(ended.rows == counted, Fault::Changed);
    Ok(Contents { header: opener.header, rows: counted })
}

fn frames<R: Read>(
    opener: &mut Opener<'_, R>,
    mut take: impl FnMut(Line<'_>) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    while let Some(plain) = opener.frame()? {
        for line in lines(&plain)? {
            take(line?)?;
        }
    }
    Ok(())
}

/// The lines of a frame. What opens was written by a keywright; what is not understood, by a newer one.
fn lines(plain: &[u8]) -> Result<impl Iterator<Item = Result<Line<'_>, Fault>>, Fault> {
    let text = std::str::from_utf8(plain).ok().ok_or(Fault::NewerForm)?;
    let lines = text.split('\n').filter(|line| !line.is_empty());
    Ok(lines.map(|line| Line::parse(line).ok_or(Fault::NewerForm)))
}

/// Hands over every line of a backup once more.
pub(super) async fn each_line(
    file: File,
    ring: &KeyRing,
    mut take: impl AsyncFnMut(Line<'_>) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut opener = Opener::begin(BufReader::new(file), ring)?;
    while let Some(plain) = opener.frame()? {
        for line in lines(&plain)? {
            take(line?).await?;
        }
    }
    Ok(())
}
