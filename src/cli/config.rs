//! `keywright config check|reference`.

use clap::Subcommand;

use super::output::say;
use crate::config::{Config, reference_markdown};

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Read everything, report every problem at once, start nothing.
    Check,
    /// Print the reference of all settings as Markdown.
    Reference,
}

pub(super) fn check(config: &Config) {
    say(&format!(
        "The configuration is good. Issuer: {}; upstreams: {}; clients: {}.",
        config.server.issuer.as_str(),
        config.upstreams.len(),
        config.clients.len(),
    ));
}

pub(super) fn reference() {
    say(reference_markdown().trim_end());
}
