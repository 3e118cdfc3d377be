//! A backup is of one moment, whatever is written meanwhile.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use keywright::{
    foundation::ids::RecoveryId,
    store::{Access, QueryError, Store, facts, recovery_requests},
};

use super::{MOVED, back_up, config_of, empty_file, number, restore};
use crate::support::database::{SECRET_KEY, TestDatabase};

/// Each transaction counts in one table and leaves a row in another, far away in the file.
async fn write(store: Arc<Store>, stop: Arc<AtomicBool>) -> i64 {
    let mut written = 0;
    while !stop.load(Ordering::SeqCst) {
        let request = recovery_requests::RecoveryRequest {
            id: RecoveryId::new(format!("{written:06}")),
            name: "x".repeat(500),
            opened: "o".to_owned(),
            address: "a".to_owned(),
            asked_at: super::LATER,
        };
        let mut connection = store.connection().await.unwrap();
        connection
            .transaction(async |conn| {
                facts::increment(conn, "written").await?;
                recovery_requests::insert(conn, &request).await?;
                Ok::<_, QueryError>(())
            })
            .await
            .unwrap();
        written += 1;
    }
    written
}

/// FT-32.
#[tokio::test(flavor = "multi_thread")]
async fn a_backup_under_load_is_of_one_moment_and_holds_nobody_up() {
    let database = TestDatabase::new().await;
    let config = config_of(&database.url, &[SECRET_KEY]);
    let store = Arc::new(Store::open(&config.database, Access::Founder).unwrap());
    let stop = Arc::new(AtomicBool::new(false));
    let writer = tokio::spawn(write(Arc::clone(&store), Arc::clone(&stop)));
    let mut seen = Vec::new();
    while seen.len() < 6 {
        let (_, file) = back_up(&database.url).await;
        let (url, _folder) = empty_file();
        restore(&url, &file, MOVED).await.unwrap();
        let rows = number(&url, "SELECT count(*) FROM recovery_requests").await;
        let counted =
            number(&url, "SELECT coalesce(sum(value), 0) FROM facts WHERE name = 'written'").await;
        let highest =
            number(&url, "SELECT coalesce(max(CAST(id AS int)) + 1, 0) FROM recovery_requests");
        assert_eq!((counted, highest.await), (rows, rows), "not of one moment");
        seen.push(rows);
    }
    stop.store(true, Ordering::SeqCst);
    let written = writer.await.unwrap();
    assert!(seen.is_sorted() && seen[0] < seen[5] && seen[5] <= written, "{seen:?} of {written}");
}
