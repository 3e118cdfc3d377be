//! `keywright user add|list|approve|refuse|disable|enable|set-password|recover|reset-factors|set|grant|
//! revoke|import`.

mod approval;
mod attributes;
mod import;
mod list;
mod recover;
mod rights;

use std::io::{IsTerminal as _, Read as _};

use anyhow::{Context as _, bail, ensure};
use clap::{Args, Subcommand};
use zeroize::Zeroizing;

use super::{output::say, tools::Tools};
use crate::{
    accounts::{
        administrators, approval as approval_rules,
        passwords::{Known, PasswordFault, Passwords},
    },
    audit::Event,
    config::Config,
    foundation::names::{email_key, is_email, username_fault, username_key},
    foundation::{ids::UserId, secret::Secret},
    sessions,
    store::{
        Connection, audit_events, deletions,
        grants::RevokedBecause,
        one_time_links::{self, LinkPurpose},
        personal_access_tokens,
        users::{self, AccountKind, User},
        waiting_accounts,
    },
};

/// No password is longer, however its characters are written.
const MOST_READ: u64 = 64 * 1_024;

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Make a local account.
    Add(Add),
    /// List the accounts.
    List(list::List),
    /// Let somebody in who waits for it.
    Approve {
        /// The username.
        username: String,
    },
    /// Erase an account that waits, as if it had never been made.
    Refuse {
        /// The username.
        username: String,
    },
    /// Shut an account: its sessions and tokens end.
    Disable {
        /// The username.
        username: String,
    },
    /// Open a shut account again.
    Enable {
        /// The username.
        username: String,
    },
    /// Replace the password: the account's sessions and tokens end, personal access tokens too.
    SetPassword(SetPassword),
    /// Print a one-time link with which the person chooses a new password, and nobody learns it.
    Recover(recover::Recover),
    /// Take second factors and passkeys away from somebody who has lost them: sessions and tokens end.
    ResetFactors {
        /// The username.
        username: String,
    },
    /// Say something about an account ([[attributes]]), or print what is said.
    Set(attributes::Set),
    /// Give an account groups and roles.
    Grant(rights::Rights),
    /// Take groups and roles away from an account.
    Revoke(rights::Rights),
    /// Take over the people of another system, with the hashes of their passwords.
    Import(import::Import),
}

#[derive(Debug, Args)]
pub(super) struct Add {
    /// The username.
    username: String,
    /// The e-mail address; it counts as verified, because you say so.
    #[arg(long)]
    email: Option<String>,
    /// The full name.
    #[arg(long)]
    name: Option<String>,
    /// A group; may stand several times.
    #[arg(long = "group")]
    groups: Vec<String>,
    /// Read the password from standard input.
    #[arg(long)]
    password_stdin: bool,
    /// The password only serves to choose another one at the first sign-in.
    #[arg(long, requires = "password_stdin")]
    temporary: bool,
    /// A program's account: nobody can ever sign in to it. It works by tokens (keywright token) and as
    /// the `service_account` of an app.
    #[arg(long, conflicts_with_all = ["email", "password_stdin"])]
    service: bool,
}

#[derive(Debug, Args)]
pub(super) struct SetPassword {
    /// The username.
    username: String,
    /// Read the password from standard input, as is done in any case where that is not a terminal.
    /// Passwords are never arguments: those can be seen.
    #[arg(long)]
    password_stdin: bool,
    /// The account's owner has chosen it. Without this the password only serves to choose another one
    /// at the next sign-in.
    #[arg(long)]
    permanent: bool,
}

pub(super) async fn run(config: Config, verb: Verb) -> anyhow::Result<()> {
    let tools = match &verb {
        Verb::Add(_) => Tools::open_or_make(config).await?,
        Verb::Import(import) if !import.dry_run => Tools::open_or_make(config).await?,
        _ => Tools::open(config).await?,
    };
    match verb {
        Verb::Add(add) => add_user(&tools, add).await,
        Verb::List(list) => list::run(&tools, &list).await,
        Verb::Approve { username } => approval::approve(&tools, &username).await,
        Verb::Refuse { username } => approval::refuse(&tools, &username).await,
        Verb::Disable { username } => disable(&tools, &username).await,
        Verb::Enable { username } => enable(&tools, &username).await,
        Verb::SetPassword(set) => set_password(&tools, &set).await,
        Verb::Recover(recover) => recover::run(&tools, &recover).await,
        Verb::ResetFactors { username } => recover::reset_factors(&tools, &username).await,
        Verb::Set(set) => attributes::run(&tools, &set).await,
        Verb::Grant(rights) => rights::grant(&tools, &rights).await,
        Verb::Revoke(rights) => rights::revoke(&tools, &rights).await,
        Verb::Import(import) => import::run(&tools, &import).await,
    }
}

async fn add_user(tools: &Tools, add: Add) -> anyhow::Result<()> {
    if let Some(fault) = username_fault(&add.username) {
        bail!("username {:?}: {fault}", add.username);
    }
    if let Some(email) = add.email.as_ref().filter(|email| !is_email(email)) {
        bail!("--email {email:?}: is not a plain address such as \"anna@example.org\"");
    }
    let known =
        Known { username: add.username.clone(), email: add.email.clone(), name: add.name.clone() };
    let password_hash =
        if add.password_stdin { Some(read_and_take_password(tools, &known).await?) } else { None };
    let now = tools.now();
    let user = User {
        id: UserId::generate(&*tools.random(), now),
        username_key: username_key(&add.username),
        username: add.username,
        email_key: add.email.as_deref().map(email_key),
        email_verified: add.email.as_ref().map(|_| true),
        email: add.email,
        name: add.name,
        picture: None,
        password_hash,
        groups: add.groups.iter().collect(),
        disabled_at: None,
        created_at: now,
        updated_at: now,
        email_issuer: None,
        roles: std::iter::empty::<&str>().collect(),
        kind: if add.service { AccountKind::Service } else { AccountKind::Person },
        locale: None,
        own_picture: None,
        password_temporary: add.temporary,
    };
    let mut connection = tools.connection().await?;
    connection
        .transaction(async |conn| {
            let added = users::insert(conn, &user).await?;
            ensure!(added, "username {:?}: is taken", user.username);
            let event = Event::done("user_added").user(&user.id);
            note(tools, conn, event.detail("kind", user.kind.as_str())).await
        })
        .await?;
    say(&format!("Added {} ({}).", user.username, user.id));
    Ok(())
}

async fn disable(tools: &Tools, username: &str) -> anyhow::Result<()> {
    let mut connection = tools.connection().await?;
    let user = find(&mut connection, username).await?;
    let (clients, now) = (tools.clients(), tools.now());
    connection
        .transaction(async |conn| {
            administrators::hold(conn).await?;
            if let Some(person) = users::find_person(conn, &user.id).await? {
                rights::refuse_last(conn, &person).await?;
            }
            // It does not wait any more: from now on it is shut.
            let _ = approval_rules::approve(conn, &user.id, now).await?;
            let _ = users::disable(conn, &user.id, now).await?;
            // Its owner may have deleted it, and must not open it again.
            let _ = deletions::take_back(conn, &user.id).await?;
            let because = RevokedBecause::UserDisabled;
            sessions::end_all_of_user(conn, &user.id, &clients, because, now).await?;
            note(tools, conn, Event::done("user_disabled").user(&user.id)).await
        })
        .await?;
    say(&format!("{} is shut; all sessions and tokens have ended.", user.username));
    Ok(())
}

async fn enable(tools: &Tools, username: &str) -> anyhow::Result<()> {
    let mut connection = tools.connection().await?;
    let user = find(&mut connection, username).await?;
    let now = tools.now();
    if waiting_accounts::find(&mut connection, &user.id).await?.is_some() {
        bail!("{0} waits for approval; see: keywright user approve {0}", user.username);
    }
    connection
        .transaction(async |conn| {
            // Its owner may have deleted it.
            let _ = deletions::take_back(conn, &user.id).await?;
            ensure!(users::enable(conn, &user.id, now).await?, "{username} was not shut");
            note(tools, conn, Event::done("user_enabled").user(&user.id)).await
        })
        .await?;
    say(&format!("{} is open again.", user.username));
    Ok(())
}

async fn set_password(tools: &Tools, set: &SetPassword) -> anyhow::Result<()> {
    if !set.password_stdin && std::io::stdin().is_terminal() {
        bail!(
            "give the password on standard input: ... | keywright user set-password NAME, or with \
               --password-stdin"
        );
    }
    let user = find(&mut tools.connection().await?, &set.username).await?;
    if user.kind == AccountKind::Service {
        bail!("{} is a service account: nobody signs in to it", user.username);
    }
    let known = Known {
        username: user.username.clone(),
        email: user.email.clone(),
        name: user.name.clone(),
    };
    let hash = read_and_take_password(tools, &known).await?;
    let (clients, now) = (tools.clients(), tools.now());
    let mut connection = tools.connection().await?;
    connection
        .transaction(async |conn| {
            let replaced = if set.permanent {
                users::set_password_hash(conn, &user.id, &hash, now).await?
            } else {
                users::set_temporary_password(conn, &user.id, &hash, now).await?
            };
            ensure!(replaced, "there is no account {:?} any more", set.username);
            // Nor does anybody choose another one by what was begun before.
            one_time_links::forget(conn, &user.id, &[LinkPurpose::Recover]).await?;
            let because = RevokedBecause::PasswordChanged;
            sessions::end_all_of_user(conn, &user.id, &clients, because, now).await?;
            // An administrator does this when somebody else may have been in (PT-11).
            personal_access_tokens::revoke_of_user(conn, &user.id, now).await?;
            let event = Event::done("password_set").user(&user.id);
            note(tools, conn, event.detail("temporary", !set.permanent)).await
        })
        .await?;
    say(&format!("The password of {} is replaced; all sessions have ended.", user.username));
    if !set.permanent {
        say("At the next sign-in it only serves to choose another one.");
    }
    Ok(())
}

async fn find(connection: &mut Connection, username: &str) -> anyhow::Result<User> {
    let found = users::find_by_username(connection, &username_key(username)).await?;
    found.with_context(|| format!("there is no account {username:?}; see: keywright user list"))
}

/// Reads a password to the end of standard input; one newline there is not part of it.
async fn read_and_take_password(tools: &Tools, known: &Known) -> anyhow::Result<String> {
    let mut text = Zeroizing::new(String::new());
    std::io::stdin().lock().take(MOST_READ + 1).read_to_string(&mut text)?;
    ensure!(text.len() as u64 <= MOST_READ, "the password {}", PasswordFault::TooLong);
    let line = text.strip_suffix('\n').unwrap_or(&text);
    let password = Secret::new(line.strip_suffix('\r').unwrap_or(line));
    let passwords = Passwords::new(&tools.config, tools.random())?;
    Ok(passwords.take(&password, known).await?)
}

async fn note(tools: &Tools, connection: &mut Connection, event: Event) -> anyhow::Result<()> {
    let row = event.detail("by", "command line").row(tools.now(), &*tools.random());
    audit_events::insert(connection, &row).await?;
    Ok(())
}
