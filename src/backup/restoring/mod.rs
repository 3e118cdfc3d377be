//! Restoring: the whole file is looked at first, then all of it is stored in one transaction, each row
//! as its fate says.

mod contents;
mod filling;

use std::{
    collections::BTreeMap,
    fs::File,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, bail, ensure};

use self::{contents::Contents, filling::Filling};
use super::{
    fates::{MARKS, Moment, TABLES, Wishes},
    file::Header,
};
use crate::{
    audit::Event,
    config::Problems,
    foundation::{
        clock::{Span, Timestamp},
        ids::ClientId,
        random::Random,
        seal::KeyRing,
    },
    keys::{Rotation, secret_key},
    store::{
        Connection, QueryResult, Store, audit_events, facts, is_first, logout_deliveries, migrate,
        migrate_to, pending, versions, whole,
    },
};

/// Servers that have just ended may still close their connections.
const COMPANY_TRIES: u32 = 20;
const COMPANY_PAUSE: Duration = Duration::from_millis(100);

/// A database that only moves does so at once.
const MOVED_WITHIN: Span = Span::from_days(1);

/// What a backup is restored with.
#[derive(Clone, Copy)]
pub struct Restoring<'a> {
    /// The keys of backups.
    pub ring: &'a KeyRing,
    /// The keys of rows.
    pub rows_ring: &'a KeyRing,
    /// How new signing keys are made.
    pub rotation: &'a Rotation,
    /// The apps that are told when a session ends.
    pub told: &'a [ClientId],
    /// What the administrator has decided.
    pub wishes: Wishes,
    /// Where chance comes from.
    pub random: &'a dyn Random,
    /// The present moment.
    pub now: Timestamp,
}

impl std::fmt::Debug for Restoring<'_> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Restoring({:?})", self.wishes)
    }
}

/// What became of it.
#[derive(Debug)]
pub struct Report {
    /// What the backup says of itself.
    pub header: Header,
    /// How many rows were stored.
    pub rows: u64,
    /// How many rows of each table were alive in the backup and are not any more.
    pub ended: BTreeMap<String, u64>,
    /// How many tries to tell apps of ended sessions are planned.
    pub told: usize,
}

/// A backup that was found good from its first byte to its last, and that this program understands.
#[derive(Debug)]
pub struct Examined {
    path: PathBuf,
    contents: Contents,
}

impl Examined {
    /// Looks at the whole of a file.
    pub fn look(path: &Path, ring: &KeyRing) -> anyhow::Result<Self> {
        let contents = contents::examine(open(path)?, ring)?;
        let known = versions()?;
        let Header { schema, program, .. } = &contents.header;
        let newest = known.last().map_or("", String::as_str);
        ensure!(
            known.contains(schema),
            "this backup was made by keywright {program} of a database at {schema}, and this \
             program knows them up to {newest}; restore it with keywright {program} or newer"
        );
        Ok(Self { path: path.to_owned(), contents })
    }
}

fn open(path: &Path) -> anyhow::Result<File> {
    File::open(path).context("this backup cannot be read")
}

/// Restores the database. Nobody else may be at work on it.
pub async fn restore(
    store: &Store,
    examined: &Examined,
    restoring: &Restoring<'_>,
) -> anyhow::Result<Report> {
    let Examined { path, contents } = examined;
    let Restoring { ring, wishes, now, .. } = *restoring;
    refuse_late_move(&contents.header, wishes, now)?;
    refuse_company(store).await?;
    prepare(store, &contents.header, wishes).await?;
    let mut connection = store.connection().await?;
    let report = connection
        .transaction(async |conn| {
            make_room(conn, wishes).await?;
            let mut filling = Filling::new(conn, Moment { now, wishes });
            contents::each_line(open(path)?, ring, async |line| filling.line(line).await).await?;
            let (rows, ended) = filling.finish(contents).await?;
            let report = Report { header: contents.header.clone(), rows, ended, told: 0 };
            conclude(conn, report, restoring).await
        })
        .await?;
    drop(connection);
    migrate(store).await.context("restored; but it cannot be brought up to date")?;
    Ok(report)
}

fn refuse_late_move(header: &Header, wishes: Wishes, now: Timestamp) -> anyhow::Result<()> {
    ensure!(
        !wishes.moved || now.since(header.made_at) <= MOVED_WITHIN,
        "this backup is of {}: --moved is for one that was made within the last day, after the \
         servers had stopped; restore it without --moved",
        header.made
    );
    Ok(())
}

/// A server would go on with what it remembers, and write it among what is restored.
async fn refuse_company(store: &Store) -> anyhow::Result<()> {
    let mut connection = store.connection().await?;
    for _ in 1..COMPANY_TRIES {
        if whole::count_others(&mut connection).await? == 0 {
            return Ok(());
        }
        tokio::time::sleep(COMPANY_PAUSE).await;
    }
    let others = whole::count_others(&mut connection).await?;
    ensure!(
        others == 0,
        "the database is in use: {others} other connections of the same account are open; stop \
         every keywright on it, and whatever else uses this account"
    );
    Ok(())
}

/// Gives the database the shape that the backup has. What is in it already is not touched yet.
async fn prepare(store: &Store, header: &Header, wishes: Wishes) -> anyhow::Result<()> {
    if !pending(store).await?.iter().any(|name| is_first(name)) {
        let mut connection = store.connection().await?;
        if !wishes.replace {
            refuse_filled(&mut connection).await?;
        }
        let here = whole::schema(&mut connection).await?;
        ensure!(
            here <= header.schema,
            "the database is at {here} already, and the backup at {}; restore it into an empty \
             database, which is brought up to date afterwards",
            header.schema
        );
    }
    migrate_to(store, &header.schema).await.context("the database cannot be prepared")
}

async fn refuse_filled(conn: &mut Connection) -> anyhow::Result<()> {
    let tables = existing(conn).await?;
    let telling = tables.into_iter().filter(|table| *table != MARKS);
    if let Some(table) = whole::first_filled(conn, telling).await? {
        bail!(
            "the database is not empty: there is something in {table}; name an empty one as \
             database.url, or say --replace to lose what is in this one"
        );
    }
    Ok(())
}

/// Those of the tables that the database has heard of.
async fn existing(conn: &mut Connection) -> QueryResult<Vec<&'static str>> {
    let mut tables = Vec::new();
    for (table, _) in TABLES {
        if !whole::columns(conn, table).await?.is_empty() {
            tables.push(*table);
        }
    }
    Ok(tables)
}

/// A migrator that has just ended lets go of the database a moment later.
async fn hold_alone(conn: &mut Connection) -> anyhow::Result<()> {
    for _ in 0..20 {
        if whole::hold_alone(conn).await? {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    bail!("somebody else is bringing the database up to date")
}

async fn make_room(conn: &mut Connection, wishes: Wishes) -> anyhow::Result<()> {
    hold_alone(conn).await?;
    if !wishes.replace {
        // Looked at again: a server may have begun to fill it meanwhile.
        refuse_filled(conn).await?;
    }
    let tables = existing(conn).await?;
    Ok(whole::clear(conn, &tables).await?)
}

/// What has to be true before anybody signs in again.
async fn conclude(
    conn: &mut Connection,
    mut report: Report,
    restoring: &Restoring<'_>,
) -> anyhow::Result<Report> {
    let Restoring { wishes, now, random, .. } = *restoring;
    if secret_key::opens_rows(conn, restoring.rows_ring).await? == Some(false) {
        let fix = "opens the backup, but not what is sealed in it: list the key that the \
                   database was written with in secrets.previous_secret_keys too";
        bail!(Problems::one("secrets.secret_key", fix));
    }
    if !wishes.moved {
        report.told = logout_deliveries::plan_for_all_ended(conn, restoring.told, now).await?;
        restoring.rotation.begin_anew(conn, now).await?;
        facts::raise(conn, facts::SECURITY_EPOCH, now.unix()).await?;
    }
    let ended: u64 = report.ended.values().sum();
    let event = Event::done("restored")
        .detail("by", "command line")
        .detail("backup", report.header.id.as_str())
        .detail("made_at", report.header.made.as_str())
        .detail("rows", report.rows)
        .detail("ended", ended)
        .detail("replace", wishes.replace)
        .detail("moved", wishes.moved)
        .detail("keep_personal_access_tokens", wishes.keep_personal_access_tokens);
    audit_events::insert(conn, &event.row(now, random)).await?;
    Ok(report)
}
