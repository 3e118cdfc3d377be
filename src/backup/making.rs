//! Making a backup: every row of every table, as one moment had them.

use std::{collections::BTreeMap, io::Write};

use serde_json::json;

use super::{
    fates::{Fate, TABLES},
    file::{Header, Sealer},
};
use crate::{
    foundation::{clock::Timestamp, random::Random, seal::KeyRing},
    store::{Store, whole::Snapshot},
};

/// What a backup is made with.
#[derive(Clone, Copy)]
pub struct Making<'a> {
    /// Whose it is.
    pub issuer: &'a str,
    /// The keys of backups.
    pub ring: &'a KeyRing,
    /// Where chance comes from.
    pub random: &'a dyn Random,
    /// The present moment.
    pub now: Timestamp,
}

impl std::fmt::Debug for Making<'_> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Making({})", self.issuer)
    }
}

/// A backup that was made.
#[derive(Debug)]
pub struct Made {
    /// What everybody may know of it.
    pub header: Header,
    /// How many rows of each table are in it.
    pub rows: BTreeMap<String, u64>,
}

/// Writes a backup, and answers where it was written to.
pub async fn make<W: Write>(
    store: &Store,
    making: Making<'_>,
    out: W,
) -> anyhow::Result<(Made, W)> {
    let Making { issuer, ring, random, now } = making;
    let mut snapshot = Snapshot::begin(store).await?;
    let about = (issuer, store.kind(), snapshot.schema().await?);
    let header = Header::new(about, ring, random, now);
    let mut file = Sealer::begin(out, &header, ring, random)?;
    let mut rows = BTreeMap::new();
    let kept = TABLES.iter().filter(|(_, fate)| !matches!(fate, Fate::NotKept));
    for (table, _) in kept {
        let columns = snapshot.columns(table).await?;
        if columns.is_empty() {
            // The database has not seen the migration that makes it.
            continue;
        }
        let names: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
        file.line('T', &json!({ "table": table, "columns": names }).to_string())?;
        let mut count = 0;
        let take = |line: &str| {
            count += 1;
            Ok(file.line('R', line)?)
        };
        snapshot.rows(table, &columns, take).await?;
        rows.insert((*table).to_owned(), count);
    }
    file.line('E', &json!({ "rows": rows }).to_string())?;
    let out = file.end()?;
    Ok((Made { header, rows }, out))
}
