//! What mails say, and that nobody else can say something in them.

use keywright::{foundation::clock::Span, jobs::deliver_mail};

use super::*;
use crate::support::received::Received;

async fn sent(message: impl Fn(&TestApp) -> Message, lines: &str) -> (Received, Message) {
    let receiver = SmtpReceiver::start();
    let branding = format!("\n[branding]\nname = {lines}\n");
    let app = start_with(&receiver, &branding).await;
    let message = message(&app);
    assert!(matches!(queue(&app, "alice@corp.test", &message).await, Queued::Yes(_)));
    deliver_mail(&app.app).await.unwrap();
    let mut mails = receiver.received();
    assert_eq!(mails.len(), 1);
    (mails.remove(0), message)
}

/// Every message there is, with this text wherever a person or an upstream may have written one.
fn every(app: &TestApp, text: &str) -> Vec<Message> {
    let (typed, when, from_where) = (|| text.to_owned(), app.app.now(), text.to_owned());
    let short: String = text.chars().take(40).collect();
    let account = Link::new(&app.app.urls, "/account", &[("next", &short)]);
    let code = "482913".to_owned();
    vec![
        Message::VerifyEmail {
            name: Some(typed()),
            link: link(app),
            code: Some(code.clone()),
            hours: 1,
        },
        Message::Recover {
            link: link(app),
            code: Some(code.clone()),
            minutes: 15,
            address_of_request: typed(),
        },
        Message::Invite { by: typed(), link: link(app), until: when.plus(Span::from_hours(1)) },
        Message::AccountExists { sign_in: link(app), recover: Some(account.clone()) },
        Message::SignInWithUpstream { upstreams: vec![typed(), typed()], sign_in: link(app) },
        Message::ConnectCode {
            upstream: typed(),
            name: typed(),
            code: code.clone(),
            minutes: 15,
            address_of_request: typed(),
        },
        Message::MethodChanged {
            what: typed(),
            when,
            from_where: from_where.clone(),
            account: account.clone(),
        },
        Message::AddressChanged {
            new_address: typed(),
            when,
            from_where: from_where.clone(),
            undo: Some(link(app)),
        },
        Message::PasswordAdded { when, from_where: from_where.clone(), account },
        Message::AccountDeleted { until: when, when, from_where, keep: link(app) },
        Message::AccountWaits { username: typed() },
        Message::AccountApproved { username: typed(), sign_in: link(app) },
        Message::Test,
    ]
}

/// RC-03: whatever was typed, the mail has its own headers and one recipient, and its text cannot end
/// it early.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_was_typed_becomes_a_header_or_a_command() {
    let long = "y".repeat(2_000);
    let texts = [
        "Ann\r\nBcc: mallory@evil.test\r\n\r\nbody",
        "Ann\nBcc: mallory@evil.test",
        "Ann\rBcc: mallory@evil.test",
        "x\r\n.\r\nMAIL FROM:<evil@evil.test>\r\nRCPT TO:<mallory@evil.test>\r\nDATA\r\n",
        "\u{202e}nnA\u{2066}\u{200b} =?utf-8?q?Bcc:_x?=",
        ".",
        "Grüße, Søren 🙂 名前",
        &long,
    ];
    let receiver = SmtpReceiver::start();
    let app = start(&receiver).await;
    let names = [
        "From",
        "To",
        "Subject",
        "Date",
        "Message-ID",
        "Auto-Submitted",
        "MIME-Version",
        "Content-Type",
    ];
    let mut count = 0;
    for (number, text) in texts.iter().enumerate() {
        for message in every(&app, text) {
            let to = format!("p{number}@{}.test", message.kind().as_str().replace('_', "-"));
            assert!(matches!(queue(&app, &to, &message).await, Queued::Yes(_)), "{to}");
            count += 1;
        }
    }
    deliver_mail(&app.app).await.unwrap();
    let mails = receiver.received();
    assert_eq!(mails.len(), count);
    for mail in &mails {
        let mut found: Vec<String> = mail.headers().into_iter().map(|(name, _)| name).collect();
        found.sort();
        let mut expected = names.map(str::to_owned);
        expected.sort();
        assert_eq!(found, expected, "{}", mail.data);
        assert_eq!(mail.to.len(), 1);
        assert!(mail.raw.lines().all(|line| line.len() <= 998), "RFC 5322 §2.1.1");
        assert!(mail.raw.is_ascii());
        let said = format!("{}{}", mail.text(), mail.html());
        assert!(!said.contains(['\u{202e}', '\u{2066}', '\u{200b}']), "IJ-15: {said}");
        assert!(!said.contains(&"y".repeat(100)), "{said}");
        assert!(!mail.header("Subject").contains("Ann"), "{}", mail.header("Subject"));
    }
    let (heard, _) = receiver.heard();
    let recipients = heard.iter().filter(|line| line.starts_with("RCPT")).count();
    assert_eq!(recipients, count);
    assert!(!heard.iter().any(|line| line.contains("evil")), "{heard:?}");
}

/// A line that is a dot, and a line that begins with one, arrive as they are (RFC 5321 §4.5.2).
#[tokio::test(flavor = "multi_thread")]
async fn dots_are_doubled_on_the_way() {
    let (mail, _) = sent(
        |app| Message::MethodChanged {
            what: "x".to_owned(),
            when: app.app.now(),
            from_where: ". .. ...".to_owned(),
            account: Link::new(&app.app.urls, "/account", &[]),
        },
        "\".dotted\"",
    )
    .await;
    assert!(mail.raw.contains("\r\n..dotted\r\n"), "{}", mail.raw);
    assert!(mail.text().contains("\r\n.dotted\r\n"), "{}", mail.text());
    assert!(mail.text().contains(". .. ..."));
}

/// RC-04: what was typed is text, in both parts.
#[tokio::test(flavor = "multi_thread")]
async fn markup_is_shown_and_not_obeyed() {
    let receiver = SmtpReceiver::start();
    let app = start(&receiver).await;
    let evil = "<b>x</b> {{7*7}} \"><img src=x onerror=alert(1)> &amp;";
    for message in every(&app, evil) {
        let to = format!("a@{}.test", message.kind().as_str().replace('_', "-"));
        let _ = queue(&app, &to, &message).await;
    }
    deliver_mail(&app.app).await.unwrap();
    for mail in receiver.received() {
        let html = mail.html();
        for wrong in ["<b>", "<img", "\"><", "49", "<script", "style="] {
            assert!(!html.replace("\"><strong>", "").contains(wrong), "{wrong}: {html}");
        }
        assert!(!mail.text().contains("49"), "{}", mail.text());
    }
    let shown = receiver.received().iter().filter(|mail| mail.html().contains("{{7*7}}")).count();
    assert!(shown >= 5, "{shown}");
}

/// RC-01: every address in every mail begins with the issuer, and nothing is loaded from anywhere.
#[tokio::test(flavor = "multi_thread")]
async fn links_lead_to_the_issuer_only() {
    let receiver = SmtpReceiver::start();
    let app = start(&receiver).await;
    let all = every(&app, "https://evil.test/ //evil.test evil.test");
    let count = all.len();
    for message in all {
        let to = format!("a@{}.test", message.kind().as_str().replace('_', "-"));
        let _ = queue(&app, &to, &message).await;
    }
    deliver_mail(&app.app).await.unwrap();
    assert_eq!(receiver.received().len(), count);
    for mail in receiver.received() {
        let html = mail.html();
        for address in html.split("href=\"").skip(1) {
            assert!(address.starts_with("https://id.test/"), "{html}");
        }
        for loaded in ["<img", "<link", "<script", "src=", "url("] {
            assert!(!html.contains(loaded), "{loaded}: {html}");
        }
    }
    // A name that programs would make a link of is no greeting.
    let verify = receiver.received().into_iter().find(|mail| mail.to[0].contains("verify-email"));
    let verify = verify.unwrap();
    assert!(!verify.data.contains("evil") && !verify.text().contains("Hello"), "{}", verify.data);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_message_says_what_to_do_and_what_if_it_was_not_you() {
    let receiver = SmtpReceiver::start();
    let app = start_with(&receiver, "\n[branding]\nname = \"Corp\"\n").await;
    let all = every(&app, "Ann Berg");
    for message in &all {
        let to = format!("a@{}.test", message.kind().as_str().replace('_', "-"));
        let _ = queue(&app, &to, message).await;
    }
    deliver_mail(&app.app).await.unwrap();
    let text = |kind: &str| {
        let mails = receiver.received();
        let mail =
            mails.into_iter().find(|mail| mail.to[0].contains(&format!("@{kind}."))).unwrap();
        (mail.header("Subject"), mail.text().replace("\r\n", "\n"))
    };
    for (kind, subject, words) in [
        ("verify-email", "Confirm your address for Corp", "Hello Ann Berg,"),
        ("verify-email", "Confirm your address for Corp", "good for one hour, and once"),
        ("recover", "Get back into Corp", "Asked from: Ann Berg"),
        ("invite", "You are invited to Corp", "Ann Berg invites you"),
        ("account-exists", "You have an account at Corp", "You have one already"),
        ("sign-in-with-upstream", "How you sign in at Corp", "sign in with Ann Berg or Ann Berg"),
        (
            "method-changed",
            "Your sign-in at Corp was changed",
            "On your account at Corp, Ann Berg.",
        ),
        ("method-changed", "Your sign-in at Corp was changed", "When: 1 June 2026, 12:00 UTC"),
        (
            "address-changed",
            "Your address at Corp was changed",
            "Undo the change:\nhttps://id.test/",
        ),
        (
            "password-added",
            "Your account at Corp now has a password",
            "If it was not, sign in at once",
        ),
        ("connect-code", "Your code for Corp", "The code is good for 15 minutes, and once."),
        ("connect-code", "Your code for Corp", "Do not pass the code on to anybody"),
        ("account-deleted", "Your account at Corp is deleted", "Keep the account:"),
        ("test", "A test from Corp", "Mail from Corp reaches this address."),
    ] {
        let (said, text) = text(kind);
        assert_eq!(said, subject);
        assert!(text.contains(words), "{kind}: {words}: {text}");
        assert!(text.ends_with("-- \nCorp\nhttps://id.test"), "{text}");
        assert!(!text.contains('!'), "calm: {text}");
    }
}

/// The notice to the old address shows the new one in part.
#[tokio::test(flavor = "multi_thread")]
async fn a_new_address_is_shown_in_part() {
    let (mail, _) = sent(
        |app| Message::AddressChanged {
            new_address: "mallory@evil.test".to_owned(),
            when: app.app.now(),
            from_where: "192.0.2.7".to_owned(),
            undo: None,
        },
        "\"Corp\"",
    )
    .await;
    assert!(mail.text().contains("m***@evil.test") && !mail.data.contains("mallory"));
}
