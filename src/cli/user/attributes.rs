//! `keywright user set`: what is said about an account, internal attributes too.

use anyhow::{Context as _, bail};
use clap::Args;
use serde_json::Value;

use super::find;
use crate::{
    accounts::attributes::{self, plain},
    audit::Event,
    cli::{
        output::{say_json, say_table},
        tools::Tools,
    },
    config::Attribute,
    store::{audit_events, user_attributes, users},
};

#[derive(Debug, Args)]
pub(in crate::cli) struct Set {
    /// The username.
    username: String,
    /// An attribute and its value, like department=Sales; without a value it is said no longer. Without
    /// any, what is said is printed.
    #[arg(value_name = "ATTRIBUTE=VALUE")]
    values: Vec<String>,
    /// As one line of JSON.
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(tools: &Tools, set: &Set) -> anyhow::Result<()> {
    let values = read(&tools.config.attributes, &set.values)?;
    let (now, random) = (tools.now(), tools.random());
    let mut connection = tools.connection().await?;
    let user = find(&mut connection, &set.username).await?;
    let said = connection
        .transaction(async |conn| {
            let changed = attributes::keep(conn, &user.id, &values, now).await?;
            if !changed.is_empty() {
                users::touch(conn, &user.id, now).await?;
                let event = Event::done("attributes_set").user(&user.id);
                let event = event.detail("attributes", changed.join(", "));
                let event = event.detail("by", "command line").row(now, &*random);
                audit_events::insert(conn, &event).await?;
            }
            anyhow::Ok(user_attributes::list_of_user(conn, &user.id).await?)
        })
        .await?;
    if set.json {
        say_json(&Value::Object(said.into_iter().collect()));
        return Ok(());
    }
    let rows: Vec<Vec<String>> =
        said.iter().map(|(name, value)| vec![name.clone(), plain(value)]).collect();
    say_table(&["ATTRIBUTE", "VALUE"], &rows);
    Ok(())
}

fn read(all: &[Attribute], typed: &[String]) -> anyhow::Result<Vec<(String, Option<Value>)>> {
    let mut values = Vec::new();
    for text in typed {
        let (name, value) = text
            .split_once('=')
            .with_context(|| format!("{text:?}: must be ATTRIBUTE=VALUE, like department=Sales"))?;
        let Some(attribute) = all.iter().find(|attribute| attribute.name == name) else {
            let known: Vec<&str> = all.iter().map(|attribute| attribute.name.as_str()).collect();
            bail!("{name:?}: is no [[attributes]] entry of the configuration; known: {known:?}");
        };
        match attribute.understand(value) {
            Ok(value) => values.push((name.to_owned(), value)),
            Err(fault) => bail!("{name}={value}: {fault}"),
        }
    }
    Ok(values)
}
