//! `keywright user`: local accounts, beside a running server or without one.

use serde_json::{Value, json};

use super::program::{Ended, Place};

const PASSWORD: &str = "correct horse battery";

fn place() -> Place {
    let place = Place::new();
    place.configure("[passwords]\nargon2_memory_kib = 64\nargon2_passes = 1\n");
    place
}

fn add(place: &Place, username: &str, more: &[&str]) -> Ended {
    let arguments = [&["user", "add", username, "--password-stdin"], more].concat();
    place.run_with_input(&arguments, &format!("{PASSWORD}\n"))
}

fn list(place: &Place) -> Vec<Value> {
    place.run(&["user", "list", "--json"]).ok().json().as_array().unwrap().clone()
}

#[test]
fn an_account_is_added_and_listed() {
    let place = place();
    place.run(&["migrate"]).ok();
    assert_eq!(list(&place), Vec::<Value>::new());
    let more =
        ["--email", "Anna@corp.test", "--name", "Anna Berg", "--group", "staff", "--group", "ops"];
    let added = add(&place, "Anna", &more).ok();
    assert!(added.out.contains("Anna"), "{added:?}");
    added.shows_none_of(&[PASSWORD, "argon2"]);
    place.run(&["user", "add", "bob"]).ok();

    let listed = list(&place);
    let names: Vec<&Value> = listed.iter().map(|user| &user["username"]).collect();
    assert_eq!(names, [&json!("Anna"), &json!("bob")]);
    let anna = &listed[0];
    assert_eq!(anna["email"], "Anna@corp.test");
    assert_eq!((&anna["email_verified"], &anna["has_password"]), (&json!(true), &json!(true)));
    assert_eq!((&anna["name"], &anna["disabled_at"]), (&json!("Anna Berg"), &Value::Null));
    assert_eq!(anna["groups"], json!(["staff", "ops"]));
    let bob = &listed[1];
    assert_eq!((&bob["email_verified"], &bob["has_password"]), (&Value::Null, &json!(false)));

    let table = place.run(&["user", "list"]).ok();
    let lines: Vec<&str> = table.out.lines().collect();
    assert!(lines[0].starts_with("USERNAME") && lines[1].contains("staff, ops"), "{table:?}");
    for ended in [&table, &place.run(&["user", "list", "--json"])] {
        ended.shows_none_of(&[PASSWORD, "$argon2"]);
    }
}

#[test]
fn what_cannot_be_an_account_is_refused_and_nothing_is_made() {
    let place = place();
    add(&place, "anna", &[]).ok();
    for (username, more, texts) in [
        ("anna", &[][..], ["\"anna\"", "taken"]),
        ("ANNA", &[], ["\"ANNA\"", "taken"]),
        ("admin", &[], ["\"admin\"", "reserved"]),
        ("", &[], ["\"\"", "1 to 64"]),
        ("a b", &[], ["\"a b\"", "letters"]),
        ("carl", &["--email", "not an address"], ["--email", "plain address"]),
    ] {
        add(&place, username, more).failed(1, &texts).shows_none_of(&[PASSWORD]);
    }
    let add = ["user", "add", "dora", "--password-stdin"];
    place.run_with_input(&add, "short\n").failed(1, &["password"]).shows_none_of(&["short\n"]);
    place.run_with_input(&add, "").failed(1, &["password"]);
    assert_eq!(list(&place).len(), 1);
}

#[test]
fn a_password_is_never_an_argument() {
    let place = place();
    let refused = place.run(&["user", "add", "anna", "--password", PASSWORD]);
    assert_ne!(refused.status, Some(0));
    add(&place, "anna", &[]).ok();
    let refused = place.run(&["user", "set-password", "anna"]);
    assert_ne!(refused.status, Some(0));
    assert!(refused.err.contains("--password-stdin"), "{refused:?}");
}

#[test]
fn an_account_is_shut_and_opened_again() {
    let place = place();
    add(&place, "anna", &[]).ok();
    // However it is written.
    place.run(&["user", "disable", "Anna"]).ok();
    assert_ne!(list(&place)[0]["disabled_at"], Value::Null);
    let table = place.run(&["user", "list"]).ok().out;
    assert!(table.contains("shut"), "{table}");
    place.run(&["user", "enable", "anna"]).ok();
    assert_eq!(list(&place)[0]["disabled_at"], Value::Null);
    place.run(&["user", "enable", "anna"]).failed(1, &["anna", "was not shut"]);
    for verb in ["disable", "enable"] {
        place.run(&["user", verb, "nobody"]).failed(1, &["nobody", "no account"]);
    }
}

#[test]
fn a_password_is_replaced() {
    const NEW: &str = "a quite different horse";
    let place = place();
    place.run(&["user", "add", "anna"]).ok();
    assert_eq!(list(&place)[0]["has_password"], false);
    let set = ["user", "set-password", "anna", "--password-stdin"];
    place.run_with_input(&set, NEW).ok().shows_none_of(&[NEW, "$argon2"]);
    assert_eq!(list(&place)[0]["has_password"], true);
    place.run_with_input(&set, "short").failed(1, &["password"]);
    let nobody = ["user", "set-password", "nobody", "--password-stdin"];
    place.run_with_input(&nobody, NEW).failed(1, &["nobody"]).shows_none_of(&[NEW]);
}
