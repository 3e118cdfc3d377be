//! Empty databases, and statements past the store on connections of their own.

use diesel::{
    Connection as _, QueryableByName, SqliteConnection, connection::SimpleConnection as _,
};
use diesel_async::{
    AsyncConnection as _, AsyncPgConnection, RunQueryDsl as _, SimpleAsyncConnection as _,
};

#[derive(QueryableByName)]
struct Text {
    #[diesel(sql_type = diesel::sql_types::Text)]
    text: String,
}

pub(crate) fn sqlite(url: &str) -> SqliteConnection {
    let file = url.strip_prefix("sqlite:").unwrap();
    let mut connection = SqliteConnection::establish(file).unwrap();
    connection.batch_execute("PRAGMA busy_timeout = 5000").unwrap();
    connection
}

pub(crate) async fn postgres(url: &str) -> AsyncPgConnection {
    AsyncPgConnection::establish(url).await.unwrap()
}

/// The rows of a query whose only column is called `text`.
pub(crate) async fn texts(url: &str, sql: &str) -> Vec<String> {
    let query = diesel::sql_query(sql);
    let rows: Vec<Text> = if url.starts_with("sqlite:") {
        diesel::RunQueryDsl::load(query, &mut sqlite(url)).unwrap()
    } else {
        query.load(&mut postgres(url).await).await.unwrap()
    };
    rows.into_iter().map(|row| row.text).collect()
}

/// Runs statements past the store.
pub(crate) async fn run(url: &str, sql: &str) {
    if url.starts_with("sqlite:") {
        sqlite(url).batch_execute(sql).unwrap();
    } else {
        postgres(url).await.batch_execute(sql).await.unwrap();
    }
}

/// An empty database of the kind that this run uses.
pub(crate) async fn empty() -> (String, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let Ok(server) = std::env::var("TEST_DATABASE_URL") else {
        return (format!("sqlite:{}", folder.path().join("keywright.db").display()), folder);
    };
    let name = format!("m{}", uuid::Uuid::now_v7().simple());
    let create = format!("CREATE DATABASE {name}");
    postgres(&server).await.batch_execute(&create).await.unwrap();
    let mut url = url::Url::parse(&server).unwrap();
    url.set_path(&name);
    (url.into(), folder)
}
