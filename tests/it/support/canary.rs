//! Whatever the tests do, no secret gets into a log or an audit event (LG-01): not a password of
//! theirs, not a client's secret, not a verifier, not one of our opaque secrets, not a signed token.
//!
//! Every event of every test is judged by the database as it is written, and every line of the log
//! here. A line with a secret ends the whole run, because no test would notice.

use std::io::{self, Write};

use diesel::connection::SimpleConnection as _;

/// What every secret of the tests holds, besides the prefixes of our own (`kw_rt_`).
const TOLD_BY: [&str; 5] = [
    "-password",
    "-secret-0123456789",
    "-the-secret-key-of-tests",
    "a-verifier-of-the-tests",
    "eyJ",
];
/// What the database says of an event that holds one.
const CAUGHT: &str = "an event holds a secret";

/// Makes a database refuse events that hold a secret.
pub(super) async fn watch_events(url: &str) {
    if let Some(file) = url.strip_prefix("sqlite:") {
        let like = TOLD_BY.map(|text| format!("NEW.detail LIKE '%{text}%'")).join(" OR ");
        let sql = format!(
            "CREATE TRIGGER canary BEFORE INSERT ON audit_events WHEN {like} \
             OR NEW.detail GLOB '*kw_[a-z]*_[A-Za-z0-9]*' \
             BEGIN SELECT RAISE(ABORT, '{CAUGHT}'); END"
        );
        let mut connection: diesel::SqliteConnection = diesel::Connection::establish(file).unwrap();
        return connection.batch_execute(&sql).unwrap();
    }
    let like = TOLD_BY.map(|text| format!("NEW.detail LIKE '%{text}%'")).join(" OR ");
    let sql = format!(
        "CREATE FUNCTION canary() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
         IF {like} OR NEW.detail ~ 'kw_[a-z]+_[A-Za-z0-9]' THEN RAISE EXCEPTION '{CAUGHT}'; \
         END IF; RETURN NEW; END $$; \
         CREATE TRIGGER canary BEFORE INSERT ON audit_events FOR EACH ROW EXECUTE FUNCTION canary()"
    );
    super::database::run(url, &sql).await;
}

/// Judges everything that is logged from now on, in this process.
pub(super) fn watch_logs() {
    let filter = tracing_subscriber::EnvFilter::new("info,keywright=trace");
    // Whoever else has set up logging judges for themselves.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(false)
        .with_writer(|| Judge)
        .try_init();
}

struct Judge;

impl Write for Judge {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if let Some(secret) = secret_in(&String::from_utf8_lossy(line)) {
            let text = String::from_utf8_lossy(line);
            // Past the capture of the test that has done it.
            let _ = writeln!(io::stderr(), "{secret:?} gives away a secret in the log: {text}");
            std::process::abort();
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What a line holds that is, or belongs to, a secret.
fn secret_in(line: &str) -> Option<String> {
    // The sink of development that shows mails in the log does what it was asked to.
    if line.contains("keywright::mail::carrier") {
        return None;
    }
    let known = TOLD_BY.into_iter().chain([CAUGHT]).find(|text| line.contains(text));
    known.map(str::to_owned).or_else(|| opaque_in(line))
}

/// One of our own: `kw_`, its kind, `_`, and what is secret.
fn opaque_in(line: &str) -> Option<String> {
    line.match_indices("kw_").find_map(|(at, _)| {
        let (kind, rest) = line[at + 3..].split_once('_')?;
        let is_kind = (2..=3).contains(&kind.len()) && kind.bytes().all(|b| b.is_ascii_lowercase());
        let secret = rest.bytes().take_while(|b| b.is_ascii_alphanumeric() || *b == b'-').count();
        (is_kind && secret >= 16).then(|| format!("kw_{kind}_"))
    })
}

/// The canary itself can tell: a judge that never speaks would prove nothing.
#[test]
fn what_holds_a_secret_is_caught() {
    let opaque = "kw_rt_ZSM8m8uOTcVsdGa5iTje_WpOv1EkOD0mEeMz2y3p3IQ26HFQ";
    for line in ["signed in as bob-password", "token eyJhbGciOiJFUzI1NiJ9.e30.x", opaque, CAUGHT] {
        assert!(secret_in(line).is_some(), "{line}");
    }
    for line in ["bob signed in", "kw_rt_", "__Host-kw-session", "password is wrong", "kw_to_do"] {
        assert_eq!(secret_in(line), None, "{line}");
    }
}

/// And so can the database, on both.
#[tokio::test(flavor = "multi_thread")]
async fn an_event_with_a_secret_is_refused() {
    use keywright::{audit::Event, store::audit_events};
    let app = super::app::TestApp::start().await;
    let mut connection = app.app.connection().await.unwrap();
    let opaque = "kw_rt_ZSM8m8uOTcVsdGa5iTje_WpOv1EkOD0mEeMz2y3p3IQ26HFQ";
    for (said, kept) in [("bob-password", false), (opaque, false), ("bob", true)] {
        let row = Event::done("canary").detail("said", said).row(app.app.now(), app.app.random());
        let result = audit_events::insert(&mut connection, &row).await;
        assert_eq!(result.is_ok(), kept, "{said}: {result:?}");
    }
}
