//! `keywright trace ID`: the whole story behind the short id of an error page, hop by hop.

use anyhow::bail;
use clap::Args;
use serde_json::{Map, Value, json};

use super::{
    output::{say, say_json},
    tools::Tools,
};
use crate::{
    config::Config,
    foundation::{clock::Timestamp, ids::TraceId},
    store::{
        audit_events::{self, AuditEvent},
        grants::{self, Grant},
    },
};

#[derive(Debug, Args)]
pub(super) struct Options {
    /// The id on the page.
    id: String,
    /// As one line of JSON.
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(config: Config, options: Options) -> anyhow::Result<()> {
    let Some(id) = TraceId::parse(&options.id) else {
        bail!("{:?} is not the id of a story: those have eight letters and digits", options.id);
    };
    let tools = Tools::open(config).await?;
    let mut connection = tools.connection().await?;
    let events = audit_events::list_of_trace(&mut connection, &id).await?;
    let grants = grants::list_of_trace(&mut connection, &id).await?;
    if events.is_empty() && grants.is_empty() {
        bail!("no story is kept under {id}; stories are kept for 90 days");
    }
    if options.json {
        let events: Vec<Value> = events.iter().map(event_json).collect();
        let grants: Vec<Value> = grants.iter().map(grant_json).collect();
        say_json(&json!({ "trace_id": id, "events": events, "grants": grants }));
        return Ok(());
    }
    events.iter().for_each(print_event);
    grants.iter().for_each(print_grant);
    Ok(())
}

fn detail(event: &AuditEvent) -> Map<String, Value> {
    serde_json::from_str(&event.detail).unwrap_or_default()
}

fn event_json(event: &AuditEvent) -> Value {
    json!({
        "at": event.at, "action": event.action, "outcome": event.outcome, "reason": event.reason,
        "user_id": event.user_id, "client_id": event.client_id, "upstream": event.upstream,
        "address": event.address, "detail": detail(event),
    })
}

fn grant_json(grant: &Grant) -> Value {
    json!({
        "id": grant.id, "client_id": grant.client_id, "user_id": grant.user_id,
        "scope": grant.scope, "created_at": grant.created_at, "revoked_at": grant.revoked_at,
        "revoked_because": grant.revoked_because,
    })
}

fn print_event(event: &AuditEvent) {
    let mut detail = detail(event);
    if let Some(Value::Array(hops)) = detail.remove("story") {
        for hop in hops {
            let at = hop.get("at").and_then(Value::as_i64).map(Timestamp::from_unix);
            let what = hop.get("what").and_then(Value::as_str).unwrap_or_default();
            say(&format!("{}  {what}", at.map(Timestamp::rfc3339).unwrap_or_default()));
        }
    }
    let reason = event.reason.as_deref().map(|reason| format!(": {reason}")).unwrap_or_default();
    say(&format!("{}  {} {}{reason}", event.at.rfc3339(), event.action, event.outcome));
    let mut facts: Vec<(String, String)> = [
        ("client", event.client_id.as_ref().map(ToString::to_string)),
        ("upstream", event.upstream.as_ref().map(ToString::to_string)),
        ("person", event.user_id.as_ref().map(ToString::to_string)),
        ("address", event.address.clone()),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some((name.to_owned(), value?)))
    .collect();
    facts.extend(detail.into_iter().map(|(name, value)| match value {
        Value::String(text) => (name, text),
        other => (name, other.to_string()),
    }));
    for (name, value) in facts {
        say(&format!("    {name}: {value}"));
    }
}

fn print_grant(grant: &Grant) {
    say(&format!("{}  the code was redeemed by {}", grant.created_at.rfc3339(), grant.client_id));
    say(&format!("    scope: {}", grant.scope));
    if let (Some(at), Some(because)) = (grant.revoked_at, grant.revoked_because) {
        say(&format!("{}  its tokens were ended: {because}", at.rfc3339()));
    }
}
