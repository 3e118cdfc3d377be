//! `keywright doctor`: looks at everything that has to be right before people can sign in, and says
//! for each thing what was seen and what to do about it.
//!
//! It works beside a running server or without one, changes nothing, and needs nobody to sign in.

mod house;
mod mail;
mod people;

use std::{sync::Arc, time::Duration};

use anyhow::{Context as _, bail};
use clap::Args;
use futures_util::future::join_all;
use serde_json::{Value, json};

use super::output::{say, say_json};
use crate::{
    app::{self, Ambient},
    config::Config,
    federation::{Finding, HttpClient, Upstream, Upstreams, Verdict},
    urls::Urls,
};

/// How long the examination of one upstream may take in all.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Debug, Args)]
pub(super) struct Options {
    /// Look at this upstream only.
    #[arg(long, value_name = "SLUG")]
    upstream: Option<String>,
    /// As one line of JSON.
    #[arg(long)]
    json: bool,
}

/// What was found, and where: at an upstream, or here.
struct Found {
    upstream: Option<String>,
    findings: Vec<Finding>,
}

pub(super) async fn run(config: Config, options: Options) -> anyhow::Result<()> {
    app::install_tls_provider();
    let ambient = Ambient::default();
    let urls = Urls::new(config.server.issuer.clone());
    let http = HttpClient::new()?;
    let upstreams = Upstreams::new(&config.upstreams, &http, &ambient.clock, |slug| {
        urls.upstream_callback(slug)
    })?;
    let mut found = Vec::new();
    let chosen: Vec<&Arc<Upstream>> = match &options.upstream {
        Some(slug) => vec![choose(&config, &upstreams, slug)?],
        None => upstreams.iter().collect(),
    };
    if options.upstream.is_none() {
        let findings = house::examine(&config, &ambient, &http).await;
        found.push(Found { upstream: None, findings });
    }
    found.extend(join_all(chosen.iter().map(|upstream| examine(upstream, &ambient))).await);
    conclude(&found, options.json)
}

fn choose<'u>(
    config: &Config,
    upstreams: &'u Upstreams,
    slug: &str,
) -> anyhow::Result<&'u Arc<Upstream>> {
    let known = |own: &str| config.upstreams.iter().any(|upstream| upstream.slug.as_str() == own);
    if upstreams.find(slug).is_none() && known(slug) {
        bail!("the upstream {slug:?} is switched off (enabled = false)");
    }
    upstreams.find(slug).with_context(|| {
        let all: Vec<&str> =
            config.upstreams.iter().map(|upstream| upstream.slug.as_str()).collect();
        format!("there is no upstream {slug:?}; known upstreams: {}", all.join(", "))
    })
}

async fn examine(upstream: &Upstream, ambient: &Ambient) -> Found {
    let examined = upstream.examine(&*ambient.random, ambient.clock.now());
    let findings = tokio::time::timeout(PATIENCE, examined).await.unwrap_or_else(|_| {
        let what = format!("it has not answered everything within {} s", PATIENCE.as_secs());
        vec![Finding::fail("reachable", what, "ask why it is slow")]
    });
    Found { upstream: Some(upstream.slug().to_string()), findings }
}

fn conclude(found: &[Found], as_json: bool) -> anyhow::Result<()> {
    let all = || found.iter().flat_map(|found| &found.findings);
    let count = |verdict| all().filter(|finding| finding.verdict == verdict).count();
    let (passed, warned, failed) =
        (count(Verdict::Pass), count(Verdict::Warn), count(Verdict::Fail));
    if as_json {
        let checks: Vec<Value> = found.iter().flat_map(in_json).collect();
        say_json(&json!({ "checks": checks, "pass": passed, "warn": warned, "fail": failed }));
    } else {
        found.iter().for_each(tell);
        say(&format!("{passed} checks passed, {warned} to look at, {failed} failed."));
    }
    if failed > 0 {
        bail!("{failed} of {} checks failed", passed + warned + failed);
    }
    Ok(())
}

fn in_json(found: &Found) -> impl Iterator<Item = Value> {
    found.findings.iter().map(|finding| {
        let Finding { check, verdict, what, fix } = finding;
        let upstream = &found.upstream;
        json!({ "upstream": upstream, "check": check, "verdict": verdict, "what": what, "fix": fix })
    })
}

fn tell(found: &Found) {
    say(&found.upstream.as_ref().map_or("Keywright".to_owned(), |slug| format!("Upstream {slug}")));
    for finding in &found.findings {
        let verdict = match finding.verdict {
            Verdict::Pass => "ok",
            Verdict::Warn => "look",
            Verdict::Fail => "FAIL",
        };
        say(&format!("  {verdict:<4}  {:<13} {}", finding.check, one_line(&finding.what)));
        if let Some(fix) = &finding.fix {
            say(&format!("  {:<4}  {:<13} -> {}", "", "", one_line(fix)));
        }
    }
    say("");
}

/// What an upstream says stays on its line, and is not endless.
fn one_line(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(1_000).collect()
}
