//! A database of its own for every test, copied from one that was brought up once.

use std::sync::Arc;

use diesel_async::{AsyncConnection as _, AsyncPgConnection, SimpleAsyncConnection as _};
use keywright::{
    app::{Ambient, App},
    config,
};
use tokio::sync::OnceCell;

use super::{canary, clock::TestClock};

/// The secret key of all tests.
pub(crate) const SECRET_KEY: &str = "0123456789abcdef-the-secret-key-of-tests";

static TEMPLATE: OnceCell<Template> = OnceCell::const_new();

enum Template {
    Sqlite(tempfile::TempDir),
    Postgres { server: String, name: String },
}

/// One test's database.
pub(crate) struct TestDatabase {
    /// What `database.url` has to be.
    pub(crate) url: String,
    _folder: Option<tempfile::TempDir>,
}

/// What `state.url` has to be, and whether it is shared between tests.
pub(crate) fn state_url() -> String {
    std::env::var("TEST_REDIS_URL").unwrap_or_else(|_| "memory:".to_owned())
}

impl TestDatabase {
    /// A fresh copy of the template, with schema and signing keys.
    pub(crate) async fn new() -> Self {
        canary::watch_logs();
        match TEMPLATE.get_or_init(make_template).await {
            Template::Sqlite(template) => {
                let folder = tempfile::tempdir().unwrap();
                let file = folder.path().join("keywright.db");
                std::fs::copy(template.path().join("keywright.db"), &file).unwrap();
                Self { url: format!("sqlite:{}", file.display()), _folder: Some(folder) }
            }
            Template::Postgres { server, name } => {
                let own = unique_name();
                run(server, &format!("CREATE DATABASE {own} TEMPLATE {name}")).await;
                Self { url: with_database(server, &own), _folder: None }
            }
        }
    }

    /// A database that is there already.
    pub(crate) fn at(url: String, folder: tempfile::TempDir) -> Self {
        Self { url, _folder: Some(folder) }
    }
}

fn unique_name() -> String {
    format!("t{}", uuid::Uuid::now_v7().simple())
}

async fn make_template() -> Template {
    if let Ok(server) = std::env::var("TEST_DATABASE_URL") {
        let name = unique_name();
        run(&server, &format!("CREATE DATABASE {name}")).await;
        fill(&with_database(&server, &name)).await;
        return Template::Postgres { server, name };
    }
    let folder = tempfile::tempdir().unwrap();
    fill(&format!("sqlite:{}", folder.path().join("keywright.db").display())).await;
    Template::Sqlite(folder)
}

/// Brings a database up as a server would, and lets go of it.
async fn fill(url: &str) {
    let text = format!(
        "[database]\nurl = {url:?}\nmax_connections = 1\n[secrets]\nsecret_key = {SECRET_KEY:?}\n\
         [passwords]\nargon2_memory_kib = 64\nargon2_passes = 1\n"
    );
    let config = config::parse(&text, &config::Environment::new()).unwrap();
    let ambient = Ambient { clock: Arc::new(TestClock::new()), ..Ambient::default() };
    let app = App::start(config, ambient).await.unwrap();
    let tasks = app.tasks.clone();
    drop(app);
    // The writer of audit events holds the database until its queue is gone.
    tasks.close();
    tasks.wait().await;
    canary::watch_events(url).await;
    if let Some(file) = url.strip_prefix("sqlite:") {
        // Everything has to be in the one file that is copied.
        let mut connection: diesel::SqliteConnection = diesel::Connection::establish(file).unwrap();
        diesel::connection::SimpleConnection::batch_execute(
            &mut connection,
            "PRAGMA wal_checkpoint(TRUNCATE)",
        )
        .unwrap();
    }
}

fn with_database(server: &str, name: &str) -> String {
    let mut url = url::Url::parse(server).unwrap();
    url.set_path(name);
    url.into()
}

pub(super) async fn run(server: &str, sql: &str) {
    for _ in 0..50 {
        let mut connection = AsyncPgConnection::establish(server).await.unwrap();
        match connection.batch_execute(sql).await {
            Ok(()) => return,
            // A template cannot be copied while the last connection to it is still closing.
            Err(error) if error.to_string().contains("being accessed") => {
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            }
            Err(error) => panic!("{sql}: {error}"),
        }
    }
    panic!("{sql}: the template stays in use");
}
