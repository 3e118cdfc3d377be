//! The database is locked by somebody else, or gone.

use diesel_async::{AsyncConnection as _, AsyncPgConnection, SimpleAsyncConnection as _};

use super::{assert_come_back, assert_documents_work, assert_sign_in_is_not_possible};
use crate::{
    sessions::{SESSION, cookie, person_of},
    support::{
        app::TestApp,
        journey::{authorize_path, code_by_session, code_for, redeem, refresh, sign_in_on_page},
    },
};

/// Somebody who holds the database.
enum Holder {
    Sqlite(diesel::SqliteConnection),
    Postgres(Box<AsyncPgConnection>),
}

impl Holder {
    /// Takes all of it for writing.
    async fn take(url: &str) -> Self {
        use diesel::{Connection as _, connection::SimpleConnection as _};
        if let Some(file) = url.strip_prefix("sqlite:") {
            let mut connection = diesel::SqliteConnection::establish(file).unwrap();
            connection.batch_execute("PRAGMA busy_timeout = 5000; BEGIN EXCLUSIVE").unwrap();
            return Self::Sqlite(connection);
        }
        let mut connection = AsyncPgConnection::establish(url).await.unwrap();
        let lock = "BEGIN; LOCK TABLE sessions, grants, refresh_tokens IN EXCLUSIVE MODE";
        connection.batch_execute(lock).await.unwrap();
        Self::Postgres(Box::new(connection))
    }

    async fn let_go(self) {
        use diesel::connection::SimpleConnection as _;
        match self {
            Self::Sqlite(mut connection) => connection.batch_execute("ROLLBACK").unwrap(),
            Self::Postgres(mut connection) => connection.batch_execute("ROLLBACK").await.unwrap(),
        }
    }
}

async fn counts(app: &TestApp) -> [i64; 4] {
    let mut counts = [0; 4];
    let tables = ["users", "sessions", "grants", "refresh_tokens"];
    for (count, table) in counts.iter_mut().zip(tables) {
        *count = app.count(table).await;
    }
    counts
}

/// FT-23, FT-24: while somebody else holds the database, writing is 503 and never 500, reading goes
/// on, and nothing is written by halves; afterwards the same requests succeed.
#[tokio::test(flavor = "multi_thread")]
async fn a_locked_database_is_503_and_nothing_is_half_written() {
    let app = TestApp::start().await;
    app.add_user("bob", &[]).await;
    let mut browser = app.browser();
    let code = code_for(&mut browser, "web", "bob", &[]).await;
    let tokens = redeem(&app, "web", &code).await;
    let pending = code_by_session(&mut browser, "web", &[]).await;
    let mut waiting = app.browser();
    let page = waiting.visit(&authorize_path("web", &[])).await;
    let sign_out = browser.get("/logout").await;
    let secret = cookie(&browser, SESSION);
    let before = counts(&app).await;

    let holder = Holder::take(&app.database.url).await;
    let refresh_token = tokens.text("refresh_token");
    let form = sign_out.form();
    let (refreshed, redeemed, signed_in, signed_out) = tokio::join!(
        refresh(&app, "web", &refresh_token),
        redeem(&app, "web", &pending),
        sign_in_on_page(&mut waiting, &page, "bob"),
        browser.submit(&sign_out, &form),
    );
    assert_come_back(&refreshed);
    assert_come_back(&redeemed);
    assert_sign_in_is_not_possible(signed_in.last());
    assert_sign_in_is_not_possible(&signed_out);
    assert!(waiting.cookies().get(SESSION).is_none());
    assert_eq!(cookie(&browser, SESSION), secret, "nobody is told that they are signed out");
    assert_documents_work(&app).await;
    assert_eq!(person_of(&app, &secret).await.as_deref(), Some("bob"), "reading goes on");
    assert_eq!(counts(&app).await, before);
    holder.let_go().await;

    assert_eq!(counts(&app).await, before);
    let refreshed = refresh(&app, "web", &refresh_token).await;
    assert_eq!(refreshed.status, 200, "{refreshed:?}");
    let redeemed = redeem(&app, "web", &pending).await;
    assert_eq!(redeemed.status, 200, "the code was not burnt: {redeemed:?}");
    let journey = sign_in_on_page(&mut waiting, &page, "bob").await;
    assert!(journey.param("code").is_some(), "{:?}", journey.hops());
    let page = browser.submit(&sign_out, &form).await;
    assert_eq!(page.status, 200, "{}", page.text());
    assert_eq!(person_of(&app, &secret).await, None);
}

/// Lets nobody into a PostgreSQL database, or everybody again.
async fn set_open(url: &str, open: bool) {
    let name = url::Url::parse(url).unwrap().path().trim_start_matches('/').to_owned();
    let mut elsewhere = url::Url::parse(url).unwrap();
    elsewhere.set_path("postgres");
    let mut connection = AsyncPgConnection::establish(elsewhere.as_str()).await.unwrap();
    let sql = format!("ALTER DATABASE {name} ALLOW_CONNECTIONS {open}");
    connection.batch_execute(&sql).await.unwrap();
    if !open {
        let sql = format!(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
        );
        connection.batch_execute(&sql).await.unwrap();
    }
}

/// FT-12: PostgreSQL is gone and comes back: 503 meanwhile, keys and metadata from memory, and no
/// restart. (A SQLite file cannot be away.)
#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_gone_is_503_and_comes_back() {
    let app = TestApp::start().await;
    if !app.database.url.starts_with("postgres") {
        return;
    }
    app.add_user("bob", &[]).await;
    let mut browser = app.browser();
    let code = code_for(&mut browser, "web", "bob", &[]).await;
    let tokens = redeem(&app, "web", &code).await;
    let pending = code_by_session(&mut browser, "web", &[]).await;
    set_open(&app.database.url, false).await;
    assert_come_back(&refresh(&app, "web", &tokens.text("refresh_token")).await);
    assert_come_back(&redeem(&app, "web", &pending).await);
    let access_token = tokens.text("access_token");
    let form = [("token", access_token.as_str())];
    assert_come_back(&app.post_as("web", "/introspect", &form).await);
    assert_come_back(&app.post_as("web", "/revoke", &form).await);
    let bearer = format!("Bearer {}", tokens.text("access_token"));
    assert_eq!(app.get("/userinfo", Some(&bearer)).await.status, 503);
    assert_sign_in_is_not_possible(&browser.get("/account").await);
    assert_sign_in_is_not_possible(&browser.get(&authorize_path("web", &[])).await);
    assert_documents_work(&app).await;
    set_open(&app.database.url, true).await;

    let refreshed = refresh(&app, "web", &tokens.text("refresh_token")).await;
    assert_eq!(refreshed.status, 200, "{refreshed:?}");
    assert_eq!(redeem(&app, "web", &pending).await.status, 200);
    assert_eq!(browser.get("/account").await.status, 200);
    assert_eq!(app.count("grants").await, 2);
}

/// FT-14: after a fail-over the connections lead to a server that only reads. Writing is 503, reading goes on;
/// and when the address leads to one that writes again, so do we, with no restart: a connection that only
/// reads is not used again.
#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_only_reads_is_503_for_those_who_write() {
    let app = TestApp::start().await;
    if !app.database.url.starts_with("postgres") {
        return;
    }
    app.add_user("bob", &[]).await;
    let mut browser = app.browser();
    let code = code_for(&mut browser, "web", "bob", &[]).await;
    let tokens = redeem(&app, "web", &code).await;
    let pending = code_by_session(&mut browser, "web", &[]).await;
    let mut elsewhere = url::Url::parse(&app.database.url).unwrap();
    let name = elsewhere.path().trim_start_matches('/').to_owned();
    elsewhere.set_path("postgres");
    // As a fail-over does it, connections end, and new ones only read.
    let only_reads = format!("ALTER DATABASE {name} SET default_transaction_read_only = on");
    run(elsewhere.as_str(), &only_reads).await;
    set_open(&app.database.url, false).await;
    set_open(&app.database.url, true).await;
    let (access_token, refresh_token) = (tokens.text("access_token"), tokens.text("refresh_token"));
    // More often than there are connections, so that each has met it.
    for _ in 0..12 {
        assert_come_back(&refresh(&app, "web", &refresh_token).await);
        assert_come_back(&redeem(&app, "web", &pending).await);
        let form = [("token", access_token.as_str())];
        assert_come_back(&app.post_as("web", "/revoke", &form).await);
    }
    let bearer = format!("Bearer {access_token}");
    assert_eq!(app.get("/userinfo", Some(&bearer)).await.status, 200, "reading goes on");
    let writes = format!("ALTER DATABASE {name} RESET default_transaction_read_only");
    run(elsewhere.as_str(), &writes).await;
    // Each connection that is left is met once.
    let mut refreshed = refresh(&app, "web", &refresh_token).await;
    for _ in 0..8 {
        if refreshed.status == 503 {
            refreshed = refresh(&app, "web", &refresh_token).await;
        }
    }
    assert_eq!(refreshed.status, 200, "{refreshed:?}");
    let redeemed = redeem(&app, "web", &pending).await;
    assert_eq!(redeemed.status, 200, "the code was not burnt: {redeemed:?}");
}

/// Runs statements in a database, beside whoever works there.
async fn run(url: &str, sql: &str) {
    use diesel::{Connection as _, connection::SimpleConnection as _};
    if let Some(file) = url.strip_prefix("sqlite:") {
        let mut connection = diesel::SqliteConnection::establish(file).unwrap();
        connection.batch_execute(sql).unwrap();
    } else {
        let mut connection = AsyncPgConnection::establish(url).await.unwrap();
        diesel_async::SimpleAsyncConnection::batch_execute(&mut connection, sql).await.unwrap();
    }
}

/// The database says that its disk is full, for everything that apps and people write; or no longer.
async fn fill_disk(url: &str, full: bool) {
    let is_postgres = url.starts_with("postgres");
    let mut sql = String::new();
    if full && is_postgres {
        sql.push_str(
            "CREATE FUNCTION no_space() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
             RAISE EXCEPTION 'could not extend file \"base/5/7\": No space left on device' \
             USING ERRCODE = '53100'; END $$;",
        );
    }
    let does = if is_postgres {
        "FOR EACH STATEMENT EXECUTE FUNCTION no_space()"
    } else {
        "BEGIN SELECT RAISE(ABORT, 'database or disk is full'); END"
    };
    for table in ["sessions", "grants", "refresh_tokens", "revoked_access_tokens"] {
        for write in ["INSERT", "UPDATE"] {
            let name = format!("full_{table}_{write}");
            let statement = match (full, is_postgres) {
                (true, _) => format!("CREATE TRIGGER {name} BEFORE {write} ON {table} {does};"),
                (false, true) => format!("DROP TRIGGER {name} ON {table};"),
                (false, false) => format!("DROP TRIGGER {name};"),
            };
            sql.push_str(&statement);
        }
    }
    run(url, &sql).await;
}

/// FT-17, FT-27, IN-05: while the disk of the database is full, writing is 503 and no revocation is acknowledged
/// that was not stored; reading goes on, and afterwards everything does.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_503_for_those_who_write() {
    let app = TestApp::start().await;
    app.add_user("bob", &[]).await;
    let mut browser = app.browser();
    let code = code_for(&mut browser, "web", "bob", &[]).await;
    let tokens = redeem(&app, "web", &code).await;
    let pending = code_by_session(&mut browser, "web", &[]).await;
    let sign_out = browser.get("/logout").await;
    let mut waiting = app.browser();
    let page = waiting.visit(&authorize_path("web", &[])).await;
    let secret = cookie(&browser, SESSION);
    let before = counts(&app).await;
    fill_disk(&app.database.url, true).await;
    let (access_token, refresh_token) = (tokens.text("access_token"), tokens.text("refresh_token"));
    assert_come_back(&refresh(&app, "web", &refresh_token).await);
    assert_come_back(&redeem(&app, "web", &pending).await);
    for token in [&access_token, &refresh_token] {
        assert_come_back(&app.post_as("web", "/revoke", &[("token", token.as_str())]).await);
    }
    assert_sign_in_is_not_possible(sign_in_on_page(&mut waiting, &page, "bob").await.last());
    assert_sign_in_is_not_possible(&browser.submit(&sign_out, &sign_out.form()).await);
    let bearer = format!("Bearer {access_token}");
    assert_eq!(app.get("/userinfo", Some(&bearer)).await.status, 200, "reading goes on");
    assert_documents_work(&app).await;
    assert_eq!(person_of(&app, &secret).await.as_deref(), Some("bob"));
    assert_eq!(counts(&app).await, before);
    fill_disk(&app.database.url, false).await;
    let refreshed = refresh(&app, "web", &refresh_token).await;
    assert_eq!(refreshed.status, 200, "{refreshed:?}");
    let redeemed = redeem(&app, "web", &pending).await;
    assert_eq!(redeemed.status, 200, "the code was not burnt: {redeemed:?}");
    let page = browser.submit(&sign_out, &sign_out.form()).await;
    assert_eq!(page.status, 200, "{}", page.text());
    assert_eq!(person_of(&app, &secret).await, None);
}
