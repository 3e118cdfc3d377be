//! Several instances, and instances that die.

use std::time::Duration;

use keywright::{foundation::clock::Span, jobs, jobs::deliver_mail};

use super::*;
use crate::support::smtp::Reaction;

/// FT-55: two instances with the same outbox hand each mail over once.
#[tokio::test(flavor = "multi_thread")]
async fn two_instances_send_each_mail_once() {
    let receiver = SmtpReceiver::start();
    let first = start(&receiver).await;
    // SQLite serves one process: there, each round stands for an instance of its own.
    let second = match std::env::var("TEST_DATABASE_URL") {
        Ok(_) => {
            let beside = TestApp::builder().beside(&first).config(&section(&receiver, ""));
            Some(beside.start().await)
        }
        Err(_) => None,
    };
    let second = second.as_ref().unwrap_or(&first);
    for number in 0..12 {
        let _ = queue(&first, &format!("p{number}@corp.test"), &recover(&first)).await;
    }
    let rounds = [&first, second, &first, second].map(|app| deliver_mail(&app.app));
    for round in futures_util::future::join_all(rounds).await {
        round.unwrap();
    }
    let mut ids: Vec<String> =
        receiver.received().iter().map(|mail| mail.header("Message-ID")).collect();
    ids.sort();
    ids.dedup();
    assert_eq!((receiver.received().len(), ids.len()), (12, 12));
    assert_eq!(first.count("mail_outbox WHERE sent_at IS NOT NULL AND tries = 1").await, 12);
}

/// An instance that dies before it has handed the mail over leaves it to the others.
#[tokio::test(flavor = "multi_thread")]
async fn a_try_that_was_left_behind_is_made_again() {
    let receiver = SmtpReceiver::start();
    let app = start(&receiver).await;
    let _ = queue(&app, "alice@corp.test", &recover(&app)).await;
    let waiting = row(&app, "alice@corp.test").await;
    let until = app.app.now().plus(app.app.mail.patience()).plus(Span::from_minutes(1));
    let mut connection = app.app.connection().await.unwrap();
    assert!(mail_outbox::claim(&mut connection, &waiting, until).await.unwrap());
    assert!(!mail_outbox::claim(&mut connection, &waiting, until).await.unwrap());
    drop(connection);
    app.clock.advance(until.since(app.app.now()).seconds() - 1);
    deliver_mail(&app.app).await.unwrap();
    assert_eq!(receiver.received().len(), 0, "it may still be at work");
    app.clock.advance(1);
    deliver_mail(&app.app).await.unwrap();
    assert_eq!(receiver.received().len(), 1);
}

/// A crash between the server's taking the mail and our noting it: it comes twice, under one name,
/// and is never lost.
#[tokio::test(flavor = "multi_thread")]
async fn a_crash_before_it_is_noted_sends_again_and_loses_nothing() {
    let receiver = SmtpReceiver::start();
    let app = start(&receiver).await;
    let _ = queue(&app, "alice@corp.test", &recover(&app)).await;
    receiver.react(|line| (line == ".").then_some(Reaction::TakeAndHang));
    let taken = async {
        while receiver.received().is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let mut connection = app.app.connection().await.unwrap();
    let due = mail_outbox::list_due(&mut connection, app.app.now(), 1).await.unwrap().remove(0);
    let until = app.app.now().plus(Span::from_minutes(2));
    assert!(mail_outbox::claim(&mut connection, &due, until).await.unwrap());
    drop(connection);
    // Its whole runtime ends in the middle of it.
    let dying = tokio::runtime::Runtime::new().unwrap();
    let instance = app.app.clone();
    dying.spawn(async move {
        let _ = instance.mail.carry(&due, instance.now()).await;
        panic!("it was to die before");
    });
    taken.await;
    dying.shutdown_background();
    let claimed = row(&app, "alice@corp.test").await;
    assert!(claimed.letter.is_some() && claimed.sent_at.is_none(), "{claimed:?}");
    receiver.behave();
    deliver_mail(&app.app).await.unwrap();
    assert_eq!(receiver.received().len(), 1, "it may still be at work");
    app.clock.advance(120);
    deliver_mail(&app.app).await.unwrap();
    let mails = receiver.received();
    assert_eq!(mails.len(), 2);
    assert_eq!(mails[0].header("Message-ID"), mails[1].header("Message-ID"));
    assert_sent(&row(&app, "alice@corp.test").await, app.app.now());
}

/// A connection that was lost after the server had taken the mail: nobody can know, so it is sent
/// again rather than lost.
#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_sends_again() {
    let receiver = SmtpReceiver::start();
    let app = start(&receiver).await;
    let _ = queue(&app, "alice@corp.test", &recover(&app)).await;
    receiver.react(|line| (line == ".").then_some(Reaction::TakeAndDrop));
    deliver_mail(&app.app).await.unwrap();
    let error = row(&app, "alice@corp.test").await.last_error.unwrap();
    assert!(error.contains("was lost before it had taken the mail"), "{error}");
    receiver.behave();
    app.clock.advance(60);
    deliver_mail(&app.app).await.unwrap();
    let mails = receiver.received();
    assert_eq!(mails.len(), 2);
    assert_eq!(mails[0].header("Message-ID"), mails[1].header("Message-ID"));
}

/// FT-41: what the server is taking when the house stops is noted; what waits stays queued.
#[tokio::test(flavor = "multi_thread")]
async fn stopping_waits_for_what_is_on_its_way_and_begins_nothing() {
    let receiver = SmtpReceiver::start();
    let app = start(&receiver).await;
    let (go, wait) = std::sync::mpsc::channel::<()>();
    receiver.react(move |line| {
        // Until the test lets it go on.
        if line == "." {
            let _ = wait.recv();
        }
        None
    });
    let _ = queue(&app, "alice@corp.test", &recover(&app)).await;
    jobs::start(&app.app);
    while !receiver.heard().0.iter().any(|line| line == "DATA") {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    app.app.stopping.cancel();
    let _ = queue(&app, "bob@corp.test", &recover(&app)).await;
    app.app.questions.close();
    assert!(!app.app.questions.is_empty(), "the stop waits for it");
    drop(go);
    app.app.questions.wait().await;
    assert_sent(&row(&app, "alice@corp.test").await, app.app.now());
    deliver_mail(&app.app).await.unwrap();
    let waiting = row(&app, "bob@corp.test").await;
    assert_eq!((waiting.tries, waiting.sent_at), (0, None));
}

/// What was queued survives the end of the process.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_queued_survives_a_restart() {
    let receiver = SmtpReceiver::start();
    let app = start(&receiver).await;
    let _ = queue(&app, "alice@corp.test", &recover(&app)).await;
    let next = crate::sessions::stop(app).await.config(&section(&receiver, "")).start().await;
    deliver_mail(&next.app).await.unwrap();
    let mails = receiver.received();
    assert_eq!(mails.len(), 1);
    assert!(mails[0].text().contains(SECRET_LINK));
}
