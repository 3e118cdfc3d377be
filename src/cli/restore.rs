//! `keywright restore`: the database as a backup had it, and nothing alive that may have been revoked.

use std::path::PathBuf;

use anyhow::{Context as _, bail};
use clap::Args;
use serde_json::json;

use super::output::{say, say_json};
use crate::{
    app::{self, Ambient},
    backup::{self, Examined, Fault, Report, Restoring, Wishes},
    clients::Clients,
    config::{Config, Problems},
    foundation::seal::Purpose,
    store::{Access, Store},
};

#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch on the command line")]
pub(super) struct Options {
    /// The backup.
    file: PathBuf,
    /// Lose what is in the database.
    #[arg(long)]
    replace: bool,
    /// The database only moves: the servers had stopped before the backup was made, and none has run
    /// since. Nothing ends.
    #[arg(long)]
    moved: bool,
    /// Personal access tokens go on, also those that were revoked since.
    #[arg(long)]
    keep_personal_access_tokens: bool,
    /// What was done, as one line of JSON.
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(config: Config, options: Options) -> anyhow::Result<()> {
    app::install_tls_provider();
    let restored = restore(&config, &options).await;
    let report = restored.with_context(|| format!("{}: not restored", options.file.display()))?;
    if options.json {
        say_json(&json!({
            "backup": report.header, "rows": report.rows, "ended": report.ended,
            "apps_to_tell": report.told,
        }));
    } else {
        tell(&report, options.wishes(), &config);
    }
    Ok(())
}

impl Options {
    const fn wishes(&self) -> Wishes {
        Wishes {
            replace: self.replace,
            moved: self.moved,
            keep_personal_access_tokens: self.keep_personal_access_tokens,
        }
    }
}

async fn restore(config: &Config, options: &Options) -> anyhow::Result<Report> {
    let Ambient { clock, random } = Ambient::default();
    let (Some(ring), Some(rows_ring)) =
        (app::existing_ring(config, Purpose::Backup)?, app::existing_rows_ring(config)?)
    else {
        let fix = "is not set, and there is none beside the database; put the one back that the \
                   backup was made under";
        bail!(Problems::one("secrets.secret_key", fix));
    };
    // The file first: a database is not even made for one that is no good.
    let examined = Examined::look(&options.file, &ring).map_err(name_the_key)?;
    let store = Store::open(&config.database, Access::Restorer)?;
    let restoring = Restoring {
        ring: &ring,
        rows_ring: &rows_ring,
        rotation: &app::rotation(config, &random)?,
        told: &Clients::new(config).told_of_logout(),
        wishes: options.wishes(),
        random: &*random,
        now: clock.now(),
    };
    backup::restore(&store, &examined, &restoring).await
}

/// Another key is a matter of the configuration.
fn name_the_key(error: anyhow::Error) -> anyhow::Error {
    match error.downcast_ref::<Fault>() {
        Some(Fault::AnotherKey) => {
            let fix = "is not the key that the backup was made under; set that one, or list it in \
                       secrets.previous_secret_keys";
            Problems::one("secrets.secret_key", fix).into()
        }
        _ => error,
    }
}

fn tell(report: &Report, wishes: Wishes, config: &Config) {
    let header = &report.header;
    say(&format!("{} rows, as they were at {} ({}).", report.rows, header.made, header.issuer));
    let own = config.server.issuer.as_str();
    if header.issuer != own {
        say(&format!(
            "This server is {own}: passkeys and links of the former one do not work here."
        ));
    }
    if wishes.moved {
        say("Nothing was ended.");
        return;
    }
    if !report.ended.is_empty() {
        say("Ended, because it may have been revoked or used since:");
    }
    for (table, count) in &report.ended {
        say(&format!("  {count} {}", in_words(table)));
    }
    if report.told > 0 {
        say(&format!("Apps are told of {} ended sessions when the server starts.", report.told));
    }
    say("New signing keys sign from now on; what the former ones signed is worth nothing.");
    say(&format!(
        "Everything else is as it was. What was done after {} has to be done again: accounts that \
         were shut or deleted are open, passwords, addresses, second factors and connected \
         upstreams are the former ones, rights that were taken away are back.",
        header.made
    ));
}

/// What the rows of a table are to an administrator.
fn in_words(table: &str) -> &str {
    match table {
        "grants" => "families of tokens",
        "invitations" => "invitations",
        "leases" => "leases of upstreams",
        "mail_outbox" => "mails that waited, which are not sent",
        "one_time_links" => "links in mails",
        "personal_access_tokens" => "personal access tokens",
        "recovery_codes" => "recovery codes",
        "recovery_requests" => "wishes to get back into an account",
        "sessions" => "sessions",
        "signing_keys" => "signing keys",
        other => other,
    }
}
