//! What the program says about its own command line and configuration.

use super::program::Place;
use crate::support::database::SECRET_KEY;

#[test]
fn all_problems_are_reported_at_once_with_their_status() {
    let mut place = Place::new();
    place.configure(
        r#"
[server]
issuer = "https://id.test/path"
lissten = "127.0.0.1:1"
[secrets]
secret_key = "short-but-secret"
[keys]
jwks_max_age = "2d"
[[clients]]
id = "web"
name = "Web"
secret = "web-secret-0123456789"
redirect_uris = ["https://web.test/cb#fragment"]
"#,
    );
    place.set("KEYWRIGHT_TOKENS__REFRESH_GRACE", "a while");
    let ended = place.run(&["config", "check"]);
    let problems = [
        "server.issuer",
        "lissten",
        "listen",
        "secret_key",
        "keys.jwks_max_age",
        "redirect_uris",
        "refresh_grace",
        "a while",
    ];
    let ended = ended.failed(78, &problems);
    ended.shows_none_of(&["short-but-secret", "web-secret"]);
    // Every other verb stops at the same place, before it has done anything.
    for verb in [&["serve"][..], &["migrate"], &["user", "list"], &["key", "list"]] {
        place.run(verb).failed(78, &problems).shows_none_of(&["short-but-secret", "web-secret"]);
    }
    assert!(!place.path("data").exists());
}

#[test]
fn a_good_configuration_is_called_good_and_nothing_is_started() {
    let mut place = Place::new();
    place.configure("[server]\nissuer = \"https://id.test\"\n");
    place.run(&["config", "check"]).failed(78, &["secrets.secret_key", "openssl rand"]);
    place.set("SECRET_KEY", SECRET_KEY);
    let ended = place.run(&["config", "check"]).ok();
    assert!(ended.out.contains("https://id.test"), "{ended:?}");
    ended.shows_none_of(&[SECRET_KEY]);
    let names: Vec<_> = std::fs::read_dir(place.folder.path()).unwrap().collect();
    assert_eq!(names.len(), 1, "{names:?}");
}

#[test]
fn a_configuration_file_that_was_named_must_be_there() {
    let place = Place::new();
    place.run(&["config", "check", "--config", "nowhere.toml"]).failed(78, &["nowhere.toml"]);
    std::fs::write(place.path("broken.toml"), "[server\n").unwrap();
    place.run(&["--config", "broken.toml", "config", "check"]).failed(78, &["line 1"]);
}

#[test]
fn secrets_may_come_from_files_and_are_never_shown() {
    const WEAK: &str = "weak-secret-of-a-file";
    let mut place = Place::new();
    std::fs::write(place.path("secret"), format!("{WEAK}\n")).unwrap();
    place.set("SECRET_KEY_FILE", "secret");
    place.run(&["config", "check"]).failed(78, &["secret_key"]).shows_none_of(&[WEAK]);
    std::fs::write(place.path("secret"), format!("{SECRET_KEY}\n")).unwrap();
    place.run(&["config", "check"]).ok().shows_none_of(&[SECRET_KEY]);
    place.set("SECRET_KEY_FILE", "no-such-file");
    place.run(&["config", "check"]).failed(78, &["no-such-file"]);
    place.environment.remove("SECRET_KEY_FILE");
    place.set("DATABASE_URL", "postgres://keywright:hunter2hunter2@127.0.0.1:1/x");
    let ended = place.run(&["migrate"]);
    assert_ne!(ended.status, Some(0));
    ended.shows_none_of(&["hunter2"]);
}

#[test]
fn words_that_are_no_verbs_are_refused_with_a_hint() {
    let place = Place::new();
    for (arguments, hint) in [
        (&["srve"][..], "serve"),
        (&["user", "ad", "anna"], "add"),
        (&["serve", "--prot", "1"], "--prot"),
        (&["key", "list", "--jsn"], "--json"),
    ] {
        let ended = place.run(arguments);
        assert_ne!(ended.status, Some(0), "{arguments:?}");
        assert!(ended.err.contains(hint), "{arguments:?}: {ended:?}");
        assert_eq!(ended.out, "");
    }
    let help = place.run(&["--help"]).ok().out;
    for verb in ["serve", "demo", "doctor", "migrate", "config", "user", "upstream", "key", "trace"]
    {
        assert!(help.contains(verb), "{verb}: {help}");
    }
    let version = place.run(&["--version"]).ok().out;
    assert!(version.contains(env!("CARGO_PKG_VERSION")), "{version}");
}

/// Whoever asks which presets there are has neither a configuration nor a database yet.
#[test]
fn the_presets_are_listed_without_a_configuration() {
    let place = Place::new();
    let listed = place.run(&["upstream", "presets", "--json"]).ok().json();
    let listed = listed.as_array().unwrap();
    let keycloak = listed.iter().find(|preset| preset["preset"] == "keycloak").unwrap();
    assert_eq!(keycloak["issuer"], "https://{host}/realms/{realm}");
    let asks: Vec<&str> =
        keycloak["asks"].as_array().unwrap().iter().map(|a| a["name"].as_str().unwrap()).collect();
    assert_eq!(asks, ["host", "realm"]);
    let table = place.run(&["upstream", "presets"]).ok().out;
    for preset in listed {
        let (name, title) = (preset["preset"].as_str().unwrap(), preset["title"].as_str().unwrap());
        assert!(table.contains(name) && table.contains(title), "{table}");
    }
    assert!(!place.path("data").exists());
}

/// When this fails: `keywright config reference > docs/configuration.md`.
#[test]
fn the_reference_in_the_docs_is_what_the_program_prints() {
    let printed = Place::new().run(&["config", "reference"]).ok().out;
    let kept = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/configuration.md");
    let kept = std::fs::read_to_string(kept).unwrap();
    let difference = kept.lines().zip(printed.lines()).find(|(kept, printed)| kept != printed);
    assert_eq!(difference, None, "docs/configuration.md is stale");
    assert_eq!(kept, printed, "docs/configuration.md is stale");
}

#[test]
fn migrating_is_done_once_and_says_what_it_did() {
    let place = Place::new();
    let first = place.run(&["migrate"]).ok().out;
    assert!(first.contains("00000000000001"), "{first}");
    assert!(place.path("data/keywright.db").exists());
    let second = place.run(&["migrate"]).ok().out;
    assert_eq!(second.trim(), "The database is up to date.");
}

/// A job that migrates must be as careful as the server that comes after it.
#[test]
fn migrating_with_a_foreign_key_is_refused() {
    let mut place = Place::new();
    let (ours, other) =
        ("ours-0123456789-0123456789-0123456789", "other-0123456789-0123456789-01234");
    place.set("SECRET_KEY", ours);
    place.run(&["migrate"]).ok();
    place.run(&["migrate"]).ok();
    place.set("SECRET_KEY", other);
    let ended = place.run(&["migrate"]).failed(78, &["secrets.secret_key", "previous_secret_keys"]);
    ended.shows_none_of(&[ours, other]);
    place.set("SECRET_KEY", ours);
    place.run(&["migrate"]).ok();
}

#[test]
fn a_story_that_nobody_knows_is_not_invented() {
    let place = Place::new();
    place.run(&["migrate"]).ok();
    place.run(&["trace", "ABCD2345"]).failed(1, &["ABCD2345", "no story"]);
    place.run(&["trace", "ABCD2345", "--json"]).failed(1, &["no story"]);
    for wrong in ["x", "'; DROP TABLE grants; --", ""] {
        place.run(&["trace", wrong]).failed(1, &["eight letters and digits"]);
    }
}

#[test]
fn codes_that_link_accounts_need_mail() {
    let mut place = Place::new();
    place.set("SECRET_KEY", SECRET_KEY);
    place.configure(
        r#"
[server]
issuer = "https://id.test"
[[upstreams]]
slug = "corp"
name = "Corp"
issuer = "https://corp.test"
client_id = "keywright"
client_secret = "corp-secret-0123456789"
link_by_code = true
"#,
    );
    place.run(&["config", "check"]).failed(78, &["upstreams.0.link_by_code", "mail.url"]);
}
