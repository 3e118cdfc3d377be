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
    let by = if config.signup.disabled { " (signup.disabled, DISABLE_SIGNUP)" } else { "" };
    let (local, federated) = (config.signup.local, config.signup.federated);
    say(&format!(
        "New accounts: by the form {local}, from upstreams {federated}{by}. What is in force, with what was \
         set at run time: keywright signup show"
    ));
}

pub(super) fn reference() {
    say(reference_markdown().trim_end());
}
