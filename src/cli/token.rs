//! `keywright token list|create|revoke`: personal access tokens of any account, and the only ones that
//! a service account gets.

use anyhow::{Context as _, bail, ensure};
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::{
    output::{say, say_json, say_table},
    tools::Tools,
};
use crate::{
    audit::Event,
    config::Config,
    foundation::{
        clock::{Span, Timestamp},
        names::username_key,
    },
    protocol::scope::Scope,
    store::{
        Connection, StoreError, audit_events,
        personal_access_tokens::{self, PersonalAccessToken},
        users::{self, Person},
    },
    tokens::personal::{self, Fault, Life, Maker, Wish},
};

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// List the tokens of an account.
    List {
        /// Whose, by username.
        #[arg(long)]
        user: String,
        /// As one line of JSON.
        #[arg(long)]
        json: bool,
    },
    /// Make a token. It is printed once.
    Create(Create),
    /// Revoke a token: it is worth nothing from now on.
    Revoke {
        /// Whose, by username.
        #[arg(long)]
        user: String,
        /// The token's id or name.
        token: String,
    },
}

#[derive(Debug, Args)]
pub(super) struct Create {
    /// For whom it speaks, by username.
    #[arg(long)]
    user: String,
    /// What it is called.
    #[arg(long)]
    name: String,
    /// How far it reaches: a scope; may stand several times.
    #[arg(long = "scope", required = true)]
    scopes: Vec<String>,
    /// How long it is good, like "30d"; `tokens.personal_access_token_lifetime` otherwise.
    #[arg(long, conflicts_with = "lasting")]
    lifetime: Option<String>,
    /// It lasts until it is revoked.
    #[arg(long)]
    lasting: bool,
    /// As one line of JSON, with the token in it.
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(config: Config, verb: Verb) -> anyhow::Result<()> {
    let tools = Tools::open(config).await?;
    match verb {
        Verb::List { user, json } => list(&tools, &user, json).await,
        Verb::Create(create) => make(&tools, create).await,
        Verb::Revoke { user, token } => revoke(&tools, &user, &token).await,
    }
}

async fn find(connection: &mut Connection, username: &str) -> anyhow::Result<Person> {
    let unknown =
        || format!("--user {username:?}: there is no such account; see: keywright user list");
    let user = users::find_by_username(connection, &username_key(username)).await?;
    let user = user.with_context(unknown)?;
    users::find_person(connection, &user.id).await?.with_context(unknown)
}

async fn list(tools: &Tools, username: &str, as_json: bool) -> anyhow::Result<()> {
    let mut connection = tools.connection().await?;
    let person = find(&mut connection, username).await?;
    let tokens = personal_access_tokens::list_of_user(&mut connection, &person.user.id).await?;
    if as_json {
        say_json(&tokens.iter().map(|token| token_json(tools, token)).collect());
        return Ok(());
    }
    let date = |at: Option<Timestamp>| at.map_or_else(|| "-".to_owned(), Timestamp::rfc3339);
    let row = |token: &PersonalAccessToken| {
        let end = personal::ends_at(token, &tools.config.tokens);
        vec![
            token.id.to_string(),
            token.name.clone(),
            token.scope.clone(),
            end.map_or_else(|| "never".to_owned(), Timestamp::rfc3339),
            date(token.last_used_at),
            token.last_address.clone().unwrap_or_else(|| "-".to_owned()),
        ]
    };
    let rows: Vec<Vec<String>> = tokens.iter().map(row).collect();
    say_table(&["ID", "NAME", "SCOPE", "EXPIRES", "LAST USED", "FROM"], &rows);
    Ok(())
}

fn token_json(tools: &Tools, token: &PersonalAccessToken) -> Value {
    json!({
        "id": token.id, "name": token.name, "scope": token.scope, "created_at": token.created_at,
        "expires_at": personal::ends_at(token, &tools.config.tokens),
        "last_used_at": token.last_used_at, "last_client": token.last_client,
        "last_address": token.last_address, "last_user_agent": token.last_user_agent,
    })
}

async fn make(tools: &Tools, create: Create) -> anyhow::Result<()> {
    let mut connection = tools.connection().await?;
    let person = find(&mut connection, &create.user).await?;
    ensure!(person.user.disabled_at.is_none(), "--user {:?}: the account is shut", create.user);
    let life = match (&create.lifetime, create.lasting) {
        (_, true) => Some(Life::Lasting),
        (None, false) => Some(Life::For(tools.config.tokens.personal_access_token_lifetime)),
        (Some(text), false) => Span::parse(text).map(Life::For),
    };
    let wish = Wish { name: create.name.clone(), scope: create.scopes.iter().collect(), life };
    let rights = tools.clients().scope_of(&person, None, None);
    if let Some(fault) = wish.faults(&rights, &tools.config.tokens).into_iter().next() {
        bail!(in_words(fault, tools, &create, &rights));
    }
    let maker = Maker { user: &person.user.id, upstream: None, level: None, network: None };
    let (token, secret) = personal::make(&wish, maker, &*tools.random(), tools.now());
    let event = Event::done("make_token").user(&person.user.id);
    let event = event.detail("token", token.id.as_str()).detail("name", token.name.as_str());
    let event = event.detail("by", "command line").row(tools.now(), &*tools.random());
    let kept = connection
        .transaction(async |conn| {
            let kept = personal_access_tokens::insert(conn, &token).await?;
            if kept {
                audit_events::insert(conn, &event).await?;
            }
            Ok::<_, StoreError>(kept)
        })
        .await?;
    ensure!(kept, in_words(Fault::NameTaken, tools, &create, &rights));
    if create.json {
        let mut made = token_json(tools, &token);
        if let Some(made) = made.as_object_mut() {
            made.insert("token".to_owned(), json!(secret.expose()));
        }
        say_json(&made);
    } else {
        say(secret.expose());
    }
    Ok(())
}

/// What is wrong, in words for whoever typed it.
fn in_words(fault: Fault, tools: &Tools, create: &Create, rights: &Scope) -> String {
    let settings = &tools.config.tokens;
    match fault {
        Fault::Off => "tokens.personal_access_tokens = \"off\": there are to be none".to_owned(),
        Fault::Name => format!(
            "--name {:?}: must have 1 to {} characters, on one line",
            create.name,
            personal::LONGEST_NAME
        ),
        Fault::NameTaken => {
            format!("--name {:?}: {} has a token of this name", create.name, create.user)
        }
        Fault::TooMany => format!("{} has too many tokens; revoke one first", create.user),
        Fault::SessionOver => "there is no session here".to_owned(),
        Fault::Scope => {
            let wanted: Scope = create.scopes.iter().collect();
            let beyond = wanted.beyond(rights).join(" ");
            format!("--scope {beyond:?}: {} may have: {rights}", create.user)
        }
        Fault::Life if create.lasting => {
            "--lasting: only with tokens.personal_access_tokens = \"lasting\"".to_owned()
        }
        Fault::Life => format!(
            "--lifetime {:?}: must be a time span such as \"30d\", and at most \"{}\"",
            create.lifetime.as_deref().unwrap_or_default(),
            settings.personal_access_token_max_lifetime
        ),
    }
}

async fn revoke(tools: &Tools, username: &str, named: &str) -> anyhow::Result<()> {
    let mut connection = tools.connection().await?;
    let person = find(&mut connection, username).await?;
    let user = &person.user.id;
    let tokens = personal_access_tokens::list_of_user(&mut connection, user).await?;
    let meant = tokens.iter().find(|token| token.id.as_str() == named || token.name == named);
    let token = meant.with_context(|| {
        format!("{username} has no token {named:?}; see: keywright token list --user {username}")
    })?;
    let now = tools.now();
    let event = Event::done("revoke_token").user(user).detail("token", token.id.as_str());
    let event = event.detail("name", token.name.as_str()).detail("by", "command line");
    let event = event.row(now, &*tools.random());
    connection
        .transaction(async |conn| {
            if personal_access_tokens::revoke(conn, &token.id, user, now).await? {
                audit_events::insert(conn, &event).await?;
            }
            Ok::<_, StoreError>(())
        })
        .await?;
    say(&format!("{} is revoked.", token.name));
    Ok(())
}
