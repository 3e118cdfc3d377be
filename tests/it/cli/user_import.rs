//! `keywright user import`: people of another system.

use serde_json::{Value, json};

use super::program::{Ended, Place};

const BCRYPT: &str = "$2b$05$EUaa4XgD.loFNAFo1AQdJ.ZyPhlgPxR.mawbVPfC21QbZrWKj1cza";

fn place() -> Place {
    let place = Place::new();
    place.configure("[passwords]\nargon2_memory_kib = 64\nargon2_passes = 1\n");
    place
}

fn import(place: &Place, lines: &str, more: &[&str]) -> Ended {
    std::fs::write(place.path("people.jsonl"), lines).unwrap();
    place.run(&[&["user", "import", "people.jsonl"], more].concat())
}

fn list(place: &Place) -> Vec<Value> {
    place.run(&["user", "list", "--json"]).ok().json().as_array().unwrap().clone()
}

fn people() -> String {
    let anna = json!({
        "username": "Anna", "email": "Anna@corp.test", "email_verified": true,
        "name": "Anna Berg", "groups": ["staff", "ops"], "roles": ["auditor"], "password_hash": BCRYPT,
        "created_at": "2019-05-17T11:30:00+02:00",
    });
    let bea = json!({ "username": "bea", "email": "bea@corp.test", "disabled": true });
    // Empty lines and the line ends of another system do no harm.
    format!("{anna}\r\n\n{bea}\n  \n{{\"username\":\"carl\"}}")
}

#[test]
fn people_come_with_all_that_is_known_of_them() {
    let place = place();
    let ended = import(&place, &people(), &[]).ok();
    assert!(ended.out.contains("3 people are imported"), "{ended:?}");
    ended.shows_none_of(&["$2b$"]);
    let listed = list(&place);
    assert_eq!(listed.len(), 3);
    let anna = &listed[0];
    assert_eq!((&anna["username"], &anna["name"]), (&json!("Anna"), &json!("Anna Berg")));
    assert_eq!(anna["email"], "Anna@corp.test");
    assert_eq!((&anna["email_verified"], &anna["has_password"]), (&json!(true), &json!(true)));
    assert_eq!(anna["groups"], json!(["staff", "ops"]));
    assert_eq!(anna["roles"], json!(["auditor"]));
    assert_eq!(anna["created_at"], 1_558_085_400);
    assert_eq!(anna["disabled_at"], Value::Null);
    let bea = &listed[1];
    assert_eq!((&bea["email_verified"], &bea["has_password"]), (&Value::Null, &json!(false)));
    assert_ne!(bea["disabled_at"], Value::Null);
    assert_eq!(listed[2]["email"], Value::Null);
}

#[test]
fn standard_input_is_a_file_too_and_json_an_answer() {
    let place = place();
    let ended = place.run_with_input(&["user", "import", "-", "--json"], &people()).ok();
    let expected = json!({ "read": 3, "imported": 3, "dry_run": false, "problems": [] });
    assert_eq!(ended.json(), expected);
    assert_eq!(list(&place).len(), 3);
}

#[test]
fn a_dry_run_stores_nothing_and_finds_what_a_real_one_would() {
    let place = place();
    place.run(&["migrate"]).ok();
    let ended = import(&place, &people(), &["--dry-run"]).ok();
    assert!(ended.out.contains("3 people can be imported"), "{ended:?}");
    let ended = import(&place, &people(), &["--dry-run", "--json"]).ok();
    assert_eq!((&ended.json()["read"], &ended.json()["imported"]), (&json!(3), &json!(0)));
    assert_eq!(list(&place).len(), 0);
    import(&place, &people(), &[]).ok();
    import(&place, &people(), &["--dry-run"]).failed(1, &["line 1: username: \"anna\" is taken"]);
    assert_eq!(list(&place).len(), 3);
}

/// Every problem is told with its line, and one is enough to store nothing.
#[test]
fn a_file_with_mistakes_changes_nothing_and_tells_all_of_them() {
    let place = place();
    let add = ["user", "add", "Dora", "--email", "dora@corp.test"];
    place.run(&add).ok();
    let lines = [
        (r#"{"username":"good"}"#.to_owned(), ""),
        ("not json".to_owned(), "JSON: expected"),
        (r#"{"username":"x","password":"plain"}"#.to_owned(), "JSON: unknown field `password`"),
        (r#"{"email":"a@corp.test"}"#.to_owned(), "JSON: missing field `username`"),
        (r#"{"username":"x","username":"y"}"#.to_owned(), "JSON: duplicate field"),
        (r#"{"username":"a b"}"#.to_owned(), "username: \"a b\" may contain letters"),
        (r#"{"username":"admin"}"#.to_owned(), "username: \"admin\" is reserved"),
        (r#"{"username":"GOOD"}"#.to_owned(), "username: \"GOOD\" stands on line 1 too"),
        (r#"{"username":"dora"}"#.to_owned(), "username: \"dora\" is taken"),
        (r#"{"username":"e","email":"a@b@c"}"#.to_owned(), "email: \"a@b@c\" is not a plain"),
        (
            r#"{"username":"f","email":"Dora@corp.test","email_verified":true}"#.to_owned(),
            "email: \"dora@corp.test\" is the verified address of another account",
        ),
        (r#"{"username":"g","email":"g@corp.test","email_verified":true}"#.to_owned(), ""),
        (
            r#"{"username":"h","email":"G@corp.test","email_verified":true}"#.to_owned(),
            "email: \"G@corp.test\" is verified on line 12 too",
        ),
        (
            r#"{"username":"i","email_verified":true}"#.to_owned(),
            "email_verified: there is no address",
        ),
        (r#"{"username":"j","name":"a\u0007b"}"#.to_owned(), "name: must have 1 to 200"),
        (r#"{"username":"k","groups":["ok",""]}"#.to_owned(), "groups: must have 1 to 200"),
        (r#"{"username":"r","roles":["a b"]}"#.to_owned(), "roles: \"a b\" must be 1 to 64"),
        (
            r#"{"username":"l","password_hash":"$md5$secret-part"}"#.to_owned(),
            "password_hash: cannot be checked",
        ),
        (
            format!(r#"{{"username":"m","password_hash":"{}"}}"#, BCRYPT.replace("$05$", "$31$")),
            "password_hash: cannot be checked",
        ),
        (
            r#"{"username":"n","created_at":"17.05.2019"}"#.to_owned(),
            "created_at: must be a moment",
        ),
        (
            r#"{"username":"o","created_at":"2999-01-01T00:00:00Z"}"#.to_owned(),
            "created_at: must be a moment of the past",
        ),
        (r#"{"username":"p","disabled":"yes"}"#.to_owned(), "JSON: invalid type"),
    ];
    let text: Vec<&str> = lines.iter().map(|(line, _)| line.as_str()).collect();
    let told: Vec<String> = lines
        .iter()
        .enumerate()
        .filter(|(_, (_, fault))| !fault.is_empty())
        .map(|(at, (_, fault))| format!("line {}: {fault}", at + 1))
        .collect();
    let mut expected: Vec<&str> = told.iter().map(String::as_str).collect();
    expected.push("nothing is stored; problems: 20");
    let ended = import(&place, &text.join("\n"), &[]);
    ended.shows_none_of(&["secret-part", "$2b$"]);
    ended.failed(1, &expected);
    let ended = import(&place, &text.join("\n"), &["--json"]);
    assert_eq!(ended.status, Some(1), "{ended:?}");
    let problems = ended.json()["problems"].as_array().unwrap().clone();
    assert_eq!(problems.len(), 20);
    assert_eq!((&problems[0]["line"], &problems[0]["field"]), (&json!(2), &json!("JSON")));
    assert_eq!(list(&place).len(), 1);
}

#[test]
fn what_is_no_file_or_too_much_is_refused() {
    let place = place();
    place.run(&["user", "import", "nowhere"]).failed(1, &["nowhere", "cannot be read"]);
    let bytes = [0xff, 0xfe, b'\n', b'{', b'}'];
    std::fs::write(place.path("bytes"), bytes).unwrap();
    place.run(&["user", "import", "bytes"]).failed(1, &["line 1: JSON", "line 2: JSON"]);
    let much = "\n".repeat(64 * 1_024 * 1_024 + 1);
    import(&place, &much, &[]).failed(1, &["more than 64 MiB", "divide the file"]);
    let empty = import(&place, "", &[]).ok();
    assert!(empty.out.contains("0 people"), "{empty:?}");
}

/// A thousand people come in one transaction, and a clash with one of them stops the next file whole.
#[test]
fn many_people_come_at_once() {
    let place = place();
    let lines: Vec<String> = (0..1_000)
        .map(|number| json!({ "username": format!("person{number}"), "password_hash": BCRYPT }))
        .map(|line| line.to_string())
        .collect();
    import(&place, &lines.join("\n"), &[]).ok();
    assert_eq!(list(&place).len(), 1_000);
    let again = format!("{}\n{}", json!({ "username": "one-more" }), lines[999]);
    import(&place, &again, &[]).failed(1, &["line 2: username: \"person999\" is taken"]);
    assert_eq!(list(&place).len(), 1_000);
}
