//! Mail: what is said, how it is kept, and how it leaves, against a mail server on a real socket.

mod brake;
mod faults;
mod instances;
mod leaving;
mod security;
mod sinks;
mod words;

use keywright::{
    foundation::clock::Timestamp,
    mail::{Link, Message, Queued},
    store::{
        StoreError,
        mail_outbox::{self, OutgoingMail},
    },
};

use crate::support::{app::TestApp, smtp::SmtpReceiver};

const SECRET_LINK: &str = "the-secret-of-the-link";
const CODE: &str = "482913";

/// The section of a mail server on this computer, with more lines.
fn section(receiver: &SmtpReceiver, lines: &str) -> String {
    let url = format!("url = \"smtp://127.0.0.1:{}\"", receiver.port);
    format!("[mail]\n{url}\nfrom = \"Keywright <id@id.test>\"\ntimeout = \"20s\"\n{lines}\n")
}

async fn start_with(receiver: &SmtpReceiver, lines: &str) -> TestApp {
    TestApp::builder().config(&section(receiver, lines)).start().await
}

async fn start(receiver: &SmtpReceiver) -> TestApp {
    start_with(receiver, "").await
}

fn link(app: &TestApp) -> Link {
    Link::new(&app.app.urls, "/recovery", &[("token", SECRET_LINK)])
}

fn recover(app: &TestApp) -> Message {
    Message::Recover {
        link: link(app),
        code: Some(CODE.to_owned()),
        minutes: 15,
        address_of_request: "192.0.2.7".to_owned(),
    }
}

fn verify(app: &TestApp, name: &str) -> Message {
    let (name, code) = (Some(name.to_owned()), None);
    Message::VerifyEmail { name, link: link(app), code, hours: 48 }
}

fn notice(app: &TestApp) -> Message {
    Message::MethodChanged {
        what: "a passkey was added".to_owned(),
        when: app.app.now(),
        from_where: "Firefox on Linux, 192.0.2.7".to_owned(),
        account: Link::new(&app.app.urls, "/account", &[]),
    }
}

/// Queues a message in a transaction of its own.
async fn queue(app: &TestApp, to: &str, message: &Message) -> Queued {
    let mut connection = app.app.connection().await.unwrap();
    let now = app.app.now();
    connection
        .transaction(async |conn| {
            Ok::<_, StoreError>(app.app.queue_mail(conn, to, message, now).await?)
        })
        .await
        .unwrap()
}

/// The rows of an address.
async fn rows(app: &TestApp, to: &str) -> Vec<OutgoingMail> {
    mail_outbox::list_to(&mut app.app.connection().await.unwrap(), to).await.unwrap()
}

/// The only row of an address.
async fn row(app: &TestApp, to: &str) -> OutgoingMail {
    let mut rows = rows(app, to).await;
    assert_eq!(rows.len(), 1, "{rows:?}");
    rows.remove(0)
}

/// Asserts that the mail has left, and that nothing of what it said is kept.
fn assert_sent(row: &OutgoingMail, at: Timestamp) {
    assert_eq!((row.sent_at, row.next_try_at, row.gave_up_at), (Some(at), None, None), "{row:?}");
    assert_eq!((&row.letter, &row.last_error), (&None, &None), "{row:?}");
}

/// Asserts that the mail was given up, and that nothing of what it said is kept.
fn assert_given_up(row: &OutgoingMail, at: Timestamp) {
    assert_eq!((row.gave_up_at, row.next_try_at, row.sent_at), (Some(at), None, None), "{row:?}");
    assert_eq!(row.letter, None, "{row:?}");
}

/// A number of the metrics, by its name and labels.
fn number(app: &TestApp, line: &str) -> Option<u64> {
    let text = app.app.metrics.render().unwrap();
    let found = text.lines().find_map(|own| own.strip_prefix(line)?.strip_prefix(' '));
    found.map(|number| number.parse().unwrap())
}
