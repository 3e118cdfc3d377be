//! `keywright key`: the signing keys, beside a running server.

use std::{collections::BTreeSet, time::Duration};

use serde_json::Value;

use super::program::{Place, Server};

fn list(place: &Place) -> Vec<Value> {
    place.run(&["key", "list", "--json"]).ok().json().as_array().unwrap().clone()
}

fn of(place: &Place, alg: &str) -> Vec<Value> {
    list(place).into_iter().filter(|key| key["alg"] == alg).collect()
}

fn kids(server: &Server) -> BTreeSet<String> {
    let jwks = server.get("/.well-known/jwks.json").unwrap().json();
    jwks["keys"].as_array().unwrap().iter().map(|key| text(key, "kid")).collect()
}

fn text(key: &Value, name: &str) -> String {
    key[name].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_listed_with_states_and_dates() {
    let place = Place::new();
    let server = place.serve().await;
    let keys = list(&place);
    let listed: BTreeSet<String> = keys.iter().map(|key| text(key, "kid")).collect();
    assert_eq!(listed, kids(&server));
    for key in &keys {
        assert_eq!(key["state"], "signing");
        assert!(key["published_at"].is_i64() && key["signs_until"].is_null(), "{key}");
        assert!(key.get("private_key").is_none() && key.get("d").is_none());
    }
    let table = place.run(&["key", "list"]).ok().out;
    assert!(table.starts_with("KID"), "{table}");
    assert!(listed.iter().all(|kid| table.contains(kid)), "{table}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_by_hand_announces_a_successor_and_changes_nothing_at_once() {
    let place = Place::new();
    let server = place.serve().await;
    let before = kids(&server);
    let rotated = place.run(&["key", "rotate", "--alg", "ES256"]).ok().out;
    let keys = of(&place, "ES256");
    let states: Vec<&Value> = keys.iter().map(|key| &key["state"]).collect();
    assert_eq!(states, ["signing", "announced"]);
    assert!(rotated.contains(&text(&keys[1], "kid")), "{rotated}");
    assert_eq!(keys[0]["signs_until"], keys[1]["signs_from"]);
    assert_eq!(of(&place, "RS256").len(), 1);
    assert_eq!(kids(&server), before);
    let again = place.run(&["key", "rotate", "--alg", "ES256"]).ok().out;
    assert!(again.contains("already"), "{again}");
    assert_eq!(of(&place, "ES256").len(), 2);
    place.run(&["key", "rotate"]).ok();
    assert_eq!(list(&place).len(), 6);
    place.run(&["key", "rotate", "--alg", "HS256"]).failed(1, &["HS256", "RS256, ES256 or EdDSA"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_thrown_away_leaves_a_running_server_within_seconds() {
    let place = Place::new();
    let server = place.serve().await;
    let dropped = text(&of(&place, "ES256")[0], "kid");
    let said = place.run(&["key", "drop", &dropped]).ok().out;
    let keys = of(&place, "ES256");
    let next = keys.iter().find(|key| key["state"] == "signing").unwrap();
    assert!(said.contains(&dropped) && said.contains(&text(next, "kid")), "{said}");
    let gone = keys.iter().find(|key| key["kid"] == dropped.as_str()).unwrap();
    assert_eq!(gone["state"], "gone");
    assert!(gone["dropped_at"].is_i64());
    // Servers look every second.
    for _ in 0..200 {
        if !kids(&server).contains(&dropped) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let now = kids(&server);
    assert!(!now.contains(&dropped) && now.contains(&text(next, "kid")), "{now:?}");
    assert_eq!(now.len(), 3);
    place.run(&["key", "drop", &dropped]).failed(1, &[dropped.as_str(), "no living key"]);
    place.run(&["key", "drop", "-no-such-key"]).failed(1, &["-no-such-key"]);
}

/// A verb that was given another secret key must not put a key there that no server can open.
#[tokio::test(flavor = "multi_thread")]
async fn another_secret_key_makes_no_keys() {
    const OTHER: &str = "another-secret-key-of-tests-fedcba9876543210";
    let mut place = Place::new();
    let mut server = place.serve().await;
    let before = list(&place);
    let kid = text(&before[0], "kid");
    place.set("SECRET_KEY", OTHER);
    for verb in [&["key", "rotate"][..], &["key", "drop", &kid]] {
        place.run(verb).failed(78, &["secrets.secret_key"]).shows_none_of(&[OTHER]);
    }
    assert_eq!(list(&place), before, "something was written");
    place.environment.remove("SECRET_KEY");
    server.signal("TERM");
    server.ended().await;
    place.serve().await;
}
