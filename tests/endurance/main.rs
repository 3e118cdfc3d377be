//! `kill -9` again and again, and a checker that knows everything that was acknowledged (FT-25, FT-42,
//! FT-43, FT-51): `make endurance`, `make day`, `make upgrade`.
//!
//! In each round people and apps work at the real program until it is killed in the middle of it; it is
//! started again and asked whether it stands by all that it has said: no acknowledged fact is lost, nothing
//! that works once has worked twice, no token is signed by a key that was not published before. What got
//! no answer may have been done or not, but not by halves. A seed decides what is done and when the kill
//! comes; a house lives for fifty rounds, so that later ones find a past.
//!
//! `--day` does the same to two instances behind nginx while everything dies and comes back at once, and
//! `--upgrade` replaces a former version under two instances by this one, and back, without one sign-in
//! that fails.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::format_push_string,
    reason = "a test that cannot go on has failed"
)]

mod browser;
mod chance;
mod checks;
mod day;
mod deeds;
mod grounds;
mod house;
#[expect(dead_code, reason = "the other tests use more of it")]
#[path = "../it/support/browser/html.rs"]
mod html;
mod instance;
mod keys;
mod ledger;
mod postgres_server;
mod proxy;
#[expect(dead_code, reason = "the other tests use more of it")]
#[path = "../it/support/redis_server.rs"]
mod redis_server;
mod rounds;
mod settings;
mod tokens_of;
mod traffic;
mod upgrade;
mod upstream;
mod wire;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use clap::{Parser, ValueEnum};

use crate::{
    grounds::Grounds,
    rounds::{Inhabited, Tally},
};

/// So many rounds has a house.
const LIFE: u64 = 50;

/// Kills Keywright, and checks that it stands by what it has said.
#[derive(Parser)]
struct Options {
    /// How many rounds.
    #[arg(long, default_value_t = 20)]
    seeds: u64,
    /// The seed of the first.
    #[arg(long, default_value_t = 0)]
    first: u64,
    /// What it is built on; `postgres` brings a Redis, and both are killed as well.
    #[arg(long, value_enum, default_value = "sqlite")]
    database: Database,
    /// Instead of rounds: so long a day (`10m`) with two instances behind nginx.
    #[arg(long, value_parser = day::length, conflicts_with = "upgrade")]
    day: Option<Duration>,
    /// Instead of rounds: a rolling upgrade under load, and back, of so long (`1m`) altogether.
    #[arg(long, value_parser = day::length)]
    upgrade: Option<Duration>,
    /// The seed of a day or an upgrade; without, one that is new.
    #[arg(long)]
    seed: Option<u64>,
    /// The program to be tested, instead of the one that was built with this.
    #[arg(long)]
    binary: Option<PathBuf>,
    /// The revision that an upgrade begins with; it is built.
    #[arg(long, conflicts_with = "previous_binary")]
    previous: Option<String>,
    /// The program that an upgrade begins with.
    #[arg(long)]
    previous_binary: Option<PathBuf>,
    /// Undoes what was acknowledged, or kills where an upgrade would tell to stop: fails unless the checker
    /// notices it. Rounds need SQLite for it.
    #[arg(long)]
    lose: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Database {
    Sqlite,
    Postgres,
}

fn main() -> ExitCode {
    let options = Options::parse();
    let done = day::program(options.binary.as_ref()).and_then(|program| match &options {
        Options { day: Some(_), lose: true, .. } => day::prove(&program, options.any_seed()),
        Options { day: Some(length), .. } => day::run(&program, options.any_seed(), *length),
        Options { upgrade: Some(length), .. } => {
            let versions = upgrade::Versions::find(
                program,
                options.previous.as_deref(),
                options.previous_binary.as_ref(),
            )?;
            upgrade::run(&versions, options.any_seed(), *length, options.lose)
        }
        _ => rounds(&options, &program),
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("\nFAILED: {error:#}");
            ExitCode::FAILURE
        }
    }
}

impl Options {
    fn any_seed(&self) -> u64 {
        self.seed.unwrap_or_else(|| u64::from(std::process::id()))
    }
}

fn rounds(options: &Options, program: &Path) -> anyhow::Result<()> {
    let mut tally = Tally::default();
    let done = run(options, program, &mut tally);
    sum_up(&tally);
    match done {
        Ok(()) if options.lose => {
            anyhow::bail!("the database was put back, and the checker has not noticed it")
        }
        Err(error) if options.lose => {
            println!("\nnoticed: {error:#}");
            Ok(())
        }
        done => done,
    }
}

fn run(options: &Options, program: &Path, tally: &mut Tally) -> anyhow::Result<()> {
    let mut grounds = match options.database {
        Database::Sqlite => Grounds::default(),
        Database::Postgres => Grounds::with_servers()?,
    };
    if !instance::time_can_pass() {
        println!(
            "libfaketime is not installed: no time passes between rounds, and keys do not change"
        );
    }
    let mut inhabited = None;
    let mut built = options.first;
    for seed in options.first..options.first + options.seeds {
        if inhabited.is_none() || seed % LIFE == 0 {
            built = seed;
            inhabited = Some(Inhabited::new(&grounds, program, seed, options.lose)?);
        }
        let own = inhabited.as_mut().expect("it was built");
        if let Err(error) = own.round(&mut grounds, seed, tally) {
            let text = format!(
                "seed {seed} (with its past: --first {built} --seeds {}): {error:#}",
                seed - built + 1
            );
            let folder = inhabited.take().expect("it was built").house.keep();
            house::leave_note(&folder, &text);
            anyhow::bail!("{text}\nits folder is {}", folder.display());
        }
        if (seed + 1) % 10 == 0 {
            println!("seed {seed}: {} rounds, {}", tally.rounds, tally.counts.in_a_line());
        }
    }
    Ok(())
}

fn sum_up(tally: &Tally) {
    println!("\n{} rounds, {}", tally.rounds, tally.counts.in_a_line());
    for (victim, rounds) in &tally.victims {
        println!("  killed: {} in {rounds} rounds", victim.name());
    }
    tally.counts.print();
    println!("  {:>8} signatures, by up to {} keys at once", tally.signatures, tally.keys);
    println!("time has passed between rounds {} times", tally.leaps);
    println!("ready after a restart: {}", spans(&tally.restarts));
    println!("sign-ins go on after a store came back: {}", spans(&tally.recoveries));
}

/// The usual and the longest of some times.
fn spans(all: &[Duration]) -> String {
    let mut sorted = all.to_vec();
    sorted.sort();
    match (sorted.get(sorted.len() / 2), sorted.last()) {
        (Some(median), Some(longest)) => format!("usually {median:.0?}, at most {longest:.0?}"),
        _ => "-".to_owned(),
    }
}
