//! The report: a table for people, JSON for programs.

use std::io::Write as _;
use std::time::Duration;

use serde_json::{Value, json};

use crate::scenarios::Contestant;
use crate::startup::Startup;
use crate::summary::{Measurement, Range, Row, Target, at_most, ratio, targets};

/// Everything a run found out.
pub(crate) struct Report {
    pub(crate) profile: String,
    pub(crate) rounds: usize,
    pub(crate) window: Duration,
    pub(crate) connections: usize,
    pub(crate) quick: bool,
    pub(crate) upstream_algorithm: &'static str,
    /// The load average before the start and after each round.
    pub(crate) loads: Vec<f64>,
    pub(crate) startup: Option<Startup>,
    /// Proportional set size at the end.
    pub(crate) loaded_mib: Option<f64>,
    pub(crate) rows: Vec<Row>,
}

impl Report {
    /// All targets, those of the start included.
    pub(crate) fn targets(&self) -> Vec<Target> {
        let mut all = targets(&self.rows);
        if let Some(startup) = &self.startup {
            all.push(at_most("idle memory", startup.idle_mib, 24.0, "MiB"));
            all.push(at_most(
                "ready on an existing database",
                startup.again_ms.median,
                100.0,
                "ms",
            ));
        }
        all
    }
}

/// Prints the table, the start, the targets and what went wrong.
pub(crate) fn print(report: &Report) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(
        out,
        "\n{}; {} rounds of {:.1} s, {} connections; load {:.2} before{}\n",
        report.profile,
        report.rounds,
        report.window.as_secs_f64(),
        report.connections,
        report.loads.first().copied().unwrap_or_default(),
        if report.quick { "; quick: a smoke test" } else { "" },
    )?;
    writeln!(
        out,
        "{:<29}{:<10}{:>9} {:<17}{:>7} {:<12}{:>8}{:>8}{:>8}{:>9}{:>8}{:>8}",
        "scenario",
        "server",
        "per CPU-s",
        " (min-max)",
        "ratio",
        " (min-max)",
        "us",
        "PG us",
        "Redis",
        "wall/s",
        "p50 ms",
        "p99 ms"
    )?;
    for row in &report.rows {
        writeln!(out, "{}", line(report, row))?;
    }
    if let Some(startup) = &report.startup {
        print_startup(&mut out, startup, report.loaded_mib)?;
    }
    writeln!(out, "\nTargets")?;
    for target in report.targets() {
        let verdict = if target.met { "met" } else { "MISSED" };
        let weight = if target.required { "required" } else { "information" };
        let Target { name, wanted, reached, .. } = &target;
        writeln!(out, "  {verdict:<7}{name:<32}{wanted:<32}{reached:<36}{weight}")?;
    }
    print_errors(&mut out, report)
}

fn line(report: &Report, row: &Row) -> String {
    let rate = row.range(Measurement::per_cpu_second);
    let ratio = (row.contestant == Contestant::Keywright)
        .then(|| ratio(&report.rows, row.scenario))
        .flatten()
        .map_or_else(
            || " ".repeat(20),
            |Range { median, min, max }| {
                let spread = format!("({:.0}-{:.0})", min * 100.0, max * 100.0);
                format!("{:>6.1}% {spread:<12}", median * 100.0)
            },
        );
    let store = |cpu: fn(&Measurement) -> Option<f64>| {
        let known = row.rounds.iter().all(|round| cpu(round).is_some());
        let micros = row.range(|round| round.micros(cpu(round).unwrap_or_default())).median;
        if known { format!("{micros:.0}") } else { "-".to_owned() }
    };
    format!(
        "{:<29}{:<10}{:>9.0} {:<17}{}{:>8.1}{:>8}{:>8}{:>9.0}{:>8.2}{:>8.2}",
        format!("{} {}", row.scenario.label(), row.scenario.description()),
        row.contestant.label(),
        rate.median,
        format!("({:.0}-{:.0})", rate.min, rate.max),
        ratio,
        row.range(|round| round.micros(round.server_cpu)).median,
        store(|round| round.stores_cpu.postgres),
        store(|round| round.stores_cpu.redis),
        row.range(|round| round.wall_rate).median,
        row.range(|round| round.p50_ms).median,
        row.range(|round| round.p99_ms).median,
    )
}

fn print_startup(
    out: &mut impl std::io::Write,
    startup: &Startup,
    loaded_mib: Option<f64>,
) -> std::io::Result<()> {
    let Startup { first_ms, again_ms, again_cpu_ms, idle_mib } = startup;
    writeln!(
        out,
        "\nstart: {:.1} ms to the first 200 of /readyz on an existing database ({:.1}-{:.1}), \
         {:.0} ms of CPU; the first start ever {first_ms:.0} ms",
        again_ms.median, again_ms.min, again_ms.max, again_cpu_ms.median
    )?;
    let loaded = loaded_mib.unwrap_or_default();
    writeln!(out, "memory (PSS): {idle_mib:.1} MiB idle, {loaded:.1} MiB after the load")
}

fn print_errors(out: &mut impl std::io::Write, report: &Report) -> std::io::Result<()> {
    for row in report.rows.iter().filter(|row| row.errors() > 0) {
        let first = row.rounds.iter().find_map(|round| round.first_error.as_deref());
        let (label, server) = (row.scenario.label(), row.contestant.label());
        let first = first.unwrap_or("unknown");
        writeln!(out, "\n{} errors in {label} on {server}, such as: {first}", row.errors())?;
    }
    Ok(())
}

/// The same as JSON, with every round.
pub(crate) fn json(report: &Report) -> Value {
    let startup = report.startup.as_ref().map(|startup| {
        json!({
            "first_ms": startup.first_ms,
            "existing_database_ms": range(startup.again_ms),
            "existing_database_cpu_ms": range(startup.again_cpu_ms),
            "idle_pss_mib": startup.idle_mib,
            "after_load_pss_mib": report.loaded_mib,
        })
    });
    json!({
        "profile": report.profile,
        "quick": report.quick,
        "rounds": report.rounds,
        "seconds": report.window.as_secs_f64(),
        "connections": report.connections,
        "upstream_id_token_alg": report.upstream_algorithm,
        "cpus": std::thread::available_parallelism().map_or(0, usize::from),
        "load_average": report.loads,
        "scenarios": report.rows.iter().map(|row| scenario(report, row)).collect::<Vec<_>>(),
        "startup": startup,
        "targets": report.targets().iter().map(target).collect::<Vec<_>>(),
    })
}

fn scenario(report: &Report, row: &Row) -> Value {
    let ours = row.contestant == Contestant::Keywright;
    let ratio = ours.then(|| ratio(&report.rows, row.scenario)).flatten();
    json!({
        "scenario": row.scenario.label(),
        "description": row.scenario.description(),
        "server": row.contestant.label(),
        "per_cpu_second": range(row.range(Measurement::per_cpu_second)),
        "per_cpu_second_with_redis": range(row.range(Measurement::per_cpu_second_with_redis)),
        "per_cpu_second_with_stores": range(row.range(Measurement::per_cpu_second_with_stores)),
        "ratio": ratio.map(range),
        "wall_per_second": range(row.range(|round| round.wall_rate)),
        "p50_ms": range(row.range(|round| round.p50_ms)),
        "p99_ms": range(row.range(|round| round.p99_ms)),
        "errors": row.errors(),
        "rounds": row.rounds.iter().map(round).collect::<Vec<_>>(),
    })
}

fn round(round: &Measurement) -> Value {
    json!({
        "requests": round.requests,
        "errors": round.errors,
        "first_error": round.first_error,
        "seconds": round.seconds,
        "server_cpu_seconds": round.server_cpu,
        "postgres_cpu_seconds": round.stores_cpu.postgres,
        "redis_cpu_seconds": round.stores_cpu.redis,
        "per_cpu_second": round.per_cpu_second(),
        "wall_per_second": round.wall_rate,
        "p50_ms": round.p50_ms,
        "p99_ms": round.p99_ms,
    })
}

fn range(range: Range) -> Value {
    json!({ "median": range.median, "min": range.min, "max": range.max })
}

fn target(target: &Target) -> Value {
    json!({
        "name": target.name,
        "wanted": target.wanted,
        "reached": target.reached,
        "value": target.value,
        "limit": target.limit,
        "met": target.met,
        "required": target.required,
    })
}
