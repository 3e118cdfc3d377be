//! What is asked in a shape that nobody honest gives it.

use crate::support::{app::TestApp, server::Server};

fn get(target: &str, headers: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nhost: id.test\r\nconnection: close\r\n{headers}\r\n")
}

fn status(answer: &str) -> &str {
    answer.get(9..12).unwrap_or("cut")
}

const KEYS: &str = "/.well-known/jwks.json";

/// HT-03: what is too long is refused before it is looked at, and what is just short enough is not.
#[tokio::test(flavor = "multi_thread")]
async fn heads_have_a_size() {
    let app = TestApp::start().await;
    let server = Server::start(&app).await;
    let cookies = |length: usize| format!("cookie: {}\r\n", "c".repeat(length));
    let line = |number: usize| format!("x-{number}: 1\r\n");
    let lines = |count: usize| (0..count).map(line).collect::<Vec<_>>().concat();
    let long = |length: usize| format!("x-long: {}\r\n", "x".repeat(length));
    let target = |length: usize| format!("{KEYS}?{}", "t".repeat(length));
    for (request, expected) in [
        (get(KEYS, &cookies(8_000)), "200"),
        (get(KEYS, &cookies(8_300)), "431"),
        (get(KEYS, &format!("{0}{0}", cookies(4_200))), "431"),
        (get(KEYS, &lines(97)), "200"),
        (get(KEYS, &lines(101)), "431"),
        (get(KEYS, &long(15_000)), "200"),
        (get(KEYS, &long(17_000)), "431"),
        (get(&target(12_000), ""), "200"),
        (get(&target(12_400), ""), "414"),
    ] {
        let answer = server.say(&request).await;
        assert_eq!(status(&answer), expected, "{}", &request[..200.min(request.len())]);
    }
    server.stopping.cancel();
}

/// HT-04: a body whose length nobody says is refused as soon as it is too long, and one that never ends
/// is not waited for.
#[tokio::test(flavor = "multi_thread")]
async fn a_body_without_an_end_is_refused() {
    let app = TestApp::start().await;
    let server = Server::start(&app).await;
    let chunk = format!("1000\r\n{}\r\n", "x".repeat(4_096));
    for path in ["/token", "/login"] {
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: id.test\r\ntransfer-encoding: chunked\r\n\
             content-type: application/x-www-form-urlencoded\r\n\r\n"
        );
        let answer = server.say(head + &chunk.repeat(20)).await;
        assert_eq!(status(&answer), "413", "{path}: {answer}");
    }
    server.stopping.cancel();
}

/// HT-06: what could be two requests to somebody else is one here, or none, and ends the connection.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_smuggled_behind_a_request() {
    let app = TestApp::start().await;
    let server = Server::start(&app).await;
    let smuggled = "GET /.well-known/jwks.json HTTP/1.1\r\nhost: id.test\r\n\r\n";
    let post = "POST /token HTTP/1.1\r\nhost: id.test\r\n";
    let length = smuggled.len() + 5;
    for head in [
        format!("{post}content-length: {length}\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"),
        format!("{post}transfer-encoding: chunked\r\ncontent-length: {length}\r\n\r\n0\r\n\r\n"),
        format!("{post}transfer-encoding: chunked\r\ntransfer-encoding: identity\r\n\r\n0\r\n\r\n"),
        format!("{post}transfer-encoding : chunked\r\n\r\n0\r\n\r\n"),
        format!("{post}x: a\r\n transfer-encoding: chunked\r\n\r\n0\r\n\r\n"),
        format!("{post}content-length: +5\r\n\r\n"),
        format!("{post}content-length: 0, 5\r\n\r\n"),
        format!("{post}transfer-encoding: chunked\r\n\r\n0x0\r\n\r\n"),
        format!("{post}transfer-encoding: chunked\r\n\r\nffffffffffffffff1\r\n\r\n"),
    ] {
        let answer = server.say(format!("{head}{smuggled}")).await;
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{head:?}: {answer}");
        assert!(matches!(status(&answer), "400" | "401"), "{head:?}: {answer}");
    }
    server.stopping.cancel();
}

/// HT-08: whoever calls themselves a probe is a stranger like any other, and the probes' own paths are
/// not there; HT-11: nothing with a secret in it is compressed.
#[tokio::test(flavor = "multi_thread")]
async fn probes_are_strangers_and_pages_are_not_compressed() {
    let app = TestApp::start().await;
    let server = Server::start(&app).await;
    for agent in ["kube-probe/1.31", "GoogleHC/1.0", "ELB-HealthChecker/2.0", "Prometheus/3.0"] {
        let agent = format!("user-agent: {agent}\r\naccept-encoding: gzip, br, zstd\r\n");
        for (path, expected) in [("/account", "303"), ("/livez", "404"), ("/ping", "404")] {
            let answer = server.say(get(path, &agent)).await;
            assert_eq!(status(&answer), expected, "{path}");
            assert!(!answer.contains("content-encoding"), "{answer}");
        }
    }
    server.stopping.cancel();
}
