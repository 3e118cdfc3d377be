//! `keywright group list|add|change|remove`: what groups mean.

use anyhow::{Context as _, bail, ensure};
use clap::{Args, Subcommand};
use serde_json::json;

use super::{
    output::{say, say_json, say_table},
    tools::Tools,
};
use crate::{
    accounts::{
        administrators,
        groups::{self, Definition, ManagedBy, name_fault, parent_fault},
    },
    audit::Event,
    config::{Config, is_role},
    store::{
        Connection, audit_events,
        groups::{self as rows, Group},
        role_holders::Except,
    },
};

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// List the groups that mean something: belong to another, give a role, or are described.
    List {
        /// As one line of JSON.
        #[arg(long)]
        json: bool,
    },
    /// Say what a group means.
    Add(Meaning),
    /// Say anew what a group means; what is not named stays as it is.
    Change(Change),
    /// Forget what a group means. Its members stay its members.
    Remove {
        /// Its name.
        name: String,
    },
}

#[derive(Debug, Args)]
pub(super) struct Meaning {
    /// Its name, as accounts and upstreams have it.
    name: String,
    /// What it is for.
    #[arg(long)]
    description: Option<String>,
    /// The group to which its members belong as well.
    #[arg(long, value_name = "GROUP")]
    parent: Option<String>,
    /// The role that its members hold; "admin" administers Keywright.
    #[arg(long)]
    role: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct Change {
    #[command(flatten)]
    meaning: Meaning,
    /// It belongs to no other group any more.
    #[arg(long, conflicts_with = "parent")]
    no_parent: bool,
    /// It gives no role any more.
    #[arg(long, conflicts_with = "role")]
    no_role: bool,
}

pub(super) async fn run(config: Config, verb: Verb) -> anyhow::Result<()> {
    let tools = Tools::open(config).await?;
    match verb {
        Verb::List { json } => list(&tools, json).await,
        Verb::Add(meaning) => add(&tools, meaning).await,
        Verb::Change(change) => change_group(&tools, change).await,
        Verb::Remove { name } => remove(&tools, &name).await,
    }
}

async fn list(tools: &Tools, as_json: bool) -> anyhow::Result<()> {
    let mut connection = tools.connection().await?;
    let all = groups::definitions(&mut connection, &tools.config.groups).await?;
    if as_json {
        let in_json = |group: &Definition| {
            let Definition { name, description, parent, role, managed_by } = group;
            json!({
                "name": name, "description": description, "parent": parent, "role": role,
                "managed_by": managed_by.as_str(),
            })
        };
        say_json(&all.iter().map(in_json).collect());
        return Ok(());
    }
    let or_dash = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
    let row = |group: &Definition| {
        let texts = [&group.parent, &group.role].map(or_dash);
        let [parent, role] = texts;
        let managed = group.managed_by.as_str().to_owned();
        vec![group.name.clone(), parent, role, managed, or_dash(&group.description)]
    };
    let rows: Vec<Vec<String>> = all.iter().map(row).collect();
    say_table(&["NAME", "BELONGS TO", "ROLE", "MANAGED", "DESCRIPTION"], &rows);
    Ok(())
}

fn check(meaning: &Meaning, all: &[Definition]) -> anyhow::Result<()> {
    for (option, name) in [("NAME", Some(&meaning.name)), ("--parent", meaning.parent.as_ref())] {
        if let Some((name, fault)) = name.and_then(|name| Some((name, name_fault(name)?))) {
            bail!("{option} {name:?}: {fault}");
        }
    }
    if let Some(parent) = &meaning.parent
        && let Some(fault) = parent_fault(all, &meaning.name, parent)
    {
        bail!("--parent {parent:?}: {fault}");
    }
    if let Some(role) = meaning.role.as_ref().filter(|role| !is_role(role)) {
        bail!(
            "--role {role:?}: must have 1 to 64 of: letters, digits, dots, hyphens, underscores, colons"
        );
    }
    let description = meaning.description.as_deref().unwrap_or_default();
    let fits = description.chars().count() <= 255 && !description.chars().any(char::is_control);
    ensure!(fits, "--description: must have at most 255 visible characters");
    Ok(())
}

/// Refuses to touch what the configuration declares.
fn refuse_declared(all: &[Definition], name: &str) -> anyhow::Result<()> {
    let declared =
        all.iter().any(|group| group.name == name && group.managed_by == ManagedBy::File);
    ensure!(
        !declared,
        "the group {name:?} is declared in the configuration; change [[groups]] there"
    );
    Ok(())
}

async fn add(tools: &Tools, meaning: Meaning) -> anyhow::Result<()> {
    let now = tools.now();
    let name = meaning.name.clone();
    change(tools, "group_added", &name, async |conn, all| {
        refuse_declared(all, &meaning.name)?;
        check(&meaning, all)?;
        let Meaning { name, description, parent, role } = meaning;
        let row = Group { name, description, parent, role, created_at: now, updated_at: now };
        ensure!(
            rows::insert(conn, &row).await?,
            "there is a group {:?} already; see: keywright group change",
            row.name
        );
        Ok(())
    })
    .await?;
    say(&format!("Added {name}."));
    Ok(())
}

async fn change_group(tools: &Tools, change_to: Change) -> anyhow::Result<()> {
    let now = tools.now();
    let name = change_to.meaning.name.clone();
    change(tools, "group_changed", &name, async |conn, all| {
        refuse_declared(all, &change_to.meaning.name)?;
        check(&change_to.meaning, all)?;
        let Change { meaning, no_parent, no_role } = change_to;
        let found = rows::list(conn).await?.into_iter().find(|row| row.name == meaning.name);
        let was = found.with_context(|| unknown(&meaning.name))?;
        let row = Group {
            description: meaning.description.or(was.description),
            parent: meaning.parent.or(was.parent).filter(|_| !no_parent),
            role: meaning.role.or(was.role).filter(|_| !no_role),
            updated_at: now,
            ..was
        };
        ensure!(rows::update(conn, &row).await?, unknown(&row.name));
        Ok(())
    })
    .await?;
    say(&format!("Changed {name}."));
    Ok(())
}

async fn remove(tools: &Tools, name: &str) -> anyhow::Result<()> {
    change(tools, "group_removed", name, async |conn, all| {
        refuse_declared(all, name)?;
        let child = all.iter().find(|group| group.parent.as_deref() == Some(name));
        if let Some(child) = child {
            bail!("the group {:?} belongs to it; change that one first", child.name);
        }
        ensure!(rows::delete(conn, name).await?, unknown(name));
        Ok(())
    })
    .await?;
    say(&format!("Removed {name}. Whoever was a member still is, and it means nothing."));
    Ok(())
}

fn unknown(name: &str) -> String {
    format!("there is no group {name:?} that means something; see: keywright group list")
}

/// Changes what groups mean, unless nobody would administer any more; with the event. Servers that run
/// find out within a second.
async fn change(
    tools: &Tools,
    action: &'static str,
    name: &str,
    work: impl AsyncFnOnce(&mut Connection, &[Definition]) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let (now, random, declared) = (tools.now(), tools.random(), &tools.config.groups);
    let mut connection = tools.connection().await?;
    connection
        .transaction(async |conn| {
            administrators::hold(conn).await?;
            let before = groups::definitions(conn, declared).await?;
            let nobody = Except::default();
            let had = administrators::any(conn, &groups::meanings(&before), nobody).await?;
            work(conn, &before).await?;
            let after = groups::load(conn, declared).await?;
            let has = administrators::any(conn, &after, nobody).await?;
            ensure!(
                has || !had,
                "nobody would be an administrator any more; make one first: \
                 keywright user grant NAME --role admin"
            );
            if has {
                administrators::note_first(conn).await?;
            }
            groups::note_change(conn).await?;
            let event = Event::done(action).detail("group", name).detail("by", "command line");
            audit_events::insert(conn, &event.row(now, &*random)).await?;
            Ok(())
        })
        .await
}
