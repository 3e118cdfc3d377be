//! Backups: everything that goes in comes out, on either database; nothing else is taken for one; and
//! what was revoked since does not come back (FT-32, LG-17).

mod older;
mod refusals;
mod revoked;
mod rows;
mod writers;

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Write as _,
    path::Path,
    sync::Arc,
};

use keywright::{
    app,
    backup::{self, Examined, Made, Making, Report, Restoring, TABLES, Wishes},
    clients::Clients,
    config::{self, Config, Environment},
    foundation::{clock::Timestamp, random::OsRandom, seal::Purpose},
    store::{Access, Store},
};

use crate::{
    stores::raw,
    support::{app::ISSUER, clock::START, database::SECRET_KEY},
};

/// A moment after everything that the tests put into a database.
const LATER: Timestamp = Timestamp::from_unix(START + 1_000);

/// As they were.
const MOVED: Wishes = Wishes { replace: false, moved: true, keep_personal_access_tokens: false };

/// The configuration of a database, under a list of secret keys.
fn config_of(url: &str, keys: &[&str]) -> Config {
    let (current, previous) = keys.split_first().unwrap();
    let text = format!(
        "[server]\nissuer = {ISSUER:?}\n[database]\nurl = {url:?}\nmax_connections = 4\n\
         [secrets]\nsecret_key = {current:?}\nprevious_secret_keys = {previous:?}\n"
    );
    config::parse(&text, &Environment::new()).unwrap()
}

/// Makes a backup as an administrator does beside a server.
async fn back_up(url: &str) -> (Made, Vec<u8>) {
    back_up_under(url, &[SECRET_KEY]).await
}

async fn back_up_under(url: &str, keys: &[&str]) -> (Made, Vec<u8>) {
    let config = config_of(url, keys);
    let store = Store::open(&config.database, Access::Visitor).unwrap();
    let ring = app::existing_ring(&config, Purpose::Backup).unwrap().unwrap();
    let now = Timestamp::from_unix(START + 500);
    let making = Making { issuer: ISSUER, ring: &ring, random: &OsRandom, now };
    backup::make(&store, making, Vec::new()).await.unwrap()
}

async fn restore(url: &str, file: &[u8], wishes: Wishes) -> anyhow::Result<Report> {
    restore_by(&config_of(url, &[SECRET_KEY]), file, wishes, LATER).await
}

/// Restores as an administrator does where no server runs.
async fn restore_by(
    config: &Config,
    file: &[u8],
    wishes: Wishes,
    now: Timestamp,
) -> anyhow::Result<Report> {
    let mut named = tempfile::NamedTempFile::new().unwrap();
    named.write_all(file).unwrap();
    restore_file(config, named.path(), wishes, now).await
}

async fn restore_file(
    config: &Config,
    file: &Path,
    wishes: Wishes,
    now: Timestamp,
) -> anyhow::Result<Report> {
    app::install_tls_provider();
    let random = Arc::new(OsRandom);
    let ring = app::existing_ring(config, Purpose::Backup)?.unwrap();
    let rows_ring = app::existing_rows_ring(config)?.unwrap();
    let examined = Examined::look(file, &ring)?;
    let store = Store::open(&config.database, Access::Restorer)?;
    let rotation = app::rotation(config, &(Arc::<OsRandom>::clone(&random) as _))?;
    let told = Clients::new(config).told_of_logout();
    let restoring = Restoring {
        ring: &ring,
        rows_ring: &rows_ring,
        rotation: &rotation,
        told: &told,
        wishes,
        random: &*random,
        now,
    };
    backup::restore(&store, &examined, &restoring).await
}

type Contents = BTreeMap<&'static str, BTreeSet<String>>;

/// Every row of every table, in one spelling for both databases.
async fn contents(url: &str) -> Contents {
    let mut all = BTreeMap::new();
    for (table, _) in TABLES {
        all.insert(*table, rows_of(url, table).await);
    }
    all
}

async fn rows_of(url: &str, table: &str) -> BTreeSet<String> {
    let is_sqlite = url.starts_with("sqlite:");
    let columns = if is_sqlite {
        format!("SELECT name || ' ' || type AS text FROM pragma_table_info('{table}') ORDER BY cid")
    } else {
        format!(
            "SELECT column_name || ' ' || data_type AS text FROM information_schema.columns \
             WHERE table_schema = 'public' AND table_name = '{table}' ORDER BY ordinal_position"
        )
    };
    let columns = raw::texts(url, &columns).await;
    let spelt = columns.iter().map(|column| {
        let (name, kind) = column.split_once(' ').unwrap();
        let text = match kind {
            "BLOB" => format!("lower(hex(\"{name}\"))"),
            "bytea" => format!("encode(\"{name}\", 'hex')"),
            "boolean" => format!("CAST(CAST(\"{name}\" AS int) AS text)"),
            _ => format!("CAST(\"{name}\" AS text)"),
        };
        format!(
            "'{name}=' || CASE WHEN \"{name}\" IS NULL THEN 'nothing' ELSE '<' || {text} || '>' END"
        )
    });
    let row = spelt.collect::<Vec<_>>().join(" || ' ' || ");
    let rows = raw::texts(url, &format!("SELECT {row} AS text FROM \"{table}\"")).await;
    let count = rows.len();
    let rows = BTreeSet::from_iter(rows);
    assert_eq!(rows.len(), count, "two rows of {table} are alike");
    rows
}

/// The number that a query answers.
async fn number(url: &str, sql: &str) -> i64 {
    let texts = raw::texts(url, &format!("SELECT CAST(({sql}) AS text) AS text")).await;
    texts[0].parse().unwrap()
}

/// An empty SQLite file.
fn empty_file() -> (String, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    (format!("sqlite:{}", folder.path().join("keywright.db").display()), folder)
}

/// Whether there is not even a table.
async fn is_untouched(url: &str) -> bool {
    if url.strip_prefix("sqlite:").is_some_and(|file| !Path::new(file).exists()) {
        return true;
    }
    let tables = if url.starts_with("sqlite:") {
        "SELECT name AS text FROM sqlite_schema WHERE name = 'users'"
    } else {
        "SELECT tablename::text AS text FROM pg_tables WHERE tablename = 'users'"
    };
    raw::texts(url, tables).await.is_empty()
}
