//! Bringing the schema up to date. Both folders hold the same versions.

use anyhow::anyhow;
use diesel::migration::{Migration, MigrationSource};
use diesel_async::{
    AsyncMigrationHarness, AsyncPgConnection, SimpleAsyncConnection as _,
    pooled_connection::deadpool::Object,
};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};

use super::{connection::Backend, facts, open::Store};

const POSTGRES: EmbeddedMigrations = embed_migrations!("migrations/postgres");
const SQLITE: EmbeddedMigrations = embed_migrations!("migrations/sqlite");

/// The advisory lock under which PostgreSQL lets one migrator work at a time; it is released when
/// the migrator's connection closes.
pub(super) const LOCK: i64 = 7_309_453_219;

/// The last migration that the oldest program knows which works with the schema of today. While servers
/// are replaced one by one, those of the former version go on, and may start again (FT-53). Whoever adds
/// a migration with which they would not work raises it to that migration, and so does whoever adds a word
/// to a column that they read, such as a kind of mail. Adding tables, indexes and columns with defaults does
/// not need that, and nothing is dropped or renamed in the version that stops using it.
const WORKS_SINCE: i64 = 23;
/// The fact that says so in the database.
const FACT: &str = "schema.works_since";

/// Applies every migration that is missing and answers their names. A schema of a newer program with
/// which this one works is left as it is.
pub async fn migrate(store: &Store) -> anyhow::Result<Vec<String>> {
    if works_with_newer(store).await? {
        return Ok(Vec::new());
    }
    // Said before there is anything to say it about, so that a crash leaves no promise that is too wide; a
    // database that is empty can promise nothing.
    let is_new = look(store).await?.missing.iter().any(|name| is_first(name));
    if !is_new {
        promise(store).await?;
    }
    let applied = apply_missing(store).await?;
    promise(store).await?;
    Ok(applied)
}

async fn promise(store: &Store) -> anyhow::Result<()> {
    facts::raise(&mut store.connection().await?, FACT, WORKS_SINCE).await?;
    Ok(())
}

async fn apply_missing(store: &Store) -> anyhow::Result<Vec<String>> {
    match store.connection().await?.into_backend() {
        Backend::Postgres(conn) => {
            let mut harness = AsyncMigrationHarness::new(lock(conn).await?);
            tokio::task::block_in_place(|| apply(&mut harness, POSTGRES))
        }
        Backend::Sqlite(conn) => {
            let mut harness = AsyncMigrationHarness::new(conn);
            tokio::task::block_in_place(|| apply_beside_others(&mut harness))
        }
        Backend::Abandoned => Err(anyhow!("the connection was given up")),
    }
}

/// Applies what is missing of the migrations up to this version: the shape that the rows of a backup
/// have. Nobody else may be at work on the database.
pub async fn migrate_to(store: &Store, version: &str) -> anyhow::Result<()> {
    match store.connection().await?.into_backend() {
        Backend::Postgres(conn) => {
            let mut harness = AsyncMigrationHarness::new(lock(conn).await?);
            tokio::task::block_in_place(|| apply(&mut harness, UpTo(POSTGRES, version)).map(drop))
        }
        Backend::Sqlite(conn) => {
            let mut harness = AsyncMigrationHarness::new(conn);
            tokio::task::block_in_place(|| apply(&mut harness, UpTo(SQLITE, version)).map(drop))
        }
        Backend::Abandoned => Err(anyhow!("the connection was given up")),
    }
}

/// The versions of all migrations, the newest last. Both folders hold the same.
pub fn versions() -> anyhow::Result<Vec<String>> {
    let mut versions = known::<diesel::sqlite::Sqlite>(&SQLITE)?;
    versions.sort();
    Ok(versions)
}

/// Waits for other migrators. The connection keeps its settings and perhaps the lock, so it leaves the
/// pool.
async fn lock(mut conn: Object<AsyncPgConnection>) -> anyhow::Result<AsyncPgConnection> {
    conn.batch_execute("SET statement_timeout = 0; SET lock_timeout = 0").await?;
    conn.batch_execute(&format!("SELECT pg_advisory_lock({LOCK})")).await?;
    Ok(Object::take(conn))
}

/// The migrations up to a version.
struct UpTo<'v>(EmbeddedMigrations, &'v str);

impl<DB: diesel::backend::Backend> MigrationSource<DB> for UpTo<'_> {
    fn migrations(&self) -> diesel::migration::Result<Vec<Box<dyn Migration<DB>>>> {
        let mut migrations = MigrationSource::<DB>::migrations(&self.0)?;
        migrations.retain(|migration| migration.name().version().to_string().as_str() <= self.1);
        Ok(migrations)
    }
}

/// Whether a missing migration of this name means that the database is empty.
pub fn is_first(name: &str) -> bool {
    name.ends_with("_first")
}

/// The names of the migrations that are missing; an error if the schema is too new for this program.
pub async fn pending(store: &Store) -> anyhow::Result<Vec<String>> {
    if works_with_newer(store).await? {
        return Ok(Vec::new());
    }
    Ok(look(store).await?.missing)
}

/// Whether the schema is that of a newer program, which says that this one works with it; an error if
/// it does not say so.
async fn works_with_newer(store: &Store) -> anyhow::Result<bool> {
    let state = look(store).await?;
    let Some(unknown) = state.unknown else {
        return Ok(false);
    };
    let since = facts::find(&mut store.connection().await?, FACT).await?;
    if since.is_some_and(|since| since <= state.newest_known) {
        tracing::warn!(
            migration = unknown,
            "a newer keywright has brought the database up to date"
        );
        return Ok(true);
    }
    Err(anyhow!(
        "the database has the migration {unknown}, which this program does not know and cannot work with; \
         run the newer keywright that made it"
    ))
}

/// How far the database is.
struct SchemaState {
    /// The names of what is missing.
    missing: Vec<String>,
    /// A migration that this program does not know.
    unknown: Option<String>,
    /// The number of the newest one that it knows.
    newest_known: i64,
}

/// Looks; several at once may all want to make the table in which migrations are written down, of which one
/// succeeds.
async fn look(store: &Store) -> anyhow::Result<SchemaState> {
    let mut seen = look_once(store).await;
    for _ in 0..5 {
        if seen.is_ok() {
            break;
        }
        seen = look_once(store).await;
    }
    seen
}

async fn look_once(store: &Store) -> anyhow::Result<SchemaState> {
    match store.connection().await?.into_backend() {
        Backend::Postgres(conn) => {
            let mut harness = AsyncMigrationHarness::new(conn);
            tokio::task::block_in_place(|| compare(&mut harness, POSTGRES))
        }
        Backend::Sqlite(conn) => {
            let mut harness = AsyncMigrationHarness::new(conn);
            tokio::task::block_in_place(|| compare(&mut harness, SQLITE))
        }
        Backend::Abandoned => Err(anyhow!("the connection was given up")),
    }
}

fn compare<DB: diesel::backend::Backend>(
    harness: &mut impl MigrationHarness<DB>,
    source: EmbeddedMigrations,
) -> anyhow::Result<SchemaState> {
    let known = known::<DB>(&source)?;
    let applied = harness.applied_migrations().map_err(|error| anyhow!(error))?;
    let unknown = applied.iter().map(ToString::to_string).find(|one| !known.contains(one));
    let newest_known = known.iter().filter_map(|version| version.parse().ok()).max().unwrap_or(0);
    Ok(SchemaState { missing: missing(harness, source)?, unknown, newest_known })
}

fn missing<DB: diesel::backend::Backend>(
    harness: &mut impl MigrationHarness<DB>,
    source: EmbeddedMigrations,
) -> anyhow::Result<Vec<String>> {
    let pending = harness.pending_migrations(source).map_err(|error| anyhow!(error))?;
    Ok(pending.iter().map(|migration| migration.name().to_string()).collect())
}

fn apply<DB: diesel::backend::Backend>(
    harness: &mut impl MigrationHarness<DB>,
    source: impl MigrationSource<DB>,
) -> anyhow::Result<Vec<String>> {
    let applied = harness.run_pending_migrations(source).map_err(|error| anyhow!(error))?;
    Ok(applied.iter().map(ToString::to_string).collect())
}

/// SQLite has no lock that outlives a transaction, and each migration is one. Whoever comes second
/// to one fails, looks again, and goes on with what is left.
fn apply_beside_others(
    harness: &mut impl MigrationHarness<diesel::sqlite::Sqlite>,
) -> anyhow::Result<Vec<String>> {
    let mut applied = Vec::new();
    loop {
        let before = missing(harness, SQLITE)?.len();
        if before == 0 {
            return Ok(applied);
        }
        match harness.run_next_migration(SQLITE).map(|version| version.to_string()) {
            Ok(version) => applied.push(version),
            Err(_) if missing(harness, SQLITE)?.len() < before => {}
            Err(error) => return Err(anyhow!(error)),
        }
    }
}

fn known<DB: diesel::backend::Backend>(source: &EmbeddedMigrations) -> anyhow::Result<Vec<String>> {
    let migrations = MigrationSource::<DB>::migrations(source).map_err(|error| anyhow!(error))?;
    Ok(migrations.iter().map(|migration| migration.name().version().to_string()).collect())
}
