//! What was asked of the houses, and how it was answered: one table of a whole run.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use crate::wire::{Answer, Deed, Trouble};

/// A header by which the proxy says that nobody stood behind it.
pub(crate) const NOBODY: &str = "x-nobody-there";

/// How something was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Outcome {
    Done,
    Refused,
    Away,
    /// The proxy has found no instance, or lost the one that it had.
    Nobody,
    Cut,
    Gone,
    /// 5xx that says nothing of coming back.
    Failed,
}

const COLUMNS: [(Outcome, &str); 7] = [
    (Outcome::Done, "2xx, 3xx"),
    (Outcome::Refused, "4xx"),
    (Outcome::Away, "503"),
    (Outcome::Nobody, "proxy's 503"),
    (Outcome::Cut, "cut"),
    (Outcome::Gone, "no connection"),
    (Outcome::Failed, "other 5xx"),
];

type Table = BTreeMap<u16, BTreeMap<String, BTreeMap<Outcome, u64>>>;

static TABLE: Mutex<Table> = Mutex::new(BTreeMap::new());

fn table() -> MutexGuard<'static, Table> {
    TABLE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a request is about: the beginning of its path, and the grant of one for tokens.
fn kind(head: &str, body: &str) -> String {
    let target = head.split(' ').nth(1).unwrap_or_default();
    let path = target.split('?').next().unwrap_or_default();
    let mut parts = path.split('/').skip(1);
    match (parts.next().unwrap_or_default(), parts.next()) {
        ("token", _) if body.contains("grant_type=refresh_token") => "/token (refresh)".to_owned(),
        ("token", _) => "/token (code)".to_owned(),
        ("upstream", Some(_)) => format!("/upstream/.../{}", parts.next().unwrap_or_default()),
        (".well-known", Some(document)) => format!("/.well-known/{document}"),
        // The rest may be a secret.
        (first, _) => format!("/{first}"),
    }
}

/// Notes one exchange.
pub(crate) fn note(port: u16, head: &str, body: &str, answer: &Deed<Answer>) {
    let outcome = match answer {
        Ok(answer) if answer.headers(NOBODY).next().is_some() => Outcome::Nobody,
        Ok(answer) => match answer.status {
            503 => Outcome::Away,
            500.. => Outcome::Failed,
            400.. => Outcome::Refused,
            _ => Outcome::Done,
        },
        Err(Trouble::Gone) => Outcome::Gone,
        Err(_) => Outcome::Cut,
    };
    let kinds = &mut *table();
    let kinds = kinds.entry(port).or_default();
    *kinds.entry(kind(head, body)).or_default().entry(outcome).or_default() += 1;
}

/// What was asked at a port, as a table.
pub(crate) fn drawn(port: u16) -> String {
    let mut text = format!("{:<38}", "asked");
    for (_, name) in COLUMNS {
        text.push_str(&format!("{name:>14}"));
    }
    let table = table();
    for (kind, outcomes) in table.get(&port).into_iter().flatten() {
        text.push_str(&format!("\n{kind:<38}"));
        for (outcome, _) in COLUMNS {
            text.push_str(&format!("{:>14}", outcomes.get(&outcome).copied().unwrap_or(0)));
        }
    }
    text
}
