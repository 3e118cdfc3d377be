//! The secret key of a server that was given none: made once, beside the SQLite file, for a
//! loopback issuer only.

use std::{
    fs::{self, OpenOptions},
    io::Write as _,
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
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

/// The configured key, else the one beside the database, else a new one there.
pub(super) fn find_or_make(config: &Config, random: &dyn Random) -> anyhow::Result<Secret> {
    if let Some(secret) = &config.secrets.secret_key {
        return Ok(secret.clone());
    }
    let DatabaseUrl::Sqlite(database) = &config.database.url else {
        let fix = "must be set with PostgreSQL; make one: openssl rand -hex 32";
        bail!(Problems::one(SETTING, fix));
    };
    let file = database.with_file_name(FILE);
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
        return Ok(Secret::new(text));
    }
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
