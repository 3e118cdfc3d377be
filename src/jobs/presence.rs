//! Which servers run on this database, and that they belong together (FT-54).
//!
//! Each says every few seconds that it runs. One with another issuer would sign people in under a name
//! that the others do not know, and both would seem to work: it does not start beside them.

use std::time::Duration;

use anyhow::bail;

use super::every;
use crate::{
    app::App,
    config::Problems,
    foundation::{
        clock::{Span, Timestamp},
        ids::InstanceId,
    },
    store::instances::{self, Instance},
};

/// How often it is said.
const EVERY: Duration = Duration::from_secs(10);
/// Whoever has not said for so long that it runs does not.
const GONE_AFTER: Span = Span::from_seconds(30);
/// Rows of those that were killed stay for so long.
const KEPT: Span = Span::from_days(1);

/// An instance that says that it runs.
#[derive(Clone, Debug)]
pub struct Presence {
    id: InstanceId,
    started_at: Timestamp,
}

impl Presence {
    /// Joins those that run already; an error if they answer in the name of another issuer.
    pub async fn begin(app: &App) -> anyhow::Result<Self> {
        let now = app.now();
        let presence = Self { id: InstanceId::generate(app.random(), now), started_at: now };
        // Said before it is looked: of two that begin at once, at least one sees the other.
        presence.say(app).await?;
        let alone = presence.refuse_strangers(app, now).await;
        if alone.is_err() {
            presence.end(app).await?;
        }
        alone.map(|()| presence)
    }

    async fn refuse_strangers(&self, app: &App, now: Timestamp) -> anyhow::Result<()> {
        let own = app.urls.issuer();
        let mut connection = app.connection().await?;
        let running = instances::list_since(&mut connection, now.minus(GONE_AFTER)).await?;
        // Whose clock runs far ahead is not believed to be seen for ever.
        let seen = |other: &&Instance| other.seen_at <= now.plus(GONE_AFTER);
        let strange = running.iter().filter(seen).find(|other| other.issuer != own);
        let Some(other) = strange else {
            return Ok(());
        };
        let seen = now.since(other.seen_at).seconds();
        let fix = format!(
            "is {own:?}, and a server that was seen {seen} s ago on this database says {:?}; stop that \
             one first, or set the same issuer",
            other.issuer
        );
        bail!(Problems::one("server.issuer", fix))
    }

    /// Says so every few seconds, until the house stops.
    pub fn keep(&self, app: &App) {
        let own = self.clone();
        let say = async move |app: &App| own.say(app).await;
        app.tasks.spawn(every(EVERY, app.clone(), say));
    }

    async fn say(&self, app: &App) -> anyhow::Result<()> {
        let now = app.now();
        let instance = Instance {
            id: self.id.clone(),
            issuer: app.urls.issuer().to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started_at: self.started_at,
            seen_at: now,
        };
        let mut connection = app.connection().await?;
        instances::put(&mut connection, &instance).await?;
        instances::purge(&mut connection, now.minus(KEPT)).await?;
        Ok(())
    }

    /// Says that it runs no longer. Where that cannot be said, it is known half a minute later.
    pub async fn end(&self, app: &App) -> anyhow::Result<()> {
        let mut connection = app.connection().await?;
        instances::delete(&mut connection, &self.id).await?;
        Ok(())
    }
}
