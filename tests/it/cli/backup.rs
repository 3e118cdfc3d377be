//! `keywright backup` and `keywright restore`, as an administrator meets them: beside a running server,
//! and in place of one.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

use serde_json::Value;

use super::program::{Ended, Place};

const OTHER: &str = "another-secret-key-of-tests-fedcba9876543210";

fn users(place: &Place) -> Vec<String> {
    let listed = place.run(&["user", "list", "--json"]).ok().json();
    let names = listed.as_array().unwrap().iter().map(|user| user["username"].as_str().unwrap());
    names.map(str::to_owned).collect()
}

fn events(place: &Place, action: &str) -> Vec<Value> {
    let said = place.run(&["audit", "export", "--action", action]).ok().out;
    said.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn files(folder: &Path) -> Vec<String> {
    let files = fs::read_dir(folder).unwrap();
    let mut names: Vec<String> =
        files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

async fn stop(mut server: super::program::Server) {
    server.signal("TERM");
    assert!(server.ended().await.success(), "{}", server.log());
}

/// FT-32, LG-06: beside a running server, for its owner alone, and never in place of another file.
#[tokio::test(flavor = "multi_thread")]
async fn a_backup_is_made_beside_a_running_server() {
    let place = Place::new();
    let server = place.serve().await;
    place.run(&["user", "add", "anna"]).ok();
    fs::create_dir(place.path("out")).unwrap();
    let made = place.run(&["backup", "out/one.kwb"]).ok();
    assert!(made.out.contains("out/one.kwb: ") && made.out.contains(" rows, "), "{made:?}");
    let file = place.path("out/one.kwb");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let first = fs::read(&file).unwrap();

    place.run(&["backup", "out/one.kwb"]).failed(1, &["out/one.kwb", "--overwrite"]);
    assert_eq!(fs::read(&file).unwrap(), first);
    let again = place.run(&["backup", "out/one.kwb", "--overwrite", "--json"]).ok().json();
    assert_eq!((&again["rows"]["users"], &again["file"]), (&1.into(), &"out/one.kwb".into()));
    assert_eq!(again["bytes"], fs::metadata(&file).unwrap().len());
    assert_ne!(fs::read(&file).unwrap(), first);
    place.run(&["backup", "nowhere/one.kwb"]).failed(1, &["nowhere/one.kwb"]);
    place.run(&["backup", "out"]).failed(1, &["out", "--overwrite"]);
    place.run(&["backup", "out", "--overwrite"]).failed(1, &["out"]);
    assert_eq!(files(&place.path("out")), ["one.kwb"], "nothing is left lying about");
    assert_eq!(
        files(place.folder.path()).iter().filter(|name| name.contains("partial")).count(),
        0
    );

    let piped = place.output(&["backup", "-"]);
    assert_eq!(piped.status.code(), Some(0), "{}", String::from_utf8_lossy(&piped.stderr));
    assert!(piped.stdout.starts_with(b"keywright backup 1\n"));
    let noted = events(&place, "backed_up");
    assert_eq!(noted.len(), 3, "{noted:?}");
    stop(server).await;
}

/// FT-29, FT-31: the disk is lost, and comes back; a running server is in the way.
#[tokio::test(flavor = "multi_thread")]
async fn a_lost_database_comes_back() {
    let place = Place::new();
    let server = place.serve().await;
    place.run(&["user", "add", "anna"]).ok();
    place.run(&["backup", "one.kwb"]).ok();
    place.run(&["user", "add", "zoe"]).ok();
    for more in [&[][..], &["--replace"]] {
        let refused = place.run(&[&["restore", "one.kwb"], more].concat());
        refused.failed(1, &["already serving"]);
    }
    stop(server).await;
    place.run(&["restore", "one.kwb"]).failed(1, &["one.kwb", "not empty", "--replace"]);
    assert_eq!(users(&place), ["anna", "zoe"]);
    let said = place.run(&["restore", "one.kwb", "--replace"]).ok().out;
    for text in ["rows, as they were at ", "New signing keys", "has to be done again"] {
        assert!(said.contains(text), "{text}: {said}");
    }
    assert_eq!(users(&place), ["anna"]);

    fs::remove_file(place.path("data/keywright.db")).unwrap();
    place.run(&["serve"]).failed(78, &["database.url", "keywright restore BACKUP"]);
    assert!(!place.path("data/keywright.db").exists());
    place.run(&["restore", "one.kwb"]).ok();
    assert_eq!(users(&place), ["anna"]);

    // All but the secret key is gone.
    let key = fs::read(place.path("data/secret_key")).unwrap();
    fs::remove_dir_all(place.path("data")).unwrap();
    place.run(&["restore", "one.kwb"]).failed(78, &["secrets.secret_key", "put the one back"]);
    assert!(!place.path("data").exists(), "nothing was made in its place");
    fs::create_dir(place.path("data")).unwrap();
    fs::write(place.path("data/secret_key"), key).unwrap();
    fs::set_permissions(place.path("data/secret_key"), fs::Permissions::from_mode(0o600)).unwrap();
    let report = place.run(&["restore", "one.kwb", "--json"]).ok().json();
    assert_eq!(report["ended"]["signing_keys"], 3, "{report}");
    assert_eq!(users(&place), ["anna"]);
    let server = place.serve().await;
    assert_eq!(server.management("/readyz").unwrap().status, 200);
    let kids = server.get("/.well-known/jwks.json").unwrap().json();
    assert_eq!(kids["keys"].as_array().unwrap().len(), 3, "{kids}");
    assert_eq!(events(&place, "restored").len(), 1);
    stop(server).await;
}

/// FT-63: the configuration is wrong, and says so with status 78.
#[tokio::test(flavor = "multi_thread")]
async fn another_key_or_database_is_a_matter_of_the_configuration() {
    let mut place = Place::new();
    let none = "the database is empty";
    place.run(&["backup", "one.kwb"]).failed(78, &["database.url", "there is no database"]);
    fs::create_dir(place.path("data")).unwrap();
    let nothing = fs::File::create(place.path("data/keywright.db")).unwrap();
    nothing.set_permissions(fs::Permissions::from_mode(0o600)).unwrap();
    place.run(&["backup", "one.kwb"]).failed(78, &["database.url", none]);
    let server = place.serve().await;
    place.run(&["backup", "one.kwb"]).ok();
    place.set("SECRET_KEY", OTHER);
    let refused = place.run(&["backup", "two.kwb"]);
    refused.shows_none_of(&[OTHER]);
    refused.failed(78, &["secrets.secret_key", "nobody can restore"]);
    assert!(!place.path("two.kwb").exists());
    place.set("DATABASE_URL", "sqlite:other/keywright.db");
    let refused: Ended = place.run(&["restore", "one.kwb"]);
    refused.shows_none_of(&[OTHER]);
    refused.failed(78, &["one.kwb", "secrets.secret_key", "previous_secret_keys"]);
    place.environment.remove("SECRET_KEY");
    place.environment.remove("DATABASE_URL");
    stop(server).await;
}
