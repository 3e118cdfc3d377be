//! `keywright mail test`, and what the doctor says about mail.

use serde_json::Value;

use super::program::{Ended, Place};
use crate::support::{
    database::SECRET_KEY,
    smtp::{Manner, Reaction, SmtpReceiver},
};

const LOGIN: (&str, &str) = ("kw", "geheim");

fn place(lines: &str) -> Place {
    let mut place = Place::new();
    place.set("SECRET_KEY", SECRET_KEY);
    place.configure(&format!("[mail]\n{lines}\n"));
    place
}

fn server(receiver: &SmtpReceiver, user: &str) -> String {
    format!(
        "url = \"smtp://{user}127.0.0.1:{}\"\nfrom = \"id@id.test\"\ntimeout = \"2s\"",
        receiver.port
    )
}

/// What the doctor says: verdict, words, and what to do.
fn doctor(place: &Place) -> (String, String, Value) {
    let ended: Ended = place.run(&["doctor", "--json"]);
    let report = ended.json();
    let all = report["checks"].as_array().unwrap();
    let finding = all.iter().find(|finding| finding["check"] == "mail").unwrap();
    let text = |name: &str| finding[name].as_str().unwrap().to_owned();
    ended.shows_none_of(&["geheim", "falsch"]);
    (text("verdict"), text("what"), finding["fix"].clone())
}

#[test]
fn a_test_is_sent_at_once() {
    let manner = Manner { login: Some(LOGIN), mechanisms: "PLAIN", ..Manner::default() };
    let receiver = SmtpReceiver::with(manner);
    let place = place(&server(&receiver, "kw:geheim@"));
    let ended = place.run(&["mail", "test", "anna@example.org"]).ok();
    assert!(ended.out.contains("has taken the test to anna@example.org"), "{ended:?}");
    let mails = receiver.received();
    assert_eq!(mails.len(), 1);
    assert_eq!(mails[0].header("Subject"), "A test from Keywright");
    assert!(!place.path("data").exists(), "nothing is made or queued");
    let (verdict, what, fix) = doctor(&place);
    assert_eq!((verdict.as_str(), fix), ("pass", Value::Null), "{what}");
    assert_eq!(receiver.received().len(), 1, "the doctor sends nothing");
}

#[test]
fn what_went_wrong_is_said_in_words() {
    let manner = Manner { login: Some(LOGIN), mechanisms: "PLAIN", ..Manner::default() };
    let receiver = SmtpReceiver::with(manner);
    let wrong = place(&server(&receiver, "kw:falsch@"));
    let words = "refused the user or the password: 535 5.7.8 authentication credentials invalid";
    wrong.run(&["mail", "test", "anna@example.org"]).failed(1, &["did not leave", words]);
    let (verdict, what, fix) = doctor(&wrong);
    assert!(verdict == "fail" && what.contains(words), "{what}");
    assert_eq!(fix, "compare the user in mail.url and the password");

    let place = place(&server(&receiver, "kw:geheim@"));
    receiver.react(|line| line.starts_with("RCPT").then_some(Reaction::Say("550 no such user")));
    let words = "refused the recipient: 550 no such user";
    place.run(&["mail", "test", "anna@example.org"]).failed(1, &[words]);
    receiver.react(|line| (line == "CONNECT").then_some(Reaction::Hang));
    let words = "did not answer within 2 s";
    place.run(&["mail", "test", "anna@example.org"]).failed(1, &[words]);
    let (verdict, what, _) = doctor(&place);
    assert!(verdict == "fail" && what.contains(words), "{what}");
    place.run(&["mail", "test", "anna"]).failed(1, &["\"anna\" is no plain address"]);
}

#[test]
fn tls_is_looked_at() {
    let receiver = SmtpReceiver::with(Manner { starttls: true, ..Manner::default() });
    let url = format!("url = \"smtp://localhost:{}\"\nfrom = \"id@id.test\"", receiver.port);
    let untrusted = place(&format!("{url}\nstarttls = \"required\""));
    let (verdict, what, fix) = doctor(&untrusted);
    assert!(verdict == "fail" && what.contains("certificate"), "{what}");
    assert!(fix.as_str().unwrap().contains("ca_file"), "{fix}");
    let trusted = place(&format!("{url}\nstarttls = \"required\"\nca_file = \"ca.pem\""));
    std::fs::write(trusted.path("ca.pem"), &receiver.certificate).unwrap();
    assert_eq!(doctor(&trusted).0, "pass");
}

#[test]
fn without_a_server_it_is_said() {
    let none = Place::new();
    assert_eq!(doctor(&none).0, "pass");
    none.run(&["mail", "test", "anna@example.org"]).failed(78, &["mail.url: must be set"]);
    let sink = place("sink = \"log\"");
    let (verdict, what, _) = doctor(&sink);
    assert!(verdict == "warn" && what.contains("shown and not sent"), "{what}");
    let ended = sink.run(&["mail", "test", "anna@example.org"]).ok();
    assert!(ended.out.contains("This is a test") && ended.out.contains("Nothing was sent"));
    place("sink = \"log\"\nurl = \"smtp://localhost\"")
        .run(&["config", "check"])
        .failed(78, &["mail.sink", "leave out either url or sink"]);
}
