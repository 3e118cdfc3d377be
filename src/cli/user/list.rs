//! `keywright user list`: who has an account, and who waits for one.

use std::collections::HashMap;

use clap::Args;
use serde_json::{Value, json};

use crate::{
    cli::{
        output::{say_json, say_table},
        tools::Tools,
    },
    foundation::{clock::Timestamp, ids::UserId},
    store::{
        Connection, QueryResult,
        users::{self, User},
        waiting_accounts,
    },
};

#[derive(Debug, Args)]
pub(in crate::cli) struct List {
    /// Only those who wait for approval.
    #[arg(long)]
    waiting: bool,
    /// As one line of JSON.
    #[arg(long)]
    json: bool,
}

/// Since when who waits.
type Waiting = HashMap<UserId, Timestamp>;

pub(super) async fn run(tools: &Tools, list: &List) -> anyhow::Result<()> {
    let mut connection = tools.connection().await?;
    let waiting = waiting_accounts::list(&mut connection).await?;
    let waiting: Waiting = waiting.into_iter().map(|row| (row.user_id, row.asked_at)).collect();
    let mut all = read(&mut connection).await?;
    if list.waiting {
        all.retain(|user| waiting.contains_key(&user.id));
    }
    if list.json {
        say_json(&all.iter().map(|user| user_json(user, &waiting)).collect());
        return Ok(());
    }
    let rows: Vec<Vec<String>> = all
        .iter()
        .map(|user| {
            vec![
                user.username.clone(),
                user.email.clone().unwrap_or_else(|| "-".to_owned()),
                user.groups.to_vec().join(", "),
                user.kind.as_str().to_owned(),
                state(user, &waiting).to_owned(),
                user.created_at.rfc3339(),
            ]
        })
        .collect();
    say_table(&["USERNAME", "E-MAIL", "GROUPS", "KIND", "STATE", "CREATED"], &rows);
    Ok(())
}

async fn read(connection: &mut Connection) -> QueryResult<Vec<User>> {
    let mut all = Vec::new();
    let mut after = String::new();
    loop {
        let page = users::list(connection, &after, 500).await?;
        let Some(last) = page.as_slice().last() else {
            return Ok(all);
        };
        after.clone_from(&last.username_key);
        all.extend(page);
    }
}

fn state(user: &User, waiting: &Waiting) -> &'static str {
    match user.disabled_at {
        Some(_) if waiting.contains_key(&user.id) => "waits",
        Some(_) => "shut",
        None => "open",
    }
}

fn user_json(user: &User, waiting: &Waiting) -> Value {
    json!({
        "id": user.id, "username": user.username, "kind": user.kind, "email": user.email,
        "email_verified": user.email_verified, "name": user.name, "groups": user.groups.to_vec(),
        "roles": user.roles.to_vec(),
        "has_password": user.password_hash.is_some(), "disabled_at": user.disabled_at.filter(|_| !waiting.contains_key(&user.id)),
        "waits_since": waiting.get(&user.id), "created_at": user.created_at,
    })
}
