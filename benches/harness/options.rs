//! The command line of the harness and of its two servers.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::scenarios::Scenario;
use crate::signing::Algorithm;

/// Benchmarks of Keywright, paired with a ceiling server.
#[derive(Parser)]
#[command(name = "harness")]
pub(crate) struct Command {
    #[command(subcommand)]
    pub(crate) role: Option<Role>,
    #[command(flatten)]
    pub(crate) options: Options,
}

/// What else this program can be: a server, or a question of its own.
#[derive(Subcommand)]
pub(crate) enum Role {
    /// The minimal server whose figures are the limits.
    Ceiling(CeilingArguments),
    /// An OpenID provider that costs next to nothing.
    StubUpstream(StubArguments),
    /// Whether the time of a failed sign-in tells who has an account.
    Timing(TimingArguments),
    /// What many sign-ins at once do to memory, to one another and to everybody else.
    Crowd(CrowdArguments),
}

/// How long the question about time is asked.
#[derive(Args)]
pub(crate) struct TimingArguments {
    /// How many tries of each kind.
    #[arg(long, default_value_t = 2000)]
    pub(crate) tries: usize,
    /// Where the figures go as JSON.
    #[arg(long)]
    pub(crate) json: Option<PathBuf>,
    /// Cargo passes this to every benchmark.
    #[arg(long, hide = true)]
    bench: bool,
}

/// How large the crowd is, and what it may cost.
#[derive(Args)]
pub(crate) struct CrowdArguments {
    /// How many sign in at once.
    #[arg(long, default_value_t = 500)]
    pub(crate) people: usize,
    /// The most memory that the server may ever hold (`VmHWM`), in MiB.
    #[arg(long, default_value_t = 128.0)]
    pub(crate) memory: f64,
    /// How long everybody else is watched while nothing happens.
    #[arg(long, default_value_t = 10.0)]
    pub(crate) seconds: f64,
    /// Where the figures go as JSON.
    #[arg(long)]
    pub(crate) json: Option<PathBuf>,
    /// Cargo passes this to every benchmark.
    #[arg(long, hide = true)]
    bench: bool,
}

/// What the ceiling server is told.
#[derive(Args)]
pub(crate) struct CeilingArguments {
    /// The port to listen on, on loopback.
    #[arg(long)]
    pub(crate) port: u16,
    /// A folder with `discovery.json`, `jwks.json` and `page.html`, to be served as they are.
    #[arg(long)]
    pub(crate) documents: PathBuf,
    /// `postgres://...` or `sqlite:PATH`.
    #[arg(long)]
    pub(crate) database: String,
    /// Another, with Keywright's own tables and nobody in them.
    #[arg(long)]
    pub(crate) migrated: String,
    /// The issuer of the stub upstream.
    #[arg(long)]
    pub(crate) upstream: String,
    /// `redis://...` or `memory:`.
    #[arg(long)]
    pub(crate) state: String,
}

/// What the stub upstream is told.
#[derive(Args)]
pub(crate) struct StubArguments {
    /// The port to listen on, on loopback.
    #[arg(long)]
    pub(crate) port: u16,
    /// How many different people sign in, one after the other.
    #[arg(long, default_value_t = 1000)]
    pub(crate) subjects: usize,
    /// The algorithm of its ID tokens.
    #[arg(long, value_enum, default_value = "rs256")]
    pub(crate) algorithm: Algorithm,
}

/// Which stores the servers use.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Profile {
    /// SQLite and state in the process.
    Lite,
    /// PostgreSQL and Redis, from `TEST_DATABASE_URL` and `TEST_REDIS_URL`, or the same names
    /// without `TEST_`.
    Pg,
}

/// How the scenarios are run.
#[derive(Args, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of the command line")]
pub(crate) struct Options {
    /// How often every scenario is measured on every contestant.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// How long one measurement takes.
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
    /// Concurrent keep-alive connections.
    #[arg(long, default_value_t = 16)]
    pub(crate) connections: usize,
    /// Only these scenarios, such as `T1,F1`.
    #[arg(long, value_delimiter = ',', value_enum, ignore_case = true)]
    only: Vec<Scenario>,
    /// Two rounds of two seconds and a short warm-up: a smoke test, not a measurement.
    #[arg(long)]
    pub(crate) quick: bool,
    /// The stores; by default `pg` if their addresses are in the environment, else `lite`.
    #[arg(long, value_enum)]
    profile: Option<Profile>,
    /// The algorithm of the stub upstream's ID tokens.
    #[arg(long, value_enum, default_value = "rs256")]
    pub(crate) upstream_alg: Algorithm,
    /// How often the start on an existing database is timed.
    #[arg(long, default_value_t = 7)]
    pub(crate) starts: usize,
    /// Measure the ceiling server alone.
    #[arg(long)]
    pub(crate) ceiling_only: bool,
    /// Measure the npm package oidc-provider beside them, where it can take part: it needs Node.js,
    /// Redis, and `npm install` in benches/peers.
    #[arg(long)]
    pub(crate) peer: bool,
    /// End with status 1 if a required target is missed.
    #[arg(long)]
    pub(crate) gate: bool,
    /// Where the figures go as JSON.
    #[arg(long)]
    pub(crate) json: Option<PathBuf>,
    /// Cargo passes this to every benchmark.
    #[arg(long, hide = true)]
    bench: bool,
}

impl Options {
    /// The number of rounds.
    pub(crate) fn rounds(&self) -> usize {
        if self.quick { 2 } else { self.rounds.max(1) }
    }

    /// The length of one measurement.
    pub(crate) fn window(&self) -> Duration {
        Duration::from_secs_f64(if self.quick { 2.0 } else { self.seconds.clamp(0.2, 600.0) })
    }

    /// The scenarios asked for, in the order in which they run.
    pub(crate) fn scenarios(&self) -> Vec<Scenario> {
        if self.only.is_empty() { Scenario::usual() } else { self.only.clone() }
    }

    /// The profile asked for, or the one the environment allows.
    pub(crate) fn profile(&self) -> Profile {
        self.profile.unwrap_or_else(|| {
            if database_url().is_ok() && redis_url().is_ok() { Profile::Pg } else { Profile::Lite }
        })
    }
}

/// The PostgreSQL server to make throw-away databases on.
pub(crate) fn database_url() -> anyhow::Result<String> {
    let url = from_environment(&["TEST_DATABASE_URL", "DATABASE_URL"])?;
    if !url.starts_with("postgres") {
        bail!("the address of the database is not one of PostgreSQL");
    }
    Ok(url)
}

/// The Redis server to keep state in.
pub(crate) fn redis_url() -> anyhow::Result<String> {
    from_environment(&["TEST_REDIS_URL", "REDIS_URL"])
}

fn from_environment(names: &[&str]) -> anyhow::Result<String> {
    names
        .iter()
        .find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
        .with_context(|| format!("none of {} is set", names.join(", ")))
}
