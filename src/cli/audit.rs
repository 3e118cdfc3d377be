//! `keywright audit tail|export`: what happened here and what was refused, in names rather than ids.

use std::{collections::HashMap, time::Duration};

use anyhow::Context as _;
use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Map, Value, json};

use super::{
    output::{say, say_json},
    tools::Tools,
};
use crate::{
    config::Config,
    foundation::{
        clock::Span,
        ids::{ClientId, TraceId, UpstreamSlug, UserId},
        names::username_key,
    },
    store::{
        Connection,
        audit_events::{self, AuditEvent, Outcome, Page, Wanted},
        users,
    },
};

/// How many events are read at once.
const PAGE: i64 = 500;
/// How often a tail that follows looks again.
const PAUSE: Duration = Duration::from_secs(1);
/// An event may become visible a moment after a later one: a tail that follows looks back so far.
const LOOK_BACK: Span = Span::from_seconds(10);

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// The newest events, one a line.
    Tail(Tail),
    /// All events that are kept, the oldest first.
    Export(Export),
}

#[derive(Debug, Args)]
pub(super) struct Tail {
    #[command(flatten)]
    filter: Filter,
    /// How many.
    #[arg(short = 'n', long, default_value_t = 30, value_parser = clap::value_parser!(i64).range(1..=1000))]
    lines: i64,
    /// Go on as more happens, until interrupted.
    #[arg(short, long)]
    follow: bool,
    /// As a line of JSON each.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct Export {
    #[command(flatten)]
    filter: Filter,
    /// In which form.
    #[arg(long, value_enum, default_value_t = Form::Ndjson)]
    format: Form,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Form {
    /// A line of JSON for each event.
    Ndjson,
    /// RFC 4180, with a line of headings.
    Csv,
}

#[derive(Debug, Args)]
struct Filter {
    /// Not older than this: 90s, 30m, 12h or 7d.
    #[arg(long, value_name = "AGE", value_parser = age)]
    since: Option<Span>,
    /// Older than this.
    #[arg(long, value_name = "AGE", value_parser = age)]
    until: Option<Span>,
    /// About this person: a username.
    #[arg(long)]
    user: Option<String>,
    /// At this app: its `client_id`.
    #[arg(long)]
    app: Option<String>,
    /// By this upstream: its slug.
    #[arg(long)]
    upstream: Option<String>,
    /// Of this action, such as `sign_in`.
    #[arg(long)]
    action: Option<String>,
    /// Refusals only.
    #[arg(long)]
    refused: bool,
    /// From this network address.
    #[arg(long)]
    address: Option<String>,
}

fn age(text: &str) -> Result<Span, String> {
    Span::parse(text)
        .ok_or_else(|| "must be a time span such as \"30m\", \"12h\" or \"7d\"".to_owned())
}

pub(super) async fn run(config: Config, verb: Verb) -> anyhow::Result<()> {
    let tools = Tools::open(config).await?;
    match verb {
        Verb::Tail(tail) => run_tail(&tools, tail).await,
        Verb::Export(export) => run_export(&tools, export).await,
    }
}

impl Filter {
    async fn wanted(self, tools: &Tools) -> anyhow::Result<Wanted> {
        let now = tools.now();
        let user = match &self.user {
            None => None,
            Some(name) => {
                let mut connection = tools.connection().await?;
                let user = users::find_by_username(&mut connection, &username_key(name)).await?;
                let user = user.with_context(|| format!("there is no account {name:?}"))?;
                Some(user.id)
            }
        };
        Ok(Wanted {
            since: self.since.map(|age| now.minus(age)),
            until: self.until.map(|age| now.minus(age)),
            user,
            client: self.app.map(ClientId::new),
            upstream: self.upstream.map(UpstreamSlug::new),
            action: self.action,
            outcome: self.refused.then_some(Outcome::Refused),
            address: self.address,
        })
    }
}

async fn run_tail(tools: &Tools, tail: Tail) -> anyhow::Result<()> {
    let mut wanted = tail.filter.wanted(tools).await?;
    let mut names = Names::of(tools);
    let mut connection = tools.connection().await?;
    let mut events =
        audit_events::list(&mut connection, &wanted, &Page::Newest(tail.lines)).await?;
    events.reverse();
    names.learn(&mut connection, &events).await?;
    let show = |names: &Names, event: &AuditEvent| {
        if tail.json { say_json(&names.json(event)) } else { say(&names.line(event)) }
    };
    for event in &events {
        show(&names, event);
    }
    if !tail.follow {
        return Ok(());
    }
    let mut shown: Vec<String> = ids(&events);
    loop {
        tokio::time::sleep(PAUSE).await;
        let back = tools.now().minus(LOOK_BACK);
        wanted.since = Some(wanted.since.map_or(back, |since| since.max(back)));
        let found = audit_events::list(&mut connection, &wanted, &Page::After(None, PAGE)).await?;
        names.learn(&mut connection, &found).await?;
        for event in found.iter().filter(|event| !shown.contains(&event.id)) {
            show(&names, event);
        }
        shown = ids(&found);
    }
}

fn ids(events: &[AuditEvent]) -> Vec<String> {
    events.iter().map(|event| event.id.clone()).collect()
}

async fn run_export(tools: &Tools, export: Export) -> anyhow::Result<()> {
    let wanted = export.filter.wanted(tools).await?;
    let mut names = Names::of(tools);
    let mut connection = tools.connection().await?;
    if export.format == Form::Csv {
        say(&FIELDS.join(","));
    }
    let mut after = None;
    loop {
        let events =
            audit_events::list(&mut connection, &wanted, &Page::After(after, PAGE)).await?;
        let Some(last) = events.as_slice().last() else {
            return Ok(());
        };
        names.learn(&mut connection, &events).await?;
        for event in &events {
            match export.format {
                Form::Ndjson => say_json(&names.json(event)),
                Form::Csv => say(&names.csv(event)),
            }
        }
        after = Some((last.at, last.id.clone()));
    }
}

/// What an exported event tells, in this order.
const FIELDS: [&str; 13] = [
    "at",
    "action",
    "outcome",
    "reason",
    "actor",
    "person",
    "person_id",
    "app",
    "app_id",
    "upstream",
    "address",
    "trace_id",
    "detail",
];

/// What ids stand for.
struct Names {
    people: HashMap<UserId, String>,
    apps: HashMap<ClientId, String>,
    upstreams: HashMap<UpstreamSlug, String>,
}

impl Names {
    fn of(tools: &Tools) -> Self {
        let config = &tools.config;
        let apps = config.clients.iter().map(|app| (app.id.clone(), app.name.clone()));
        let upstreams = config.upstreams.iter().map(|one| (one.slug.clone(), one.name.clone()));
        Self { people: HashMap::new(), apps: apps.collect(), upstreams: upstreams.collect() }
    }

    /// Looks up who has not been named before.
    async fn learn(
        &mut self,
        connection: &mut Connection,
        events: &[AuditEvent],
    ) -> anyhow::Result<()> {
        let people = events.iter().filter_map(|event| event.user_id.clone());
        let mut unknown: Vec<UserId> =
            people.filter(|user| !self.people.contains_key(user)).collect();
        unknown.sort();
        unknown.dedup();
        if !unknown.is_empty() {
            self.people.extend(users::usernames(connection, &unknown).await?);
        }
        Ok(())
    }

    fn person<'a>(&'a self, event: &'a AuditEvent) -> Option<&'a str> {
        let id = event.user_id.as_ref()?;
        Some(self.people.get(id).map_or(id.as_str(), String::as_str))
    }

    fn app<'a>(&'a self, event: &'a AuditEvent) -> Option<&'a str> {
        let id = event.client_id.as_ref()?;
        Some(self.apps.get(id).map_or(id.as_str(), String::as_str))
    }

    fn upstream<'a>(&'a self, event: &'a AuditEvent) -> Option<&'a str> {
        let slug = event.upstream.as_ref()?;
        Some(self.upstreams.get(slug).map_or(slug.as_str(), String::as_str))
    }

    fn json(&self, event: &AuditEvent) -> Value {
        let mut detail: Map<String, Value> =
            serde_json::from_str(&event.detail).unwrap_or_default();
        // Who did it, where that is not the person it is about.
        let actor = detail.remove("by");
        json!({
            "at": event.at.rfc3339(), "action": event.action, "outcome": event.outcome,
            "reason": event.reason, "actor": actor, "person": self.person(event),
            "person_id": event.user_id, "app": self.app(event), "app_id": event.client_id,
            "upstream": self.upstream(event), "address": event.address,
            "trace_id": event.trace_id, "detail": detail,
        })
    }

    fn csv(&self, event: &AuditEvent) -> String {
        let event = self.json(event);
        let cells = FIELDS.map(|name| match event.get(name) {
            None | Some(Value::Null) => String::new(),
            Some(Value::String(text)) => csv_cell(text),
            Some(other) => csv_cell(&other.to_string()),
        });
        cells.join(",")
    }

    fn line(&self, event: &AuditEvent) -> String {
        let reason = event.reason.as_deref().map(|reason| format!(": {reason}"));
        let head = format!("{}  {} {}", event.at.rfc3339(), event.action, event.outcome);
        let facts = [
            ("person", self.person(event)),
            ("app", self.app(event)),
            ("upstream", self.upstream(event)),
            ("from", event.address.as_deref()),
            ("story", event.trace_id.as_ref().map(TraceId::as_str)),
        ];
        let known = facts.into_iter().filter_map(|(name, value)| Some((name, value?)));
        let facts: Vec<String> = known.map(|(name, value)| format!("  {name}={value}")).collect();
        format!("{head}{}{}", reason.unwrap_or_default(), facts.concat())
    }
}

/// A cell of RFC 4180. What a spreadsheet would take for a formula is made a text.
fn csv_cell(text: &str) -> String {
    let formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let text = if formula { format!("'{text}") } else { text.to_owned() };
    if text.contains(['"', ',', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::csv_cell;

    /// What strangers typed stays text, in a spreadsheet too.
    #[test]
    fn a_cell_is_quoted_and_no_formula() {
        for (text, cell) in [
            ("plain", "plain"),
            ("a,b", "\"a,b\""),
            ("say \"x\"", "\"say \"\"x\"\"\""),
            ("=HYPERLINK(1)", "'=HYPERLINK(1)"),
            ("@a,b", "\"'@a,b\""),
            ("-1", "'-1"),
        ] {
            assert_eq!(csv_cell(text), cell, "{text}");
        }
    }
}
