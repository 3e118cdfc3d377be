//! `keywright user approve|refuse`, and who waits.

use serde_json::json;

use super::program::{Ended, Place};
use crate::stores::raw;

fn run(place: &Place, line: &str) -> Ended {
    place.run(&line.split(' ').collect::<Vec<_>>())
}

fn waiting(place: &Place) -> Vec<String> {
    let all = run(place, "user list --waiting --json").ok().json();
    let names = all.as_array().unwrap().iter();
    names.map(|user| user["username"].as_str().unwrap().to_owned()).collect()
}

/// People who have made an account and wait.
async fn place_with(names: &[&str]) -> Place {
    let place = Place::new();
    place.configure("[secrets]\nsecret_key = \"0123456789abcdef-a-secret-key-of-tests\"\n");
    place.run(&["migrate"]).ok();
    let url = format!("sqlite:{}", place.path("data/keywright.db").display());
    for name in names {
        place.run(&["user", "add", name, "--email", &format!("{name}@corp.test")]).ok();
        let key = format!("username_key = '{name}'");
        raw::run(&url, &format!("UPDATE users SET disabled_at = 1 WHERE {key}")).await;
        let row = format!("SELECT id, 1 FROM users WHERE {key}");
        raw::run(&url, &format!("INSERT INTO waiting_accounts (user_id, asked_at) {row}")).await;
    }
    place
}

fn actions(place: &Place) -> String {
    run(place, "audit tail --json").ok().out
}

#[test]
fn approval_is_set_shown_and_reset() {
    let place = Place::new();
    place.run(&["migrate"]).ok();
    let shown = || run(&place, "signup show --json").ok().json()["approval"].clone();
    assert_eq!(shown(), json!({"needed": false, "said_by": "configuration"}));
    let told = run(&place, "signup set --approval on").ok().out;
    assert!(told.contains("wait for an administrator"), "{told}");
    assert_eq!(shown(), json!({"needed": true, "said_by": "run time"}));
    run(&place, "signup set --approval off --local open").ok();
    assert_eq!(shown(), json!({"needed": false, "said_by": "run time"}));
    run(&place, "signup reset").ok();
    place.configure("[signup]\napproval = true\n");
    assert_eq!(shown(), json!({"needed": true, "said_by": "configuration"}));
    assert_ne!(run(&place, "signup set --approval maybe").status, Some(0));
    place.configure("[signup]\napproval = \"often\"\n");
    run(&place, "config check").failed(78, &["signup.approval", "often", "true or false"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_is_approved_or_refused() {
    let place = place_with(&["anna", "bert", "carl"]).await;
    run(&place, "user add dora").ok();
    assert_eq!(waiting(&place), ["anna", "bert", "carl"]);
    let table = run(&place, "user list").ok().out;
    assert_eq!((table.matches("waits").count(), table.matches("open").count()), (3, 1), "{table}");
    run(&place, "user enable anna").failed(1, &["waits for approval", "user approve anna"]);
    run(&place, "user recover anna").failed(1, &["anna is shut"]);
    let told = run(&place, "user approve ANNA").ok().out;
    assert!(told.contains("anna can sign in now") && told.contains("do it yourself"), "{told}");
    run(&place, "user refuse bert").ok();
    run(&place, "user disable carl").ok();
    assert_eq!(waiting(&place), [""; 0]);
    let table = run(&place, "user list").ok().out;
    assert!(!table.contains("bert") && table.contains("shut"), "{table}");
    for (line, texts) in [
        ("user approve anna", ["anna does not wait", "user list --waiting"]),
        ("user approve carl", ["carl does not wait", "user list --waiting"]),
        ("user refuse anna", ["anna does not wait", "user list --waiting"]),
        ("user approve bert", ["there is no account \"bert\"", "user list"]),
        ("user refuse nobody", ["there is no account \"nobody\"", "user list"]),
    ] {
        run(&place, line).failed(1, &texts);
    }
    let told = actions(&place);
    for action in ["account_approved", "account_refused", "user_disabled"] {
        assert_eq!(told.matches(action).count(), 1, "{action}: {told}");
    }
    assert!(told.contains("bert"), "the event names who is gone: {told}");
}
