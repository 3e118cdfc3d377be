//! `keywright demo`.
use clap::Args;

#[derive(Debug, Args)]
pub(super) struct Options {
    /// Print one line of JSON once everything is ready.
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(options: Options) -> anyhow::Result<()> {
    anyhow::bail!("not yet: {}", options.json)
}
