//! `kill -9` again and again, and a checker that knows everything that was acknowledged (FT-25, FT-42,
//! FT-43, FT-51): `make endurance`.
//!
//! In each round people and apps work at the real program until it is killed in the middle of it; it is
//! started again and asked whether it stands by all that it has said: no acknowledged fact is lost, nothing
//! that works once has worked twice, no token is signed by a key that was not published before. What got
//! no answer may have been done or not, but not by halves. A seed decides what is done and when the kill
//! comes; a house lives for fifty rounds, so that later ones find a past.
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
mod deeds;
mod grounds;
mod house;
#[expect(dead_code, reason = "the other tests use more of it")]
#[path = "../it/support/browser/html.rs"]
mod html;
mod keys;
mod ledger;
mod postgres_server;
#[expect(dead_code, reason = "the other tests use more of it")]
#[path = "../it/support/redis_server.rs"]
mod redis_server;
mod rounds;
mod tokens_of;
mod wire;

use std::{collections::BTreeMap, process::ExitCode, time::Duration};

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
    /// Puts the database back after each kill, as it was before the round: fails unless the checker notices
    /// it. For SQLite.
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
    let mut tally = Tally::default();
    let done = run(&options, &mut tally);
    sum_up(&tally);
    match done {
        Ok(()) if options.lose => {
            println!("\nFAILED: the database was put back, and the checker has not noticed it");
            ExitCode::FAILURE
        }
        Err(error) if options.lose => {
            println!("\nnoticed: {error:#}");
            ExitCode::SUCCESS
        }
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("\nFAILED: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options, tally: &mut Tally) -> anyhow::Result<()> {
    let mut grounds = match options.database {
        Database::Sqlite => Grounds::default(),
        Database::Postgres => Grounds::with_servers()?,
    };
    if !house::time_can_pass() {
        println!(
            "libfaketime is not installed: no time passes between rounds, and keys do not change"
        );
    }
    let mut inhabited = None;
    let mut built = options.first;
    for seed in options.first..options.first + options.seeds {
        if inhabited.is_none() || seed % LIFE == 0 {
            built = seed;
            inhabited = Some(Inhabited::new(&grounds, seed, options.lose)?);
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
            println!("seed {seed}: {}", so_far(tally));
        }
    }
    Ok(())
}

fn total(counts: &BTreeMap<&'static str, u64>) -> u64 {
    counts.values().sum()
}

fn so_far(tally: &Tally) -> String {
    let counts = &tally.counts;
    format!(
        "{} rounds, {} acknowledged, {} without an answer, {} checked",
        tally.rounds,
        total(&counts.acknowledged),
        total(&counts.unanswered),
        total(&counts.checked)
    )
}

fn sum_up(tally: &Tally) {
    println!("\n{}", so_far(tally));
    for (victim, rounds) in &tally.victims {
        println!("  killed: {} in {rounds} rounds", victim.name());
    }
    let counts = &tally.counts;
    for (heading, counts) in [
        ("acknowledged", &counts.acknowledged),
        ("without an answer", &counts.unanswered),
        ("checked", &counts.checked),
    ] {
        println!("{heading}:");
        for (kind, count) in counts {
            println!("  {count:>8} {kind}");
        }
    }
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
