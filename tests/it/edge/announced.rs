//! Connections that a load balancer passes on, with a line that says for whom.

use keywright::config::{self, Environment};

use crate::support::{
    app::{Builder, TestApp},
    server::Server,
};

fn behind(networks: &str, lines: &str) -> Builder {
    TestApp::builder().config(&format!(
        "[server]\nissuer = \"https://id.test\"\ntrusted_proxies = [{networks}]\n\
         proxy_protocol = true\n{lines}"
    ))
}

fn ask(announced: &str, headers: &str) -> String {
    format!(
        "{announced}GET /nowhere HTTP/1.1\r\nhost: id.test\r\nconnection: close\r\n{headers}\r\n"
    )
}

/// A client's address that no other test has, in one Redis.
fn client() -> String {
    let [a, b, ..] = *uuid::Uuid::new_v4().as_bytes();
    format!("198.19.{a}.{b}")
}

/// RL-01, RL-04: whoever is announced is whoever is limited, and nobody else; what they add to it by
/// headers says nothing, because they are no proxy of ours.
#[tokio::test(flavor = "multi_thread")]
async fn whom_the_balancer_announces_is_whom_it_is() {
    let three = "[rate_limits]\nrequests_per_minute = 3";
    let app = behind("\"127.0.0.0/8\"", three).with_the_general_limit().start().await;
    let server = Server::start(&app).await;
    let from = client();
    let line = format!("PROXY TCP4 {from} 10.0.0.1 4000 443\r\n");
    for number in 0..5 {
        let forwarded = format!("x-forwarded-for: 203.0.113.{number}\r\n");
        let answer = server.say(ask(&line, &forwarded)).await;
        let expected = if number < 3 { "HTTP/1.1 404" } else { "HTTP/1.1 429" };
        assert!(answer.starts_with(expected), "{number}: {answer}");
    }
    let other = format!("PROXY TCP4 {} 10.0.0.1 4000 443\r\n", client());
    assert!(server.say(ask(&other, "")).await.starts_with("HTTP/1.1 404"));
    let events = app.events().await;
    let of = |reason| events.iter().find(|event| event.reason.as_deref() == Some(reason)).unwrap();
    assert_eq!(of("too_many_requests").address.as_deref(), Some(from.as_str()));
    server.stopping.cancel();
}

/// Whoever is to announce and does not is not let in; nobody else is believed.
#[tokio::test(flavor = "multi_thread")]
async fn a_line_has_to_be_there_and_to_come_from_the_balancer() {
    let app = behind("\"127.0.0.0/8\"", "").start().await;
    let server = Server::start(&app).await;
    for announced in ["", "PROXY\r\n", "PROXY TCP4 1.2.3.4\r\n", "\r\n\r\n\0\r\nQUIT\n\x31\x11\0\0"]
    {
        assert_eq!(server.say(ask(announced, "")).await, "", "{announced:?}");
    }
    let own = server.say(ask("PROXY UNKNOWN\r\n", "")).await;
    assert!(own.starts_with("HTTP/1.1 404"), "{own}");
    server.stopping.cancel();

    let app = behind("\"10.9.0.0/16\"", "").start().await;
    let server = Server::start(&app).await;
    let lied = server.say(ask("PROXY TCP4 10.9.0.1 10.0.0.1 4000 443\r\n", "")).await;
    assert!(lied.starts_with("HTTP/1.1 400"), "{lied}");
    assert!(server.say(ask("", "")).await.starts_with("HTTP/1.1 404"));
    server.stopping.cancel();
}

/// Believed of whom? That has to be said.
#[test]
fn without_a_balancer_there_is_no_line() {
    let parsed = config::parse("[server]\nproxy_protocol = true", &Environment::new());
    let problems = parsed.unwrap_err().to_string();
    assert!(problems.contains("server.proxy_protocol"), "{problems}");
    assert!(problems.contains("server.trusted_proxies"), "{problems}");
}
