//! `keywright migrate`: bring the database up to date.

use super::output::say;
use crate::{
    app::{self, Ambient},
    config::Config,
    keys::secret_key,
    store::{Access, Store, is_first, migrate, pending},
};

pub(super) async fn run(config: Config) -> anyhow::Result<()> {
    app::install_tls_provider();
    let store = Store::open(&config.database, Access::Founder)?;
    refuse_a_foreign_key(&config, &store).await?;
    let applied = migrate(&store).await?;
    if applied.is_empty() {
        say("The database is up to date.");
    }
    for name in applied {
        say(&format!("Applied {name}."));
    }
    Ok(())
}

/// Whoever comes with another secret key has come to the wrong database, as a server would notice, and
/// changes nothing about its shape. Without a key it is taken at its word.
async fn refuse_a_foreign_key(config: &Config, store: &Store) -> anyhow::Result<()> {
    if config.secrets.secret_key.is_none()
        || pending(store).await?.iter().any(|name| is_first(name))
    {
        return Ok(());
    }
    match app::existing_rows_ring(config)? {
        Some(ring) => secret_key::check(store, &ring, &*Ambient::default().random).await,
        None => Ok(()),
    }
}
