//! What is not restored, and that nothing is written then.

use keywright::{
    backup::{Fault, Wishes},
    foundation::clock::{Span, Timestamp},
    store::{Access, Store, migrate},
};

use super::{
    LATER, MOVED, back_up, back_up_under, config_of, contents, is_untouched, number, restore,
    restore_by, restore_file,
};
use crate::{
    stores::raw::{self, empty},
    support::{
        clock::START,
        database::{SECRET_KEY, TestDatabase},
    },
};

const NEW_KEY: &str = "fedcba9876543210-another-secret-key-of-tests";

fn said(error: &anyhow::Error) -> String {
    format!("{error:#}")
}

/// FT-32, LG-17: the whole file is looked at first.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_not_whole_is_refused_before_anything_is_written() {
    let database = TestDatabase::new().await;
    // More than one frame.
    let users = (0..3_000).map(|at| {
        format!("('{at}', '{at}', '{at}', '[\"a group of quite some length, {at}\"]', 1, 1)")
    });
    let values = users.collect::<Vec<_>>().join(", ");
    let columns = "id, username, username_key, groups, created_at, updated_at";
    raw::run(&database.url, &format!("INSERT INTO users ({columns}) VALUES {values}")).await;
    let (_, file) = back_up(&database.url).await;
    assert!(file.len() > 300_000, "{}", file.len());
    let bent = |at: usize| {
        let mut bent = file.clone();
        bent[at] ^= 0x20;
        bent
    };
    let end = file.len();
    let (url, _folder) = empty().await;
    for (file, texts) in [
        (file[..end - 1].to_vec(), &["its end is missing"][..]),
        (file[..end / 2].to_vec(), &["its end is missing"]),
        (bent(end - 1), &["has been changed"]),
        (bent(end / 2), &["has been changed"]),
        ([&file[..], b"x"].concat(), &["its end is missing", "has been changed"]),
        (b"PGDMP and more of that kind".to_vec(), &["not a backup of keywright"]),
        (Vec::new(), &["not a backup of keywright"]),
        ([b"keywright backup 2\n", &file[19..]].concat(), &["made by a newer keywright"]),
    ] {
        let refused = said(&restore(&url, &file, Wishes::default()).await.unwrap_err());
        assert!(texts.iter().any(|text| refused.contains(text)), "{texts:?}: {refused}");
        assert!(is_untouched(&url).await, "{texts:?}");
    }
    let nowhere = std::path::Path::new("/nowhere/keywright.kwb");
    let config = config_of(&url, &[SECRET_KEY]);
    let refused = restore_file(&config, nowhere, Wishes::default(), LATER).await.unwrap_err();
    assert!(said(&refused).contains("cannot be read"), "{refused:#}");
    assert!(is_untouched(&url).await);
    restore(&url, &file, Wishes::default()).await.unwrap();
    assert_eq!(number(&url, "SELECT count(*) FROM users").await, 3_000);
}

/// FT-63, LG-05.
#[tokio::test(flavor = "multi_thread")]
async fn it_takes_the_secret_key_that_it_was_made_under() {
    let database = TestDatabase::new().await;
    let (_, file) = back_up(&database.url).await;
    let (url, _folder) = empty().await;
    let config = config_of(&url, &[NEW_KEY]);
    let refused = restore_by(&config, &file, Wishes::default(), LATER).await.unwrap_err();
    assert!(matches!(refused.downcast_ref(), Some(Fault::AnotherKey)), "{refused:#}");
    assert!(is_untouched(&url).await);
    let config = config_of(&url, &[NEW_KEY, SECRET_KEY]);
    restore_by(&config, &file, Wishes::default(), LATER).await.unwrap();
}

/// The file opens, and what was sealed in the database before the key was replaced does not.
#[tokio::test(flavor = "multi_thread")]
async fn it_takes_the_key_of_the_rows_too() {
    let database = TestDatabase::new().await;
    let (_, file) = back_up_under(&database.url, &[NEW_KEY, SECRET_KEY]).await;
    let (url, _folder) = empty().await;
    let config = config_of(&url, &[NEW_KEY]);
    let refused = restore_by(&config, &file, Wishes::default(), LATER).await.unwrap_err();
    assert!(said(&refused).contains("previous_secret_keys"), "{refused:#}");
    assert_eq!(number(&url, "SELECT count(*) FROM signing_keys").await, 0, "all or nothing");
    let config = config_of(&url, &[NEW_KEY, SECRET_KEY]);
    restore_by(&config, &file, Wishes::default(), LATER).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_of_a_newer_version_names_that_version() {
    let database = TestDatabase::new().await;
    let newer = "INSERT INTO __diesel_schema_migrations (version) VALUES ('99999999999999')";
    raw::run(&database.url, newer).await;
    let (_, file) = back_up(&database.url).await;
    let (url, _folder) = empty().await;
    let refused = said(&restore(&url, &file, Wishes::default()).await.unwrap_err());
    let version = env!("CARGO_PKG_VERSION");
    for text in ["99999999999999", &format!("with keywright {version} or newer")] {
        assert!(refused.contains(text), "{refused}");
    }
    assert!(is_untouched(&url).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_not_empty_is_replaced_only_when_asked() {
    let database = TestDatabase::new().await;
    let (_, file) = back_up(&database.url).await;
    let user = "INSERT INTO users (id, username, username_key, groups, created_at, updated_at) \
                VALUES ('new', 'new', 'new', '[]', 1, 2)";
    raw::run(&database.url, user).await;
    let before = contents(&database.url).await;
    let refused = said(&restore(&database.url, &file, Wishes::default()).await.unwrap_err());
    assert!(refused.contains("--replace") && refused.contains("not empty"), "{refused}");
    assert_eq!(contents(&database.url).await, before);

    let wishes = Wishes { replace: true, ..Wishes::default() };
    restore(&database.url, &file, wishes).await.unwrap();
    assert_eq!(number(&database.url, "SELECT count(*) FROM users").await, 0);
    // Tables without rows are an empty database.
    let (url, _folder) = empty().await;
    let config = config_of(&url, &[SECRET_KEY]);
    migrate(&Store::open(&config.database, Access::Founder).unwrap()).await.unwrap();
    restore(&url, &file, Wishes::default()).await.unwrap();
}

/// What fails half-way leaves what was there before, also where that was to be replaced.
#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_stored_changes_nothing() {
    let (broken, _broken_folder) = super::empty_file();
    let config = config_of(&broken, &[SECRET_KEY]);
    migrate(&Store::open(&config.database, Access::Founder).unwrap()).await.unwrap();
    // SQLite looks after references only where it is told to.
    let orphan = "INSERT INTO users (id, username, username_key, groups, created_at, updated_at) \
                  VALUES ('bob', 'bob', 'bob', '[]', 1, 2); \
                  INSERT INTO waiting_accounts VALUES ('nobody', 1);";
    raw::run(&broken, &format!("PRAGMA foreign_keys = OFF; {orphan}")).await;
    let (_, file) = back_up(&broken).await;

    let database = TestDatabase::new().await;
    let before = contents(&database.url).await;
    let wishes = Wishes { replace: true, ..Wishes::default() };
    let refused = said(&restore(&database.url, &file, wishes).await.unwrap_err());
    assert!(refused.to_lowercase().contains("foreign key"), "{refused}");
    assert_eq!(contents(&database.url).await, before);
}

/// SQLite: the server holds the lock of the file (FT-31), see `cli/backup.rs`. In PostgreSQL its
/// connections tell.
#[tokio::test(flavor = "multi_thread")]
async fn a_database_in_use_is_refused() {
    let database = TestDatabase::new().await;
    let (_, file) = back_up(&database.url).await;
    let wishes = Wishes { replace: true, ..Wishes::default() };
    if database.url.starts_with("sqlite:") {
        let config = config_of(&database.url, &[SECRET_KEY]);
        let server = Store::open(&config.database, Access::Server).unwrap();
        let refused = said(&restore(&database.url, &file, wishes).await.unwrap_err());
        assert!(refused.contains("already serving"), "{refused}");
        drop(server);
    } else {
        let server = raw::postgres(&database.url).await;
        let refused = said(&restore(&database.url, &file, wishes).await.unwrap_err());
        assert!(refused.contains("in use") && refused.contains('1'), "{refused}");
        drop(server);
    }
    restore(&database.url, &file, wishes).await.unwrap();
}

/// Nobody stops servers for days to move a database.
#[tokio::test(flavor = "multi_thread")]
async fn a_database_does_not_move_by_an_old_backup() {
    let database = TestDatabase::new().await;
    let (_, file) = back_up(&database.url).await;
    let (url, _folder) = empty().await;
    let config = config_of(&url, &[SECRET_KEY]);
    let made_at = Timestamp::from_unix(START + 500);
    let late = made_at.plus(Span::from_days(1)).plus(Span::from_seconds(1));
    let refused = said(&restore_by(&config, &file, MOVED, late).await.unwrap_err());
    assert!(refused.contains("without --moved"), "{refused}");
    assert!(is_untouched(&url).await);
    restore_by(&config, &file, MOVED, made_at.plus(Span::from_days(1))).await.unwrap();
}
