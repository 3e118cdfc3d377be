//! Purging: only what has expired goes, a few rows at a time.

use keywright::{
    foundation::{clock::Timestamp, ids::KeyId},
    jobs,
    store::{
        Connection, StoreError, audit_events,
        purge::{self, BATCH},
        revoked_access_tokens, signing_keys,
    },
};

use super::{
    connection, fresh,
    rows::{NOW, event, insert_family, insert_session, insert_user},
};
use crate::support::{app::TestApp, clock::START};

const TABLES: [&str; 5] =
    ["sessions", "grants", "refresh_tokens", "revoked_access_tokens", "audit_events"];

fn at(offset: i64) -> Timestamp {
    Timestamp::from_unix(START + offset)
}

/// One row of each kind that ends, or happened, at this moment.
async fn insert_all(conn: &mut Connection, name: &str, at: Timestamp) {
    let user = insert_user(conn, name).await;
    insert_session(conn, &user, name, at).await;
    insert_family(conn, &user, name, at).await;
    assert_eq!(revoked_access_tokens::insert(conn, name, at).await.unwrap(), 1);
    assert_eq!(audit_events::insert(conn, &event(name, at)).await.unwrap(), 1);
}

/// Names of what is left in a table.
async fn left(url: &str, table: &str) -> Vec<String> {
    let sql = match table {
        "revoked_access_tokens" => "SELECT jti AS text FROM revoked_access_tokens ORDER BY 1",
        "audit_events" => "SELECT id AS text FROM audit_events WHERE action = 'test' ORDER BY 1",
        "sessions" => "SELECT id AS text FROM sessions WHERE id <> 'the session' ORDER BY 1",
        "grants" => {
            "SELECT u.username AS text FROM grants g JOIN users u ON u.id = g.user_id ORDER BY 1"
        }
        _ => {
            "SELECT u.username AS text FROM refresh_tokens r JOIN grants g ON g.id = r.grant_id \
             JOIN users u ON u.id = g.user_id ORDER BY 1"
        }
    };
    super::raw::texts(url, sql).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_deletes_what_ended_before_the_moment_and_nothing_else() {
    let (store, database) = fresh().await;
    let mut conn = connection(&store).await;
    for (name, offset) in [("before", -1), ("exactly", 0), ("after", 1)] {
        insert_all(&mut conn, name, at(offset)).await;
    }
    assert_eq!(purge::sessions(&mut conn, NOW).await.unwrap(), 1);
    assert_eq!(purge::grants(&mut conn, NOW).await.unwrap(), 1);
    assert_eq!(purge::revoked_access_tokens(&mut conn, NOW).await.unwrap(), 1);
    assert_eq!(purge::audit_events(&mut conn, NOW).await.unwrap(), 1);
    for table in TABLES {
        assert_eq!(left(&database.url, table).await, ["after", "exactly"], "{table}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_deletes_one_batch_at_most() {
    let (store, database) = fresh().await;
    let mut conn = connection(&store).await;
    let batch = usize::try_from(BATCH).unwrap();
    conn.transaction(async |conn| {
        let user = insert_user(conn, "alice").await;
        for number in 0..batch + 3 {
            insert_session(conn, &user, &format!("old-{number}"), at(-1)).await;
        }
        insert_session(conn, &user, "living", at(1)).await;
        Ok::<_, StoreError>(())
    })
    .await
    .unwrap();
    assert_eq!(purge::sessions(&mut conn, NOW).await.unwrap(), batch);
    assert_eq!(left(&database.url, "sessions").await.len(), 4);
    assert_eq!(purge::sessions(&mut conn, NOW).await.unwrap(), 3);
    assert_eq!(purge::sessions(&mut conn, NOW).await.unwrap(), 0);
    assert_eq!(left(&database.url, "sessions").await, ["living"]);
}

/// The job keeps what ended for a week, and audit events for ninety days, for whoever asks why.
#[tokio::test(flavor = "multi_thread")]
async fn the_job_deletes_every_batch_and_keeps_what_is_still_of_use() {
    const DAY: i64 = 86_400;
    let app = TestApp::start().await;
    let mut conn = connection(&app.app.store).await;
    insert_all(&mut conn, "living", at(DAY)).await;
    insert_all(&mut conn, "ended", at(-DAY)).await;
    insert_all(&mut conn, "long-ended", at(-8 * DAY)).await;
    insert_all(&mut conn, "ancient", at(-91 * DAY)).await;
    conn.transaction(async |conn| {
        for number in 0..=BATCH {
            let event = event(&format!("old-{number}"), at(-91 * DAY));
            audit_events::insert(conn, &event).await?;
        }
        Ok::<_, StoreError>(())
    })
    .await
    .unwrap();
    drop(conn);

    jobs::purge(&app.app).await.unwrap();
    let url = &app.database.url;
    for table in ["sessions", "grants", "refresh_tokens"] {
        assert_eq!(left(url, table).await, ["ended", "living"], "{table}");
    }
    assert_eq!(left(url, "revoked_access_tokens").await, ["living"]);
    assert_eq!(left(url, "audit_events").await, ["ended", "living", "long-ended"]);
    assert_eq!(app.count("users").await, 4, "people are never purged");
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_forgotten_long_after_they_left_the_jwks_and_never_before() {
    let app = TestApp::start().await;
    let mut conn = connection(&app.app.store).await;
    let keys = signing_keys::list(&mut conn).await.unwrap();
    let gone: KeyId = keys[0].id.clone();
    signing_keys::retire(&mut conn, &gone, NOW, at(60)).await.unwrap();
    drop(conn);
    for (days, count) in [(1, 3), (30, 2), (400, 2)] {
        app.clock.advance(START + days * 86_400 + 120 - app.clock.unix());
        jobs::purge(&app.app).await.unwrap();
        let mut conn = connection(&app.app.store).await;
        let left = signing_keys::list(&mut conn).await.unwrap();
        assert_eq!(left.len(), count, "after {days} days");
        assert_eq!(left.iter().any(|key| key.id == gone), count == 3);
    }
}
