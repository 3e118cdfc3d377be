//! RC-11: nobody is flooded, and nobody can be told from the answer.

use keywright::jobs::deliver_mail;

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn an_address_gets_three_mails_in_a_quarter_of_an_hour() {
    let receiver = SmtpReceiver::start();
    let app = start(&receiver).await;
    // Other spellings are the same address (LK-16).
    for (to, queued) in [
        ("alice@corp.test", true),
        ("Alice@Corp.test", true),
        ("ALICE@CORP.TEST", true),
        ("alice@corp.test", false),
        ("bob@corp.test", true),
    ] {
        let answer = queue(&app, to, &recover(&app)).await;
        assert_eq!(matches!(answer, Queued::Yes(_)), queued, "{to}: {answer:?}");
        app.clock.advance(60);
    }
    deliver_mail(&app.app).await.unwrap();
    assert_eq!(receiver.received().len(), 4);
    assert_eq!(app.refusals("mail").await, ["too_many_to_address"]);
    let events = app.events().await;
    let detail = &events.iter().find(|event| event.action == "mail").unwrap().detail;
    assert!(detail.contains("a***@corp.test") && !detail.contains("alice"), "{detail}");
    assert_eq!(number(&app, "keywright_mail_failed_total{result=\"not_queued\"}"), Some(1));
    // The first is a quarter of an hour old now, and the second is not.
    app.clock.advance(10 * 60);
    assert!(matches!(queue(&app, "alice@corp.test", &recover(&app)).await, Queued::Yes(_)));
    let braked = queue(&app, "alice@corp.test", &recover(&app)).await;
    assert_eq!(braked, Queued::TooManyToAddress);
}

/// Many at once are counted one after the other.
#[tokio::test(flavor = "multi_thread")]
async fn a_crowd_does_not_slip_through() {
    let receiver = SmtpReceiver::start();
    let app = start(&receiver).await;
    let message = recover(&app);
    let crowd = (0..12).map(|_| queue(&app, "alice@corp.test", &message));
    let answers = futures_util::future::join_all(crowd).await;
    let queued = answers.iter().filter(|answer| matches!(answer, Queued::Yes(_))).count();
    assert_eq!((queued, app.count("mail_outbox").await), (3, 3));
    deliver_mail(&app.app).await.unwrap();
    assert_eq!(receiver.received().len(), 3);
}

/// Whoever has taken an account must not be able to hold up the notice of it by asking for mail.
#[tokio::test(flavor = "multi_thread")]
async fn notices_are_not_held_up_by_what_strangers_cause() {
    let receiver = SmtpReceiver::start();
    let app = start_with(&receiver, "max_per_hour = 3").await;
    for _ in 0..4 {
        let _ = queue(&app, "alice@corp.test", &recover(&app)).await;
    }
    let answer = queue(&app, "bob@corp.test", &recover(&app)).await;
    assert_eq!(answer, Queued::TooManyInAll);
    for number in 0..13 {
        let answer = queue(&app, "alice@corp.test", &notice(&app)).await;
        assert_eq!(matches!(answer, Queued::Yes(_)), number < 12, "{number}: {answer:?}");
    }
    deliver_mail(&app.app).await.unwrap();
    assert_eq!(receiver.received().len(), 15);
}

#[tokio::test(flavor = "multi_thread")]
async fn all_together_cause_so_many_mails_in_an_hour() {
    let receiver = SmtpReceiver::start();
    let app = start_with(&receiver, "max_per_hour = 5").await;
    for number in 0..6 {
        let answer = queue(&app, &format!("p{number}@corp.test"), &recover(&app)).await;
        assert_eq!(matches!(answer, Queued::Yes(_)), number < 5, "{number}: {answer:?}");
    }
    assert_eq!(app.refusals("mail").await, ["too_many_in_all"]);
    app.clock.advance(3_599);
    let late = queue(&app, "late@corp.test", &recover(&app)).await;
    assert_eq!(late, Queued::TooManyInAll);
    app.clock.advance(1);
    assert!(matches!(queue(&app, "late@corp.test", &recover(&app)).await, Queued::Yes(_)));
}

/// RC-02, IJ-16: one plain address, or no mail at all.
#[tokio::test(flavor = "multi_thread")]
async fn only_one_plain_address_gets_mail() {
    let receiver = SmtpReceiver::start();
    let app = start(&receiver).await;
    for wrong in [
        "alice@corp.test,mallory@evil.test",
        "alice@corp.test\r\nBcc: mallory@evil.test",
        "alice@corp.test>\r\nRCPT TO:<mallory@evil.test",
        "alice@corp.test\0",
        "\"alice@corp.test\"@evil.test",
        "Alice <alice@corp.test>",
        "alice@@corp.test",
        "-alice@corp.test",
        "alice",
        "",
    ] {
        assert_eq!(queue(&app, wrong, &recover(&app)).await, Queued::NoAddress, "{wrong:?}");
    }
    deliver_mail(&app.app).await.unwrap();
    assert_eq!((receiver.received().len(), app.count("mail_outbox").await), (0, 0));
}
