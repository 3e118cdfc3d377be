//! A run from beginning to end: start everybody, warm up, go round, report, clear up.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::{Context as _, bail};
use tokio::signal::unix::{SignalKind, signal};

use crate::cpu;
use crate::field::Field;
use crate::load::{self, Sample};
use crate::options::Options;
use crate::prepare::Preparation;
use crate::report::{self, Report};
use crate::scenarios::{Contestant, Scenario};
use crate::stores::{Spent, Stores};
use crate::summary::{Measurement, Row};

/// More than this before the start, and the figures flatter small servers.
const QUIET: f64 = 0.3;
/// As many people as the stub upstream has: each should have an account before it counts.
pub(crate) const PEOPLE: usize = 1000;
/// The longest warm-up, in windows.
const MAX_WINDOWS: usize = 6;
/// Two windows that agree so closely are warm.
const AGREEMENT: f64 = 0.05;
/// Codes for a first, short measurement.
const FIRST_CODES: usize = 4_000;
/// More codes than this take too long to collect.
const MAX_CODES: f64 = 60_000.0;

/// Runs the scenarios and prints the report.
pub(crate) async fn run(options: Options) -> anyhow::Result<()> {
    let load_before = cpu::load_average();
    if load_before > QUIET {
        eprintln!("warning: load average {load_before:.2}; a busy machine flatters small servers");
    }
    let stores = Stores::open(options.profile()).await?;
    let done = tokio::select! {
        done = measure(&options, &stores, load_before) => done,
        () = interrupted() => Err(anyhow::anyhow!("interrupted")),
    };
    stores.close().await?;
    let report = done?;
    report::print(&report)?;
    if let Some(path) = &options.json {
        let text = format!("{:#}\n", report::json(&report));
        std::fs::write(path, text).with_context(|| path.display().to_string())?;
    }
    if options.gate && report.targets().iter().any(|target| target.required && !target.met) {
        bail!("a required target was missed");
    }
    Ok(())
}

/// Waits for SIGINT or SIGTERM, so that a run that is called off leaves no server behind.
async fn interrupted() {
    let terminated = async {
        match signal(SignalKind::terminate()) {
            Ok(mut signal) => signal.recv().await,
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = terminated => {}
        _ = tokio::signal::ctrl_c() => {}
    }
}

async fn measure(options: &Options, stores: &Stores, load_before: f64) -> anyhow::Result<Report> {
    let folder = tempfile::tempdir()?;
    let field = Field::start(options, stores, folder.path()).await?;
    let mut contest = Contest {
        preparation: Preparation::new(field.site.clone(), options.connections),
        field,
        stores,
        window: options.window(),
        rates: HashMap::new(),
    };
    let mut rows = rows(options);
    for row in &rows {
        eprintln!("warming up {} {}", row.contestant.label(), row.scenario.label());
        contest.warm_up(row.scenario, row.contestant, options.quick).await?;
    }
    let mut loads = vec![load_before];
    for round in 0..options.rounds() {
        eprintln!("round {} of {}", round + 1, options.rounds());
        contest.round(&mut rows, round % 2 == 1).await?;
        loads.push(cpu::load_average());
    }
    let keywright = contest.field.keywright();
    Ok(Report {
        profile: stores.label(),
        rounds: options.rounds(),
        window: options.window(),
        connections: options.connections,
        quick: options.quick,
        upstream_algorithm: options.upstream_alg.name(),
        loads,
        loaded_mib: keywright.map(|server| cpu::pss_mib(server.pid())).transpose()?,
        startup: contest.field.startup.take(),
        rows,
    })
}

/// One row for each scenario and contestant, contestants side by side.
fn rows(options: &Options) -> Vec<Row> {
    let mut rows = Vec::new();
    for scenario in options.scenarios() {
        for contestant in scenario.contestants() {
            let takes_part = match contestant {
                Contestant::Ceiling => true,
                Contestant::Keywright => !options.ceiling_only,
                Contestant::Peer => options.peer && !options.ceiling_only,
            };
            if takes_part {
                rows.push(Row { scenario, contestant: *contestant, rounds: Vec::new() });
            }
        }
    }
    rows
}

struct Contest<'a> {
    field: Field,
    preparation: Preparation,
    stores: &'a Stores,
    window: Duration,
    /// The last wall rate of each scenario and contestant: how many codes it will need.
    rates: HashMap<(Scenario, Contestant), f64>,
}

impl Contest<'_> {
    /// Every scenario once; inside it every contestant once, in alternating order.
    async fn round(&mut self, rows: &mut [Row], reverse: bool) -> anyhow::Result<()> {
        // Whoever goes second profits from a warm machine or suffers from a hot one.
        for pair in rows.chunk_by_mut(|one, other| one.scenario == other.scenario) {
            if reverse {
                for row in pair.iter_mut().rev() {
                    self.add_to(row).await?;
                }
            } else {
                for row in pair.iter_mut() {
                    self.add_to(row).await?;
                }
            }
        }
        Ok(())
    }

    async fn add_to(&mut self, row: &mut Row) -> anyhow::Result<()> {
        let (scenario, contestant) = (row.scenario, row.contestant);
        let (sample, server, stores) = self.window(scenario, contestant, self.window).await?;
        row.rounds.push(Measurement::new(sample, server, stores));
        Ok(())
    }

    /// Runs until two windows agree: caches, pools, branch predictors and accounts are there.
    async fn warm_up(
        &mut self,
        scenario: Scenario,
        contestant: Contestant,
        quick: bool,
    ) -> anyhow::Result<()> {
        let (mut before, mut requests) = (0.0, 0);
        for _ in 0..if quick { 1 } else { MAX_WINDOWS } {
            let (sample, ..) = self.window(scenario, contestant, Duration::from_secs(1)).await?;
            if let Some(error) = &sample.first_error {
                bail!("{error}\n{}", self.failure(scenario, contestant)?);
            }
            let rate = sample.rate();
            requests += sample.requests;
            let warm = (rate - before).abs() < AGREEMENT * rate;
            if warm && (!scenario.signs_in() || requests >= PEOPLE) {
                break;
            }
            before = rate;
        }
        Ok(())
    }

    /// One measurement: what the driver saw, and what the server and the stores used meanwhile.
    async fn window(
        &mut self,
        scenario: Scenario,
        contestant: Contestant,
        window: Duration,
    ) -> anyhow::Result<(Sample, f64, Spent)> {
        let codes = self.codes_for(scenario, contestant, window);
        let workers = match self.preparation.workers(scenario, contestant, codes).await {
            Ok(workers) => workers,
            Err(error) => return Err(error.context(self.failure(scenario, contestant)?)),
        };
        let process = self.field.server(scenario, contestant)?.pid();
        let (stores, server) = (self.stores.spent()?, cpu::tree_seconds(process)?);
        let (sample, _) = load::run(workers, window).await;
        let used = cpu::tree_seconds(process)? - server;
        let spent = self.stores.spent()?.since(&stores);
        self.rates.insert((scenario, contestant), sample.rate());
        Ok((sample, used, spent))
    }

    /// Who failed at what, with the end of its log.
    fn failure(&self, scenario: Scenario, contestant: Contestant) -> anyhow::Result<String> {
        let log = self.field.server(scenario, contestant)?.log();
        Ok(format!("in {} on {}, whose log ends:\n{log}", scenario.label(), contestant.label()))
    }

    /// Half as many again as the last rate would use up.
    fn codes_for(&self, scenario: Scenario, contestant: Contestant, window: Duration) -> usize {
        let Some(rate) = self.rates.get(&(scenario, contestant)) else {
            return FIRST_CODES;
        };
        let wanted = (rate * 1.5 * window.as_secs_f64()).clamp(1.0, MAX_CODES);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "clamped to a small positive range"
        )]
        let wanted = wanted as usize;
        wanted.max(FIRST_CODES)
    }
}
