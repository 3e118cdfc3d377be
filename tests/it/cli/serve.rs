//! `keywright serve`: what it leaves behind, who may read it, and how it ends.

use std::{
    fs,
    io::ErrorKind,
    net::{TcpListener, TcpStream},
    os::unix::fs::PermissionsExt as _,
    path::Path,
    time::Duration,
};

use super::program::Place;
use crate::support::fake_upstream::{Endpoint, FakeUpstream};

const OTHER: &str = "another-secret-key-of-tests-fedcba9876543210";

fn mode(path: &Path) -> u32 {
    let metadata = fs::metadata(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    metadata.permissions().mode() & 0o777
}

#[tokio::test(flavor = "multi_thread")]
async fn without_any_configuration_it_serves_and_keeps_its_files_to_itself() {
    let place = Place::new();
    let mut server = place.serve().await;
    let discovery = server.get("/.well-known/openid-configuration").unwrap();
    assert_eq!(discovery.status, 200);
    assert_eq!(discovery.json()["issuer"], "http://localhost:8080");
    let jwks = server.get("/.well-known/jwks.json").unwrap().json();
    assert_eq!(jwks["keys"].as_array().unwrap().len(), 3);
    assert_eq!(server.management("/livez").unwrap().status, 200);
    // What belongs on one listener is not on the other.
    for path in ["/livez", "/readyz", "/metrics"] {
        assert_eq!(server.get(path).unwrap().status, 404, "{path}");
    }
    assert_eq!(server.management("/.well-known/jwks.json").unwrap().status, 404);

    let data = place.path("data");
    assert_eq!(mode(&data), 0o700);
    assert_eq!(mode(&data.join("keywright.db")), 0o600);
    assert_eq!(mode(&data.join("secret_key")), 0o600);
    for entry in fs::read_dir(&data).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(mode(&path) & 0o077, 0, "{} can be read by others", path.display());
    }
    let secret = fs::read_to_string(data.join("secret_key")).unwrap();
    // 256 bits, however they are written.
    assert!(secret.trim().len() >= 43, "too short for a secret");
    assert!(!server.log().contains(secret.trim()));
    let mut names: Vec<_> =
        fs::read_dir(place.folder.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["data", "log"], "it writes elsewhere too");

    server.signal("TERM");
    assert_eq!(server.ended().await.code(), Some(0), "{}", server.log());
    assert!(!server.log().contains(secret.trim()));

    // Started again it is the same: same keys, same secret.
    let server = place.serve().await;
    assert_eq!(server.get("/.well-known/jwks.json").unwrap().json(), jwks);
    assert_eq!(fs::read_to_string(data.join("secret_key")).unwrap(), secret);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupt_ends_it_as_well() {
    let place = Place::new();
    let mut server = place.serve().await;
    server.signal("INT");
    assert_eq!(server.ended().await.code(), Some(0), "{}", server.log());
}

/// While it finishes what it has begun, the probes are answered: live, and not ready because it stops.
#[tokio::test(flavor = "multi_thread")]
async fn while_it_stops_the_probes_say_so() {
    use std::io::{Read as _, Write as _};
    let place = Place::new();
    let mut server = place.serve().await;
    let mut slow = TcpStream::connect(("127.0.0.1", place.port)).unwrap();
    let form = "grant_type=client_credentials&client_id=nobody";
    let head = format!(
        "POST /token HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\
         content-type: application/x-www-form-urlencoded\r\ncontent-length: {}\r\n\r\n",
        form.len()
    );
    slow.write_all(head.as_bytes()).unwrap();
    // So that the request has begun before the server is told to stop.
    tokio::time::sleep(Duration::from_millis(300)).await;
    server.signal("TERM");
    let ready = loop {
        let ready = server.management("/readyz").unwrap();
        if ready.status == 503 {
            break ready;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert_eq!(ready.json()["stopping"], true);
    assert_eq!(ready.json()["database"], "ok");
    assert_eq!(server.management("/livez").unwrap().status, 200);
    assert!(server.get("/.well-known/jwks.json").is_err(), "nobody new is let in");
    slow.write_all(form.as_bytes()).unwrap();
    let mut answer = String::new();
    slow.read_to_string(&mut answer).unwrap();
    assert!(answer.contains("invalid_client"), "{answer}");
    assert_eq!(server.ended().await.code(), Some(0), "{}", server.log());
}

/// FT-31.
#[tokio::test(flavor = "multi_thread")]
async fn a_second_server_on_the_same_file_is_refused_and_harms_nobody() {
    let place = Place::new();
    let server = place.serve().await;
    let mut second = Place::new();
    let database = format!("sqlite:{}", place.path("data/keywright.db").display());
    second.set("DATABASE_URL", &database);
    second.run(&["serve"]).failed(1, &["already serving", "keywright.db", "PostgreSQL"]);
    assert_eq!(server.management("/readyz").unwrap().status, 200);
    assert_eq!(server.get("/.well-known/jwks.json").unwrap().status, 200);

    // The address is taken: that is said too, with the name of the setting.
    let mut third = Place::new();
    third.set("KEYWRIGHT_SERVER__LISTEN", &format!("127.0.0.1:{}", place.port));
    third.run(&["serve"]).failed(1, &["server.listen", &place.port.to_string()]);
}

/// LG-06.
#[tokio::test(flavor = "multi_thread")]
async fn files_that_others_may_read_are_refused_with_the_fix() {
    for name in ["keywright.db", "secret_key"] {
        let place = Place::new();
        let mut server = place.serve().await;
        server.signal("TERM");
        server.ended().await;
        let file = place.path("data").join(name);
        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
        place.run(&["serve"]).failed(78, &[name, "chmod 600", "640"]);
        assert_eq!(mode(&file), 0o640, "it is for the administrator to change");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_secret_key_is_refused_before_anything_changes() {
    let mut place = Place::new();
    let mut server = place.serve().await;
    let jwks = server.get("/.well-known/jwks.json").unwrap().body;
    server.signal("TERM");
    server.ended().await;
    place.set("SECRET_KEY", OTHER);
    place.run(&["serve"]).failed(78, &["secrets.secret_key"]).shows_none_of(&[OTHER]);
    place.environment.remove("SECRET_KEY");
    assert_eq!(place.serve().await.get("/.well-known/jwks.json").unwrap().body, jwks);
}

/// What only looks, or works on what is there, makes no database in the wrong folder.
#[tokio::test(flavor = "multi_thread")]
async fn verbs_that_need_a_database_do_not_make_one() {
    let place = Place::new();
    let verbs: [&[&str]; 7] = [
        &["user", "list"],
        &["user", "disable", "anna"],
        &["user", "enable", "anna"],
        &["key", "list"],
        &["key", "rotate"],
        &["key", "drop", "kid"],
        &["trace", "ABCD2345"],
    ];
    for verb in verbs {
        let fix = "start the server first";
        place.run(verb).failed(78, &["database.url", "data/keywright.db", fix]);
        assert!(!place.path("data").exists(), "{verb:?}");
    }
    // Those that prepare one do.
    place.run(&["migrate"]).ok();
    place.run(&["user", "list"]).ok();
}

/// Several verbs may meet an empty folder at the same moment.
#[tokio::test(flavor = "multi_thread")]
async fn verbs_that_start_together_in_an_empty_folder_all_succeed() {
    for _ in 0..3 {
        let place = Place::new();
        let verbs = [["migrate"]; 4];
        std::thread::scope(|scope| {
            let place = &place;
            let running = verbs.map(|verb| scope.spawn(move || place.run(&verb)));
            for verb in running {
                verb.join().unwrap().ok();
            }
        });
    }
}

/// A server asks its upstreams how they are before anybody comes, and says when a secret has ended.
#[tokio::test(flavor = "multi_thread")]
async fn upstreams_are_looked_after_from_the_start() {
    let upstream = FakeUpstream::start().await;
    let place = Place::new();
    place.configure(&format!(
        "[[upstreams]]\nslug = \"kc\"\nname = \"Kc\"\nissuer = {:?}\nclient_id = \"x\"\n\
         client_secret = \"a-secret\"\nclient_secret_expires = 2026-01-31\n",
        upstream.issuer()
    ));
    let server = place.serve().await;
    let number = |name: &str| -> Option<i64> {
        let line = format!("keywright_upstream_{name}{{upstream=\"kc\"}} ");
        let page = server.management("/metrics").ok()?.body;
        page.lines().find_map(|text| text.strip_prefix(&line)?.parse().ok())
    };
    // The clock is known when the look is over; the reminder comes beside it.
    for _ in 0..600 {
        if number("clock_ahead_seconds").is_some() && server.log().contains("secret has ended") {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(upstream.count(Endpoint::Discovery) > 0, "{}", server.log());
    assert!(server.log().contains("the client secret has ended"), "{}", server.log());
    assert_eq!(number("up"), Some(1));
    // What a server says the time is may be a second old.
    let ahead = number("clock_ahead_seconds");
    assert!(ahead.is_some_and(|seconds| seconds.abs() <= 2), "{ahead:?}");
}

/// FT-21, FT-53: as long as a server starts, because it brings a schema up to date or because the database
/// says nothing, it takes nobody: a proxy asks another server, and nobody waits.
#[tokio::test(flavor = "multi_thread")]
async fn who_comes_while_it_starts_is_refused_and_not_kept_waiting() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    silent.set_nonblocking(true).unwrap();
    let mut place = Place::new();
    let database = format!("postgres://u@{}/x", silent.local_addr().unwrap());
    place.set("DATABASE_URL", &database);
    place.set("SECRET_KEY", OTHER);
    let server = place.begin_to_serve();
    let mut asked = None;
    for _ in 0..600 {
        asked = silent.accept().ok();
        if asked.is_some() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(asked.is_some(), "it has not asked the database: {}", server.log());
    for port in [place.port, place.management_port] {
        let refused = TcpStream::connect(("127.0.0.1", port)).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused, "{port}: {}", server.log());
    }
}
