//! Transactions, above all the ones whose request goes away in the middle.

use std::{
    future::pending,
    sync::{Arc, Mutex},
    time::Duration,
};

use keywright::store::{Store, StoreError, facts};
use tokio::sync::Notify;

use super::{connection, fresh};

/// The next writer must get its turn long before anything else would time out.
async fn write(store: &Store, name: &str) {
    let writing = async { facts::raise(&mut connection(store).await, name, 1).await.unwrap() };
    let written = tokio::time::timeout(Duration::from_secs(20), writing).await;
    assert!(written.expect("a lock was left behind"), "{name} was there already");
}

async fn value(store: &Store, name: &str) -> Option<i64> {
    facts::find(&mut connection(store).await, name).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn all_of_a_transaction_is_kept_or_nothing() {
    let (store, _database) = fresh().await;
    let mut conn = store.connection().await.unwrap();
    let kept = conn
        .transaction(async |conn| {
            facts::raise(conn, "one", 1).await?;
            facts::raise(conn, "two", 2).await?;
            Ok::<_, StoreError>("kept")
        })
        .await;
    assert_eq!(kept.unwrap(), "kept");
    let undone = conn
        .transaction(async |conn| {
            facts::raise(conn, "one", 10).await?;
            facts::raise(conn, "three", 3).await?;
            Err::<(), _>(StoreError::Unreachable("on purpose".to_owned()))
        })
        .await;
    assert!(undone.unwrap_err().to_string().contains("on purpose"));
    // The same connection goes on working, outside of any transaction.
    facts::raise(&mut conn, "four", 4).await.unwrap();
    drop(conn);
    for (name, expected) in [("one", Some(1)), ("two", Some(2)), ("three", None), ("four", Some(4))]
    {
        assert_eq!(value(&store, name).await, expected, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn others_see_a_transaction_only_when_it_is_complete() {
    let (store, _database) = fresh().await;
    let mut conn = store.connection().await.unwrap();
    let seen = conn
        .transaction(async |conn| {
            facts::raise(conn, "mine", 1).await?;
            Ok::<_, StoreError>(value(&store, "mine").await)
        })
        .await;
    assert_eq!(seen.unwrap(), None);
    assert_eq!(value(&store, "mine").await, Some(1));
}

/// A client that goes away in the middle: the web server drops the handler's future. More often
/// than the pool has connections, so that one kept back in a transaction would be met again.
#[tokio::test(flavor = "multi_thread")]
async fn a_future_dropped_inside_a_transaction_leaves_no_lock_and_no_row() {
    let (store, _database) = fresh().await;
    for round in 0..40 {
        let name = format!("lost-{round}");
        let inside = Arc::new(Notify::new());
        let (other, signal, row) = (Arc::clone(&store), Arc::clone(&inside), name.clone());
        let request = tokio::spawn(async move {
            let mut conn = connection(&other).await;
            conn.transaction(async |conn| {
                facts::raise(conn, &row, 1).await?;
                signal.notify_one();
                pending::<Result<(), StoreError>>().await
            })
            .await
        });
        inside.notified().await;
        request.abort();
        assert!(request.await.unwrap_err().is_cancelled());
        write(&store, &format!("next-{round}")).await;
        assert_eq!(value(&store, &name).await, None, "round {round}");
    }
}

/// The same, but dropped wherever it happens to be: waiting for the connection, in `BEGIN`, in a
/// statement, in `COMMIT`. Only a transaction whose end was seen must be there; half of one never.
#[tokio::test(flavor = "multi_thread")]
async fn a_future_dropped_at_any_moment_leaves_no_lock_and_no_half() {
    let (store, _database) = fresh().await;
    let mut ended = 0;
    for round in 0..120_u64 {
        let (left, right) = (format!("left-{round}"), format!("right-{round}"));
        let work = async {
            let mut conn = connection(&store).await;
            conn.transaction(async |conn| {
                facts::raise(conn, &left, 1).await?;
                facts::raise(conn, &right, 1).await?;
                Ok::<_, StoreError>(())
            })
            .await
            .unwrap();
        };
        let seen = tokio::time::timeout(Duration::from_micros(round * 40), work).await.is_ok();
        write(&store, &format!("next-{round}")).await;
        let halves = (value(&store, &left).await, value(&store, &right).await);
        assert_eq!(halves.0, halves.1, "round {round}");
        assert!(!seen || halves == (Some(1), Some(1)), "round {round}: lost what was acknowledged");
        ended += u32::from(seen);
    }
    assert!(ended < 120, "no future was ever dropped in the middle");
}

/// A single statement that is given up spoils nothing for whoever gets its connection next.
#[tokio::test(flavor = "multi_thread")]
async fn a_statement_that_was_given_up_does_not_answer_the_next_one() {
    let (store, _database) = fresh().await;
    write(&store, "a").await;
    facts::raise(&mut connection(&store).await, "b", 2).await.unwrap();
    for round in 0..60_u64 {
        let first = async { facts::find(&mut connection(&store).await, "a").await };
        let _ = tokio::time::timeout(Duration::from_micros(round * 20), first).await;
        assert_eq!(value(&store, "b").await, Some(2), "round {round}");
    }
}

/// Writers that wait for each other inside transactions all get their turn.
#[tokio::test(flavor = "multi_thread")]
async fn many_transactions_at_once_lose_no_update() {
    let (store, _database) = fresh().await;
    let failures = Arc::new(Mutex::new(Vec::new()));
    let workers = (0..24).map(|_| {
        let (store, failures) = (Arc::clone(&store), Arc::clone(&failures));
        tokio::spawn(async move {
            let mut conn = connection(&store).await;
            let done = conn
                .transaction(async |conn| {
                    facts::increment(conn, "counter").await?;
                    facts::increment(conn, "counter").await?;
                    Ok::<_, StoreError>(())
                })
                .await;
            if let Err(error) = done {
                failures.lock().unwrap().push(error.to_string());
            }
        })
    });
    for worker in workers.collect::<Vec<_>>() {
        worker.await.unwrap();
    }
    assert_eq!(*failures.lock().unwrap(), Vec::<String>::new());
    assert_eq!(value(&store, "counter").await, Some(48));
}
