//! `keywright backup`: the whole database in one sealed file, while servers run.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufWriter, IsTerminal as _, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail, ensure};
use clap::Args;
use serde_json::json;

use super::output::{say, say_json};
use crate::{
    app::{self, Ambient},
    audit::Event,
    backup::{self, Made, Making},
    config::{Config, Problems},
    foundation::{
        digest::base64url,
        random::{self, Random},
        seal::{KeyRing, Purpose},
    },
    keys::secret_key,
    store::{
        Access, Store, StoreResult,
        audit_events::{self, AuditEvent},
        is_first, pending, versions,
        whole::Snapshot,
    },
};

#[derive(Debug, Args)]
pub(super) struct Options {
    /// Where it is written to; "-" is standard output.
    file: PathBuf,
    /// In place of a file that is there.
    #[arg(long)]
    overwrite: bool,
    /// What was done, as one line of JSON.
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(config: Config, options: Options) -> anyhow::Result<()> {
    app::install_tls_provider();
    let Ambient { clock, random } = Ambient::default();
    let store = Store::open(&config.database, Access::Visitor)?;
    let ring = ring(&config, &store).await?;
    let now = clock.now();
    let issuer = config.server.issuer.as_str();
    let making = Making { issuer, ring: &ring, random: &*random, now };
    let path = &options.file;
    let made = if path.as_os_str() == "-" {
        ensure!(!io::stdout().is_terminal(), "a backup is nothing to read: name a file");
        backup::make(&store, making, io::stdout().lock()).await?.0
    } else {
        write(&store, making, path, options.overwrite)
            .await
            .with_context(|| format!("no backup was written to {}", path.display()))?
    };
    let event = event(&made).row(now, &*random);
    if let Err(error) = note(&store, &event).await {
        // The backup is worth more than the note of it: the disk of the database may be full.
        tracing::warn!(%error, "the event cannot be kept");
    }
    if path.as_os_str() != "-" {
        tell(&made, path, options.json)?;
    }
    Ok(())
}

/// The keys of backups, once it is certain that they belong to this database.
async fn ring(config: &Config, store: &Store) -> anyhow::Result<KeyRing> {
    if pending(store).await?.iter().any(|name| is_first(name)) {
        let fix = "the database is empty: there is nothing to back up; name the right one";
        bail!(Problems::one("database.url", fix));
    }
    let schema = Snapshot::begin(store).await?.schema().await?;
    ensure!(
        versions()?.contains(&schema),
        "a newer keywright has brought the database up to {schema}: make the backup with that one"
    );
    let (Some(ring), Some(rows)) =
        (app::existing_ring(config, Purpose::Backup)?, app::existing_rows_ring(config)?)
    else {
        let fix = "is not set, and there is none beside the database; set the one of the server";
        bail!(Problems::one("secrets.secret_key", fix));
    };
    if secret_key::is_right(store, &rows).await? == Some(false) {
        let fix = "is not the key that this database was written with: set that one, or nobody \
                   can restore the backup";
        bail!(Problems::one("secrets.secret_key", fix));
    }
    Ok(ring)
}

/// Writes it aside and moves it into its place, so that there is a whole backup or none.
async fn write(
    store: &Store,
    making: Making<'_>,
    path: &Path,
    overwrite: bool,
) -> anyhow::Result<Made> {
    let refuse_taken = || {
        let taken = !overwrite && path.symlink_metadata().is_ok();
        ensure!(!taken, "there is a file of this name; say --overwrite to lose it");
        Ok(())
    };
    refuse_taken()?;
    let aside = Aside::create(path, making.random)?;
    let out = BufWriter::new(aside.file.try_clone()?);
    let (made, mut out) = backup::make(store, making, out).await?;
    out.flush()?;
    aside.file.sync_all()?;
    refuse_taken()?;
    aside.rename(path)?;
    Ok(made)
}

/// A file that is gone when it does not get its name.
struct Aside {
    file: File,
    path: PathBuf,
}

impl Aside {
    fn create(path: &Path, random: &dyn Random) -> anyhow::Result<Self> {
        let name = path.file_name().context("this is not the name of a file")?;
        let chance = base64url(&random::bytes::<6>(random));
        let name = format!(".{}.{chance}.partial", name.to_string_lossy());
        let path = path.with_file_name(name);
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        Ok(Self { file, path })
    }

    fn rename(&self, path: &Path) -> io::Result<()> {
        fs::rename(&self.path, path)?;
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        // The name is kept too, before anybody relies on it.
        File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
    }
}

impl Drop for Aside {
    fn drop(&mut self) {
        // Where it got its name, there is nothing left to remove.
        let _ = fs::remove_file(&self.path);
    }
}

async fn note(store: &Store, event: &AuditEvent) -> StoreResult<()> {
    audit_events::insert(&mut store.connection().await?, event).await?;
    Ok(())
}

fn event(made: &Made) -> Event {
    Event::done("backed_up")
        .detail("by", "command line")
        .detail("backup", made.header.id.as_str())
        .detail("rows", made.rows.values().sum::<u64>())
}

fn tell(made: &Made, path: &Path, as_json: bool) -> anyhow::Result<()> {
    let bytes = fs::metadata(path)?.len();
    let rows: u64 = made.rows.values().sum();
    if as_json {
        say_json(&json!({
            "file": path, "bytes": bytes, "rows": made.rows, "backup": made.header,
        }));
        return Ok(());
    }
    say(&format!("{}: {rows} rows, {bytes} bytes, as of {}.", path.display(), made.header.made));
    say("It opens with the secret key of this server only: keep that too, and somewhere else.");
    Ok(())
}
