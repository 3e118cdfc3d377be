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
    place.run_with_input(&add, "shrt\n").failed(1, &["at least 8"]).shows_none_of(&["shrt"]);
    place.run_with_input(&add, "").failed(1, &["password"]);
    assert_eq!(list(&place).len(), 1);
}

#[test]
fn a_password_is_never_an_argument() {
    let place = place();
    let refused = place.run(&["user", "add", "anna", "--password", PASSWORD]);
    assert_ne!(refused.status, Some(0));
    add(&place, "anna", &[]).ok();
    let set = ["user", "set-password", "anna"];
    place.run(&set).failed(1, &["the password is empty"]);
    // Where standard input is no terminal, there is no question where the password comes from.
    place.run_with_input(&set, "a quite different horse\n").ok();
}

/// PW-01: one rule on every path, and every reason is said.
#[test]
fn a_password_that_is_easy_to_guess_is_refused() {
    let place = place();
    let person = ["--email", "anna@corp.test", "--name", "Anna Elisabeth Berg"];
    add(&place, "anna", &person).ok();
    let long = "correct horse ".repeat(5_000);
    for (password, reason) in [
        ("password1", "one of the most common"),
        ("elisabeth berg", "own name or address"),
        ("anna@corp.test", "own name or address"),
        ("abcdefghijkl", "easy to guess"),
        ("short", "at least 8 characters"),
        ("correct\thorse battery", "control character"),
        (&long, "at most 1024 characters"),
        (&long[..1_100], "at most 1024 characters"),
    ] {
        for verb in [&["user", "set-password", "anna", "--password-stdin"][..], &add_bea(&person)] {
            let refused = place.run_with_input(verb, password);
            refused.failed(1, &["the password", reason]).shows_none_of(&["elisabeth"]);
        }
    }
    assert_eq!(list(&place).len(), 1);
}

fn add_bea<'a>(person: &[&'a str]) -> Vec<&'a str> {
    [&["user", "add", "bea", "--password-stdin"], person].concat()
}

/// PW-01: a list of leaked passwords counts, and one that cannot be searched is a wrong setting.
#[test]
fn a_leaked_password_is_refused() {
    let place = place();
    let configure = |list: &str| {
        let list = place.path(list);
        place.configure(&format!(
            "[passwords]\nargon2_memory_kib = 64\nargon2_passes = 1\nbreached_list = {list:?}\n"
        ));
    };
    // The SHA-1 of the password, as a public list has it.
    let line = "98DECC62ECE399A22ED30D490EF333BE7FDE7385:3\n";
    std::fs::write(place.path("leaked"), line).unwrap();
    std::fs::write(place.path("unsorted"), format!("{line}00DECC62ECE399A22ED3\n")).unwrap();
    configure("leaked");
    add(&place, "anna", &[]).failed(1, &["the password has appeared in a leak"]);
    let other = ["user", "add", "anna", "--password-stdin"];
    place.run_with_input(&other, "a quite different horse").ok();
    for (list, fault) in [("unsorted", "stands before"), ("nowhere", "No such file")] {
        configure(list);
        let setting = "passwords.breached_list";
        add(&place, "bea", &[]).failed(1, &[setting, list, "LC_ALL=C sort", fault]);
        place.run(&["serve"]).failed(1, &[setting, list, "LC_ALL=C sort", fault]);
    }
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
