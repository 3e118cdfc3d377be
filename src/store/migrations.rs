//! Bringing the schema up to date. Both folders hold the same versions.

use anyhow::anyhow;
use diesel_async::{
    AsyncMigrationHarness, SimpleAsyncConnection as _, pooled_connection::deadpool::Object,
};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};

use super::{connection::Backend, open::Store};

const POSTGRES: EmbeddedMigrations = embed_migrations!("migrations/postgres");
const SQLITE: EmbeddedMigrations = embed_migrations!("migrations/sqlite");

/// The advisory lock under which PostgreSQL lets one migrator work at a time; it is released when
/// the migrator's connection closes.
const LOCK: &str = "SELECT pg_advisory_lock(7309453219)";

/// Applies every migration that is missing and answers their names.
pub async fn migrate(store: &Store) -> anyhow::Result<Vec<String>> {
    match store.connection().await?.into_backend() {
        Backend::Postgres(mut conn) => {
            conn.batch_execute("SET statement_timeout = 0; SET lock_timeout = 0").await?;
            conn.batch_execute(LOCK).await?;
            // The connection keeps these settings and perhaps the lock, so it leaves the pool.
            let mut harness = AsyncMigrationHarness::new(Object::take(conn));
            tokio::task::block_in_place(|| apply(&mut harness, POSTGRES))
        }
        Backend::Sqlite(conn) => {
            let mut harness = AsyncMigrationHarness::new(conn);
            tokio::task::block_in_place(|| apply_beside_others(&mut harness))
        }
        Backend::Abandoned => Err(anyhow!("the connection was given up")),
    }
}

/// Whether a missing migration of this name means that the database is empty.
pub fn is_first(name: &str) -> bool {
    name.ends_with("_first")
}

/// The names of the migrations that are missing; an error if the schema is newer than this program.
pub async fn pending(store: &Store) -> anyhow::Result<Vec<String>> {
    match store.connection().await?.into_backend() {
        Backend::Postgres(conn) => {
            let mut harness = AsyncMigrationHarness::new(conn);
            tokio::task::block_in_place(|| missing(&mut harness, POSTGRES))
        }
        Backend::Sqlite(conn) => {
            let mut harness = AsyncMigrationHarness::new(conn);
            tokio::task::block_in_place(|| missing(&mut harness, SQLITE))
        }
        Backend::Abandoned => Err(anyhow!("the connection was given up")),
    }
}

fn missing<DB: diesel::backend::Backend>(
    harness: &mut impl MigrationHarness<DB>,
    source: EmbeddedMigrations,
) -> anyhow::Result<Vec<String>> {
    refuse_newer(harness, &source)?;
    let pending = harness.pending_migrations(source).map_err(|error| anyhow!(error))?;
    Ok(pending.iter().map(|migration| migration.name().to_string()).collect())
}

fn apply<DB: diesel::backend::Backend>(
    harness: &mut impl MigrationHarness<DB>,
    source: EmbeddedMigrations,
) -> anyhow::Result<Vec<String>> {
    refuse_newer(harness, &source)?;
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

/// A schema that a newer program has made is not for us to write into.
fn refuse_newer<DB: diesel::backend::Backend>(
    harness: &mut impl MigrationHarness<DB>,
    source: &EmbeddedMigrations,
) -> anyhow::Result<()> {
    let known: Vec<String> = diesel::migration::MigrationSource::<DB>::migrations(source)
        .map_err(|error| anyhow!(error))?
        .iter()
        .map(|migration| migration.name().version().to_string())
        .collect();
    let applied = harness.applied_migrations().map_err(|error| anyhow!(error))?;
    match applied.iter().map(ToString::to_string).find(|version| !known.contains(version)) {
        Some(version) => Err(anyhow!(
            "the database has the migration {version}, which this program does not know; \
             run the newer keywright that made it"
        )),
        None => Ok(()),
    }
}
