//! The embedded database file: who may read it, who may open it, and how it is set up.

use std::{
    fs::{DirBuilder, File, OpenOptions, TryLockError},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, bail};
use diesel::ConnectionError;
use diesel_async::{
    AsyncConnection as _, SimpleAsyncConnection as _,
    pooled_connection::{AsyncDieselConnectionManager, ManagerConfig, RecyclingMethod, deadpool},
};
use futures_util::FutureExt as _;

use super::connection::Sqlite;
use crate::config::Problems;

/// What every connection is set to. `synchronous = FULL`: with the write-ahead log, `NORMAL` could
/// lose commits that were already acknowledged when the power goes.
const SETUP: &str = "PRAGMA busy_timeout = 2000; PRAGMA journal_mode = WAL; \
                     PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; \
                     PRAGMA cache_size = -2000;";

/// A server that has just ended may still hold its lock for a moment.
const LOCK_TRIES: u32 = 10;
const LOCK_PAUSE: Duration = Duration::from_millis(50);

/// Several who open an empty file at once may find it locked while one of them makes the log;
/// SQLite does not wait for that by itself.
const SETUP_TRIES: u32 = 40;
const SETUP_PAUSE: Duration = Duration::from_millis(50);

/// Connections in the pool. SQLite has one writer at a time; more readers than this only wait.
const CONNECTIONS: usize = 4;

/// Makes the file for its owner alone, or refuses one that others may read.
pub(super) fn prepare_file(file: &Path) -> anyhow::Result<()> {
    if let Some(folder) = file.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .with_context(|| format!("the folder {} cannot be made", folder.display()))?;
    }
    let open =
        || OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(file);
    let opened = open().with_context(|| format!("{} cannot be opened", file.display()))?;
    let mode = opened.metadata()?.permissions().mode();
    Problems::refuse_exposed("database.url", file, mode)?;
    Ok(())
}

/// Refuses a file that is not there: what only looks at a database makes none.
pub(super) fn find_file(file: &Path) -> anyhow::Result<()> {
    if file.exists() {
        return Ok(());
    }
    let fix = format!(
        "there is no database {} here; start the server first, or name the right one",
        file.display()
    );
    bail!(Problems::one("database.url", fix))
}

/// Refuses to begin with an empty database where a server has had one: whoever has lost theirs does
/// not want a house without people that asks for its first administrator (FT-29).
pub(super) fn refuse_lost(file: &Path) -> anyhow::Result<()> {
    let lock = lock_of(file);
    if file.exists() || !lock.exists() {
        return Ok(());
    }
    let fix = format!(
        "{} is gone, and a server has had a database there; bring it back with: keywright restore \
         BACKUP; or remove {} to begin with an empty one",
        file.display(),
        lock.display()
    );
    bail!(Problems::one("database.url", fix))
}

fn lock_of(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".lock");
    name.into()
}

/// Takes the lock of the only server on this file.
#[expect(clippy::disallowed_methods, reason = "at the start there is nobody to hold up")]
pub(super) fn lock(file: &Path) -> anyhow::Result<File> {
    let name = lock_of(file);
    let lock =
        OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&name)?;
    for _ in 0..LOCK_TRIES {
        match lock.try_lock() {
            Ok(()) => return Ok(lock),
            Err(TryLockError::WouldBlock) => std::thread::sleep(LOCK_PAUSE),
            Err(TryLockError::Error(error)) => {
                return Err(error).context("the lock file cannot be locked");
            }
        }
    }
    bail!(
        "another keywright is already serving {}; stop it, or use PostgreSQL for several",
        file.display()
    )
}

/// A pool of connections to the file.
pub(super) fn pool(file: &Path) -> anyhow::Result<deadpool::Pool<Sqlite>> {
    let mut config = ManagerConfig::default();
    config.recycling_method = RecyclingMethod::Fast;
    config.custom_setup = Box::new(|file| connect(file.to_owned()).boxed());
    let name = file.to_str().context("the name of the database file is not UTF-8")?;
    let manager = AsyncDieselConnectionManager::new_with_config(name, config);
    let pool = deadpool::Pool::builder(manager)
        .max_size(CONNECTIONS)
        .timeouts(deadpool_timeouts())
        .runtime(::deadpool::Runtime::Tokio1)
        .build()?;
    Ok(pool)
}

/// Waiting for the one writer is part of normal work here, so requests wait longer for their turn.
fn deadpool_timeouts() -> ::deadpool::managed::Timeouts {
    ::deadpool::managed::Timeouts { wait: Some(Duration::from_secs(3)), ..super::open::timeouts() }
}

async fn connect(file: String) -> Result<Sqlite, ConnectionError> {
    let mut connection = Sqlite::establish(&file).await?;
    for _ in 1..SETUP_TRIES {
        match connection.batch_execute(SETUP).await {
            Ok(()) => return Ok(connection),
            Err(error) if error.to_string().contains("locked") => {
                tokio::time::sleep(SETUP_PAUSE).await;
            }
            Err(error) => return Err(ConnectionError::CouldntSetupConfiguration(error)),
        }
    }
    let setup = connection.batch_execute(SETUP).await;
    setup.map_err(ConnectionError::CouldntSetupConfiguration)?;
    Ok(connection)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// LG-06, FT-33.
    #[test]
    fn a_file_that_others_may_read_is_refused_with_the_fix() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("deep/er/keywright.db");
        prepare_file(&file).unwrap();
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&file), 0o600);
        assert_eq!(mode(file.parent().unwrap()), 0o700);

        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
        let refusal = prepare_file(&file).unwrap_err().to_string();
        assert!(refusal.contains("chmod 600"), "{refusal}");
    }

    /// FT-31.
    #[test]
    fn a_second_server_on_the_same_file_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("keywright.db");
        let first = lock(&file).unwrap();
        assert!(lock(&file).unwrap_err().to_string().contains("already serving"));
        drop(first);
        lock(&file).unwrap();
    }

    /// FT-29.
    #[test]
    fn a_database_that_is_gone_is_not_begun_anew() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("keywright.db");
        refuse_lost(&file).unwrap();
        prepare_file(&file).unwrap();
        drop(lock(&file).unwrap());
        refuse_lost(&file).unwrap();
        std::fs::remove_file(&file).unwrap();
        let refusal = refuse_lost(&file).unwrap_err().to_string();
        for text in ["keywright.db is gone", "keywright restore", "keywright.db.lock"] {
            assert!(refusal.contains(text), "{refusal}");
        }
    }
}
