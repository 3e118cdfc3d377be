//! FT-59: a mail server that is away, refuses, stalls or hangs up.

use std::time::Duration;

use keywright::jobs::deliver_mail;

use super::*;
use crate::support::smtp::Reaction;

/// Every pause, in minutes, until the server takes the mail.
async fn minutes_of_tries(app: &TestApp, receiver: &SmtpReceiver, minutes: i64) -> Vec<i64> {
    let (mut tries, mut seen) = (0, Vec::new());
    for minute in 0..=minutes {
        deliver_mail(&app.app).await.unwrap();
        let now = row(app, "alice@corp.test").await.tries;
        if now > tries {
            seen.push(minute);
            tries = now;
        }
        app.clock.advance(60);
    }
    assert!(receiver.received().len() < 2);
    seen
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_asks_for_patience_is_asked_later_and_later() {
    let receiver = SmtpReceiver::start();
    let app = start(&receiver).await;
    let _ = queue(&app, "alice@corp.test", &verify(&app, "Alice")).await;
    receiver.react(|line| {
        line.starts_with("RCPT").then_some(Reaction::Say("451 4.7.1 greylisted, come back"))
    });
    let seen = minutes_of_tries(&app, &receiver, 70).await;
    assert_eq!(seen, [0, 1, 3, 7, 15, 31, 63]);
    let waiting = row(&app, "alice@corp.test").await;
    let error = waiting.last_error.clone().unwrap();
    assert!(error.contains("refused the recipient: 451 4.7.1 greylisted"), "{error}");
    assert!(waiting.letter.is_some() && waiting.gave_up_at.is_none());
    assert_eq!(number(&app, "keywright_mail_failed_total{result=\"failed\"}"), Some(7));
    assert_eq!(app.refusals("mail").await, Vec::<String>::new(), "nothing was given up");
    receiver.behave();
    app.clock.advance(3_600);
    deliver_mail(&app.app).await.unwrap();
    assert_eq!(receiver.received().len(), 1);
    assert_sent(&row(&app, "alice@corp.test").await, app.app.now());
}

/// After a day it is given up, and that is known.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_stays_away_is_given_up_after_a_day() {
    let lines = "[mail]\nurl = \"smtp://127.0.0.1:1\"\nfrom = \"id@id.test\"\n";
    let app = TestApp::builder().config(lines).start().await;
    let _ = queue(&app, "alice@corp.test", &verify(&app, "Alice")).await;
    let began = app.app.now();
    while row(&app, "alice@corp.test").await.gave_up_at.is_none() {
        deliver_mail(&app.app).await.unwrap();
        app.clock.advance(600);
        assert!(app.app.now().since(began).seconds() < 2 * 86_400, "it is never given up");
    }
    let given_up = row(&app, "alice@corp.test").await;
    assert_given_up(&given_up, given_up.gave_up_at.unwrap());
    let after = given_up.gave_up_at.unwrap().since(began).seconds();
    assert!((22 * 3_600..=86_400).contains(&after), "{after}");
    let error = given_up.last_error.unwrap();
    assert!(error.contains("127.0.0.1:1 could not be reached"), "{error}");
    assert_eq!(app.refusals("mail").await, ["too_late"]);
    assert_eq!(number(&app, "keywright_mail_failed_total{result=\"given_up\"}"), Some(1));
}

/// A recipient or a mail that is refused for good is not tried again; and no log or event shows the
/// whole address, even if the server repeats it.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_for_good_is_given_up_at_once() {
    for (at, said, words) in [
        ("RCPT", "550 5.1.1 <Alice@corp.test>: no such user", "refused the recipient: 550 5.1.1"),
        (".", "554 5.7.1 looks like spam", "refused the mail: 554 5.7.1"),
    ] {
        let receiver = SmtpReceiver::start();
        let app = start(&receiver).await;
        let _ = queue(&app, "alice@corp.test", &recover(&app)).await;
        receiver.react(move |line| line.starts_with(at).then_some(Reaction::Say(said)));
        deliver_mail(&app.app).await.unwrap();
        let given_up = row(&app, "alice@corp.test").await;
        assert_given_up(&given_up, app.app.now());
        assert_eq!(given_up.tries, 1);
        let error = given_up.last_error.unwrap();
        assert!(error.contains(words) && !error.to_lowercase().contains("alice"), "{error}");
        assert_eq!(app.refusals("mail").await, ["refused"]);
        let events = app.events().await;
        let event = events.iter().find(|event| event.action == "mail").unwrap();
        assert!(!event.detail.to_lowercase().contains("alice"), "{}", event.detail);
        assert!(event.detail.contains("a***@corp.test"), "{}", event.detail);
        for secret in [SECRET_LINK, CODE] {
            assert!(!format!("{events:?}").contains(secret), "no consolation");
        }
    }
}

/// What is wrong with us can be mended: no mail is lost by a wrong password or sender.
#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_that_is_not_about_the_recipient_is_tried_again() {
    for (at, said) in [
        ("CONNECT", "554 5.7.1 go away"),
        ("EHLO", "550 5.7.1 not from you"),
        ("MAIL", "553 5.7.1 sender not owned by you"),
        ("RCPT", "530 5.7.0 authentication required"),
    ] {
        let receiver = SmtpReceiver::start();
        let app = start(&receiver).await;
        let _ = queue(&app, "alice@corp.test", &recover(&app)).await;
        receiver.react(move |line| line.starts_with(at).then_some(Reaction::Say(said)));
        deliver_mail(&app.app).await.unwrap();
        let waiting = row(&app, "alice@corp.test").await;
        assert_eq!((waiting.tries, waiting.gave_up_at), (1, None), "{at}: {waiting:?}");
        assert!(waiting.last_error.unwrap().contains(said), "{at}");
        receiver.behave();
        app.clock.advance(60);
        deliver_mail(&app.app).await.unwrap();
        assert_sent(&row(&app, "alice@corp.test").await, app.app.now());
    }
}

/// A connection that is lost in the middle of a mail has not delivered it.
#[tokio::test(flavor = "multi_thread")]
async fn a_mail_that_was_cut_off_is_sent_again() {
    for at in ["CONNECT", "EHLO", "MAIL", "RCPT", "DATA", "."] {
        let receiver = SmtpReceiver::start();
        let app = start(&receiver).await;
        let _ = queue(&app, "alice@corp.test", &recover(&app)).await;
        receiver.react(move |line| line.starts_with(at).then_some(Reaction::Drop));
        deliver_mail(&app.app).await.unwrap();
        assert_eq!(receiver.received().len(), 0);
        let waiting = row(&app, "alice@corp.test").await;
        assert!(waiting.letter.is_some() && waiting.last_error.is_some(), "{at}: {waiting:?}");
        receiver.behave();
        app.clock.advance(60);
        deliver_mail(&app.app).await.unwrap();
        assert_eq!(receiver.received().len(), 1, "{at}");
    }
}

/// Accepts and then stalls, at any step: the try ends in time, and says how far it had come.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_stalls_is_not_waited_for() {
    for (at, step) in [
        ("CONNECT", "it came to the greeting"),
        ("MAIL", "it came to the sender"),
        ("RCPT", "it came to the recipient"),
        (".", "it came to the mail itself"),
    ] {
        let receiver = SmtpReceiver::start();
        let lines = section(&receiver, "").replace("20s", "1s");
        let app = TestApp::builder().config(&lines).start().await;
        let _ = queue(&app, "alice@corp.test", &recover(&app)).await;
        receiver.react(move |line| line.starts_with(at).then_some(Reaction::Hang));
        deliver_mail(&app.app).await.unwrap();
        let error = row(&app, "alice@corp.test").await.last_error.unwrap();
        assert!(error.contains("did not answer within 1 s") && error.contains(step), "{error}");
    }
    // A goodbye that is not answered changes nothing: the mail has been taken.
    let receiver = SmtpReceiver::start();
    let app = start(&receiver).await;
    let _ = queue(&app, "alice@corp.test", &recover(&app)).await;
    receiver.react(|line| (line == "QUIT").then_some(Reaction::Hang));
    deliver_mail(&app.app).await.unwrap();
    assert_sent(&row(&app, "alice@corp.test").await, app.app.now());
}

/// Nobody waits for somebody else's mail server: not for one that hangs now, not for many that have
/// hung before.
#[tokio::test(flavor = "multi_thread")]
async fn a_stuck_recipient_holds_up_nobody() {
    let receiver = SmtpReceiver::start();
    let app = start(&receiver).await;
    receiver.react(|line| {
        (line.starts_with("RCPT") && line.contains("stuck")).then_some(Reaction::Hang)
    });
    for _ in 0..3 {
        let _ = queue(&app, "stuck@corp.test", &recover(&app)).await;
    }
    for number in 0..20 {
        let _ = queue(&app, &format!("stuck{number}@corp.test"), &verify(&app, "S")).await;
    }
    let older = "UPDATE mail_outbox SET tries = 1 WHERE recipient <> 'stuck@corp.test'";
    crate::refresh::outside::execute(&app, older).await;
    app.clock.advance(1);
    let _ = queue(&app, "alice@corp.test", &recover(&app)).await;
    let arrived = async {
        while receiver.received().is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::select! {
        _ = deliver_mail(&app.app) => panic!("nothing hangs"),
        () = arrived => {}
    }
    assert_eq!(app.count("mail_outbox WHERE last_error IS NOT NULL").await, 0, "waited for");
    let (heard, _) = receiver.heard();
    let asked = |of: &str| heard.iter().filter(|line| line.starts_with(of)).count();
    assert!(asked("RCPT TO:<stuck@") <= 1, "one mail for one recipient at a time: {heard:?}");
    assert!(asked("RCPT TO:<stuck") <= 1 + 4, "what has failed before leaves room: {heard:?}");
}
