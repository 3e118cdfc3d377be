//! A day in minutes: two instances behind nginx, on a PostgreSQL and a Redis, with an upstream; and people
//! and apps who go on while everything but nginx and the upstream dies and comes back, at any moment and
//! all at once. Failures are fine while something is down, wrong answers are not (FT-02, FT-12, FT-14, FT-60).
//!
//! The day has spells. In each of them workers and strikes go on together; at its end everything stands
//! again, and the checker asks for all that was acknowledged.

mod lies;
mod strikes;

use std::{
    fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, anyhow};

use self::strikes::{Stop, Struck};
use crate::{
    chance::Chance,
    checks, deeds,
    house::{House, Plan, Ports, leave_note},
    ledger::{Counts, Household},
    postgres_server::PostgresServer,
    proxy::Proxy,
    redis_server::RedisServer,
    rounds::{acknowledged_keys, in_words, look, prepare, settle},
    spans, traffic,
    upstream::Upstream,
};

pub(crate) use lies::prove;

/// So many people and apps are at work at once.
const WORKERS: usize = 4;
/// How long a spell goes on before it is looked at, in milliseconds: from, and how much more at most.
const SPELL: (usize, usize) = (12_000, 12_000);
/// Work goes on for so long when everything stands again.
const CALM: Duration = Duration::from_secs(1);
/// How long tokens are good, in seconds: short, so that keys come and go within the day.
const TOKEN_LIFETIME: u32 = 60;

/// Everything that a day needs.
pub(crate) struct Day {
    pub(crate) house: House,
    pub(crate) homes: Vec<Household>,
    pub(crate) proxy: Proxy,
    upstream: Upstream,
    pub(crate) redis: RedisServer,
    pub(crate) postgres: PostgresServer,
    seed: u64,
}

/// All that came of a day.
#[derive(Default)]
struct Tally {
    spells: u64,
    counts: Counts,
    struck: Struck,
    recoveries: Vec<Duration>,
    signatures: usize,
    keys: usize,
}

impl Day {
    /// Builds everything, and lets people in.
    pub(crate) fn begin(program: &Path, seed: u64) -> anyhow::Result<Self> {
        let redis = RedisServer::start().context("Redis is not installed")?;
        let postgres = PostgresServer::start()?;
        let mut ports = Ports::new(&mut Chance::new(seed, 99));
        let (port, one, other, at_upstream) =
            (ports.take(), ports.take(), ports.take(), ports.take());
        let upstream = Upstream::start(program, at_upstream, port)?;
        let mut house = House::build(Plan {
            program,
            stores: Some((postgres.database("day")?, redis.url())),
            port,
            instances: vec![one, other],
            upstream: Some(at_upstream),
            token_lifetime: TOKEN_LIFETIME,
        });
        house.start()?;
        let proxy = Proxy::start(port, &[one, other])?;
        house.serves(Instant::now())?;
        look(&house)?;
        let homes = settle(&house, 0..WORKERS)?;
        Ok(Self { house, homes, proxy, upstream, redis, postgres, seed })
    }

    /// The sequence of a part of a spell.
    fn chance(&self, spell: u64, part: u64) -> Chance {
        Chance::new(self.seed, 1_000 * (spell + 1) + part)
    }

    fn spell(&mut self, number: u64, length: Duration, tally: &mut Tally) -> anyhow::Result<()> {
        let mut chance = self.chance(number, 0);
        for (home, part) in self.homes.iter_mut().zip(100..) {
            home.chance = Chance::new(self.seed, 1_000 * (number + 1) + part);
        }
        prepare(&self.house, &mut self.homes, &mut chance)?;
        let struck = self.live(number, length)?;
        tally.recoveries.push(self.house.serves(Instant::now())?);
        self.proxy.still_runs()?;
        self.check(&struck, tally)?;
        tally.struck.add(struck);
        tally.spells += 1;
        Ok(())
    }

    /// Work and strikes.
    fn live(&mut self, number: u64, length: Duration) -> anyhow::Result<Struck> {
        let chances: Vec<Chance> = (1..6).map(|part| self.chance(number, part)).collect();
        let program = self.house.program.clone();
        let Self { house, homes, redis, postgres, .. } = self;
        let (site, done) = (&*house.site, AtomicBool::new(false));
        let (stop, done) = (&Stop::after(length), &done);
        let [one, other] = &mut house.instances[..] else {
            return Err(anyhow!("a day has two instances"));
        };
        thread::scope(|scope| {
            let workers: Vec<_> = homes
                .iter_mut()
                .map(|home| scope.spawn(move || deeds::work(home, site, done)))
                .collect();
            let [first, second, third, fourth, fifth] = &chances[..] else {
                return Err(anyhow!("too few chances"));
            };
            let strikers = [
                scope.spawn(move || strikes::on_instance(one, site, first.clone(), stop)),
                scope.spawn(move || strikes::on_instance(other, site, second.clone(), stop)),
                scope.spawn(move || strikes::on_redis(redis, site, third.clone(), stop)),
                scope.spawn(move || strikes::on_postgres(postgres, site, fourth.clone(), stop)),
                scope.spawn(move || strikes::rotations(&program, fifth.clone(), stop)),
            ];
            let struck: Vec<_> =
                strikers.into_iter().map(|striker| striker.join().unwrap()).collect();
            thread::sleep(CALM);
            done.store(true, Ordering::Release);
            for worker in workers {
                worker.join().unwrap().map_err(|text| anyhow!("at work: {text}"))?;
            }
            let mut all = Struck::default();
            for one in struck {
                all.add(one?);
            }
            Ok(all)
        })
    }

    fn check(&mut self, struck: &Struck, tally: &mut Tally) -> anyhow::Result<()> {
        let (signatures, keys) = self.check_keys()?;
        tally.signatures += signatures;
        tally.keys = tally.keys.max(keys);
        checks::rows::check(self.house.database())?;
        for output in &struck.rotated {
            acknowledged_keys(&self.house, output)?;
        }
        checks::check_all(&mut self.homes, &self.house.site)
            .map_err(|text| anyhow!("when everything stood again: {text}"))?;
        for home in &mut self.homes {
            tally.counts.add(&std::mem::take(&mut home.counts));
        }
        look(&self.house)?;
        self.upstream.instance.check_log(false).context("the upstream")?;
        self.house.check_log(true)
    }

    /// Whether every token can be checked with what is published; what has just come back may say 503.
    fn check_keys(&self) -> anyhow::Result<(usize, usize)> {
        let site = &self.house.site;
        let mut answer = site.keys.check(site.port, site.now());
        for _ in 0..20 {
            if answer.is_ok() {
                break;
            }
            thread::sleep(Duration::from_millis(250));
            answer = site.keys.check(site.port, site.now());
        }
        answer.map_err(in_words)
    }

    /// Leaves what is needed to see what happened.
    pub(crate) fn keep(self, text: &str) -> String {
        let proxy = self.proxy.end_of_log();
        let folder = self.house.keep();
        leave_note(&folder, &format!("{text}\n\n{proxy}"));
        format!("{text}\nits folder is {}", folder.display())
    }
}

/// A day of this length.
pub(crate) fn run(program: &Path, seed: u64, length: Duration) -> anyhow::Result<()> {
    println!("a day of {length:?} with seed {seed}, by {}", program.display());
    let mut day = Day::begin(program, seed)?;
    let mut tally = Tally::default();
    let begun = Instant::now();
    let done = spells(&mut day, length, begun, &mut tally);
    report(&day, &tally, begun.elapsed());
    done.map_err(|error| {
        let text = format!("seed {seed}, spell {}: {error:#}", tally.spells);
        anyhow!(day.keep(&text))
    })
}

fn spells(
    day: &mut Day,
    length: Duration,
    begun: Instant,
    tally: &mut Tally,
) -> anyhow::Result<()> {
    for number in 0.. {
        let left = length.saturating_sub(begun.elapsed());
        if left.is_zero() {
            break;
        }
        let span = SPELL.0 + day.chance(number, 50).below(SPELL.1);
        let span = Duration::from_millis(u64::try_from(span)?);
        day.spell(number, span.min(left.max(Duration::from_secs(3))), tally)?;
        println!("spell {number}: {}; {}", tally.struck.in_a_line(), tally.counts.in_a_line());
    }
    Ok(())
}

fn report(day: &Day, tally: &Tally, took: Duration) {
    println!("\n{} spells in {took:.0?}. What died:", tally.spells);
    for (what, count) in &tally.struck.counts {
        println!("  {count:>8} {what}");
    }
    tally.counts.print();
    println!("came to nothing:");
    for ((kind, why), count) in &tally.counts.failed {
        println!("  {count:>8} {kind}: {why}");
    }
    println!("  {:>8} signatures, by up to {} keys at once", tally.signatures, tally.keys);
    println!("an instance was ready again: {}", spans(&tally.struck.restarts));
    println!("an instance has stopped when told: {}", spans(&tally.struck.stops));
    println!("sign-ins went on after the last came back: {}", spans(&tally.recoveries));
    println!("\n{}", traffic::drawn(day.house.site.port));
}

/// The length of a day: `90s`, `10m`.
pub(crate) fn length(text: &str) -> Result<Duration, String> {
    let (number, unit) = text.split_at(text.len().saturating_sub(1));
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        _ => return Err("a number with s, m or h".to_owned()),
    };
    let number: u64 = number.parse().map_err(|_| "a number with s, m or h".to_owned())?;
    Ok(Duration::from_secs(number * seconds))
}

/// The program that is meant.
pub(crate) fn program(binary: Option<&PathBuf>) -> anyhow::Result<PathBuf> {
    let own = PathBuf::from(env!("CARGO_BIN_EXE_keywright"));
    let file = binary.unwrap_or(&own);
    fs::canonicalize(file).with_context(|| format!("{} is not there", file.display()))
}
