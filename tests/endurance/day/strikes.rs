//! What dies in a day, when, and how it comes back. Each of these has a chance of its own, so that
//! they meet as they like.

use std::{
    collections::BTreeMap,
    process::Output,
    thread,
    time::{Duration, Instant},
};

use crate::{
    chance::Chance,
    house::Site,
    instance::{Instance, Program},
    postgres_server::PostgresServer,
    redis_server::RedisServer,
    rounds::rotate,
};

/// From when on nothing is struck any more.
pub(super) struct Stop(Instant);

impl Stop {
    pub(super) fn after(length: Duration) -> Self {
        Self(Instant::now() + length)
    }

    /// Waits for as long as chance says, between two times in milliseconds; whether there is time left
    /// then.
    fn wait(&self, chance: &mut Chance, (from, to): (usize, usize)) -> bool {
        let pause = milliseconds(chance, (from, to));
        let left = self.0.saturating_duration_since(Instant::now());
        thread::sleep(pause.min(left));
        pause < left
    }
}

fn milliseconds(chance: &mut Chance, (from, to): (usize, usize)) -> Duration {
    Duration::from_millis(u64::try_from(from + chance.below(to - from)).unwrap())
}

/// What has happened.
#[derive(Default)]
pub(super) struct Struck {
    pub(super) counts: BTreeMap<&'static str, u64>,
    /// How long instances took to be ready again.
    pub(super) restarts: Vec<Duration>,
    /// How long they took to stop when they were told to.
    pub(super) stops: Vec<Duration>,
    /// What those were told who rotated the keys.
    pub(super) rotated: Vec<Output>,
}

impl Struck {
    fn count(&mut self, what: &'static str) {
        *self.counts.entry(what).or_default() += 1;
    }

    pub(super) fn add(&mut self, other: Self) {
        for (what, count) in other.counts {
            *self.counts.entry(what).or_default() += count;
        }
        self.restarts.extend(other.restarts);
        self.stops.extend(other.stops);
        self.rotated.extend(other.rotated);
    }

    pub(super) fn in_a_line(&self) -> String {
        let all: Vec<String> =
            self.counts.iter().map(|(what, count)| format!("{count} {what}")).collect();
        all.join(", ")
    }
}

/// One of the instances, again and again.
pub(super) fn on_instance(
    own: &mut Instance,
    site: &Site,
    mut chance: Chance,
    stop: &Stop,
) -> anyhow::Result<Struck> {
    let mut struck = Struck::default();
    while stop.wait(&mut chance, (1_500, 9_000)) {
        own.still_runs()?;
        site.is_struck();
        if chance.percent(70) {
            own.kill();
            struck.count("instances killed");
        } else {
            struck.stops.push(own.stop()?);
            struck.count("instances told to stop");
        }
        thread::sleep(milliseconds(&mut chance, (50, 2_500)));
        let (took, tries) = own.start_patiently()?;
        struck.restarts.push(took);
        if tries > 1 {
            struck.count("starts repeated, while PostgreSQL was away");
        }
        site.is_struck();
    }
    Ok(struck)
}

/// Redis, which forgets everything by it.
pub(super) fn on_redis(
    redis: &mut RedisServer,
    site: &Site,
    mut chance: Chance,
    stop: &Stop,
) -> anyhow::Result<Struck> {
    let mut struck = Struck::default();
    while stop.wait(&mut chance, (4_000, 16_000)) {
        site.forgets();
        redis.kill();
        site.forgets();
        struck.count("Redis killed");
        thread::sleep(milliseconds(&mut chance, (50, 3_000)));
        redis.start_again();
        site.is_struck();
    }
    Ok(struck)
}

/// PostgreSQL.
pub(super) fn on_postgres(
    postgres: &mut PostgresServer,
    site: &Site,
    mut chance: Chance,
    stop: &Stop,
) -> anyhow::Result<Struck> {
    let mut struck = Struck::default();
    while stop.wait(&mut chance, (4_000, 16_000)) {
        site.is_struck();
        if chance.percent(60) {
            postgres.kill();
            struck.count("PostgreSQL killed");
        } else {
            postgres.stop()?;
            struck.count("PostgreSQL restarted");
        }
        thread::sleep(milliseconds(&mut chance, (50, 3_000)));
        postgres.start_again()?;
        site.is_struck();
    }
    Ok(struck)
}

/// Somebody who rotates the keys; now and then that is killed as well.
pub(super) fn rotations(
    program: &Program,
    mut chance: Chance,
    stop: &Stop,
) -> anyhow::Result<Struck> {
    let mut struck = Struck::default();
    while stop.wait(&mut chance, (2_000, 8_000)) {
        let killed = chance.percent(25).then(|| milliseconds(&mut chance, (5, 200)));
        let verb = program.verb(0, &["key", "rotate"]);
        match rotate(verb, (Duration::ZERO, killed))? {
            Some(output) if output.status.success() => {
                struck.count("keys rotated");
                struck.rotated.push(output);
            }
            Some(_) => struck.count("rotations refused, while PostgreSQL was away"),
            None => struck.count("rotations killed"),
        }
    }
    Ok(struck)
}
