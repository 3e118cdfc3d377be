//! Both folders say the same, and everything that goes up comes down.

use std::{collections::BTreeSet, fs, path::PathBuf};

use diesel_async::AsyncMigrationHarness;
use diesel_migrations::{FileBasedMigrations, MigrationHarness as _};
use keywright::store::{Store, migrate, pending};

use super::{
    open,
    raw::{self, empty},
};

const TABLES: [&str; 28] = [
    "audit_events",
    "consents",
    "deletions",
    "facts",
    "grants",
    "groups",
    "identities",
    "instances",
    "invitations",
    "leases",
    "logout_deliveries",
    "mail_outbox",
    "one_time_links",
    "passkeys",
    "password_guesses",
    "personal_access_tokens",
    "pictures",
    "recovery_codes",
    "recovery_requests",
    "refresh_tokens",
    "revoked_access_tokens",
    "sealed_facts",
    "sessions",
    "signing_keys",
    "totp_factors",
    "user_attributes",
    "users",
    "waiting_accounts",
];

fn folder(kind: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("migrations").join(kind)
}

fn source(url: &str) -> FileBasedMigrations {
    let kind = if url.starts_with("sqlite:") { "sqlite" } else { "postgres" };
    FileBasedMigrations::from_path(folder(kind)).unwrap()
}

/// Runs all migrations down, one after the other, past the program.
async fn down(url: &str) {
    if url.starts_with("sqlite:") {
        raw::sqlite(url).revert_all_migrations(source(url)).unwrap();
        return;
    }
    let mut harness = AsyncMigrationHarness::new(raw::postgres(url).await);
    tokio::task::block_in_place(|| harness.revert_all_migrations(source(url)).map(drop)).unwrap();
}

/// Tables, columns with type and nullability, and unique columns, in one spelling for both.
async fn shape(url: &str) -> BTreeSet<String> {
    let (columns, uniques) = if url.starts_with("sqlite:") {
        (
            "SELECT t.name || '.' || c.name || ' ' || c.type || \
             CASE WHEN c.\"notnull\" OR c.pk THEN ' NOT NULL' ELSE '' END AS text \
             FROM sqlite_schema t JOIN pragma_table_info(t.name) c \
             WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite%' AND t.name NOT LIKE '\\_\\_%' ESCAPE '\\'",
            "SELECT 'unique ' || t.name || '(' || (SELECT group_concat(name) FROM \
             (SELECT name FROM pragma_index_info(i.name) ORDER BY seqno)) || ')' AS text \
             FROM sqlite_schema t JOIN pragma_index_list(t.name) i \
             WHERE t.type = 'table' AND i.\"unique\" AND t.name NOT LIKE '\\_\\_%' ESCAPE '\\'",
        )
    } else {
        (
            "SELECT table_name || '.' || column_name || ' ' || CASE data_type \
             WHEN 'bigint' THEN 'INTEGER' WHEN 'boolean' THEN 'INTEGER' WHEN 'bytea' THEN 'BLOB' \
             ELSE upper(data_type) END || \
             CASE is_nullable WHEN 'NO' THEN ' NOT NULL' ELSE '' END AS text \
             FROM information_schema.columns \
             WHERE table_schema = 'public' AND table_name NOT LIKE '\\_\\_%'",
            "SELECT 'unique ' || t.relname || '(' || (SELECT string_agg(a.attname, ',' ORDER BY n) \
             FROM unnest(i.indkey) WITH ORDINALITY AS k(col, n) \
             JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = k.col) || ')' AS text \
             FROM pg_index i JOIN pg_class t ON t.oid = i.indrelid \
             JOIN pg_namespace s ON s.oid = t.relnamespace \
             WHERE i.indisunique AND s.nspname = 'public' AND t.relname NOT LIKE '\\_\\_%'",
        )
    };
    let mut shape = BTreeSet::from_iter(raw::texts(url, columns).await);
    shape.extend(raw::texts(url, uniques).await);
    shape.extend(indexes(url).await.into_iter().map(|name| format!("index {name}")));
    shape
}

/// The indexes that were made by name.
async fn indexes(url: &str) -> Vec<String> {
    let sql = if url.starts_with("sqlite:") {
        "SELECT name AS text FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL"
    } else {
        "SELECT i.indexname::text AS text FROM pg_indexes i WHERE i.schemaname = 'public' \
         AND NOT EXISTS (SELECT 1 FROM pg_constraint c WHERE c.conname = i.indexname)"
    };
    raw::texts(url, sql).await
}

fn tables(shape: &BTreeSet<String>) -> BTreeSet<&str> {
    shape.iter().filter_map(|line| Some(line.split_once('.')?.0)).collect()
}

#[test]
fn both_folders_hold_the_same_versions_and_each_can_go_down() {
    let versions = |kind: &str| -> BTreeSet<String> {
        let entries = fs::read_dir(folder(kind)).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    };
    let sqlite = versions("sqlite");
    assert_eq!(sqlite, versions("postgres"));
    assert!(!sqlite.is_empty());
    for (kind, version) in ["sqlite", "postgres"]
        .iter()
        .flat_map(|kind| sqlite.iter().map(move |version| (kind, version)))
    {
        for direction in ["up.sql", "down.sql"] {
            let file = folder(kind).join(version).join(direction);
            assert!(fs::metadata(&file).is_ok_and(|meta| meta.len() > 0), "{}", file.display());
        }
    }
}

#[test]
fn both_folders_say_the_same_but_for_the_names_of_types() {
    for entry in fs::read_dir(folder("sqlite")).unwrap() {
        let version = entry.unwrap().file_name();
        let read = |kind: &str| {
            let text = fs::read_to_string(folder(kind).join(&version).join("up.sql")).unwrap();
            let text = text.replace("BIGINT", "INTEGER").replace("BOOLEAN", "INTEGER");
            let text = text.replace("BYTEA", "BLOB").replace(") STRICT;", ");");
            text.split_whitespace().collect::<Vec<_>>().join(" ")
        };
        assert_eq!(read("sqlite"), read("postgres"), "{version:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_database_is_brought_up_once_and_can_go_down_and_up_again() {
    let (url, _folder) = empty().await;
    let store = open(&url);
    let missing = pending(&store).await.unwrap();
    assert!(!missing.is_empty());
    let applied = migrate(&store).await.unwrap();
    assert_eq!(applied.len(), missing.len());
    assert_eq!(migrate(&store).await.unwrap(), Vec::<String>::new());
    assert_eq!(pending(&store).await.unwrap(), Vec::<String>::new());

    let before = shape(&url).await;
    assert_eq!(tables(&before), BTreeSet::from(TABLES));
    down(&url).await;
    assert_eq!(shape(&url).await, BTreeSet::new(), "something was left behind");
    assert_eq!(migrate(&store).await.unwrap(), applied);
    assert_eq!(shape(&url).await, before);
}

/// Runs in full where there is a PostgreSQL; the texts are compared everywhere, above.
#[tokio::test(flavor = "multi_thread")]
async fn both_databases_come_out_with_the_same_tables_columns_and_indexes() {
    let folder = tempfile::tempdir().unwrap();
    let file = format!("sqlite:{}", folder.path().join("keywright.db").display());
    migrate(&open(&file)).await.unwrap();
    let sqlite = shape(&file).await;
    assert_eq!(tables(&sqlite), BTreeSet::from(TABLES));
    let (other, _folder) = empty().await;
    migrate(&open(&other)).await.unwrap();
    assert_eq!(sqlite, shape(&other).await);
}

/// Instances of one deployment start at the same moment.
#[tokio::test(flavor = "multi_thread")]
async fn several_migrators_at_once_all_end_well_and_each_migration_runs_once() {
    let (url, _folder) = empty().await;
    let workers = (0..4).map(|_| {
        let store = open(&url);
        tokio::spawn(async move { migrate(&store).await })
    });
    let mut applied = Vec::new();
    for worker in workers.collect::<Vec<_>>() {
        applied.push(worker.await.unwrap().unwrap().len());
    }
    let versions = fs::read_dir(folder("sqlite")).unwrap().count();
    assert_eq!(applied.iter().sum::<usize>(), versions, "{applied:?}");
}

/// A database that a newer program has brought up to date, and with which programs work since that
/// migration.
async fn brought_up_by_newer(since: &str) -> (Store, String, tempfile::TempDir) {
    let (url, folder) = empty().await;
    let store = open(&url);
    migrate(&store).await.unwrap();
    let migration = "INSERT INTO __diesel_schema_migrations (version) VALUES ('99999999999999')";
    raw::run(&url, migration).await;
    let fact = format!("UPDATE facts SET value = {since} WHERE name = 'schema.works_since'");
    raw::run(&url, &fact).await;
    (store, url, folder)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schema_that_a_newer_program_made_is_refused_and_left_alone() {
    let (store, url, _folder) = brought_up_by_newer("99999999999999").await;
    let before = shape(&url).await;
    for refusal in [migrate(&store).await.unwrap_err(), pending(&store).await.unwrap_err()] {
        assert!(refusal.to_string().contains("99999999999999"), "{refusal}");
        assert!(refusal.to_string().contains("newer keywright"), "{refusal}");
    }
    assert_eq!(shape(&url).await, before);
}

/// FT-53: while servers are replaced one by one, one of the former version may start again beside those
/// of the next, whose migrations have run. It changes nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_schema_of_the_next_version_is_worked_with_where_that_says_so() {
    let newest = fs::read_dir(folder("sqlite")).unwrap();
    let number = |name: &str| name.split('_').next().and_then(|version| version.parse().ok());
    let newest: i64 = newest
        .filter_map(|entry| number(entry.unwrap().file_name().to_str().unwrap()))
        .max()
        .unwrap();
    let (store, url, _folder) = brought_up_by_newer(&newest.to_string()).await;
    let before = shape(&url).await;
    assert_eq!(pending(&store).await.unwrap(), Vec::<String>::new());
    assert_eq!(migrate(&store).await.unwrap(), Vec::<String>::new());
    assert_eq!(shape(&url).await, before);
    let since = raw::texts(
        &url,
        "SELECT CAST(value AS TEXT) AS text FROM facts WHERE name = 'schema.works_since'",
    );
    assert_eq!(since.await, [newest.to_string()], "the newer one's word stays");
}
