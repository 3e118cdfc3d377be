//! `keywright token`: tokens that an administrator makes and revokes.

use serde_json::{Value, json};

use super::program::Place;

const SETTINGS: &str = r#"
[[clients]]
id = "notes"
name = "Notes"
secret = "notes-secret-0123456789"
redirect_uris = ["https://web.test/cb"]
scopes = ["openid", "notes:read"]
"#;

fn place() -> Place {
    let place = Place::new();
    place.configure(SETTINGS);
    place.run(&["user", "add", "anna"]).ok();
    place.run(&["user", "add", "backup", "--service", "--group", "machines"]).ok();
    place
}

fn create(user: &str, name: &str, more: &[&str]) -> Vec<String> {
    let base = ["token", "create", "--user", user, "--name", name];
    base.iter().chain(more).map(|word| (*word).to_owned()).collect()
}

fn run(place: &Place, arguments: &[String]) -> super::program::Ended {
    place.run(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
}

fn list(place: &Place, user: &str) -> Vec<Value> {
    let listed = place.run(&["token", "list", "--user", user, "--json"]).ok();
    listed.shows_none_of(&["kw_pat_", "digest"]);
    listed.json().as_array().unwrap().clone()
}

#[test]
fn a_token_is_made_listed_and_revoked() {
    let place = place();
    let scopes = ["--scope", "openid", "--scope", "notes:read", "--lifetime", "10d"];
    let made = run(&place, &create("backup", "nightly", &scopes)).ok();
    assert!(made.out.starts_with("kw_pat_") && made.out.lines().count() == 1, "{made:?}");
    let as_json = ["--scope", "openid", "--json"];
    let other = run(&place, &create("backup", "weekly", &as_json)).ok().json();
    assert!(other["token"].as_str().unwrap().starts_with("kw_pat_"));
    let life = other["expires_at"].as_i64().unwrap() - other["created_at"].as_i64().unwrap();
    assert_eq!(life, 90 * 86_400);

    let tokens = list(&place, "BACKUP");
    let names: Vec<&Value> = tokens.iter().map(|token| &token["name"]).collect();
    assert_eq!(names.len(), 2);
    assert!(names.contains(&&json!("nightly")) && names.contains(&&json!("weekly")));
    let nightly = tokens.iter().find(|token| token["name"] == "nightly").unwrap();
    assert_eq!(nightly["scope"], "openid notes:read");
    assert_eq!((&nightly["last_used_at"], &nightly["last_client"]), (&Value::Null, &Value::Null));
    let table = place.run(&["token", "list", "--user", "backup"]).ok();
    assert!(table.out.starts_with("ID") && table.out.contains("weekly"), "{table:?}");
    assert!(list(&place, "anna").is_empty());

    let id = nightly["id"].as_str().unwrap();
    place.run(&["token", "revoke", "--user", "anna", id]).failed(1, &["anna has no token"]);
    place.run(&["token", "revoke", "--user", "backup", id]).ok();
    place.run(&["token", "revoke", "--user", "backup", "weekly"]).ok();
    place.run(&["token", "revoke", "--user", "backup", "weekly"]).failed(1, &["token list"]);
    assert!(list(&place, "backup").is_empty());
}

#[test]
fn what_cannot_be_a_token_is_refused_and_nothing_is_made() {
    let place = place();
    for (user, name, more, texts) in [
        ("nobody", "x", &["--scope", "openid"][..], ["\"nobody\"", "user list"]),
        ("anna", "", &["--scope", "openid"], ["--name", "1 to 100"]),
        ("anna", "x", &["--scope", "openid", "--scope", "root"], ["\"root\"", "notes:read"]),
        ("anna", "x", &["--scope", "openid", "--lifetime", "soon"], ["\"soon\"", "366d"]),
        ("anna", "x", &["--scope", "openid", "--lifetime", "367d"], ["\"367d\"", "366d"]),
        ("anna", "x", &["--scope", "openid", "--lasting"], ["--lasting", "\"lasting\""]),
    ] {
        run(&place, &create(user, name, more)).failed(1, &texts);
    }
    place.run(&["user", "disable", "anna"]).ok();
    let shut = create("anna", "x", &["--scope", "openid"]);
    run(&place, &shut).failed(1, &["anna", "shut"]);
    place.run(&["user", "enable", "anna"]).ok();
    run(&place, &shut).ok();
    run(&place, &shut).failed(1, &["anna has a token of this name"]);
    assert_eq!(list(&place, "anna").len(), 1);
}

#[test]
fn a_service_account_has_no_password_and_no_address() {
    let place = place();
    let set = ["user", "set-password", "backup"];
    place.run_with_input(&set, "a quite good password\n").failed(1, &["backup", "service account"]);
    for more in [&["--email", "x@corp.test"][..], &["--password-stdin"]] {
        let refused = place.run(&[&["user", "add", "other", "--service"], more].concat());
        assert_eq!(refused.status, Some(2), "{refused:?}");
    }
    let users = place.run(&["user", "list", "--json"]).ok().json();
    let kinds: Vec<&Value> = users.as_array().unwrap().iter().map(|user| &user["kind"]).collect();
    assert_eq!(kinds, [&json!("person"), &json!("service")]);
}

#[test]
fn wrong_settings_are_named() {
    let place = place();
    for (text, texts) in [
        (
            "[tokens]\npersonal_access_tokens = \"yes\"\n",
            ["tokens.personal_access_tokens", "\"expiring\""],
        ),
        (
            "[tokens]\npersonal_access_token_lifetime = \"400d\"\n",
            ["tokens.personal_access_token_lifetime", "366d"],
        ),
        (
            "[tokens]\npersonal_access_token_max_lifetime = \"0s\"\n",
            ["tokens.personal_access_token_max_lifetime", "between"],
        ),
        (
            "[[clients]]\nid = \"x\"\nname = \"X\"\nsecret = \"x-secret-0123456789\"\n\
             redirect_uris = [\"https://x.test/cb\"]\nservice_account = \"backup\"\n",
            ["clients.1.service_account", "client_credentials"],
        ),
        ("[sessions]\nmax_per_person = 0\n", ["sessions.max_per_person", "between 1 and 1000"]),
    ] {
        place.configure(&format!("{SETTINGS}{text}"));
        place.run(&["config", "check"]).failed(78, &texts);
    }
}
