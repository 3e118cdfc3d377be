//! `keywright user import`: people of another system, with the hashes of their passwords.
//!
//! Everything is looked at before anything is stored, so that a file with mistakes changes nothing
//! and says all of them at once.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail, ensure};
use clap::Args;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    accounts::passwords::Passwords,
    audit::Event,
    cli::{
        output::{say, say_json},
        tools::Tools,
    },
    config::is_role,
    foundation::{
        clock::Timestamp,
        ids::UserId,
        names::{email_key, is_email, username_fault, username_key},
    },
    store::{
        Connection, audit_events,
        users::{self, AccountKind, User},
    },
};

/// All of it is in memory while it is looked at.
const MOST_BYTES: u64 = 64 * 1_024 * 1_024;
const MOST_PEOPLE: usize = 100_000;
const MOST_GROUPS: usize = 200;
const LONGEST_TEXT: usize = 200;
/// So many problems are told.
const MOST_TOLD: usize = 200;
/// So many names are asked about at a time.
const AT_A_TIME: usize = 500;

#[derive(Debug, Args)]
pub(in crate::cli) struct Import {
    /// A file of JSON lines, or `-` for standard input.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Look at everything and store nothing.
    #[arg(long)]
    pub(super) dry_run: bool,
    /// As one line of JSON.
    #[arg(long)]
    json: bool,
}

/// One person, as a line says it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    username: String,
    email: Option<String>,
    email_verified: Option<bool>,
    name: Option<String>,
    #[serde(default)]
    groups: Vec<String>,
    #[serde(default)]
    roles: Vec<String>,
    password_hash: Option<String>,
    #[serde(default)]
    disabled: bool,
    created_at: Option<String>,
}

/// What is wrong with a line.
struct Problem {
    line: usize,
    field: &'static str,
    fault: String,
}

pub(super) async fn run(tools: &Tools, import: &Import) -> anyhow::Result<()> {
    let bytes = read(&import.file)?;
    let passwords = Passwords::new(&tools.config, tools.random())?;
    let mut reading = Reading::new(tools, &passwords);
    for (at, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
        if !line.trim_ascii().is_empty() {
            reading.take(at + 1, line);
        }
    }
    ensure!(
        reading.people.len() <= MOST_PEOPLE,
        "more than {MOST_PEOPLE} people at once: divide the file"
    );
    let mut connection = tools.connection().await?;
    reading.compare(&mut connection).await?;
    let Reading { people, mut problems, .. } = reading;
    problems.sort_by_key(|problem| problem.line);
    if !problems.is_empty() {
        return Err(refuse(import, &problems));
    }
    if !import.dry_run {
        store(tools, &mut connection, &people).await?;
    }
    if import.json {
        let imported = if import.dry_run { 0 } else { people.len() };
        let read = people.len();
        let told = json!({
            "read": read, "imported": imported, "dry_run": import.dry_run, "problems": [],
        });
        say_json(&told);
    } else if import.dry_run {
        say(&format!("{} people can be imported; nothing is stored.", people.len()));
    } else {
        say(&format!("{} people are imported.", people.len()));
    }
    Ok(())
}

fn read(file: &Path) -> anyhow::Result<Vec<u8>> {
    let source: Box<dyn Read> = if file == Path::new("-") {
        Box::new(io::stdin().lock())
    } else {
        Box::new(File::open(file).with_context(|| format!("{} cannot be read", file.display()))?)
    };
    let mut bytes = Vec::new();
    source.take(MOST_BYTES + 1).read_to_end(&mut bytes)?;
    let mebibytes = MOST_BYTES / 1_024 / 1_024;
    ensure!(bytes.len() as u64 <= MOST_BYTES, "more than {mebibytes} MiB at once: divide the file");
    Ok(bytes)
}

fn refuse(import: &Import, problems: &[Problem]) -> anyhow::Error {
    let count = problems.len();
    if import.json {
        let told: Vec<Value> = problems
            .iter()
            .map(|p| json!({ "line": p.line, "field": p.field, "problem": p.fault }))
            .collect();
        let dry_run = import.dry_run;
        say_json(&json!({ "imported": 0, "dry_run": dry_run, "problems": told }));
        return anyhow::anyhow!("nothing is stored; problems: {count}");
    }
    let mut lines = vec![format!("nothing is stored; problems: {count}")];
    let told = problems.iter().take(MOST_TOLD);
    lines.extend(told.map(|p| format!("  line {}: {}: {}", p.line, p.field, p.fault)));
    if count > MOST_TOLD {
        lines.push(format!("  and {} more", count - MOST_TOLD));
    }
    anyhow::Error::msg(lines.join("\n"))
}

/// The file, as far as it is read.
struct Reading<'a> {
    tools: &'a Tools,
    passwords: &'a Passwords,
    now: Timestamp,
    people: Vec<User>,
    problems: Vec<Problem>,
    /// On which line a name, or a verified address, stands first.
    names: BTreeMap<String, usize>,
    addresses: BTreeMap<String, usize>,
}

impl<'a> Reading<'a> {
    fn new(tools: &'a Tools, passwords: &'a Passwords) -> Self {
        let (people, problems) = (Vec::new(), Vec::new());
        let (names, addresses) = (BTreeMap::new(), BTreeMap::new());
        Self { tools, passwords, now: tools.now(), people, problems, names, addresses }
    }

    fn problem(&mut self, line: usize, field: &'static str, fault: impl Into<String>) {
        self.problems.push(Problem { line, field, fault: fault.into() });
    }

    fn take(&mut self, at: usize, bytes: &[u8]) {
        match serde_json::from_slice::<Line>(bytes) {
            Ok(line) => self.check(at, line),
            Err(error) => {
                // Its own position is always the first line.
                let text = error.to_string();
                let fault = text.split(" at line 1").next().unwrap_or_default().to_owned();
                self.problem(at, "JSON", fault);
            }
        }
    }

    fn check(&mut self, at: usize, line: Line) {
        let before = self.problems.len();
        self.check_name(at, &line.username);
        self.check_address(at, &line);
        self.check_texts(at, &line);
        let created_at = match line.created_at.as_deref().map(Timestamp::parse_rfc3339) {
            None => self.now,
            Some(Some(at)) if at <= self.now => at,
            Some(_) => {
                let fault = "must be a moment of the past such as \"2024-05-17T09:30:00Z\"";
                self.problem(at, "created_at", fault);
                self.now
            }
        };
        if self.problems.len() > before {
            return;
        }
        self.people.push(User {
            id: UserId::generate(&*self.tools.random(), self.now),
            username_key: username_key(&line.username),
            username: line.username,
            email_key: line.email.as_deref().map(email_key),
            email_verified: line.email_verified,
            email: line.email,
            name: line.name,
            picture: None,
            password_hash: line.password_hash,
            groups: line.groups.iter().collect(),
            disabled_at: line.disabled.then_some(self.now),
            created_at,
            updated_at: self.now,
            email_issuer: None,
            roles: line.roles.iter().collect(),
            kind: AccountKind::Person,
            locale: None,
            own_picture: None,
            password_temporary: false,
        });
    }

    fn check_name(&mut self, at: usize, username: &str) {
        if let Some(fault) = username_fault(username) {
            return self.problem(at, "username", format!("{username:?} {fault}"));
        }
        let first = *self.names.entry(username_key(username)).or_insert(at);
        if first != at {
            self.problem(at, "username", format!("{username:?} stands on line {first} too"));
        }
    }

    fn check_address(&mut self, at: usize, line: &Line) {
        let Some(email) = &line.email else {
            if line.email_verified == Some(true) {
                self.problem(at, "email_verified", "there is no address to be verified");
            }
            return;
        };
        if !is_email(email) {
            let fault = "is not a plain address such as \"anna@example.org\"";
            return self.problem(at, "email", format!("{email:?} {fault}"));
        }
        if line.email_verified != Some(true) {
            return;
        }
        // An address that two have proved signs neither of them in.
        let first = *self.addresses.entry(email_key(email)).or_insert(at);
        if first != at {
            let fault = format!("{email:?} is verified on line {first} too");
            self.problem(at, "email", fault);
        }
    }

    fn check_texts(&mut self, at: usize, line: &Line) {
        let bad = |text: &str| {
            text.trim().is_empty()
                || text.chars().count() > LONGEST_TEXT
                || text.chars().any(char::is_control)
        };
        let fault = format!("must have 1 to {LONGEST_TEXT} visible characters");
        if line.name.as_deref().is_some_and(bad) {
            self.problem(at, "name", fault.clone());
        }
        if line.groups.iter().any(|group| bad(group)) {
            self.problem(at, "groups", fault);
        }
        if let Some(role) = line.roles.iter().find(|role| !is_role(role)) {
            let fault = "must be 1 to 64 letters, digits, dots, hyphens, underscores, colons";
            self.problem(at, "roles", format!("{role:?} {fault}"));
        }
        if line.groups.len() > MOST_GROUPS {
            self.problem(at, "groups", format!("must be at most {MOST_GROUPS}"));
        }
        if line.password_hash.as_deref().is_some_and(|hash| !self.passwords.can_check(hash)) {
            let fault = "cannot be checked: unknown, broken, or too costly (docs/operations.md)";
            self.problem(at, "password_hash", fault);
        }
    }

    /// Names that are taken in the database, and verified addresses that somebody has there.
    async fn compare(&mut self, connection: &mut Connection) -> anyhow::Result<()> {
        let names: Vec<String> = self.names.keys().cloned().collect();
        for keys in names.chunks(AT_A_TIME) {
            for key in users::taken_usernames(connection, keys).await? {
                let at = self.names.get(&key).copied().unwrap_or_default();
                self.problem(at, "username", format!("{key:?} is taken"));
            }
        }
        let addresses: Vec<String> = self.addresses.keys().cloned().collect();
        for keys in addresses.chunks(AT_A_TIME) {
            for key in users::taken_addresses(connection, keys).await? {
                let at = self.addresses.get(&key).copied().unwrap_or_default();
                let fault = format!("{key:?} is the verified address of another account");
                self.problem(at, "email", fault);
            }
        }
        Ok(())
    }
}

/// All of them, or none.
async fn store(tools: &Tools, connection: &mut Connection, people: &[User]) -> anyhow::Result<()> {
    let (now, random) = (tools.now(), tools.random());
    connection
        .transaction(async |conn| {
            for user in people {
                if !users::insert(conn, user).await? {
                    bail!("nothing is stored: username {:?} was taken meanwhile", user.username);
                }
                let event = Event::done("user_added").user(&user.id).detail("by", "import");
                audit_events::insert(conn, &event.row(now, &*random)).await?;
            }
            Ok(())
        })
        .await
}
