//! Nothing is said before TLS is there, and nobody is believed who cannot show a certificate.

use keywright::jobs::deliver_mail;

use super::*;
use crate::support::smtp::{Manner, Reaction};

const LOGIN: (&str, &str) = ("kw", "p/a s:s@%");

/// Keywright with this mail server under its name, which is that of its certificate.
async fn app(receiver: &SmtpReceiver, scheme: &str, user: &str, lines: &str) -> TestApp {
    let url = format!("url = \"{scheme}://{user}localhost:{}\"", receiver.port);
    let lines = format!("[mail]\n{url}\nfrom = \"id@id.test\"\ntimeout = \"20s\"\n{lines}\n");
    TestApp::builder().config(&lines).start().await
}

/// The line that makes the receiver's certificate one that is trusted.
fn trusted(receiver: &SmtpReceiver) -> String {
    format!("ca = '''{}'''", receiver.certificate)
}

async fn send(app: &TestApp) -> Option<String> {
    let _ = queue(app, "alice@corp.test", &recover(app)).await;
    deliver_mail(&app.app).await.unwrap();
    row(app, "alice@corp.test").await.last_error
}

#[tokio::test(flavor = "multi_thread")]
async fn starttls_comes_before_everything_else() {
    for mechanisms in ["PLAIN LOGIN", "LOGIN"] {
        let manner = Manner { starttls: true, login: Some(LOGIN), mechanisms, ..Manner::default() };
        let receiver = SmtpReceiver::with(manner);
        let lines = format!("starttls = \"required\"\n{}", trusted(&receiver));
        let app = app(&receiver, "smtp", "kw:p%2Fa%20s%3As%40%25@", &lines).await;
        assert_eq!(send(&app).await, None);
        let mail = receiver.received().remove(0);
        assert!(mail.tls);
        assert_eq!(mail.user.as_deref(), Some("kw"));
        assert_eq!(receiver.heard().0, ["EHLO id.test", "STARTTLS"], "in the clear");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_from_the_start_says_nothing_in_the_clear() {
    let manner = Manner { implicit: true, ..Manner::default() };
    let receiver = SmtpReceiver::with(manner);
    let app = app(&receiver, "smtps", "", &trusted(&receiver)).await;
    assert_eq!(send(&app).await, None);
    assert!(receiver.received()[0].tls);
    assert_eq!(receiver.heard().0, Vec::<String>::new());
}

/// A server that does not offer TLS, or somebody on the way who hides the offer: nothing is sent.
#[tokio::test(flavor = "multi_thread")]
async fn without_starttls_nothing_is_said() {
    let manner = Manner { login: Some(LOGIN), mechanisms: "PLAIN", ..Manner::default() };
    let receiver = SmtpReceiver::with(manner);
    let lines = format!("starttls = \"required\"\n{}", trusted(&receiver));
    let app = app(&receiver, "smtp", "kw:p@", &lines).await;
    let error = send(&app).await.unwrap();
    assert!(error.contains("STARTTLS is not supported on this server"), "{error}");
    let (heard, _) = receiver.heard();
    assert!(!heard.iter().any(|line| line.starts_with("AUTH") || line.starts_with("MAIL")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_starttls_is_no_reason_to_go_on_without() {
    let receiver = SmtpReceiver::with(Manner { starttls: true, ..Manner::default() });
    receiver.react(|line| (line == "STARTTLS").then_some(Reaction::Say("454 4.7.0 not now")));
    let app = app(&receiver, "smtp", "", "starttls = \"required\"").await;
    let error = send(&app).await.unwrap();
    assert!(error.contains("did not turn to TLS: 454 4.7.0 not now"), "{error}");
    assert_eq!(receiver.received().len(), 0);
}

/// FT-62: a certificate that nobody vouches for, or that is another's, is refused; never plain text
/// instead.
#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_has_to_be_trusted() {
    for (scheme, manner) in [
        ("smtp", Manner { starttls: true, ..Manner::default() }),
        ("smtps", Manner { implicit: true, ..Manner::default() }),
    ] {
        let receiver = SmtpReceiver::with(manner);
        let lines = if scheme == "smtp" { "starttls = \"required\"" } else { "" };
        let other = SmtpReceiver::start();
        for ca in [String::new(), trusted(&other)] {
            let app = app(&receiver, scheme, "", &format!("{lines}\n{ca}")).await;
            let error = send(&app).await.unwrap();
            assert!(error.contains("certificate"), "{error}");
        }
        assert_eq!(receiver.received().len(), 0);
        let (plain, secret) = receiver.heard();
        assert!(plain.iter().chain(&secret).all(|line| !line.starts_with("MAIL")));
    }
}

/// A wrong password is said in words, is shown nowhere, and costs no mail.
#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_is_said_in_words() {
    let manner = Manner { login: Some(LOGIN), mechanisms: "PLAIN", ..Manner::default() };
    let receiver = SmtpReceiver::with(manner);
    let app = app(&receiver, "smtp", "kw:a-wrong-password@", "").await;
    let error = send(&app).await.unwrap();
    let words = "refused the user or the password: 535 5.7.8 authentication credentials invalid";
    assert!(error.contains(words) && !error.contains("a-wrong-password"), "{error}");
    let waiting = row(&app, "alice@corp.test").await;
    assert_eq!((waiting.gave_up_at, waiting.letter.is_some()), (None, true));
}

/// A server without a login that we could use.
#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_is_not_offered_is_said_in_words() {
    let manner = Manner { login: Some(LOGIN), mechanisms: "", ..Manner::default() };
    let receiver = SmtpReceiver::with(manner);
    let app = app(&receiver, "smtp", "kw:p@", "").await;
    let error = send(&app).await.unwrap();
    assert!(error.contains("let nobody log in: No compatible authentication"), "{error}");
}
