//! `keywright key list|rotate|drop`.

use anyhow::bail;
use clap::Subcommand;
use serde_json::json;

use super::{
    output::{say, say_json, say_table},
    tools::Tools,
};
use crate::{
    audit::Event,
    config::Config,
    foundation::{clock::Timestamp, ids::KeyId},
    keys::state_of,
    protocol::jwa::SigningAlgorithm,
    store::{audit_events, signing_keys},
};

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// List the signing keys with their states and dates.
    List {
        /// As one line of JSON.
        #[arg(long)]
        json: bool,
    },
    /// Begin a rotation now: a new key is published, and signs as soon as every app can know it.
    Rotate {
        /// Only the key of this algorithm: RS256, ES256 or EdDSA.
        #[arg(long)]
        alg: Option<String>,
    },
    /// Emergency: throw a key away now. What it signed is worth nothing from now on.
    Drop {
        /// The key's id.
        #[arg(allow_hyphen_values = true)]
        kid: String,
    },
}

pub(super) async fn run(config: Config, verb: Verb) -> anyhow::Result<()> {
    let tools = Tools::open(config).await?;
    match verb {
        Verb::List { json } => list(&tools, json).await,
        Verb::Rotate { alg } => rotate(&tools, alg.as_deref()).await,
        Verb::Drop { kid } => drop_key(&tools, &KeyId::new(kid)).await,
    }
}

async fn list(tools: &Tools, as_json: bool) -> anyhow::Result<()> {
    let now = tools.now();
    let rows = signing_keys::list(&mut tools.connection().await?).await?;
    if as_json {
        let keys = rows.iter().map(|row| {
            json!({
                "kid": row.id, "alg": row.alg, "state": state_of(row, now),
                "created_at": row.created_at, "published_at": row.published_at,
                "signs_from": row.signs_from, "signs_until": row.signs_until,
                "gone_at": row.gone_at, "dropped_at": row.dropped_at,
            })
        });
        say_json(&keys.collect());
        return Ok(());
    }
    let date = |at: Option<Timestamp>| at.map_or_else(|| "-".to_owned(), Timestamp::rfc3339);
    let rows: Vec<Vec<String>> = rows
        .iter()
        .map(|row| {
            vec![
                row.id.to_string(),
                row.alg.to_string(),
                state_of(row, now).to_string(),
                date(Some(row.published_at)),
                date(Some(row.signs_from)),
                date(row.signs_until),
                date(row.gone_at),
            ]
        })
        .collect();
    let headings = ["KID", "ALG", "STATE", "PUBLISHED", "SIGNS FROM", "SIGNS UNTIL", "GONE"];
    say_table(&headings, &rows);
    Ok(())
}

async fn rotate(tools: &Tools, alg: Option<&str>) -> anyhow::Result<()> {
    let algorithms: Vec<SigningAlgorithm> = match alg {
        None => SigningAlgorithm::ALL.to_vec(),
        Some(word) => match SigningAlgorithm::from_word(word) {
            Some(alg) => vec![alg],
            None => bail!("--alg {word}: must be RS256, ES256 or EdDSA"),
        },
    };
    let rotation = tools.rotation().await?;
    for alg in algorithms {
        match rotation.rotate(&tools.store, alg, tools.now()).await? {
            Some(kid) => {
                note(tools, Event::done("key_rotated").detail("kid", kid.as_str())).await?;
                say(&format!("{alg}: {kid} will take over."));
            }
            None => say(&format!("{alg}: a successor is on its way already.")),
        }
    }
    list(tools, false).await
}

async fn drop_key(tools: &Tools, kid: &KeyId) -> anyhow::Result<()> {
    let rotation = tools.rotation().await?;
    let Some(next) = rotation.drop_key(&tools.store, kid, tools.now()).await? else {
        bail!("there is no living key {kid}; see: keywright key list");
    };
    note(tools, Event::done("key_dropped").detail("kid", kid.as_str())).await?;
    say(&format!("{kid} is gone. {next} signs from now on."));
    say(
        "Running servers follow within a second. Apps that cached the JWKS have to fetch it again.",
    );
    Ok(())
}

async fn note(tools: &Tools, event: Event) -> anyhow::Result<()> {
    let row = event.detail("by", "command line").row(tools.now(), &*tools.random());
    audit_events::insert(&mut tools.connection().await?, &row).await?;
    Ok(())
}
