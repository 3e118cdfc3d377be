//! What becomes of each row when a backup is restored.
//!
//! A backup does not know what has happened since. What somebody may have revoked, used or left
//! meanwhile must not come back alive, so it comes back ended where its row still tells a story, and
//! not at all where it does not. What people are and know (accounts, passwords, second factors, rights)
//! comes back as it was: nobody could sign in otherwise.

use serde_json::{Value, json};

use crate::{
    foundation::clock::{Span, Timestamp},
    store::grants::RevokedBecause,
};

/// What whoever restores has decided.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wishes {
    /// What is in the database goes.
    pub replace: bool,
    /// Nothing can have been revoked since, because nothing has run: the database only moves.
    pub moved: bool,
    /// Personal access tokens go on.
    pub keep_personal_access_tokens: bool,
}

/// The fate of the rows of a table.
#[derive(Clone, Copy)]
pub enum Fate {
    /// They come back as they were.
    AsTheyWere,
    /// They do not come back.
    LeftOut,
    /// They are not even in a backup: they speak of servers that run, and not of what is kept.
    NotKept,
    /// Each comes back as this leaves it.
    Changed(fn(&mut Row<'_>, &Moment)),
}

impl std::fmt::Debug for Fate {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(match self {
            Self::AsTheyWere => "AsTheyWere",
            Self::LeftOut => "LeftOut",
            Self::NotKept => "NotKept",
            Self::Changed(_) => "Changed",
        })
    }
}

/// When a backup is restored, and how.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// When.
    pub now: Timestamp,
    /// How.
    pub wishes: Wishes,
}

/// Every table with the fate of its rows; those that others refer to come first.
pub const TABLES: &[(&str, Fate)] = &[
    ("facts", Fate::AsTheyWere),
    ("sealed_facts", Fate::AsTheyWere),
    ("users", Fate::AsTheyWere),
    ("groups", Fate::AsTheyWere),
    ("identities", Fate::AsTheyWere),
    ("user_attributes", Fate::AsTheyWere),
    ("pictures", Fate::AsTheyWere),
    ("passkeys", Fate::AsTheyWere),
    ("totp_factors", Fate::Changed(spend_codes)),
    ("recovery_codes", Fate::Changed(spend_recovery_code)),
    ("deletions", Fate::Changed(give_time)),
    ("waiting_accounts", Fate::AsTheyWere),
    ("invitations", Fate::Changed(revoke)),
    ("sessions", Fate::Changed(end_session)),
    ("consents", Fate::LeftOut),
    ("leases", Fate::LeftOut),
    ("grants", Fate::Changed(revoke_grant)),
    ("refresh_tokens", Fate::AsTheyWere),
    ("revoked_access_tokens", Fate::AsTheyWere),
    ("personal_access_tokens", Fate::Changed(revoke_personal)),
    ("one_time_links", Fate::LeftOut),
    ("recovery_requests", Fate::LeftOut),
    ("password_guesses", Fate::AsTheyWere),
    ("signing_keys", Fate::Changed(throw_away)),
    ("mail_outbox", Fate::Changed(give_up)),
    ("logout_deliveries", Fate::AsTheyWere),
    ("audit_events", Fate::AsTheyWere),
    ("instances", Fate::NotKept),
];

/// Every database that was brought up to date says so here, and where nothing else is in it, it is empty.
pub(super) const MARKS: &str = "facts";

/// The fate of a table's rows, if there is such a table.
pub(super) fn of(table: &str, moment: &Moment) -> Option<(&'static str, Fate)> {
    let (name, fate) = TABLES.iter().find(|(name, _)| *name == table)?;
    Some((name, if moment.wishes.moved { Fate::AsTheyWere } else { *fate }))
}

/// A row as it goes by.
#[derive(Debug)]
pub struct Row<'a> {
    columns: &'a [String],
    values: Vec<Value>,
    /// Whether it was alive and is not any more.
    ended: bool,
}

impl<'a> Row<'a> {
    pub(super) fn parse(columns: &'a [String], line: &str) -> Option<Self> {
        let values: Vec<Value> = serde_json::from_str(line).ok()?;
        (values.len() == columns.len()).then_some(Self { columns, values, ended: false })
    }

    /// The row as it is now, and whether it was ended.
    pub(super) fn into_line(self) -> (String, bool) {
        (Value::Array(self.values).to_string(), self.ended)
    }

    fn value(&mut self, column: &str) -> Option<&mut Value> {
        let at = self.columns.iter().position(|own| own == column)?;
        self.values.get_mut(at)
    }

    fn is_null(&mut self, column: &str) -> bool {
        self.value(column).is_none_or(|value| value.is_null())
    }

    fn number(&mut self, column: &str) -> i64 {
        self.value(column).and_then(|value| value.as_i64()).unwrap_or_default()
    }

    /// A backup of an older version may not have the column.
    fn set(&mut self, column: &str, new: Value) {
        if let Some(value) = self.value(column) {
            *value = new;
        }
    }

    /// Ends it by this column, unless it has ended already.
    fn end(&mut self, column: &str, moment: &Moment) -> bool {
        let alive = self.is_null(column);
        if alive {
            self.set(column, json!(moment.now));
            self.ended = true;
        }
        alive
    }
}

fn end_session(row: &mut Row<'_>, moment: &Moment) {
    row.end("ended_at", moment);
}

fn revoke(row: &mut Row<'_>, moment: &Moment) {
    row.end("revoked_at", moment);
}

fn revoke_grant(row: &mut Row<'_>, moment: &Moment) {
    if row.end("revoked_at", moment) {
        row.set("revoked_because", json!(RevokedBecause::Restored.as_str()));
    }
}

fn revoke_personal(row: &mut Row<'_>, moment: &Moment) {
    if !moment.wishes.keep_personal_access_tokens {
        row.end("revoked_at", moment);
    }
}

/// How long a code of an authenticator app lasts (RFC 6238 §5.2).
const STEP: i64 = 30;

/// A code that has counted since the backup does not count again.
fn spend_codes(row: &mut Row<'_>, moment: &Moment) {
    let last = row.number("last_step").max(moment.now.unix() / STEP);
    row.set("last_step", json!(last));
}

/// It may have been used since. People make new ones with the second factor that they have.
fn spend_recovery_code(row: &mut Row<'_>, moment: &Moment) {
    row.end("used_at", moment);
}

/// Whoever has taken the deletion back since has the whole time again to say so.
fn give_time(row: &mut Row<'_>, moment: &Moment) {
    let grace = row.number("due_at") - row.number("asked_at");
    let grace = Span::from_seconds(u32::try_from(grace).unwrap_or_default());
    let due_at = Timestamp::from_unix(row.number("due_at")).max(moment.now.plus(grace));
    row.set("due_at", json!(due_at));
}

/// It may have been thrown away since, because somebody else had it.
fn throw_away(row: &mut Row<'_>, moment: &Moment) {
    if row.end("dropped_at", moment) {
        row.set("signs_until", json!(moment.now));
        row.set("gone_at", json!(moment.now));
    }
}

/// It may have left since, and the links in it are worth nothing any more.
fn give_up(row: &mut Row<'_>, moment: &Moment) {
    if !row.is_null("next_try_at") {
        row.set("next_try_at", Value::Null);
        row.set("letter", Value::Null);
        row.set("gave_up_at", json!(moment.now));
        row.set("last_error", json!("restored from a backup"));
        row.ended = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(table: &str, columns: &[&str], line: &str, wishes: Wishes) -> (String, bool) {
        let columns: Vec<String> = columns.iter().map(|name| (*name).to_owned()).collect();
        let moment = Moment { now: Timestamp::from_unix(3_000), wishes };
        let mut row = Row::parse(&columns, line).unwrap();
        if let (_, Fate::Changed(change)) = of(table, &moment).unwrap() {
            change(&mut row, &moment);
        }
        row.into_line()
    }

    /// LG-17.
    #[test]
    fn what_was_alive_is_ended_and_what_had_ended_stays_as_it_was() {
        let asked = Wishes::default();
        let ended = |line: &str| after("sessions", &["id", "ended_at"], line, asked);
        assert_eq!(ended(r#"["a",null]"#), (r#"["a",3000]"#.to_owned(), true));
        assert_eq!(ended(r#"["a",7]"#), (r#"["a",7]"#.to_owned(), false));
        let moved = Wishes { moved: true, ..asked };
        let as_it_was = after("sessions", &["id", "ended_at"], r#"["a",null]"#, moved);
        assert_eq!(as_it_was, (r#"["a",null]"#.to_owned(), false));
        let grant = after("grants", &["revoked_at", "revoked_because"], "[null,null]", asked);
        assert_eq!(grant, (r#"[3000,"restored"]"#.to_owned(), true));
        let kept = Wishes { keep_personal_access_tokens: true, ..asked };
        let token = |wishes| after("personal_access_tokens", &["revoked_at"], "[null]", wishes);
        assert_eq!((token(asked).1, token(kept).1), (true, false));
    }

    #[test]
    fn codes_up_to_now_are_spent_and_deletions_wait_again() {
        let asked = Wishes::default();
        let step = |line: &str| after("totp_factors", &["last_step"], line, asked).0;
        assert_eq!((step("[7]").as_str(), step("[200]").as_str()), ("[100]", "[200]"));
        let due = |line: &str| after("deletions", &["asked_at", "due_at"], line, asked).0;
        assert_eq!(due("[1000,1500]"), "[1000,3500]");
        assert_eq!(due("[1000,9000]"), "[1000,11000]");
    }

    #[test]
    fn a_line_that_is_no_row_of_its_table_is_none() {
        let columns = ["a".to_owned(), "b".to_owned()];
        for line in ["[1]", "[1,2,3]", "{}", "nothing", ""] {
            assert!(Row::parse(&columns, line).is_none(), "{line}");
        }
    }
}
