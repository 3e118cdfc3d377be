//! The secret key of a server that was given none: made once, beside the SQLite file, for a
//! loopback issuer only.

use std::{
    fs::{self, OpenOptions},
    io::Write as _,
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::Path,
};

use anyhow::{Context as _, bail};

use crate::{
    config::{Config, DatabaseUrl, Problems},
    foundation::{
        digest::base64url,
        random::{self, Random},
        secret::Secret,
    },
};

const SETTING: &str = "secrets.secret_key";
const FILE: &str = "secret_key";

/// The configured key, else the one beside the database, if there is one.
pub(super) fn find(config: &Config) -> anyhow::Result<Option<Secret>> {
    if let Some(secret) = &config.secrets.secret_key {
        return Ok(Some(secret.clone()));
    }
    let file = place(config)?.with_file_name(FILE);
    if file.exists() {
        let mode = fs::metadata(&file)?.permissions().mode();
        Problems::refuse_exposed(SETTING, &file, mode)?;
        let text = fs::read_to_string(&file)?;
        let text = text.trim();
        if text.len() < 32 {
            let path = file.display();
            let fix = format!("{path} is damaged: it holds no key; restore it from a backup");
            bail!(Problems::one(SETTING, fix));
        }
        return Ok(Some(Secret::new(text)));
    }
    Ok(None)
}

/// The database file, beside which a key may lie.
fn place(config: &Config) -> anyhow::Result<&Path> {
    match &config.database.url {
        DatabaseUrl::Sqlite(database) => Ok(database),
        DatabaseUrl::Postgres(_) => {
            let fix = "must be set with PostgreSQL; make one: openssl rand -hex 32";
            bail!(Problems::one(SETTING, fix))
        }
    }
}

/// The key that there is, else a new one beside the database.
pub(super) fn find_or_make(config: &Config, random: &dyn Random) -> anyhow::Result<Secret> {
    if let Some(secret) = find(config)? {
        return Ok(secret);
    }
    let database = place(config)?;
    let file = database.with_file_name(FILE);
    let bytes: [u8; 32] = random::bytes(random);
    let secret = base64url(&bytes);
    // Written aside and moved into its place, so that a crash leaves no half of a key.
    let aside = database.with_file_name(format!("{FILE}.new"));
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&aside)
        .and_then(|mut out| {
            out.write_all(secret.as_bytes())?;
            out.sync_all()?;
            fs::rename(&aside, &file)
        })
        .with_context(|| format!("{} cannot be written", file.display()))?;
    Ok(Secret::new(secret))
}
