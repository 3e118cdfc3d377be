//! From measurements to medians, ratios and targets.

use crate::load::{Sample, as_f64};
use crate::scenarios::{Contestant, Goal, Scenario};
use crate::stores::Spent;

/// One measurement.
pub(crate) struct Measurement {
    pub(crate) requests: usize,
    pub(crate) errors: usize,
    pub(crate) first_error: Option<String>,
    pub(crate) seconds: f64,
    pub(crate) server_cpu: f64,
    pub(crate) stores_cpu: Spent,
    pub(crate) wall_rate: f64,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
}

impl Measurement {
    /// Puts together what the driver saw and what the processes used.
    pub(crate) fn new(sample: Sample, server_cpu: f64, stores_cpu: Spent) -> Self {
        Self {
            seconds: sample.elapsed.as_secs_f64(),
            wall_rate: sample.rate(),
            p50_ms: sample.percentile(0.50) / 1000.0,
            p99_ms: sample.percentile(0.99) / 1000.0,
            requests: sample.requests,
            errors: sample.errors,
            first_error: sample.first_error,
            server_cpu,
            stores_cpu,
        }
    }

    /// The primary figure: requests per CPU-second of the server.
    pub(crate) fn per_cpu_second(&self) -> f64 {
        as_f64(self.requests) / self.server_cpu.max(0.01)
    }

    /// The same with the CPU time of Redis added.
    pub(crate) fn per_cpu_second_with_redis(&self) -> f64 {
        let redis = self.stores_cpu.redis.unwrap_or_default();
        as_f64(self.requests) / (self.server_cpu + redis).max(0.01)
    }

    /// The same with the CPU time of PostgreSQL and Redis added.
    pub(crate) fn per_cpu_second_with_stores(&self) -> f64 {
        let stores = self.stores_cpu.postgres.unwrap_or_default()
            + self.stores_cpu.redis.unwrap_or_default();
        as_f64(self.requests) / (self.server_cpu + stores).max(0.01)
    }

    /// Microseconds of CPU time per request.
    pub(crate) fn micros(&self, cpu: f64) -> f64 {
        cpu * 1e6 / as_f64(self.requests.max(1))
    }
}

/// Median and extremes.
#[derive(Clone, Copy)]
pub(crate) struct Range {
    pub(crate) median: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
}

impl Range {
    /// Of some numbers; of none, all are zero.
    pub(crate) fn of(values: &[f64]) -> Self {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let at = |index: usize| sorted.get(index).copied().unwrap_or_default();
        let middle = sorted.len() / 2;
        let median = if sorted.len() % 2 == 1 || sorted.is_empty() {
            at(middle)
        } else {
            f64::midpoint(at(middle - 1), at(middle))
        };
        Self { median, min: at(0), max: at(sorted.len().saturating_sub(1)) }
    }
}

/// All rounds of one scenario on one contestant.
pub(crate) struct Row {
    pub(crate) scenario: Scenario,
    pub(crate) contestant: Contestant,
    pub(crate) rounds: Vec<Measurement>,
}

impl Row {
    /// A figure over all rounds.
    pub(crate) fn range(&self, figure: impl Fn(&Measurement) -> f64) -> Range {
        Range::of(&self.rounds.iter().map(figure).collect::<Vec<_>>())
    }

    /// All that went wrong.
    pub(crate) fn errors(&self) -> usize {
        self.rounds.iter().map(|round| round.errors).sum()
    }
}

/// The row of a scenario and contestant.
pub(crate) fn row(rows: &[Row], scenario: Scenario, contestant: Contestant) -> Option<&Row> {
    rows.iter().find(|row| row.scenario == scenario && row.contestant == contestant)
}

/// Ours divided by the ceiling's, round by round.
pub(crate) fn ratio(rows: &[Row], scenario: Scenario) -> Option<Range> {
    let ours = row(rows, scenario, Contestant::Keywright)?;
    let ceiling = row(rows, scenario, Contestant::Ceiling)?;
    let ratios: Vec<f64> = ours
        .rounds
        .iter()
        .zip(&ceiling.rounds)
        .map(|(ours, ceiling)| ours.per_cpu_second() / ceiling.per_cpu_second().max(1e-9))
        .collect();
    (!ratios.is_empty()).then(|| Range::of(&ratios))
}

/// How many times the peer's figure ours is, round by round.
fn times_peer(rows: &[Row], scenario: Scenario, figure: fn(&Measurement) -> f64) -> Option<Range> {
    let ours = row(rows, scenario, Contestant::Keywright)?;
    let peer = row(rows, scenario, Contestant::Peer)?;
    let pairs = ours.rounds.iter().zip(&peer.rounds);
    let times = pairs.map(|(ours, peer)| figure(ours) / figure(peer).max(1e-9));
    let times: Vec<f64> = times.collect();
    (!times.is_empty()).then(|| Range::of(&times))
}

/// A target and whether it was met.
pub(crate) struct Target {
    pub(crate) name: String,
    pub(crate) wanted: String,
    pub(crate) reached: String,
    pub(crate) value: f64,
    pub(crate) limit: f64,
    pub(crate) met: bool,
    pub(crate) required: bool,
}

/// The targets of all scenarios that were measured; one with errors meets none.
pub(crate) fn targets(rows: &[Row]) -> Vec<Target> {
    let ours = rows.iter().filter(|row| row.contestant == Contestant::Keywright);
    ours.flat_map(|row| row.scenario.goals().iter().filter_map(|goal| target(rows, row, *goal)))
        .collect()
}

fn target(rows: &[Row], row: &Row, goal: Goal) -> Option<Target> {
    let (value, limit, wanted, reached) = match goal {
        Goal::Ratio(limit) => {
            let value = ratio(rows, row.scenario)?.median;
            let wanted = format!("at least {:.0} % of the ceiling", limit * 100.0);
            (value, limit, wanted, format!("{:.1} %", value * 100.0))
        }
        Goal::PerCpuSecondWithRedis(limit) => {
            let value = row.range(Measurement::per_cpu_second_with_redis).median;
            let own = row.range(Measurement::per_cpu_second).median;
            let all = row.range(Measurement::per_cpu_second_with_stores).median;
            let wanted = format!("at least {limit:.0} per CPU-second");
            (value, limit, wanted, format!("{value:.0} ({own:.0} alone, {all:.0} with all)"))
        }
        Goal::TimesPeer(limit) => {
            let peer = self::row(rows, row.scenario, Contestant::Peer)?;
            if peer.errors() > 0 {
                return None;
            }
            let with_redis = Measurement::per_cpu_second_with_redis;
            let times = times_peer(rows, row.scenario, with_redis)?.median;
            // Ours keeps in PostgreSQL what theirs keeps in Redis.
            let all = times_peer(rows, row.scenario, Measurement::per_cpu_second_with_stores)?;
            let theirs = peer.range(with_redis).median;
            let wanted = format!("at least {limit:.0} times oidc-provider");
            let reached =
                format!("{times:.1} times {theirs:.0}; {:.1} times with all stores", all.median);
            (times, limit, wanted, reached)
        }
    };
    Some(Target {
        name: format!("{} {}", row.scenario.label(), row.scenario.description()),
        met: value >= limit && row.errors() == 0,
        required: row.scenario.requires(goal),
        wanted,
        reached,
        value,
        limit,
    })
}

/// A target that must not be exceeded.
pub(crate) fn at_most(name: &str, value: f64, limit: f64, unit: &str) -> Target {
    Target {
        name: name.to_owned(),
        wanted: format!("at most {limit:.0} {unit}"),
        reached: format!("{value:.1} {unit}"),
        met: value <= limit,
        required: true,
        value,
        limit,
    }
}
