//! `keywright user set`: what is said about accounts.

use serde_json::json;

use super::program::{Ended, Place};

const ATTRIBUTES: &str = "[[attributes]]\nname = \"department\"\nlabel = \"Department\"\n\
    [[attributes]]\nname = \"level\"\nlabel = \"Level\"\ntype = \"number\"\n\
    visibility = \"internal\"\nchanged_by = \"admin\"\n";

fn run(place: &Place, line: &str) -> Ended {
    place.run(&line.split(' ').collect::<Vec<_>>())
}

#[test]
fn administrators_say_whatever_is_declared() {
    let place = Place::new();
    place.configure(ATTRIBUTES);
    place.run(&["migrate"]).ok();
    run(&place, "user add anna").ok();
    assert_eq!(run(&place, "user set anna --json").ok().json(), json!({}));
    let said = run(&place, "user set ANNA department=Sales level=3 --json").ok().json();
    assert_eq!(said, json!({"department": "Sales", "level": 3}));
    run(&place, "user set anna level=3").ok();
    let said = run(&place, "user set anna department= --json").ok().json();
    assert_eq!(said, json!({"level": 3}));
    assert!(run(&place, "user set anna").ok().out.contains("level"));
    let told = run(&place, "audit tail --json").ok().out;
    assert_eq!(told.matches("attributes_set").count(), 2, "only what changes is kept: {told}");
    for (line, texts) in [
        ("user set anna level=high", ["level=high", "a whole number"]),
        ("user set anna colour=red", ["\"colour\"", "[[attributes]]"]),
        ("user set anna department", ["\"department\"", "ATTRIBUTE=VALUE"]),
        ("user set nobody level=1", ["\"nobody\"", "no account"]),
    ] {
        run(&place, line).failed(1, &texts);
    }
    assert_eq!(run(&place, "user set anna --json").ok().json(), json!({"level": 3}));
}
