//! `keywright doctor`: what the house itself needs.

use serde_json::Value;

use super::program::{Ended, Place};
use crate::support::{
    database::SECRET_KEY,
    fake_upstream::{Endpoint, FakeUpstream, Fault},
};

/// What was found here by one check: verdict and words.
fn found(ended: &Ended, check: &str) -> (String, String) {
    let report = ended.json();
    let all = report["checks"].as_array().unwrap();
    let finding = all.iter().find(|finding| finding["check"] == check);
    let finding = finding.unwrap_or_else(|| panic!("no {check}: {ended:?}"));
    assert_eq!(finding["upstream"], Value::Null);
    let text = |name: &str| finding[name].as_str().unwrap_or_default().to_owned();
    (text("verdict"), text("what"))
}

fn doctor(place: &Place) -> Ended {
    place.run(&["doctor", "--json"])
}

fn sqlite(place: &Place, sql: &str) {
    use diesel::{Connection as _, connection::SimpleConnection as _};
    let file = place.path("data/keywright.db");
    let mut connection = diesel::SqliteConnection::establish(file.to_str().unwrap()).unwrap();
    connection.batch_execute(sql).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_house_passes_everything() {
    let mut place = Place::new();
    let issuer = format!("http://localhost:{}", place.port);
    place.set("KEYWRIGHT_SERVER__ISSUER", &issuer);
    let server = place.serve().await;
    assert_eq!(found(&doctor(&place).ok(), "administrator").0, "warn", "nobody administers yet");
    place.run(&["user", "add", "anna"]).ok();
    place.run(&["user", "grant", "anna", "--role", "admin"]).ok();
    let ended = doctor(&place).ok();
    for check in [
        "configuration",
        "database",
        "secret_key",
        "signing_keys",
        "signup",
        "administrator",
        "state",
        "issuer",
    ] {
        assert_eq!(found(&ended, check).0, "pass", "{ended:?}");
    }
    let doors = found(&ended, "signup").1;
    assert_eq!(doors, "local is closed (by: configuration), federated is open (by: configuration)");
    drop(server);
    // Without the server nobody can say how the world sees it; everything else still stands.
    let ended = doctor(&place).ok();
    assert_eq!(found(&ended, "issuer").0, "warn");
    assert_eq!(ended.json()["warn"], 1);
}

#[test]
fn the_database_is_checked() {
    let mut place = Place::new();
    place.set("SECRET_KEY", SECRET_KEY);
    let ended = doctor(&place);
    assert_eq!((ended.status, found(&ended, "database").0.as_str()), (Some(1), "fail"));
    assert!(found(&ended, "database").1.contains("there is no database"), "{ended:?}");
    assert!(!place.path("data").exists(), "looking makes nothing");
    place.run(&["migrate"]).ok();
    let ended = doctor(&place);
    assert_eq!(found(&ended, "database").0, "pass");
    // Nobody has started the server yet.
    assert_eq!((ended.status, found(&ended, "signing_keys").0.as_str()), (Some(1), "fail"));
    assert!(found(&ended, "signing_keys").1.contains("RS256, ES256, EdDSA"), "{ended:?}");
    assert_eq!(found(&ended, "secret_key").0, "warn", "nothing was written with it yet");
    place.run(&["key", "rotate"]).ok();
    assert_eq!(found(&doctor(&place), "secret_key").0, "pass");
    place.set("SECRET_KEY", "another-secret-key-of-the-tests-0123456789");
    let (verdict, what) = found(&doctor(&place), "secret_key");
    assert_eq!(verdict, "fail");
    assert!(what.contains("is not the one that the database was written with"), "{what}");
    place.set("SECRET_KEY", SECRET_KEY);
    let versions = "SELECT max(version) FROM __diesel_schema_migrations";
    sqlite(&place, &format!("DELETE FROM __diesel_schema_migrations WHERE version = ({versions})"));
    let (verdict, what) = found(&doctor(&place), "database");
    assert_eq!(verdict, "fail");
    assert!(what.contains("has not seen the migration"), "{what}");
    sqlite(&place, "DELETE FROM __diesel_schema_migrations");
    assert!(found(&doctor(&place), "database").1.contains("it is empty"));
    place.set("DATABASE_URL", "postgres://127.0.0.1:1/keywright");
    let (verdict, what) = found(&doctor(&place), "database");
    assert_eq!(verdict, "fail", "{what}");
}

#[test]
fn the_short_lived_state_is_checked() {
    let mut place = Place::new();
    place.set("REDIS_URL", "redis://:a-password@127.0.0.1:1/0");
    let ended = doctor(&place);
    assert_eq!((ended.status, found(&ended, "state").0.as_str()), (Some(1), "fail"));
    ended.shows_none_of(&["a-password"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn something_else_behind_the_issuer_is_found_out() {
    let other = FakeUpstream::start().await;
    let mut place = Place::new();
    place.set("KEYWRIGHT_SERVER__ISSUER", &other.issuer());
    for (fault, verdict) in [(Fault::html(), "fail"), (Fault::Status(502), "warn")] {
        other.misbehave(|lies| lies.fault(Endpoint::Discovery, fault));
        assert_eq!(found(&doctor(&place), "issuer").0, verdict);
    }
    other.behave();
    other.misbehave(|lies| {
        lies.metadata.set("issuer", "https://another.test");
    });
    let (verdict, what) = found(&doctor(&place), "issuer");
    assert_eq!(verdict, "fail");
    assert!(what.contains("https://another.test"), "{what}");
}

#[test]
fn what_cannot_be_looked_at_is_said() {
    let place = Place::new();
    let upstream = |more: &str| {
        place.configure(&format!(
            "[[upstreams]]\nslug = \"kc\"\nname = \"Kc\"\nissuer = \"https://kc.test\"\n\
             client_id = \"x\"\nclient_secret = \"y\"\n{more}\n"
        ));
    };
    upstream("client_secret_expires = \"soon\"");
    place.run(&["doctor"]).failed(78, &["upstreams.0.client_secret_expires", "2027-03-01"]);
    upstream("client_secret_expires = 2027-03-01\nclient_auth = \"none\"");
    place.run(&["doctor"]).failed(78, &["client_secret", "leave it out"]);
    upstream("enabled = false");
    place.run(&["doctor", "--upstream", "kc"]).failed(1, &["switched off"]);
    place.run(&["doctor", "--upstream", "corp"]).failed(1, &["\"corp\"", "known upstreams: kc"]);
}
