//! Two configurations over the claims of everybody's last sign-in: who gains and loses what.
//!
//! Accounts are read in pages and told one by one, so that their number does not matter.

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::told::shown;
use crate::{
    accounts::recorded,
    cli::{
        output::{say, say_json},
        tools::Tools,
    },
    config::UpstreamSettings,
    federation::{
        MappedPerson,
        gates::{self, Refusal},
        mapping,
    },
    foundation::ids::IdentityId,
    store::identities,
};

const PAGE: i64 = 500;

/// What the rules make of one person.
struct Outcome {
    person: MappedPerson,
    refusal: Option<Refusal>,
}

/// What another configuration changes for one person.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
struct Change {
    gained_groups: Vec<String>,
    lost_groups: Vec<String>,
    /// Whether the person may enter, where that changes.
    admitted: Option<bool>,
    /// Why not, where the person no longer may.
    refused_for: Option<String>,
    attributes: Vec<ChangedAttribute>,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
struct ChangedAttribute {
    name: &'static str,
    before: Value,
    after: Value,
}

/// The sum of all changes.
#[derive(Debug, Default, Serialize)]
struct Sum {
    people: usize,
    changed: usize,
    gaining_groups: usize,
    losing_groups: usize,
    newly_admitted: usize,
    no_longer_admitted: usize,
    /// Of whom no claims are kept.
    unknown: usize,
}

pub(super) async fn run(
    tools: Tools,
    before: &UpstreamSettings,
    after: &UpstreamSettings,
    json: bool,
) -> anyhow::Result<()> {
    let ring = tools.rows_ring().await?;
    let mut connection = tools.connection().await?;
    let mut sum = Sum::default();
    let mut last = IdentityId::new("");
    loop {
        let page = identities::list_recorded(&mut connection, &before.slug, &last, PAGE).await?;
        let Some((newest, _)) = page.last() else {
            break;
        };
        last = newest.id.clone();
        for (row, username) in page {
            let claims = recorded::open(&ring, &row);
            let change =
                claims.map(|claims| changed(outcome(before, &claims), outcome(after, &claims)));
            sum.add(change.as_ref());
            if let Some(change) = change.filter(|change| *change != Change::default()) {
                tell(&username, &row.subject, &change, json)?;
            }
        }
    }
    if json {
        say_json(&json!({ "sum": sum }));
    } else {
        sum.tell();
    }
    Ok(())
}

fn outcome(settings: &UpstreamSettings, claims: &Map<String, Value>) -> Outcome {
    let person = mapping::map(settings, claims).person;
    let refusal = gates::refusal(&gates::admission(settings, claims, &person));
    Outcome { person, refusal }
}

fn changed(before: Outcome, after: Outcome) -> Change {
    let Outcome { person: old, refusal: refused_before } = before;
    let Outcome { person: new, refusal: refused_for } = after;
    let only_in = |these: &[String], those: &[String]| {
        these.iter().filter(|group| !those.contains(group)).cloned().collect()
    };
    let attributes = [
        ("email", json!(old.email), json!(new.email)),
        ("email_verified", json!(old.email_verified), json!(new.email_verified)),
        ("name", json!(old.name), json!(new.name)),
        ("picture", json!(old.picture), json!(new.picture)),
    ];
    let differs = refused_before.is_some() != refused_for.is_some();
    Change {
        gained_groups: only_in(&new.groups, &old.groups),
        lost_groups: only_in(&old.groups, &new.groups),
        admitted: differs.then_some(refused_for.is_none()),
        refused_for: refused_for.filter(|_| differs).map(|refusal| refusal.what),
        attributes: attributes
            .into_iter()
            .filter(|(_, before, after)| before != after)
            .map(|(name, before, after)| ChangedAttribute { name, before, after })
            .collect(),
    }
}

fn tell(username: &str, subject: &str, change: &Change, json: bool) -> anyhow::Result<()> {
    if json {
        let mut line = json!({ "username": username, "subject": subject });
        if let (Value::Object(line), Value::Object(change)) =
            (&mut line, serde_json::to_value(change)?)
        {
            line.extend(change);
        }
        say_json(&line);
        return Ok(());
    }
    say(&format!("{username} ({subject})"));
    match (change.admitted, &change.refused_for) {
        (Some(false), Some(what)) => say(&format!("    may no longer enter: lacks {what}")),
        (Some(_), _) => say("    may enter now"),
        (None, _) => {}
    }
    for (what, groups) in [("gains", &change.gained_groups), ("loses", &change.lost_groups)] {
        for group in groups {
            say(&format!("    {what} the group {}", shown(&Value::from(group.as_str()))));
        }
    }
    for ChangedAttribute { name, before, after } in &change.attributes {
        say(&format!("    {name}: {} becomes {}", shown(before), shown(after)));
    }
    Ok(())
}

impl Sum {
    /// Adds a person; nothing is known of one whose claims are not kept.
    fn add(&mut self, change: Option<&Change>) {
        self.people += 1;
        let Some(change) = change else {
            self.unknown += 1;
            return;
        };
        self.changed += usize::from(*change != Change::default());
        self.gaining_groups += usize::from(!change.gained_groups.is_empty());
        self.losing_groups += usize::from(!change.lost_groups.is_empty());
        self.newly_admitted += usize::from(change.admitted == Some(true));
        self.no_longer_admitted += usize::from(change.admitted == Some(false));
    }

    fn tell(&self) {
        say(&format!(
            "Of {} people, {} change: {} gain groups, {} lose groups, {} may newly enter, {} no \
             longer. Of {}, no claims are kept.",
            self.people,
            self.changed,
            self.gaining_groups,
            self.losing_groups,
            self.newly_admitted,
            self.no_longer_admitted,
            self.unknown,
        ));
    }
}
