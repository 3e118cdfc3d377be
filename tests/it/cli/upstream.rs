//! `keywright upstream explain`: the reasoning of the rules, over a file and over recorded sign-ins.

use keywright::{
    foundation::{
        ids::{IdentityId, UpstreamSlug},
        text_list::TextList,
    },
    store::{
        StoreError,
        identities::{self, Identity, LinkedBy},
    },
};
use serde_json::{Value, json};

use super::program::{Ended, Place};
use crate::{
    support::{
        app::TestApp,
        database::SECRET_KEY,
        fake_upstream::{CLIENT_ID, FakeUpstream},
    },
    upstream::gets_in,
};

const RULES: &str = r#"
groups = [{ match = "^app-(.*)$", rename = "$1" }, { value = "everybody" }]
admit = { claims = { tid = "t1" } }
signup = { domains = ["corp.test"] }
claims = { name = ["display", "name"] }
"#;

fn configuration(issuer: &str, rules: &str) -> String {
    format!(
        "[[upstreams]]\nslug = \"kc\"\nname = \"Kc\"\nissuer = {issuer:?}\n\
         client_id = {CLIENT_ID:?}\nclient_secret = \"a-secret-of-the-upstream\"\n{rules}\n"
    )
}

/// A folder with this upstream, and no database.
fn place(rules: &str) -> Place {
    let place = Place::new();
    place.configure(&configuration("https://kc.test", rules));
    place
}

fn explain(place: &Place, claims: &Value, more: &[&str]) -> Ended {
    std::fs::write(place.path("claims.json"), claims.to_string()).unwrap();
    let arguments = [&["upstream", "explain", "kc", "--claims", "claims.json"], more].concat();
    place.run(&arguments)
}

#[test]
fn claims_of_a_file_are_explained_rule_by_rule() {
    let place = place(RULES);
    let claims = json!({
        "preferred_username": "anna", "email": "anna@corp.test", "email_verified": "true",
        "name": "Anna", "groups": ["app-wiki", "staff"], "tid": "t1",
    });
    let told = explain(&place, &claims, &["--json"]).ok().json();
    assert_eq!(told["person"]["groups"], json!(["wiki", "everybody"]));
    assert_eq!(told["person"]["email_verified"], false);
    assert_eq!(told["verification"]["seen"], "true");
    assert_eq!(told["attributes"][2]["looks"][0]["verdict"], "absent");
    assert_eq!(told["attributes"][2]["value"], "Anna");
    assert_eq!(
        told["groups"][0]["names"][1],
        json!({"name": "staff", "group": null, "taken": false})
    );
    assert_eq!((&told["admitted"], &told["may_sign_up"]), (&json!(true), &json!(false)));
    assert_eq!(told["signup"][0]["wants"], "domain");
    let words = explain(&place, &claims, &[]).ok();
    for expected in [
        "username: \"anna\"",
        "display: not there",
        "verified: no (email_verified = \"true\")",
        "\"app-wiki\": taken as \"wiki\"",
        "\"staff\": dropped",
        "may enter: yes",
        "claim tid = \"t1\": met (it is \"t1\")",
        "groups = [\"app-wiki\",\"staff\"]",
        "may have a new account: no",
        "verified address in \"corp.test\": not met",
    ] {
        assert!(words.out.contains(expected), "{expected}: {}", words.out);
    }
    words.shows_none_of(&["a-secret-of-the-upstream"]);
    assert!(!place.path("data").exists(), "claims of a file need no database");
}

/// What an upstream says does not speak to the administrator's terminal.
#[test]
fn hostile_claims_do_not_reach_the_terminal() {
    let place = place(RULES);
    let hostile = "\u{1b}[2J\u{202e}x\u{9b}y\n";
    let claims = json!({
        "preferred_username": hostile, "email": hostile, "name": hostile, "display": [hostile],
        "groups": [hostile, format!("app-{hostile}")], "tid": {"a": hostile},
    });
    let told = explain(&place, &claims, &[]).ok().out;
    let plain = |c: char| c == '\n' || !(c.is_control() || c == '\u{202e}');
    assert!(told.chars().all(plain), "{told:?}");
}

#[test]
fn what_cannot_be_explained_is_said() {
    let place = place(RULES);
    let failed = |arguments: &[&str], status, texts: &[&str]| {
        place.run(&[&["upstream", "explain"], arguments].concat()).failed(status, texts);
    };
    failed(&["corp", "--claims", "x"], 1, &["\"corp\"", "known upstreams: kc"]);
    failed(&["kc", "--claims", "nowhere.json"], 1, &["nowhere.json", "cannot be read"]);
    for wrong in ["[]", "{", "7", "{} {}"] {
        std::fs::write(place.path("wrong.json"), wrong).unwrap();
        failed(&["kc", "--claims", "wrong.json"], 1, &["wrong.json", "not one JSON object"]);
    }
    failed(&["kc", "--last", "anna"], 78, &["database"]);
    failed(&["kc", "--against", "nowhere.toml"], 78, &["nowhere.toml"]);
    std::fs::write(place.path("new.toml"), "[[upstreams]]\nslug = \"kc\"\n").unwrap();
    failed(&["kc", "--against", "new.toml"], 78, &["upstreams.0.issuer"]);
    std::fs::write(place.path("new.toml"), "").unwrap();
    failed(&["kc", "--against", "new.toml"], 1, &["new.toml", "there is no upstream"]);
    for wrong in [&["kc"][..], &["kc", "--claims", "a", "--last", "b"]] {
        let ended = place.run(&[&["upstream", "explain"], wrong].concat());
        assert!(ended.status != Some(0) && ended.err.contains("--last"), "{ended:?}");
    }
}

/// A house in which people have signed in, and a folder whose configuration is of its database.
async fn house(upstream: &FakeUpstream, rules: &str) -> (TestApp, Place) {
    let app = TestApp::builder().upstream("kc", upstream, rules).start().await;
    let mut place = Place::new();
    place.set("DATABASE_URL", &app.database.url);
    place.set("SECRET_KEY", SECRET_KEY);
    place.configure(&configuration(&upstream.issuer(), rules));
    (app, place)
}

fn person(name: &str, groups: &[&str]) -> Value {
    json!({
        "sub": format!("{name}-at-kc"), "preferred_username": name, "groups": groups, "tid": "t1",
        "email": format!("{name}@corp.test"), "email_verified": true, "name": name,
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_sign_in_of_a_person_is_explained() {
    let upstream = FakeUpstream::start().await;
    let (app, place) = house(&upstream, RULES).await;
    upstream.set_person(person("anna", &["app-wiki"]));
    gets_in(&app, "kc").await.unwrap();
    app.add_user("bob", &[]).await;
    let last = |who: &str, more: &[&str]| {
        place.run(&[&["upstream", "explain", "kc", "--last", who], more].concat())
    };
    let told = last("anna", &["--json"]).ok().json();
    assert_eq!(told["person"]["groups"], json!(["wiki", "everybody"]));
    assert_eq!(told["last_sign_in"]["username"], "anna");
    assert_eq!(told["last_sign_in"]["subject"], "anna-at-kc");
    assert_eq!(told["last_sign_in"]["at"], app.clock.unix());
    // A rule that is tried, and not switched on, says what it would do.
    place.configure(&configuration(&upstream.issuer(), "groups = { prefix = \"kc-\" }"));
    let words = last("Anna", &[]).ok().out;
    assert!(words.contains("taken as \"kc-app-wiki\""), "{words}");
    assert!(words.contains("The claims of anna (anna-at-kc) at kc"), "{words}");
    last("nobody", &[]).failed(1, &["\"nobody\"", "user list"]);
    last("bob", &[]).failed(1, &["bob has never signed in at kc"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_configuration_is_tried_on_everybody() {
    let upstream = FakeUpstream::start().await;
    let (app, place) = house(&upstream, "groups = {}").await;
    for (name, groups) in [("anna", &["staff"][..]), ("bob", &["staff", "ops"]), ("eve", &[])] {
        upstream.set_person(person(name, groups));
        gets_in(&app, "kc").await.unwrap();
    }
    let issuer = upstream.issuer();
    let against = |rules: &str, more: &[&str]| {
        std::fs::write(place.path("new.toml"), configuration(&issuer, rules)).unwrap();
        place.run(&[&["upstream", "explain", "kc", "--against", "new.toml"], more].concat()).ok()
    };
    let lines = |rules: &str| -> Vec<Value> {
        let out = against(rules, &["--json"]).out;
        out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let same = lines("groups = {}");
    assert_eq!(same.len(), 1);
    assert_eq!((&same[0]["sum"]["people"], &same[0]["sum"]["changed"]), (&json!(3), &json!(0)));

    let rules = "groups = { match = \"^ops$\", rename = \"admins\" }\n\
                 admit = { groups = [\"admins\"] }\nemail_trust = \"never\"";
    let told = lines(rules);
    assert_eq!(told.len(), 4, "{told:?}");
    let of = |name: &str| told.iter().find(|line| line["username"] == name).unwrap();
    assert_eq!(of("bob")["gained_groups"], json!(["admins"]));
    assert_eq!(of("bob")["lost_groups"], json!(["staff", "ops"]));
    assert_eq!(
        (&of("bob")["admitted"], &of("bob")["subject"]),
        (&Value::Null, &json!("bob-at-kc"))
    );
    assert_eq!(
        (&of("eve")["admitted"], &of("eve")["refused_for"]),
        (&json!(false), &json!("group \"admins\""))
    );
    let flag = json!([{ "name": "email_verified", "before": true, "after": false }]);
    assert_eq!(of("anna")["attributes"], flag);
    let sum = json!({
        "people": 3, "changed": 3, "gaining_groups": 1, "losing_groups": 2, "newly_admitted": 0,
        "no_longer_admitted": 2, "unknown": 0,
    });
    assert_eq!(told[3]["sum"], sum);
    let words = against(rules, &[]).out;
    for expected in
        ["bob (bob-at-kc)", "gains the group \"admins\"", "may no longer enter", "Of 3 people"]
    {
        assert!(words.contains(expected), "{expected}: {words}");
    }
    // Nothing was changed by trying.
    assert_eq!((app.count("users").await, app.count("identities").await), (3, 3));
}

/// Whose claims were never kept counts as unknown, and the number of people does not matter.
#[tokio::test(flavor = "multi_thread")]
async fn people_are_read_in_pages() {
    const PEOPLE: usize = 1_001;
    let upstream = FakeUpstream::start().await;
    let (app, place) = house(&upstream, "groups = {}").await;
    upstream.set_person(person("anna", &["staff"]));
    gets_in(&app, "kc").await.unwrap();
    let bob = app.add_user("bob", &[]).await;
    let mut connection = app.app.connection().await.unwrap();
    let inserted = connection.transaction(async |conn| {
        for number in 0..PEOPLE {
            let identity = Identity {
                id: IdentityId::generate(app.app.random(), app.app.now()),
                user_id: bob.id.clone(),
                upstream: UpstreamSlug::new("kc"),
                issuer: upstream.issuer(),
                subject: number.to_string(),
                groups: TextList::default(),
                created_at: app.app.now(),
                confirmed_at: app.app.now(),
                linked_by: LinkedBy::SignUp,
                linked_at: app.app.now(),
            };
            assert!(identities::insert(conn, &identity, None).await?);
        }
        Ok::<_, StoreError>(())
    });
    inserted.await.unwrap();
    std::fs::write(place.path("new.toml"), configuration(&upstream.issuer(), "")).unwrap();
    let explain = ["upstream", "explain", "kc", "--against", "new.toml", "--json"];
    let out = place.run(&explain).ok().out;
    let lines: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((lines.len(), &lines[0]["lost_groups"]), (2, &json!(["staff"])));
    let sum = &lines[1]["sum"];
    assert_eq!((&sum["people"], &sum["unknown"]), (&json!(PEOPLE + 1), &json!(PEOPLE)));
    place.run(&["upstream", "explain", "kc", "--last", "bob"]).failed(1, &["no claims are kept"]);
}

/// LG-11: claims under another secret key are not guessed at.
#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_secret_key_explains_nothing() {
    let upstream = FakeUpstream::start().await;
    let (app, mut place) = house(&upstream, "").await;
    gets_in(&app, "kc").await.unwrap();
    place.set("SECRET_KEY", "another-secret-key-of-the-tests-0123456789");
    for what in [&["--last", "alice"], &["--against", "keywright.toml"]] {
        let explain = [&["upstream", "explain", "kc"], &what[..]].concat();
        place.run(&explain).failed(78, &["secrets.secret_key"]);
    }
}
