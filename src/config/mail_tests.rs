//! What the mail section says, and what is wrong with it.

use super::*;
use crate::config::{Config, Environment, parse};

fn config(lines: &str) -> Result<Config, String> {
    let text = format!("[mail]\n{lines}\n");
    parse(&text, &Environment::new()).map_err(|problems| problems.to_string())
}

fn faults(lines: &str) -> String {
    config(lines).unwrap_err()
}

const FROM: &str = "from = \"Example <id@example.org>\"";

#[test]
fn no_section_is_no_mail() {
    let mail = parse("", &Environment::new()).unwrap().mail;
    assert!(mail.url.is_none() && mail.sink.is_none());
}

#[test]
fn a_server_is_read_with_user_and_password() {
    let url = "url = \"smtps://kw%40example.org:p%2Fa%25%40ss@mail.example.org\"";
    let mail = config(&format!("{url}\n{FROM}")).unwrap().mail;
    let server = mail.url.clone().unwrap();
    assert_eq!((server.host.as_str(), server.port), ("mail.example.org", 465));
    let (user, password) = mail.login().unwrap();
    assert_eq!((user, password.expose()), ("kw@example.org", "p/a%@ss"));
    assert!(!format!("{mail:?}").contains("p/a"), "{mail:?}");
    let from = mail.from.unwrap();
    let name = from.name.as_deref();
    assert_eq!((name, from.address.as_str()), (Some("Example"), "id@example.org"));
}

/// Nothing leaves in the clear unless somebody has written so.
#[test]
fn starttls_is_required_unless_the_server_is_here() {
    for (url, lines, starttls, port) in [
        ("smtp://mail.example.org", "", StartTls::Required, 587),
        ("smtp://10.0.0.5:2525", "", StartTls::Required, 2525),
        ("smtp://localhost.example.org", "", StartTls::Required, 587),
        ("smtp://localhost", "", StartTls::Off, 25),
        ("smtp://127.0.0.1:1025", "", StartTls::Off, 1025),
        ("smtp://[::1]:1025", "", StartTls::Off, 1025),
        ("smtp://localhost", "starttls = \"required\"", StartTls::Required, 25),
        ("smtp://mailpit:1025", "starttls = \"off\"", StartTls::Off, 1025),
    ] {
        let mail = config(&format!("url = {url:?}\n{FROM}\n{lines}")).unwrap().mail;
        assert_eq!((mail.starttls(), mail.url.unwrap().port), (starttls, port), "{url} {lines}");
    }
}

#[test]
fn what_is_wrong_is_said_with_its_fix() {
    let cases = [
        ("url = \"http://mail.example.org\"", "mail.url = http: unknown kind; write \"smtps://"),
        ("url = \"mail.example.org\"", "mail.url = (no scheme): "),
        ("url = \"smtp://mail.example.org/?tls=no\"", "nothing may follow the port"),
        ("url = \"smtp://\"", "mail.url = smtp: "),
        ("url = \"smtp://mail.example.org\"", "mail.from: must be set"),
        ("from = \"id@example.org\"", "mail.url: must be set for mail to leave"),
        ("from = \"Example\"", "mail.from = \"Example\": must be like"),
        ("from = \"A <a@b.c> <id@example.org>\"", "mail.from"),
        ("from = \"A\\r\\nBcc: x <id@example.org>\"", "mail.from"),
        ("sink = \"log\"\nurl = \"smtp://localhost\"", "leave out either url or sink"),
        ("sink = \"screen\"", "must be \"log\" or \"page\""),
        ("timeout = \"5m\"", "mail.timeout = 5m: must be between \"1s\" and \"2m\""),
        ("max_per_hour = 0", "mail.max_per_hour = 0: must be at least 1"),
        ("url = \"smtp://u@mail.example.org\"", "mail.password: must be set"),
        ("url = \"smtp://mail.example.org\"\npassword = \"geheim\"", "mail.password: has no user"),
        ("url = \"smtp://u:geheim@h.org\"\npassword = \"geheim\"", "leave out one of them"),
        ("url = \"smtps://h.org\"\nstarttls = \"off\"", "speaks TLS from the start"),
        ("url = \"smtp://u:geheim@h.org\"\nstarttls = \"off\"", "for everybody to read"),
    ];
    for (lines, part) in cases {
        let said = faults(lines);
        assert!(said.contains(part), "{lines}: {part} is missing in:\n{said}");
        assert!(!said.contains("geheim"), "{said}");
    }
    let all = faults("timeout = \"5m\"\nmax_per_hour = 0\nreply_to = \"nobody\"");
    assert!(all.contains("3 problems"), "{all}");
}

/// LG-02: what shows links is for a computer of one's own.
#[test]
fn a_sink_is_for_an_issuer_on_this_computer() {
    assert!(config("sink = \"page\"").is_ok());
    let text = "[server]\nissuer = \"https://id.example.org\"\n[secrets]\n\
                secret_key = \"0123456789abcdef0123456789abcdef\"\n[mail]\nsink = \"log\"\n";
    let said = parse(text, &Environment::new()).unwrap_err().to_string();
    assert!(said.contains("mail.sink = \"log\": would show links that open accounts"), "{said}");
}
