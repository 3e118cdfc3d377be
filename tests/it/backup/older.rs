//! Backups of older versions are brought up to date.

use std::path::PathBuf;

use diesel_async::AsyncMigrationHarness;
use diesel_migrations::{FileBasedMigrations, MigrationHarness as _};
use keywright::{
    backup::Wishes,
    store::{Access, Store, migrate, pending},
};

use super::{back_up, config_of, number, restore};
use crate::{
    stores::raw::{self, empty},
    support::database::SECRET_KEY,
};

/// Takes the newest migrations back.
async fn go_back(url: &str, versions: usize) {
    let kind = if url.starts_with("sqlite:") { "sqlite" } else { "postgres" };
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("migrations").join(kind);
    let source = || FileBasedMigrations::from_path(&folder).unwrap();
    if kind == "sqlite" {
        let mut connection = raw::sqlite(url);
        for _ in 0..versions {
            connection.revert_last_migration(source()).unwrap();
        }
        return;
    }
    let mut harness = AsyncMigrationHarness::new(raw::postgres(url).await);
    tokio::task::block_in_place(|| {
        for _ in 0..versions {
            harness.revert_last_migration(source()).unwrap();
        }
    });
}

fn open(url: &str) -> Store {
    Store::open(&config_of(url, &[SECRET_KEY]).database, Access::Founder).unwrap()
}

/// A database as an older version had it, with somebody in it.
async fn older() -> (String, tempfile::TempDir) {
    let (url, folder) = empty().await;
    migrate(&open(&url)).await.unwrap();
    go_back(&url, 5).await;
    assert_eq!(pending(&open(&url)).await.unwrap().len(), 5);
    let user = "INSERT INTO users (id, username, username_key, groups, created_at, updated_at) \
                VALUES ('bob', 'Bob', 'bob', '[]', 1, 2)";
    raw::run(&url, user).await;
    (url, folder)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_of_an_older_version_is_brought_up_to_date() {
    let (url, _folder) = older().await;
    let (made, file) = back_up(&url).await;
    assert!(!made.rows.contains_key("pictures"), "{made:?}");
    let (new, _new_folder) = empty().await;
    let report = restore(&new, &file, Wishes::default()).await.unwrap();
    assert_eq!(report.header.schema, made.header.schema);
    assert!(pending(&open(&new)).await.unwrap().is_empty());
    assert_eq!(number(&new, "SELECT count(*) FROM users WHERE username = 'Bob'").await, 1);
    assert_eq!(number(&new, "SELECT count(*) FROM pictures").await, 0);
}

/// Its rows do not fit tables that are newer, whatever was in those.
#[tokio::test(flavor = "multi_thread")]
async fn it_does_not_go_into_a_newer_database() {
    let (url, _folder) = older().await;
    let (_, file) = back_up(&url).await;
    let (new, _new_folder) = empty().await;
    migrate(&open(&new)).await.unwrap();
    for replace in [false, true] {
        let wishes = Wishes { replace, ..Wishes::default() };
        let refused = restore(&new, &file, wishes).await.unwrap_err();
        assert!(format!("{refused:#}").contains("into an empty database"), "{refused:#}");
    }
    assert_eq!(number(&new, "SELECT count(*) FROM users").await, 0);
    // A newer one goes into an older database, whose tables follow.
    let (_, file) = back_up(&new).await;
    let (empty_older, _other) = empty().await;
    migrate(&open(&empty_older)).await.unwrap();
    go_back(&empty_older, 2).await;
    restore(&empty_older, &file, Wishes::default()).await.unwrap();
    assert!(pending(&open(&empty_older)).await.unwrap().is_empty());
}
