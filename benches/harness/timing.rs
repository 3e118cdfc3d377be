//! Whether the time of a failed sign-in tells who has an account.
//!
//! Tries of every kind, one after the other in an order that chance makes, each by a browser of its
//! own from a network of its own, so that no brake answers in place of the form. Then the same for
//! names that have to wait. What is compared is each kind with names that nobody has: with an area of
//! one half under the curve (Mann-Whitney), nobody could tell them apart better than by guessing.

use std::fmt::Write as _;
use std::io::Write as _;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};

use crate::flows::Party;
use crate::load::as_f64;
use crate::members::{self, Form, Visitor};
use crate::options::TimingArguments;
use crate::servers::{Keywright, free_port};
use crate::settings::{APP_ES256, Settings};

/// Each is one letter of a name, and a word for people.
const KINDS: [(char, &str); 6] = [
    ('n', "unknown"),
    ('w', "wrong password"),
    ('d', "disabled"),
    ('p', "without a password"),
    ('v', "unverified address"),
    ('f', "another system's hash"),
];
/// As many wrong passwords from as many networks are free for one account.
const TRIES_EACH: usize = 15;
/// The hash of another system, cheap to check.
const FOREIGN: &str =
    "$pbkdf2-sha1$i=1$AAECAwQFBgcICQoLDA0ODw$yr+bZKkEnTtGf3f18VjXM5CIxT9gt2kfzsoPOBHUS/Q";
/// So many failures in a row leave a name waiting for 32 seconds.
const PRIMING: usize = 10;

/// Asks, and prints what was found.
pub(crate) async fn run(arguments: TimingArguments) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let (port, management_port) = (free_port()?, free_port()?);
    let settings = Settings {
        port,
        management_port,
        database: format!("sqlite:{}", folder.path().join("timing.sqlite").display()),
        state: "memory:".to_owned(),
        // Nobody goes there.
        upstream_port: free_port()?,
        is_proxied: true,
    };
    let keywright = Keywright::configure(folder.path(), "timing", &settings.toml())?;
    members::import(&keywright, &people(arguments.tries.div_ceil(TRIES_EACH))?)?;
    let mut server = keywright.serve()?;
    server.ready(&Party::new("127.0.0.1", management_port)).await?;
    let mut tries = Tries {
        visitor: Visitor::new(&Party::new("localhost", port), APP_ES256),
        chance: u64::from(std::process::id()) | 1,
        networks: 0,
    };
    let free = tries.free(arguments.tries).await?;
    let waiting = tries.waiting(arguments.tries).await?;
    let phases = [("answered", free), ("told to wait", waiting)];
    print(&phases)?;
    if let Some(path) = &arguments.json {
        let all: Vec<Value> = phases.iter().map(|(name, times)| as_json(name, times)).collect();
        std::fs::write(path, format!("{:#}\n", Value::from(all)))?;
    }
    Ok(())
}

/// Accounts of every kind but the first, which nobody has.
fn people(of_each: usize) -> anyhow::Result<String> {
    let hash = members::hash()?;
    let mut lines = String::new();
    for (letter, _) in KINDS.iter().filter(|(letter, _)| *letter != 'n') {
        for number in 0..=of_each {
            let username = name(*letter, number);
            let hash = match letter {
                'p' => None,
                'f' => Some(FOREIGN),
                _ => Some(hash.as_str()),
            };
            let line = json!({
                "username": username, "email": format!("{username}@example.org"),
                "email_verified": *letter != 'v', "password_hash": hash,
                "disabled": *letter == 'd',
            });
            writeln!(lines, "{line}")?;
        }
    }
    Ok(lines)
}

/// All of one length.
fn name(letter: char, number: usize) -> String {
    format!("{letter}{number:05}")
}

/// Microseconds of each kind, in the order of [`KINDS`].
type Times = Vec<Vec<f64>>;

struct Tries {
    visitor: Visitor,
    /// The state of a small generator: the order has to be none, and not unguessable.
    chance: u64,
    networks: u32,
}

impl Tries {
    /// Tries that are answered.
    async fn free(&mut self, count: usize) -> anyhow::Result<Times> {
        let mut times: Times = vec![Vec::with_capacity(count); KINDS.len()];
        for turn in 0..count {
            for kind in self.shuffled() {
                self.move_on();
                let mut form = self.visitor.open().await?;
                // The first account of each kind is kept for the other phase.
                let number = 1 + turn / TRIES_EACH;
                let took = self.time(&mut form, kind, number, 400).await?;
                times.get_mut(kind).context("a kind")?.push(took);
            }
        }
        Ok(times)
    }

    /// Tries that are told to wait, while that lasts.
    async fn waiting(&mut self, count: usize) -> anyhow::Result<Times> {
        let mut times: Times = vec![Vec::with_capacity(count); KINDS.len()];
        self.move_on();
        let mut form = self.visitor.open().await?;
        let mut left = count;
        while left > 0 {
            let begun = self.prime(&mut form).await?;
            while left > 0 && begun.elapsed() < Duration::from_secs(25) {
                for kind in self.shuffled() {
                    let took = self.time(&mut form, kind, 0, 429).await?;
                    times.get_mut(kind).context("a kind")?.push(took);
                }
                left -= 1;
            }
        }
        Ok(times)
    }

    /// Fails with the first name of each kind until all have to wait for long; since when they do.
    async fn prime(&mut self, form: &mut Form) -> anyhow::Result<Instant> {
        let mut failures = [0; KINDS.len()];
        loop {
            let mut slept = Duration::ZERO;
            for (kind, failed) in failures.iter_mut().enumerate() {
                if *failed >= PRIMING {
                    continue;
                }
                let (letter, _) = KINDS.get(kind).context("a kind")?;
                let answer = self.visitor.give(form, &name(*letter, 0), "wrong").await?;
                match answer.status {
                    400 => *failed += 1,
                    429 => {
                        let wait = answer.retry_after.context("no Retry-After")?;
                        if wait > 20 {
                            *failed = PRIMING;
                        } else {
                            slept = slept.max(Duration::from_secs(wait));
                        }
                    }
                    status => anyhow::bail!("{status}: {}", answer.excerpt()),
                }
            }
            if failures.iter().all(|failed| *failed >= PRIMING) {
                return Ok(Instant::now());
            }
            tokio::time::sleep(slept).await;
        }
    }

    async fn time(
        &mut self,
        form: &mut Form,
        kind: usize,
        number: usize,
        expected: u16,
    ) -> anyhow::Result<f64> {
        let (letter, word) = KINDS.get(kind).context("a kind")?;
        let name = name(*letter, number);
        let begun = Instant::now();
        let answer = self.visitor.give(form, &name, "a wrong password 17").await?;
        let took = begun.elapsed();
        let status = answer.status;
        ensure!(status == expected, "{word}: {status}, {}", answer.excerpt());
        Ok(took.as_secs_f64() * 1e6)
    }

    /// Comes from another network from now on.
    fn move_on(&mut self) {
        self.networks += 1;
        let [_, a, b, c] = self.networks.to_be_bytes();
        self.visitor.from = format!("X-Forwarded-For: 10.{a}.{b}.{c}\r\n");
    }

    /// The kinds in some order.
    fn shuffled(&mut self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..KINDS.len()).collect();
        for last in (1..order.len()).rev() {
            self.chance ^= self.chance << 13;
            self.chance ^= self.chance >> 7;
            self.chance ^= self.chance << 17;
            let sides = u64::try_from(last + 1).unwrap_or(1);
            order.swap(last, usize::try_from(self.chance % sides).unwrap_or(0));
        }
        order
    }
}

/// The value below which this share stays.
fn percentile(sorted: &[f64], share: f64) -> f64 {
    let last = sorted.len().saturating_sub(1);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a share of a count is a count"
    )]
    let at = (as_f64(last) * share).round() as usize;
    sorted.get(at).copied().unwrap_or_default()
}

/// How often a value is greater than one of the others, ties counted half (Mann-Whitney).
fn area(values: &[f64], others: &[f64]) -> f64 {
    let mut others = others.to_vec();
    others.sort_by(f64::total_cmp);
    let wins = values.iter().map(|value| {
        let below = others.partition_point(|other| other < value);
        let equal = others.partition_point(|other| other <= value) - below;
        as_f64(below) + as_f64(equal) / 2.0
    });
    wins.sum::<f64>() / (as_f64(values.len()) * as_f64(others.len())).max(1.0)
}

/// How far from one half chance alone puts the area in 95 of 100 runs.
fn noise(count: usize) -> f64 {
    let count = as_f64(count.max(1));
    1.96 * ((2.0 * count + 1.0) / (12.0 * count * count)).sqrt()
}

/// Median, p90 and p99 of a kind, and its area against the unknown.
fn figures(times: &Times, kind: usize) -> ([f64; 3], f64) {
    let none = Vec::new();
    let own = times.get(kind).unwrap_or(&none);
    let mut sorted = own.clone();
    sorted.sort_by(f64::total_cmp);
    let quantiles = [0.5, 0.9, 0.99].map(|share| percentile(&sorted, share));
    (quantiles, area(own, times.first().unwrap_or(&none)))
}

fn print(phases: &[(&str, Times)]) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    for (phase, times) in phases {
        let count = times.first().map_or(0, Vec::len);
        writeln!(out, "\nTries that are {phase}: {count} of each kind")?;
        writeln!(
            out,
            "{:<24}{:>12}{:>12}{:>12}{:>20}",
            "", "median us", "p90 us", "p99 us", "against unknown"
        )?;
        for (kind, (_, word)) in KINDS.iter().enumerate() {
            let ([median, p90, p99], area) = figures(times, kind);
            writeln!(out, "{word:<24}{median:>12.0}{p90:>12.0}{p99:>12.0}{area:>20.3}")?;
        }
        let noise = noise(count);
        writeln!(out, "chance alone: {:.3} to {:.3}", 0.5 - noise, 0.5 + noise)?;
    }
    Ok(())
}

fn as_json(phase: &str, times: &Times) -> Value {
    let kinds = KINDS.iter().enumerate().map(|(kind, (_, word))| {
        let ([median, p90, p99], area) = figures(times, kind);
        json!({
            "kind": word, "median_us": median, "p90_us": p90, "p99_us": p99,
            "area_against_unknown": area, "micros": times.get(kind),
        })
    });
    let count = times.first().map_or(0, Vec::len);
    json!({
        "phase": phase, "tries": count, "noise_of_area": noise(count),
        "kinds": kinds.collect::<Vec<_>>(),
    })
}
