//! What verbs need that work beside a running server: the database, the time, chance.

use std::sync::Arc;

use crate::{
    app::{self, Ambient},
    config::Config,
    foundation::{clock::Timestamp, random::Random},
    keys::{Rotation, secret_key},
    store::{Access, Connection, Store, StoreResult, migrate},
};

/// The tools of a verb.
pub(super) struct Tools {
    pub(super) config: Config,
    pub(super) store: Store,
    ambient: Ambient,
}

impl Tools {
    /// Opens the database beside a server that may be running, and brings it up to date.
    pub(super) async fn open(config: Config) -> anyhow::Result<Self> {
        app::install_tls_provider();
        let store = Store::open(&config.database, Access::Visitor)?;
        migrate(&store).await?;
        Ok(Self { config, store, ambient: Ambient::default() })
    }

    pub(super) fn now(&self) -> Timestamp {
        self.ambient.clock.now()
    }

    pub(super) fn random(&self) -> Arc<dyn Random> {
        Arc::clone(&self.ambient.random)
    }

    pub(super) async fn connection(&self) -> StoreResult<Connection> {
        self.store.connection().await
    }

    /// How the signing keys of this deployment are rotated.
    /// A wrong secret key is refused before it seals anything.
    pub(super) async fn rotation(&self) -> anyhow::Result<Rotation> {
        let ring = app::rows_ring(&self.config, &self.random())?;
        secret_key::check(&self.store, &ring, &*self.random()).await?;
        app::rotation(&self.config, &self.random())
    }
}
