//! What befalls a deployment beside its requests: restarts, further instances, the command line,
//! and whoever gets at the database.

use std::{
    io::Write as _,
    process::{Command, Stdio},
    sync::Arc,
    time::Duration,
};

use diesel::{Connection as _, RunQueryDsl as _, connection::SimpleConnection as _};
use diesel_async::{AsyncConnection as _, AsyncPgConnection, SimpleAsyncConnection as _};

use crate::support::{
    app::{Builder, ISSUER, TestApp},
    database::SECRET_KEY,
};

/// Stops an instance and starts another on the same database. Nothing may hold the first any more.
pub(crate) async fn restarted(app: TestApp, change: impl FnOnce(Builder) -> Builder) -> TestApp {
    let builder = change(TestApp::builder().beside(&app));
    let tasks = app.app.tasks.clone();
    app.app.audit.flush().await;
    drop(app);
    tasks.close();
    let ended = tokio::time::timeout(Duration::from_secs(30), tasks.wait()).await;
    ended.expect("something still holds the stopped instance");
    builder.start().await
}

/// A deployment: two instances that share database and state where there can be two, else one.
pub(crate) async fn deployment(config: &str) -> Vec<Arc<TestApp>> {
    let first = TestApp::builder().config(config).start().await;
    let second = if first.app.store.kind() == "PostgreSQL" {
        Some(TestApp::builder().beside(&first).config(config).start().await)
    } else {
        None
    };
    std::iter::once(first).chain(second).map(Arc::new).collect()
}

/// Runs `keywright user ...` beside the server.
pub(crate) async fn user_verb(app: &TestApp, arguments: &[&str], input: &str) {
    verb(app, &[&["user"], arguments].concat(), input).await;
}

/// Runs the command line beside the server, and answers what it prints.
pub(crate) async fn verb(app: &TestApp, arguments: &[&str], input: &str) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_keywright"));
    command
        .args(arguments)
        .env("DATABASE_URL", &app.database.url)
        .env("SECRET_KEY", SECRET_KEY)
        .env("KEYWRIGHT_SERVER__ISSUER", ISSUER)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let input = input.to_owned();
    let run = move || {
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    };
    let output = tokio::task::spawn_blocking(run).await.unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// Runs SQL as somebody who got at the database.
pub(crate) async fn execute(app: &TestApp, sql: &str) {
    let url = &app.database.url;
    if let Some(file) = url.strip_prefix("sqlite:") {
        return sqlite(file).batch_execute(sql).unwrap();
    }
    let mut connection = AsyncPgConnection::establish(url).await.unwrap();
    connection.batch_execute(sql).await.unwrap();
}

/// A column of text, called `value` in the query.
pub(crate) async fn texts(app: &TestApp, sql: &str) -> Vec<String> {
    #[derive(diesel::QueryableByName)]
    struct Row {
        #[diesel(sql_type = diesel::sql_types::Text)]
        value: String,
    }
    let url = &app.database.url;
    let query = diesel::sql_query(sql);
    let rows: Vec<Row> = if let Some(file) = url.strip_prefix("sqlite:") {
        query.load(&mut sqlite(file)).unwrap()
    } else {
        let mut connection = AsyncPgConnection::establish(url).await.unwrap();
        diesel_async::RunQueryDsl::load(query, &mut connection).await.unwrap()
    };
    rows.into_iter().map(|row| row.value).collect()
}

/// The bytes of a column, of every row.
pub(crate) async fn bytes(app: &TestApp, table: &str, column: &str) -> Vec<Vec<u8>> {
    let in_hex = if app.database.url.starts_with("sqlite:") {
        format!("hex({column})")
    } else {
        format!("encode({column}, 'hex')")
    };
    let rows = texts(app, &format!("SELECT {in_hex} AS value FROM {table}")).await;
    let pair = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    rows.iter().map(|hex| hex.as_bytes().chunks(2).map(pair).collect()).collect()
}

/// Keeps everybody from writing to a table, and lets them read, until it is dropped.
pub(crate) struct WriteBlock {
    _sqlite: Option<diesel::SqliteConnection>,
    _postgres: Option<AsyncPgConnection>,
}

impl WriteBlock {
    pub(crate) async fn on(app: &TestApp, table: &str) -> Self {
        let url = &app.database.url;
        if let Some(file) = url.strip_prefix("sqlite:") {
            let mut connection = sqlite(file);
            connection.batch_execute("BEGIN IMMEDIATE").unwrap();
            return Self { _sqlite: Some(connection), _postgres: None };
        }
        let mut connection = AsyncPgConnection::establish(url).await.unwrap();
        let sql = format!("BEGIN; LOCK TABLE {table} IN SHARE MODE");
        connection.batch_execute(&sql).await.unwrap();
        Self { _sqlite: None, _postgres: Some(connection) }
    }
}

fn sqlite(file: &str) -> diesel::SqliteConnection {
    let mut connection = diesel::SqliteConnection::establish(file).unwrap();
    connection.batch_execute("PRAGMA busy_timeout = 10000; PRAGMA foreign_keys = ON").unwrap();
    connection
}
