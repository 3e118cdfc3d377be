//! The ways in which Redis is run: with users of few rights, behind sentinels, as a cluster. Where
//! `redis-server` is not installed there is nothing to start, and these say nothing.

use std::{process::Command, time::Duration};

use keywright::{ephemeral::KeyKind, foundation::clock::Span};

use super::{Subject, conformance::keeps_every_promise, fresh_key};
use crate::support::redis_server::RedisServer;

const LONG: Span = Span::from_minutes(10);

/// The rights that docs/operations.md names are enough, and it is they that count.
#[tokio::test(flavor = "multi_thread")]
async fn a_user_of_few_rights_is_enough() {
    let Some(redis) = RedisServer::start() else { return };
    admit_us(&redis);
    assert_eq!(redis.say("ACL SETUSER default off").as_deref(), Some("+OK\r\n"));
    let url = format!("redis://keywright:of-the-test@127.0.0.1:{}/0", redis.port());
    keeps_every_promise(Subject::redis_at(&url)).await;
    for wrong in ["redis://keywright:wrong@127.0.0.1", "redis://127.0.0.1"] {
        let subject = Subject::redis_at(&format!("{wrong}:{}/0", redis.port()));
        let said = subject.store.ping().await.unwrap_err().to_string();
        assert!(!said.contains("wrong") || said.contains("WRONGPASS"), "{said}");
    }
}

/// Lets us in with the rights that docs/operations.md names.
fn admit_us(redis: &RedisServer) {
    let docs = include_str!("../../../docs/operations.md");
    let rule = docs.lines().find_map(|line| line.trim().strip_prefix("ACL SETUSER keywright "));
    let rule = rule.expect("the rule in docs/operations.md").replace("PASSWORD", "of-the-test");
    let answer = redis.say(&format!("ACL SETUSER keywright {rule}"));
    assert_eq!(answer.as_deref(), Some("+OK\r\n"), "{rule}");
}

/// Every command is about one key, wherever that lives.
#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_keeps_every_promise() {
    let node = || RedisServer::start_with(&["--cluster-enabled", "yes"]);
    let (Some(a), Some(b), Some(c)) = (node(), node(), node()) else { return };
    let places = [&a, &b, &c].map(|node| format!("127.0.0.1:{}", node.port()));
    let made = Command::new("redis-cli")
        .args(["--cluster", "create"])
        .args(&places)
        .args(["--cluster-replicas", "0", "--cluster-yes"])
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stdout));
    let subject = Subject::redis_at(&format!("redis+cluster://{},{}", places[0], places[1]));
    for _ in 0..200 {
        // The nodes agree a moment after they are told.
        if subject.store.put(&fresh_key(KeyKind::Interaction), b"x", LONG).await.is_ok() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    keeps_every_promise(subject).await;
    let kept = [&a, &b, &c].map(|node| node.say("DBSIZE").unwrap());
    assert!(kept.iter().all(|size| size != ":0\r\n"), "each node has its share: {kept:?}");
}

/// FT-06: the sentinels say who the master is, also when it is another one than before.
#[tokio::test(flavor = "multi_thread")]
async fn sentinels_name_the_master() {
    let Some(mut master) = RedisServer::start() else { return };
    let follow = ["--replicaof", "127.0.0.1", &master.port().to_string()];
    let replica = RedisServer::start_with(&follow).unwrap();
    let sentinel = RedisServer::sentinel_of(&master, "main");
    for server in [&master, &replica] {
        admit_us(server);
    }
    let us = "keywright:of-the-test";
    let url = format!("redis+sentinel://{us}@127.0.0.1:{}/main/0", sentinel.port());
    let subject = Subject::redis_at(&url);
    keeps_every_promise(Subject::redis_at(&url)).await;

    until("the replica is known", || {
        sentinel.say("SENTINEL replicas main").is_some_and(|said| !said.starts_with("*0"))
    })
    .await;
    let key = fresh_key(KeyKind::Interaction);
    subject.store.put(&key, b"kept", LONG).await.unwrap();
    until("the replica has it", || replica.say("DBSIZE").is_some_and(|size| size != ":0\r\n"))
        .await;
    master.kill();
    // Until then, what needs Redis says so.
    for _ in 0..400 {
        if subject.store.get(&key).await.is_ok() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let key_of_later = fresh_key(KeyKind::Interaction);
    assert_eq!(subject.store.get(&key).await.unwrap().as_deref(), Some(&b"kept"[..]));
    subject.store.put(&key_of_later, b"new", LONG).await.unwrap();
    assert_eq!(subject.store.take(&key_of_later).await.unwrap().as_deref(), Some(&b"new"[..]));
}

async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    for _ in 0..400 {
        if is_so() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{what}: not within twenty seconds");
}
