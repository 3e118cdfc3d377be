//! `keywright upstream explain|presets`: what the rules of an upstream make of claims, and why; the
//! kinds of upstreams.
//!
//! The rules are run by the functions that sign-ins run; here is only what they say of themselves.

mod against;
pub(super) mod presets;
mod told;

use std::path::PathBuf;

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use serde::Serialize;
use serde_json::{Map, Value};

use super::{output::say_json, tools::Tools};
use crate::{
    accounts::recorded,
    config::{Config, Environment, SignupMode, UpstreamSettings},
    federation::{
        gates::{self, Check},
        mapping::{self, Mapping},
    },
    foundation::{clock::Timestamp, names::username_key},
    store::{identities, users},
};

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Print what the rules of an upstream make of claims, and why.
    Explain(Options),
    /// List the presets and what each asks.
    Presets {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Args)]
pub(super) struct Options {
    /// The short name of the upstream.
    slug: String,
    #[command(flatten)]
    what: What,
    /// As one line of JSON; with --against, as one line for each person and one for the sum.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct What {
    /// Explain the claims in this file: a JSON object, such as the payload of an ID token.
    #[arg(long, value_name = "FILE")]
    claims: Option<PathBuf>,
    /// Explain the claims of this person's last sign-in there.
    #[arg(long, value_name = "USERNAME")]
    last: Option<String>,
    /// Run the claims of everybody's last sign-in there through this configuration too, and print
    /// who would gain and lose what.
    #[arg(long, value_name = "NEW_CONFIG")]
    against: Option<PathBuf>,
}

pub(super) async fn explain(
    config: Config,
    environment: &Environment,
    options: Options,
) -> anyhow::Result<()> {
    let Options { slug, what, json } = options;
    let settings = find(&config, &slug)?.clone();
    let federated = config.signup.federated;
    if let Some(file) = &what.against {
        let new = crate::config::load(Some(file), environment)?;
        let new = find(&new, &slug).with_context(|| format!("in {}", file.display()))?;
        return against::run(Tools::open(config).await?, &settings, new, json).await;
    }
    let (claims, sign_in) = match (what.claims, what.last) {
        (Some(file), _) => (read(&file)?, None),
        (None, Some(username)) => {
            let (claims, sign_in) = find_last(config, &settings, username).await?;
            (claims, Some(sign_in))
        }
        (None, None) => bail!("name --claims, --last or --against"),
    };
    let explanation = Explanation::of(&settings, federated, &claims, sign_in);
    if json {
        say_json(&serde_json::to_value(&explanation)?);
    } else {
        told::tell(&explanation);
    }
    Ok(())
}

fn find<'a>(config: &'a Config, slug: &str) -> anyhow::Result<&'a UpstreamSettings> {
    let found = config.upstreams.iter().find(|upstream| upstream.slug.as_str() == slug);
    found.with_context(|| {
        let known: Vec<&str> = config.upstreams.iter().map(|known| known.slug.as_str()).collect();
        format!("there is no upstream {slug:?}; known upstreams: {}", known.join(", "))
    })
}

fn read(file: &std::path::Path) -> anyhow::Result<Map<String, Value>> {
    let name = file.display();
    let text = std::fs::read(file).with_context(|| format!("{name} cannot be read"))?;
    serde_json::from_slice(&text).with_context(|| format!("{name} is not one JSON object"))
}

/// Whose claims are explained, and when they were said.
#[derive(Debug, Serialize)]
struct LastSignIn {
    username: String,
    subject: String,
    at: Timestamp,
}

async fn find_last(
    config: Config,
    settings: &UpstreamSettings,
    username: String,
) -> anyhow::Result<(Map<String, Value>, LastSignIn)> {
    let tools = Tools::open(config).await?;
    let ring = tools.rows_ring().await?;
    let mut connection = tools.connection().await?;
    let user = users::find_by_username(&mut connection, &username_key(&username)).await?;
    let user = user
        .with_context(|| format!("there is no account {username:?}; see: keywright user list"))?;
    let slug = &settings.slug;
    let last = identities::find_recorded(&mut connection, slug, &user.id).await?;
    let last = last.with_context(|| format!("{username} has never signed in at {slug}"))?;
    let claims = recorded::open(&ring, &last);
    let claims = claims.with_context(|| {
        format!(
            "of the last sign-in of {username} at {slug} no claims are kept: it was before they \
             were, they were too large, or they are sealed under a secret key that is gone"
        )
    })?;
    let at = last.confirmed_at;
    Ok((claims, LastSignIn { username: user.username, subject: last.subject, at }))
}

/// Everything that the rules of an upstream say about claims.
#[derive(Debug, Serialize)]
struct Explanation<'a> {
    upstream: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_sign_in: Option<LastSignIn>,
    #[serde(flatten)]
    mapping: Mapping<'a>,
    /// Whether the person may enter at all.
    admitted: bool,
    admission: Vec<Check<'a>>,
    /// Whether somebody unknown may have an account; who is known has one.
    may_sign_up: bool,
    signup: Vec<Check<'a>>,
}

impl<'a> Explanation<'a> {
    fn of(
        settings: &'a UpstreamSettings,
        federated: SignupMode,
        claims: &'a Map<String, Value>,
        last_sign_in: Option<LastSignIn>,
    ) -> Self {
        let mapping = mapping::map(settings, claims);
        let admission = gates::admission(settings, claims, &mapping.person);
        let signup = gates::signup(settings, federated, &mapping.person);
        Self {
            upstream: settings.slug.as_str(),
            last_sign_in,
            mapping,
            admitted: gates::refusal(&admission).is_none(),
            admission,
            may_sign_up: gates::refusal(&signup).is_none(),
            signup,
        }
    }
}
