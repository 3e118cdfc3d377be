//! `keywright signup show|set|reset`: how far the doors to new accounts are open, and whether newcomers
//! wait, while servers run.

use anyhow::ensure;
use clap::{Args, Subcommand, builder::PossibleValuesParser};
use serde_json::{Value, json};

use super::{
    output::{say, say_json, say_table},
    tools::Tools,
};
use crate::{
    accounts::toggles::{self, Door, SaidBy, SetHere, Toggle},
    audit::Event,
    config::{Config, SignupMode},
    store::audit_events,
};

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Say how far the doors are open, and who has said so.
    Show {
        /// As one line of JSON.
        #[arg(long)]
        json: bool,
    },
    /// Set a door, or whether newcomers wait, whatever the configuration says; every server follows within
    /// a second.
    Set(Set),
    /// Let the configuration decide again.
    Reset,
}

#[derive(Debug, Args)]
pub(super) struct Set {
    /// The form for local accounts.
    #[arg(long, value_name = "WHO", value_parser = modes())]
    local: Option<String>,
    /// The first sign-in at an upstream that has no rule of its own.
    #[arg(long, value_name = "WHO", value_parser = modes())]
    federated: Option<String>,
    /// Whether whoever gets an account without an invitation waits for an administrator.
    #[arg(long, value_name = "on|off", value_parser = ["on", "off"])]
    approval: Option<String>,
}

fn modes() -> PossibleValuesParser {
    PossibleValuesParser::new(SignupMode::ALL.iter().map(|mode| mode.as_str()))
}

pub(super) async fn run(config: Config, verb: Verb) -> anyhow::Result<()> {
    let tools = Tools::open(config).await?;
    match verb {
        Verb::Show { json } => {
            let set = toggles::read(&mut tools.connection().await?).await?;
            show(&tools, set, json);
            Ok(())
        }
        Verb::Set(set) => {
            let of = |word: Option<String>| word.as_deref().and_then(SignupMode::from_word);
            let (local, federated) = (of(set.local), of(set.federated));
            let approval = match set.approval.as_deref() {
                None => Approval::Stays,
                Some(word) => Approval::Is(word == "on"),
            };
            ensure!(
                local.is_some() || federated.is_some() || approval != Approval::Stays,
                "name a door and who may come in: --local open|invite|closed, --federated ...; or \
                 --approval on|off"
            );
            let doors = [(Door::Local, local), (Door::Federated, federated)];
            let doors = doors.into_iter().filter(|(_, mode)| mode.is_some()).collect();
            store(&tools, "signup_set", Change { doors, approval }).await
        }
        Verb::Reset => {
            let doors = vec![(Door::Local, None), (Door::Federated, None)];
            store(&tools, "signup_reset", Change { doors, approval: Approval::Reset }).await
        }
    }
}

/// What is set anew. A door of which nothing is said is as configured again.
struct Change {
    doors: Vec<(Door, Option<SignupMode>)>,
    approval: Approval,
}

/// What becomes of the wait for an administrator.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Approval {
    Stays,
    Is(bool),
    /// The configuration decides again.
    Reset,
}

async fn store(tools: &Tools, action: &'static str, change: Change) -> anyhow::Result<()> {
    let (now, random) = (tools.now(), tools.random());
    let mut connection = tools.connection().await?;
    let set = connection
        .transaction(async |conn| {
            let mut event = Event::done(action).detail("by", "command line");
            for (door, mode) in &change.doors {
                toggles::set(conn, *door, *mode).await?;
                if let Some(mode) = mode {
                    event = event.detail(door.as_str(), mode.as_str());
                }
            }
            match change.approval {
                Approval::Stays => {}
                Approval::Is(needed) => {
                    toggles::set_approval(conn, Some(needed)).await?;
                    event = event.detail("approval", needed);
                }
                Approval::Reset => toggles::set_approval(conn, None).await?,
            }
            audit_events::insert(conn, &event.row(now, &*random)).await?;
            toggles::read(conn).await.map_err(anyhow::Error::from)
        })
        .await?;
    show(tools, set, false);
    Ok(())
}

fn show(tools: &Tools, set: SetHere, as_json: bool) {
    let of = |door: &Door| (*door, toggles::in_force(&tools.config.signup, set, *door));
    let doors: Vec<(Door, Toggle)> = Door::ALL.iter().map(of).collect();
    let approval = toggles::approval_in_force(&tools.config.signup, set);
    if as_json {
        let entry = |(door, toggle): &(Door, Toggle)| {
            let value = json!({ "mode": toggle.mode, "said_by": toggle.said_by });
            (door.as_str().to_owned(), value)
        };
        let needed = json!({ "needed": approval.needed, "said_by": approval.said_by });
        let approval = ("approval".to_owned(), needed);
        say_json(&Value::Object(doors.iter().map(entry).chain([approval]).collect()));
        return;
    }
    let row = |(door, toggle): &(Door, Toggle)| {
        vec![door.to_string(), toggle.mode.to_string(), toggle.said_by.to_string()]
    };
    say_table(&["DOOR", "OPEN TO", "SAID BY"], &doors.iter().map(row).collect::<Vec<_>>());
    let waits = if approval.needed { "wait for an administrator" } else { "are let in at once" };
    say(&format!("Newcomers without an invitation {waits} ({}).", approval.said_by));
    if doors.iter().any(|(_, toggle)| toggle.said_by == SaidBy::Switch) {
        say(
            "signup.disabled (DISABLE_SIGNUP) shuts both; what is set here counts when it is gone.",
        );
    }
}
