//! Every row of every table goes into a backup and comes out of it, on either database.

use std::collections::BTreeSet;

use keywright::backup::{TABLES, Wishes};

use super::{Contents, MOVED, back_up, contents, empty_file, number, restore};
use crate::{
    stores::raw::{self, empty},
    support::database::TestDatabase,
};

/// What has gone wrong elsewhere before.
const NASTY: &str = "O''Hara \"quoted\" back\\slash\ttab\nline \u{1}\u{1f} {\"json\":[1,null]} \
                     \u{65e5}\u{672c} \u{1f600} \u{2028} %s $1 ]]";

/// Bytes in the words of a database.
fn bytes(url: &str, hex: &str) -> String {
    if url.starts_with("sqlite:") { format!("X'{hex}'") } else { format!("decode('{hex}', 'hex')") }
}

/// Puts something into every table.
async fn fill(url: &str) {
    let every_byte = (0..=255).map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat();
    let (all, none, digest) =
        (bytes(url, &every_byte), bytes(url, ""), |at: u8| bytes(url, &format!("{at:02x}00ff")));
    let (d1, d2, d3, d4) = (digest(1), digest(2), digest(3), digest(4));
    let (d5, d6, d7, d8) = (digest(5), digest(6), digest(7), digest(8));
    let sql = format!(
        "INSERT INTO users (id, username, username_key, email, email_key, email_verified, name, \
             picture, password_hash, groups, disabled_at, created_at, updated_at, email_issuer, \
             roles, kind, locale, own_picture) VALUES \
           ('bob', 'Bob', 'bob', 'b@x', 'b@x', TRUE, '{NASTY}', 'p', 'h', '[\"a\"]', 5, 1, 2, 'i', \
             '[]', 'person', 'de', 'q'), \
           ('ann', 'ann', 'ann', NULL, NULL, FALSE, '', NULL, NULL, '[]', NULL, 1, 2, NULL, \
             '[\"admin\"]', 'person', NULL, NULL), \
           ('eve', 'eve', 'eve', NULL, NULL, NULL, NULL, NULL, NULL, '[]', NULL, 1, 2, NULL, \
             '[]', 'service', NULL, NULL);
         INSERT INTO groups VALUES ('staff', '{NASTY}', NULL, 'administrator', 1, 2);
         INSERT INTO identities (id, user_id, upstream, issuer, subject, groups, created_at, \
             confirmed_at, claims, linked_by, linked_at) VALUES \
           ('i1', 'bob', 'kc', 'iss', 's1', '[]', 1, 2, {all}, 'sign_up', 1), \
           ('i2', 'ann', 'kc', 'iss', 's2', '[]', 1, 2, NULL, 'asked', 1);
         INSERT INTO user_attributes VALUES ('bob', 'shirt', '\"{NASTY}\"', 1);
         INSERT INTO pictures VALUES ('bob', 'n', {all}, 1), ('ann', 'm', {none}, 1);
         INSERT INTO passkeys VALUES ('k', 'bob', {d1}, '{{\"counter\":1}}', 'n', 1, NULL);
         INSERT INTO totp_factors VALUES ('t', 'bob', {all}, 'n', 7, 1);
         INSERT INTO recovery_codes VALUES ({d1}, 'bob', 1, NULL), ({d2}, 'bob', 1, 2);
         INSERT INTO deletions VALUES ('bob', 1, 2);
         INSERT INTO waiting_accounts VALUES ('ann', 1);
         INSERT INTO invitations VALUES \
           ('v', {d1}, 'person', NULL, NULL, TRUE, '[]', 3, 1, 2, NULL), \
           ('w', {d2}, 'person', NULL, NULL, FALSE, '[]', 3, 1, 2, 9);
         INSERT INTO sessions VALUES \
           ('s', {d1}, 'bob', 'kc', 'sid', 1, '[]', NULL, 1, 2, 3, 4000000000, NULL, 'a', 'u'), \
           ('o', {d2}, 'bob', NULL, NULL, 1, '[]', NULL, 1, 2, 3, 4000000000, 9, 'a', '{NASTY}');
         INSERT INTO consents VALUES ('bob', 'web', 'openid', 1, 2);
         INSERT INTO leases VALUES ('s', 'kc', {all}, 'refresh', 0, TRUE, 'c', 7);
         INSERT INTO grants (id, user_id, client_id, session_id, code_digest, redirect_uri, scope, \
             auth_time, amr, created_at, expires_at, revoked_at, revoked_because, trace_id) VALUES \
           ('g', 'bob', 'web', 's', {d3}, 'r', 'openid', 1, '[]', 1, 4000000000, NULL, NULL, 'T'), \
           ('h', 'bob', 'web', 'o', {d4}, 'r', 'openid', 1, '[]', 1, 4000000000, 9, 'signed_out', 'T');
         INSERT INTO refresh_tokens VALUES ({d5}, 'g', 1, 1, 2, 3), ({d6}, 'g', 2, 1, 2, NULL);
         INSERT INTO revoked_access_tokens VALUES ('j', 9);
         INSERT INTO personal_access_tokens VALUES \
           ('p', {d7}, 'bob', 'n', 's', NULL, NULL, 1, NULL, NULL, NULL, NULL, NULL, '[]', NULL), \
           ('q', {d8}, 'bob', 'm', 's', NULL, NULL, 1, NULL, NULL, NULL, NULL, NULL, '[]', 9);
         INSERT INTO one_time_links VALUES ({d1}, 'recover', 'bob', NULL, 1, 2);
         INSERT INTO recovery_requests VALUES ('r', 'bob', 'o', 'a', 1);
         INSERT INTO password_guesses VALUES \
           ({d1}, 9223372036854775807, -9223372036854775807), ({none}, 0, 0);
         INSERT INTO mail_outbox VALUES \
           ('m', 'recover', 'b@x', 'b@x', {all}, 1, 2, 3, 4, NULL, NULL, 'late'), \
           ('n', 'recover', 'b@x', 'b@x', NULL, 1, 2, NULL, 4, 5, NULL, NULL);
         INSERT INTO logout_deliveries VALUES ('x', 'web', 'bob', 1, 2, 3, NULL, '{NASTY}');
         INSERT INTO instances VALUES ('i', 'iss', '0', 1, 2);
         INSERT INTO audit_events VALUES \
           ('e', 1, 'a', 'done', NULL, 'T', 'bob', NULL, NULL, NULL, '{{\"x\":\"\\u0000 {NASTY}\"}}');"
    );
    raw::run(url, &sql).await;
}

async fn filled() -> TestDatabase {
    let database = TestDatabase::new().await;
    fill(&database.url).await;
    database
}

/// All but the event of the restoring itself.
fn without_event(mut contents: Contents) -> Contents {
    let events = contents.get_mut("audit_events").unwrap();
    let before = events.len();
    events.retain(|event| !event.contains("action=<restored>"));
    assert_eq!(events.len() + 1, before, "there is one event");
    contents
}

/// Whoever adds a table has to say what becomes of its rows (`src/backup/fates.rs`), and to put one
/// into `fill`, so that it is known to come out again.
#[tokio::test(flavor = "multi_thread")]
async fn every_table_has_a_fate_and_a_row_in_these_tests() {
    let database = filled().await;
    let tables = if database.url.starts_with("sqlite:") {
        "SELECT name AS text FROM sqlite_schema WHERE type = 'table' \
         AND name NOT LIKE 'sqlite%' AND name NOT LIKE '\\_\\_%' ESCAPE '\\'"
    } else {
        "SELECT tablename::text AS text FROM pg_tables \
         WHERE schemaname = 'public' AND tablename NOT LIKE '\\_\\_%'"
    };
    let there = BTreeSet::from_iter(raw::texts(&database.url, tables).await);
    let known = TABLES.iter().map(|(table, _)| (*table).to_owned()).collect::<BTreeSet<_>>();
    assert_eq!(there, known, "the tables of the database (left), and those that have a fate");
    assert_eq!(known.len(), TABLES.len(), "a table stands there twice");
    let nothing: Vec<&str> = contents(&database.url)
        .await
        .into_iter()
        .filter_map(|(table, rows)| rows.is_empty().then_some(table))
        .collect();
    assert!(nothing.is_empty(), "{nothing:?} are empty, so nothing is known of them");
}

/// FT-32. With a PostgreSQL this goes from there to SQLite and back.
#[tokio::test(flavor = "multi_thread")]
async fn everything_comes_out_as_it_went_in_on_either_database() {
    let database = filled().await;
    let mut before = contents(&database.url).await;
    let (made, file) = back_up(&database.url).await;
    for (table, rows) in &before {
        // Servers that run are no part of a backup.
        let kept = if *table == "instances" { None } else { Some(&(rows.len() as u64)) };
        assert_eq!(made.rows.get(*table), kept, "{table}");
    }
    before.get_mut("instances").unwrap().clear();
    let (other, _folder) = empty_file();
    let report = restore(&other, &file, MOVED).await.unwrap();
    assert_eq!(report.rows, before.values().map(|rows| rows.len() as u64).sum::<u64>());
    assert!(report.ended.is_empty(), "{report:?}");
    assert_eq!(without_event(contents(&other).await), before);

    let (_, file) = back_up(&other).await;
    let (back, _folder) = empty().await;
    restore(&back, &file, MOVED).await.unwrap();
    let mut after = contents(&back).await;
    after.get_mut("audit_events").unwrap().retain(|event| !event.contains("restored"));
    assert_eq!(after, before);
}

/// Nothing but frames of random bytes: neither a name nor a digest can be read.
#[tokio::test(flavor = "multi_thread")]
async fn the_file_shows_nothing() {
    let database = filled().await;
    let (made, file) = back_up(&database.url).await;
    let lines: Vec<&[u8]> = file.splitn(3, |byte| *byte == b'\n').collect();
    assert_eq!(lines[0], b"keywright backup 1");
    let header: serde_json::Value = serde_json::from_slice(lines[1]).unwrap();
    assert_eq!(header["id"], made.header.id);
    assert_eq!(header["made"], "2026-06-01T12:08:20Z");
    for (said, word) in [("bob", &b"\"bob\""[..]), ("a table", b"users"), ("a group", b"staff")] {
        assert!(!file.windows(word.len()).any(|part| part == word), "{said}");
    }
    let (_, again) = back_up(&database.url).await;
    assert_ne!(again[lines[0].len() + lines[1].len()..], file[lines[0].len() + lines[1].len()..]);
}

/// LG-17: what each table's fate says, row by row.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_alive_comes_back_ended() {
    let database = filled().await;
    let before = contents(&database.url).await;
    let (_, file) = back_up(&database.url).await;
    let (url, _folder) = empty().await;
    let report = restore(&url, &file, Wishes::default()).await.unwrap();
    let after = contents(&url).await;
    let counts = |table: &str| (before[table].len(), after[table].len());
    for table in ["consents", "leases", "one_time_links", "recovery_requests"] {
        assert_eq!(counts(table), (1, 0), "{table}");
    }
    let same = [
        "users",
        "groups",
        "identities",
        "user_attributes",
        "pictures",
        "passkeys",
        "waiting_accounts",
        "refresh_tokens",
        "revoked_access_tokens",
        "password_guesses",
        "sealed_facts",
    ];
    for table in same {
        assert_eq!(before[table], after[table], "{table}");
    }
    let now = super::LATER.unix();
    for (alive, sql) in [
        ("a session", "sessions WHERE ended_at IS NULL"),
        ("a family", "grants WHERE revoked_at IS NULL"),
        ("a personal access token", "personal_access_tokens WHERE revoked_at IS NULL"),
        ("an invitation", "invitations WHERE revoked_at IS NULL"),
        ("a recovery code", "recovery_codes WHERE used_at IS NULL"),
        ("a mail", "mail_outbox WHERE next_try_at IS NOT NULL OR letter IS NOT NULL"),
        ("an old key", &format!("signing_keys WHERE dropped_at IS NULL AND created_at < {now}")),
    ] {
        assert_eq!(number(&url, &format!("SELECT count(*) FROM {sql}")).await, 0, "{alive}");
    }
    for (kept, sql) in [
        ("what had ended", "sessions WHERE id = 'o' AND ended_at = 9"),
        ("why", "grants WHERE id = 'h' AND revoked_because = 'signed_out'"),
        ("the reason", "grants WHERE id = 'g' AND revoked_because = 'restored'"),
        ("a revoked token", "personal_access_tokens WHERE id = 'q' AND revoked_at = 9"),
        ("a sent mail", "mail_outbox WHERE id = 'n' AND sent_at = 5 AND gave_up_at IS NULL"),
        ("what an app is still to be told", "logout_deliveries WHERE due_at = 2"),
    ] {
        assert_eq!(number(&url, &format!("SELECT count(*) FROM {sql}")).await, 1, "{kept}");
    }
    let step = number(&url, "SELECT last_step FROM totp_factors").await;
    assert_eq!(step, now / 30, "codes up to now are spent");
    assert_eq!(number(&url, "SELECT due_at FROM deletions").await, now + 1, "its time begins anew");
    assert_eq!(number(&url, "SELECT value FROM facts WHERE name = 'security.epoch'").await, now);
    assert_eq!(report.ended["sessions"], 1);
    assert_eq!(report.ended["one_time_links"], 1);
    assert_eq!(report.ended["mail_outbox"], 1);
}
