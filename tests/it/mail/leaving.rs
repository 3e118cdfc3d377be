//! A mail is queued with what it tells about, sealed, and leaves once.

use keywright::{jobs, jobs::deliver_mail, mail::Queued, store::StoreError};

use super::*;

/// RFC 5322 §3.6, RFC 3834 §5: everything that belongs at the head of a mail, once.
#[tokio::test(flavor = "multi_thread")]
async fn a_mail_leaves_with_everything_that_belongs_to_it() {
    let receiver = SmtpReceiver::start();
    let app = start_with(&receiver, "reply_to = \"Help <help@id.test>\"").await;
    let Queued::Yes(id) = queue(&app, "alice@corp.test", &recover(&app)).await else { panic!() };
    deliver_mail(&app.app).await.unwrap();
    deliver_mail(&app.app).await.unwrap();
    let mails = receiver.received();
    assert_eq!(mails.len(), 1, "once");
    let mail = &mails[0];
    assert_eq!(mail.from, "MAIL FROM:<id@id.test>");
    assert_eq!(mail.to, ["RCPT TO:<alice@corp.test>"]);
    assert_eq!(mail.header("From"), "Keywright <id@id.test>");
    assert_eq!(mail.header("To"), "alice@corp.test");
    assert_eq!(mail.header("Reply-To"), "Help <help@id.test>");
    assert_eq!(mail.header("Subject"), "Get back into Keywright");
    assert_eq!(mail.header("Message-ID"), format!("<{id}@id.test>"));
    assert_eq!(mail.header("Date"), "Mon, 01 Jun 2026 12:00:00 +0000");
    assert_eq!(mail.header("Auto-Submitted"), "auto-generated");
    assert_eq!(mail.header("MIME-Version"), "1.0");
    let address = format!("https://id.test/recovery?token={SECRET_LINK}");
    for part in [mail.text(), mail.html()] {
        assert!(part.contains(&address) && part.contains(CODE), "{part}");
        assert!(part.contains("192.0.2.7") && part.contains("15 minutes"), "{part}");
    }
    assert!(receiver.heard().0.contains(&"EHLO id.test".to_owned()), "{:?}", receiver.heard());
    assert_sent(&row(&app, "alice@corp.test").await, app.app.now());
    assert_eq!(number(&app, "keywright_mail_sent_total{kind=\"recover\"}"), Some(1));
    assert_eq!(app.refusals("mail").await, Vec::<String>::new());
}

/// What a mail says opens accounts: whoever reads the database learns none of it.
#[tokio::test(flavor = "multi_thread")]
async fn what_waits_is_sealed() {
    let receiver = SmtpReceiver::start();
    let app = start(&receiver).await;
    let _ = queue(&app, "alice@corp.test", &recover(&app)).await;
    let waiting = row(&app, "alice@corp.test").await;
    let sealed = waiting.letter.clone().unwrap();
    let whole = format!("{waiting:?} {}", String::from_utf8_lossy(&sealed));
    for secret in [SECRET_LINK, CODE, "recovery?"] {
        assert!(!whole.contains(secret), "{whole}");
    }
    // Bound to its row: in another one it is worth nothing.
    let _ = queue(&app, "mallory@corp.test", &notice(&app)).await;
    let letter: Vec<String> = sealed.iter().map(|byte| format!("{byte:02x}")).collect();
    let letter = letter.concat();
    let hex = if app.database.url.starts_with("sqlite:") {
        format!("X'{letter}'")
    } else {
        format!("'\\x{letter}'::bytea")
    };
    let sql = format!("UPDATE mail_outbox SET letter = {hex} WHERE recipient LIKE 'mallory%'");
    crate::refresh::outside::execute(&app, &sql).await;
    deliver_mail(&app.app).await.unwrap();
    let mails = receiver.received();
    assert_eq!(mails.len(), 1);
    assert_eq!(mails[0].to, ["RCPT TO:<alice@corp.test>"]);
    assert_given_up(&row(&app, "mallory@corp.test").await, app.app.now());
}

/// A mail is part of what it tells about: where that is not stored, there is no mail.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_rolled_back_does_not_leave() {
    let receiver = SmtpReceiver::start();
    let app = start(&receiver).await;
    let (message, now) = (recover(&app), app.app.now());
    let mut connection = app.app.connection().await.unwrap();
    let failed: Result<(), StoreError> = connection
        .transaction(async |conn| {
            let queued = app.app.queue_mail(conn, "alice@corp.test", &message, now).await?;
            assert!(matches!(queued, Queued::Yes(_)));
            Err(StoreError::Unreachable("something else".to_owned()))
        })
        .await;
    assert!(failed.is_err());
    drop(connection);
    deliver_mail(&app.app).await.unwrap();
    assert_eq!((receiver.received().len(), app.count("mail_outbox").await), (0, 0));
}

/// A mail whose link has ended would only send somebody to an error page.
#[tokio::test(flavor = "multi_thread")]
async fn a_mail_whose_link_has_ended_is_not_sent() {
    let receiver = SmtpReceiver::start();
    let app = start(&receiver).await;
    let _ = queue(&app, "alice@corp.test", &recover(&app)).await;
    let _ = queue(&app, "bob@corp.test", &verify(&app, "Bob")).await;
    app.clock.advance(15 * 60);
    deliver_mail(&app.app).await.unwrap();
    let mails = receiver.received();
    assert_eq!(mails.len(), 1);
    assert_eq!(mails[0].to, ["RCPT TO:<bob@corp.test>"]);
    assert_given_up(&row(&app, "alice@corp.test").await, app.app.now());
    assert_eq!(app.refusals("mail").await, ["expired"]);
}

/// The job does it by itself; and the page of numbers says how many wait.
#[tokio::test(flavor = "multi_thread")]
async fn the_job_hands_over_what_is_due() {
    use tower::ServiceExt as _;
    let receiver = SmtpReceiver::start();
    let app = start(&receiver).await;
    let waiting = async || {
        let request = axum::http::Request::get("/metrics").body(axum::body::Body::empty()).unwrap();
        let answer = keywright::router::management(&app.app).oneshot(request).await.unwrap();
        assert_eq!(answer.status(), 200);
        number(&app, "keywright_mail_waiting")
    };
    let _ = queue(&app, "alice@corp.test", &recover(&app)).await;
    assert_eq!(waiting().await, Some(1));
    jobs::start(&app.app);
    while row(&app, "alice@corp.test").await.sent_at.is_none() {
        crate::support::app::breathe().await;
    }
    assert_eq!(receiver.received().len(), 1);
    assert_eq!(waiting().await, Some(0));
    app.app.stopping.cancel();
}

#[tokio::test(flavor = "multi_thread")]
async fn receipts_go_after_a_week() {
    let receiver = SmtpReceiver::start();
    let app = start(&receiver).await;
    let _ = queue(&app, "alice@corp.test", &recover(&app)).await;
    deliver_mail(&app.app).await.unwrap();
    for (seconds, left) in [(7 * 86_400, 1), (1, 0)] {
        app.clock.advance(seconds);
        jobs::purge(&app.app).await.unwrap();
        assert_eq!(app.count("mail_outbox").await, left);
    }
}

/// Without the section nothing is queued, and whoever asks is told so.
#[tokio::test(flavor = "multi_thread")]
async fn without_a_section_there_is_no_mail() {
    let app = TestApp::start().await;
    assert!(!app.app.mail.is_configured());
    let queued = queue(&app, "alice@corp.test", &recover(&app)).await;
    assert_eq!(queued, Queued::NotConfigured);
    deliver_mail(&app.app).await.unwrap();
    assert_eq!(app.count("mail_outbox").await, 0);
    assert_eq!(app.refusals("mail").await, ["not_configured"]);
}
