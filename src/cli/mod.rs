//! The command line: one file per verb.
//!
//! What a verb prints goes to standard output, what it logs to standard error. Exit status: 0 done,
//! 1 failed, 78 the configuration is wrong.

mod admin;
mod audit;
mod backup;
mod client;
mod config;
mod demo;
mod doctor;
mod group;
mod health;
mod invite;
mod key;
mod mail;
mod migrate;
mod output;
mod restore;
mod serve;
mod signup;
mod token;
mod tools;
mod trace;
mod upstream;
mod user;

use std::{path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};

use crate::config::{Config, Environment, Problems};

const CONFIGURATION: u8 = 78;
const DEFAULT_FILE: &str = "keywright.toml";

#[derive(Debug, Parser)]
#[command(name = "keywright", version, about, propagate_version = true)]
struct Arguments {
    /// The configuration file.
    #[arg(long, global = true, env = "KEYWRIGHT_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Run the identity provider.
    Serve,
    /// Show everything at work on this computer; nothing is kept.
    Demo(demo::Options),
    /// Look at everything that has to be right before people can sign in.
    Doctor(doctor::Options),
    /// Ask the running server whether it is ready: for health checks.
    Health(health::Options),
    /// Bring the database up to date.
    Migrate,
    /// Write the whole database into one sealed file, while servers run.
    Backup(backup::Options),
    /// Make the database what a backup says. No server may run.
    Restore(restore::Options),
    /// Check the configuration, or print its reference.
    #[command(subcommand)]
    Config(config::Verb),
    /// Accounts, and what they may.
    #[command(subcommand)]
    User(user::Verb),
    /// Administrators.
    #[command(subcommand)]
    Admin(admin::Verb),
    /// Groups: what each belongs to, and which role it gives.
    #[command(subcommand)]
    Group(group::Verb),
    /// Invitations.
    #[command(subcommand)]
    Invite(invite::Verb),
    /// How far the doors to new accounts are open.
    #[command(subcommand)]
    Signup(signup::Verb),
    /// Personal access tokens.
    #[command(subcommand)]
    Token(token::Verb),
    /// Apps.
    #[command(subcommand)]
    Client(client::Verb),
    /// Upstreams: what their rules make of claims, and the presets.
    #[command(subcommand)]
    Upstream(upstream::Verb),
    /// Signing keys.
    #[command(subcommand)]
    Key(key::Verb),
    /// Mail.
    #[command(subcommand)]
    Mail(mail::Verb),
    /// What happened here, and what was refused.
    #[command(subcommand)]
    Audit(audit::Verb),
    /// Print the whole story behind the short id of an error page.
    Trace(trace::Options),
}

/// Runs the verb of the command line.
pub fn run() -> ExitCode {
    let arguments = Arguments::parse();
    let environment: Environment = environment();
    match start(arguments, &environment) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output::complain(&format!("{error:#}"));
            match error.downcast_ref::<Problems>() {
                Some(_) => ExitCode::from(CONFIGURATION),
                None => ExitCode::FAILURE,
            }
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the environment is read here, once")]
fn environment() -> Environment {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

fn start(arguments: Arguments, environment: &Environment) -> anyhow::Result<()> {
    let usual = match arguments.verb {
        // Whoever tries the demonstration wants to read one address, and not what servers say.
        Verb::Demo(_) => "warn",
        // What is wrong is what it prints.
        Verb::Doctor(_) | Verb::Health(_) => "error",
        _ => "info",
    };
    output::start_logging(environment, usual);
    let file = arguments.config.or_else(|| {
        let file = PathBuf::from(DEFAULT_FILE);
        file.exists().then_some(file)
    });
    let load = || -> Result<Config, Problems> { crate::config::load(file.as_deref(), environment) };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    match arguments.verb {
        Verb::Serve => runtime.block_on(serve::run(load()?)),
        Verb::Demo(options) => runtime.block_on(demo::run(options)),
        Verb::Doctor(options) => runtime.block_on(doctor::run(load()?, options)),
        Verb::Health(options) => runtime.block_on(health::run(load, options)),
        Verb::Migrate => runtime.block_on(migrate::run(load()?)),
        Verb::Backup(options) => runtime.block_on(backup::run(load()?, options)),
        Verb::Restore(options) => runtime.block_on(restore::run(load()?, options)),
        Verb::Config(config::Verb::Check) => {
            config::check(&load()?);
            Ok(())
        }
        Verb::Config(config::Verb::Reference) => {
            config::reference();
            Ok(())
        }
        Verb::Client(client::Verb::Secret) => {
            client::secret();
            Ok(())
        }
        Verb::Upstream(upstream::Verb::Presets { json }) => {
            upstream::presets::run(json);
            Ok(())
        }
        Verb::User(verb) => runtime.block_on(user::run(load()?, verb)),
        Verb::Admin(verb) => runtime.block_on(admin::run(load()?, verb)),
        Verb::Group(verb) => runtime.block_on(group::run(load()?, verb)),
        Verb::Invite(verb) => runtime.block_on(invite::run(load()?, verb)),
        Verb::Signup(verb) => runtime.block_on(signup::run(load()?, verb)),
        Verb::Upstream(upstream::Verb::Explain(options)) => {
            runtime.block_on(upstream::explain(load()?, environment, options))
        }
        Verb::Token(verb) => runtime.block_on(token::run(load()?, verb)),
        Verb::Key(verb) => runtime.block_on(key::run(load()?, verb)),
        Verb::Mail(verb) => runtime.block_on(mail::run(load()?, verb)),
        Verb::Audit(verb) => runtime.block_on(audit::run(load()?, verb)),
        Verb::Trace(options) => runtime.block_on(trace::run(load()?, options)),
    }
}
