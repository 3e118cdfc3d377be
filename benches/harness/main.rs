//! The benchmark harness: `cargo bench --bench harness`.
//!
//! One program in several roles. Without a subcommand it runs the scenarios; `ceiling` is the
//! minimal server whose figures are the limits; `stub-upstream` is an identity provider that costs
//! next to nothing. The harness starts the other two by running itself again, so that each server
//! is a process of its own and its CPU time can be told apart. `timing` and `crowd` each ask one
//! question of the sign-in form: whether time tells who is here, and what many at once do.
//!
//! The primary figure is requests per CPU-second of the server's process tree, beside the ceiling
//! server's figure of the same round. See `benches/README.md` for the scenarios and the options.
#![expect(
    clippy::disallowed_methods,
    reason = "the harness measures: it needs the real clock, the environment and plain threads"
)]

mod browser;
mod ceiling;
mod contest;
mod cpu;
mod crowd;
mod field;
mod flows;
mod http;
mod load;
mod members;
mod options;
mod prepare;
mod report;
mod scenarios;
mod servers;
mod settings;
mod signing;
mod startup;
mod stores;
mod stub;
mod summary;
mod timing;
mod workers;

use clap::Parser as _;

/// The allocator of the program that is measured, for the ceiling server too.
#[cfg(feature = "jemalloc")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> anyhow::Result<()> {
    let command = options::Command::parse();
    match command.role {
        Some(options::Role::Ceiling(arguments)) => {
            many_threads()?.block_on(ceiling::run(arguments))
        }
        Some(options::Role::StubUpstream(arguments)) => {
            many_threads()?.block_on(stub::run(arguments))
        }
        Some(options::Role::Timing(arguments)) => one_thread()?.block_on(timing::run(arguments)),
        Some(options::Role::Crowd(arguments)) => one_thread()?.block_on(crowd::run(arguments)),
        // One thread is enough to saturate two cores of server, and leaves them to it.
        None => one_thread()?.block_on(contest::run(command.options)),
    }
}

fn many_threads() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()
}

fn one_thread() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}
