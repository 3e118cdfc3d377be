//! `keywright demo`: everything at work on this computer, and nothing of it kept.
//!
//! Three parties in one process, each behind its own port, speaking real OpenID Connect over real
//! HTTP: a provider with three sample people, Keywright federated with it, and a sample app.

mod folder;
mod parties;
mod people;
mod place;
mod sample_app;

use clap::Args;
use serde_json::{Value, json};
use tokio::signal::unix::{SignalKind, signal};

use self::{folder::Folder, parties::Parties};
use super::{
    output::{say, say_json},
    serve::StopSignal,
};
use crate::foundation::random::OsRandom;

#[derive(Debug, Args)]
pub(super) struct Options {
    /// Print one line of JSON once everything is ready.
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(options: Options) -> anyhow::Result<()> {
    // From here on signals are heard: whatever is made below is also tidied away.
    let mut stop = Box::pin(told_to_stop()?);
    let folder = Folder::make(&OsRandom)?;
    let parties = tokio::select! {
        () = &mut stop => return Ok(()),
        parties = Box::pin(Parties::start(folder.path())) => parties?,
    };
    if options.json {
        say_json(&as_json(&parties));
    } else {
        say(&as_text(&parties));
    }
    stop.await;
    parties.stop().await;
    Ok(())
}

/// A signal to stop, or the end of the terminal.
fn told_to_stop() -> anyhow::Result<impl Future<Output = ()>> {
    let mut hangup = signal(SignalKind::hangup())?;
    let stop = StopSignal::listen()?;
    Ok(async move {
        tokio::select! {
            () = stop.received() => {}
            _ = hangup.recv() => {}
        }
    })
}

fn as_json(parties: &Parties) -> Value {
    json!({
        "app": parties.app_origin,
        "issuer": parties.keywright.urls.issuer(),
        "upstream": parties.company.urls.issuer(),
        "people": *parties.people,
    })
}

/// What to do now: one address, and who can sign in there.
fn as_text(parties: &Parties) -> String {
    let people = parties.people.iter().map(|person| {
        let groups = person.groups.join(", ");
        format!("      {:<10}{}   ({groups})\n", person.username, person.password)
    });
    format!(
        "\n  Open this address in your browser:\n\n      {}\n\n  and sign in as one of these people, \
         with this password:\n\n{}\n  Everything runs on this computer only and vanishes when you \
         press Ctrl+C.\n",
        parties.app_origin,
        people.collect::<String>(),
    )
}
