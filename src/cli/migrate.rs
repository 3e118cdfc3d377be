//! `keywright migrate`: bring the database up to date.

use super::output::say;
use crate::{
    app,
    config::Config,
    store::{Access, Store, migrate},
};

pub(super) async fn run(config: Config) -> anyhow::Result<()> {
    app::install_tls_provider();
    let store = Store::open(&config.database, Access::Founder)?;
    let applied = migrate(&store).await?;
    if applied.is_empty() {
        say("The database is up to date.");
    }
    for name in applied {
        say(&format!("Applied {name}."));
    }
    Ok(())
}
