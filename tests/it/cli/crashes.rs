//! `kill -9` in the middle of traffic: what was acknowledged is never lost.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use super::program::{Answer, Place, Server, post};
use crate::{
    stores::raw,
    support::{
        browser::Browser,
        database::SECRET_KEY,
        journey::{VERIFIER, authorize_path, redirect_uri, sign_in_on_page},
    },
};

const FAMILIES: usize = 4;
const ROUNDS: u64 = 5;

/// A server with one person, on whichever database the run has.
async fn place() -> (Place, tempfile::TempDir) {
    let (database, folder) = raw::empty().await;
    let mut place = Place::new();
    place.configure(&format!(
        "[server]\nissuer = \"http://localhost:{}\"\n[database]\nurl = {database:?}\n\
         [secrets]\nsecret_key = {SECRET_KEY:?}\n[tokens]\nrefresh_grace = \"2m\"\n\
         [passwords]\nargon2_memory_kib = 64\nargon2_passes = 1\nmin_strength = 0\n\
         [[clients]]\nid = \"web\"\nname = \"Web\"\nsecret = \"web-secret-0123456789\"\n\
         redirect_uris = [\"https://web.test/cb\"]\n",
        place.port
    ));
    place.set("RUST_LOG", "warn");
    let add = ["user", "add", "alice", "--password-stdin"];
    place.run_with_input(&add, "alice-password").ok();
    (place, folder)
}

/// A family of refresh tokens: signs in, and answers its first.
async fn family(port: u16) -> String {
    let mut browser = Browser::over_network(&format!("http://localhost:{port}"));
    browser.stop_at("https://web.test/");
    let journey = browser.visit(&authorize_path("web", &[])).await;
    let journey = sign_in_on_page(&mut browser, &journey, "alice").await;
    let code = journey.param("code").unwrap_or_else(|| panic!("{:?}", journey.hops()));
    let form = [
        ("grant_type", "authorization_code"),
        ("code", &code),
        ("redirect_uri", &redirect_uri("web")),
        ("code_verifier", VERIFIER),
    ];
    let answer = post(port, "/token", &form).unwrap();
    assert_eq!(answer.status, 200, "{answer:?}");
    refresh_token(&answer)
}

fn refresh_token(answer: &Answer) -> String {
    answer.json()["refresh_token"].as_str().unwrap().to_owned()
}

fn refresh(port: u16, token: &str) -> std::io::Result<Answer> {
    post(port, "/token", &[("grant_type", "refresh_token"), ("refresh_token", token)])
}

fn is_active(port: u16, token: &str) -> bool {
    let answer = post(port, "/introspect", &[("token", token)]).unwrap();
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()["active"].as_bool().unwrap()
}

/// Uses a family until the server is gone; answers the last token that was acknowledged.
fn traffic(port: u16, mut token: String, acknowledged: &AtomicUsize, over: &AtomicBool) -> String {
    while !over.load(Ordering::Acquire) {
        match refresh(port, &token) {
            Ok(answer) if answer.status == 200 => {
                token = refresh_token(&answer);
                acknowledged.fetch_add(1, Ordering::AcqRel);
            }
            Ok(answer) => assert!(answer.status >= 500, "{answer:?}"),
            Err(_) => break,
        }
    }
    token
}

/// Lets all families go on at once and kills the server in the middle. Answers their last tokens.
async fn kill_in_traffic(port: u16, server: &mut Server, tokens: Vec<String>) -> Vec<String> {
    let (acknowledged, over) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    let running: Vec<_> = tokens
        .into_iter()
        .map(|token| {
            let (acknowledged, over) = (Arc::clone(&acknowledged), Arc::clone(&over));
            tokio::task::spawn_blocking(move || traffic(port, token, &acknowledged, &over))
        })
        .collect();
    while acknowledged.load(Ordering::Acquire) < 3 * FAMILIES {
        assert!(running.iter().any(|family| !family.is_finished()), "the traffic has ended");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    server.signal("KILL");
    server.ended().await;
    over.store(true, Ordering::Release);
    let mut last = Vec::new();
    for family in running {
        last.push(family.await.unwrap());
    }
    last
}

/// FT-42: the client that got no answer tries again with the token that it has, and the one that
/// got an answer can rely on it.
#[tokio::test(flavor = "multi_thread")]
async fn a_killed_server_has_lost_nothing_that_it_acknowledged() {
    let (place, _folder) = place().await;
    let port = place.port;
    let mut server = place.serve().await;
    let mut tokens = Vec::new();
    for _ in 0..FAMILIES {
        tokens.push(family(port).await);
    }
    for round in 0..ROUNDS {
        // What is said to be over stays over.
        let revoked = family(port).await;
        assert_eq!(post(port, "/revoke", &[("token", &revoked)]).unwrap().status, 200);
        let added = format!("user-{round}");
        place.run(&["user", "add", &added]).ok();

        tokens = kill_in_traffic(port, &mut server, tokens).await;
        server = place.serve().await;
        for token in &mut tokens {
            let answer = refresh(port, token).unwrap();
            assert_eq!(answer.status, 200, "round {round}: {answer:?}");
            *token = refresh_token(&answer);
            let access = answer.json()["access_token"].as_str().unwrap().to_owned();
            assert!(is_active(port, &access) && is_active(port, token), "round {round}");
        }
        assert!(!is_active(port, &revoked), "round {round}: a revocation was lost");
        let refused = refresh(port, &revoked).unwrap();
        assert_eq!((refused.status, &refused.json()["error"]), (400, &"invalid_grant".into()));
        let people = place.run(&["user", "list"]).ok().out;
        assert!(people.contains(&added), "round {round}: an account was lost");
    }
    server.signal("TERM");
    assert_eq!(server.ended().await.code(), Some(0), "{}", server.log());
    let log = server.log();
    for secret in [SECRET_KEY, "web-secret", "alice-password", "kw_rt_"] {
        assert!(!log.contains(secret), "{secret} stands in the log");
    }
}
