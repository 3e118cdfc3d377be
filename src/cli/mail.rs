//! `keywright mail test`: sends a mail at once, and says what the mail server made of it.

use anyhow::bail;
use clap::Subcommand;

use super::output::say;
use crate::{
    app::{self, Ambient},
    config::{Config, Problems},
    foundation::{ids::MailId, names::is_email},
    mail::{Carrier, Message},
};

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Send a test to an address, at once and past the outbox.
    Test {
        /// Whom it goes to.
        address: String,
    },
}

pub(super) async fn run(config: Config, verb: Verb) -> anyhow::Result<()> {
    let Verb::Test { address } = verb;
    app::install_tls_provider();
    let carrier = Carrier::new(&config)?;
    if !carrier.is_configured() {
        let fix = "must be set for mail to leave, like \"smtps://USER@mail.example.org\"";
        bail!(Problems::one("mail.url", fix));
    }
    if !is_email(&address) {
        bail!("{address:?} is no plain address, like anna@example.org");
    }
    let letter = Message::Test.write(carrier.brand());
    if let Some(sink) = config.mail.sink {
        // The page is the server's, and the log of a verb is nobody's.
        say(&letter.text(carrier.brand(), config.server.issuer.as_str())?);
        say(&format!("Nothing was sent: mail.sink = \"{sink}\"."));
        return Ok(());
    }
    let ambient = Ambient::default();
    let now = ambient.clock.now();
    let id = MailId::generate(&*ambient.random, now);
    if let Err(fault) = carrier.carry(&id, &address, &letter, now).await {
        bail!("the test did not leave: {fault}");
    }
    say(&format!("The mail server has taken the test to {address}."));
    Ok(())
}
