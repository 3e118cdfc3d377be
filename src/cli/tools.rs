//! What verbs need that work beside a running server: the database, the time, chance.

use std::sync::Arc;

use anyhow::bail;

use crate::{
    accounts::groups,
    app::{self, Ambient},
    clients::Clients,
    config::{Config, Problems},
    foundation::{clock::Timestamp, random::Random, seal::KeyRing},
    keys::{Rotation, secret_key},
    store::{Access, Connection, Store, StoreResult, is_first, migrate, pending},
};

/// The tools of a verb.
pub(super) struct Tools {
    pub(super) config: Config,
    pub(super) store: Store,
    ambient: Ambient,
}

impl Tools {
    /// Opens the database beside a server that may be running. Changes nothing about its shape: a
    /// server of another version may be at work.
    pub(super) async fn open(config: Config) -> anyhow::Result<Self> {
        Self::open_as(config, Access::Visitor).await
    }

    /// The same, and makes the database if there is none.
    pub(super) async fn open_or_make(config: Config) -> anyhow::Result<Self> {
        Self::open_as(config, Access::Founder).await
    }

    async fn open_as(config: Config, access: Access) -> anyhow::Result<Self> {
        app::install_tls_provider();
        let store = Store::open(&config.database, access)?;
        let missing = pending(&store).await?;
        let empty = missing.iter().any(|name| is_first(name));
        match missing.last() {
            None => {}
            Some(_) if empty && access == Access::Founder => drop(migrate(&store).await?),
            Some(_) if empty => {
                let fix = "the database is empty; start the server first, or name the right one";
                bail!(Problems::one("database.url", fix));
            }
            Some(name) => {
                bail!("the database has not seen the migration {name} yet; run: keywright migrate")
            }
        }
        let declared = groups::load(&mut store.connection().await?, &config.groups).await?;
        store.set_meanings(declared);
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

    /// The apps.
    pub(super) fn clients(&self) -> Clients {
        Clients::new(&self.config)
    }

    /// The keys under which rows are sealed. A wrong secret key is refused before it seals anything.
    pub(super) async fn rows_ring(&self) -> anyhow::Result<KeyRing> {
        let ring = app::rows_ring(&self.config, &self.random())?;
        secret_key::check(&self.store, &ring, &*self.random()).await?;
        Ok(ring)
    }

    /// How the signing keys of this deployment are rotated.
    pub(super) async fn rotation(&self) -> anyhow::Result<Rotation> {
        self.rows_ring().await?;
        app::rotation(&self.config, &self.random())
    }
}
