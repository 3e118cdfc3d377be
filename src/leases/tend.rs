//! Leases of sessions that nobody uses: renewed in time, and ended in time, so that apps hear of it.
//!
//! Each upstream has a queue of its own: one that hangs holds up its own people only. Once it does not
//! answer, it is not asked again in the same round; what has run out ends without.

use futures_util::future::join_all;

use super::{Ask, Held, Standing, ending::forget_old_groups, examine};
use crate::{
    app::App,
    foundation::{
        clock::{Span, Timestamp},
        ids::{SessionId, UpstreamSlug},
    },
    store::{leases, sessions::Session},
};

/// How many leases are read, and how many looked at, at once.
const BATCH: i64 = 64;
const AT_ONCE: usize = 8;

/// Renews the leases that are due, and ends the sessions whose leases are over.
pub async fn tend(app: &App) -> anyhow::Result<()> {
    let limited = app.config.upstreams.iter().filter_map(|upstream| {
        let max = upstream.max_staleness?;
        Some(async move {
            round(app, &upstream.slug, max).await?;
            anyhow::Ok(forget_old_groups(app, &upstream.slug, max, app.now()).await?)
        })
    });
    join_all(limited).await.into_iter().collect()
}

/// One round through the sessions of one upstream.
async fn round(app: &App, slug: &UpstreamSlug, max: Span) -> anyhow::Result<()> {
    let mut ask = Ask::IfDue;
    let (mut after, mut last) = (Timestamp::from_unix(0), SessionId::new(""));
    loop {
        let now = app.now();
        let before = now.minus(max.half());
        let mut connection = app.connection().await?;
        let page = leases::list_stale(&mut connection, slug, before, (after, &last), now, BATCH);
        let page = page.await?;
        drop(connection);
        for some in page.chunks(AT_ONCE) {
            if app.stopping.is_cancelled() {
                return Ok(());
            }
            if look_at(app, some, ask).await {
                ask = Ask::No;
            }
        }
        let Some(end) = page.last().filter(|_| is_full(&page)) else {
            return Ok(());
        };
        (after, last) = (end.confirmed_at, end.id.clone());
    }
}

fn is_full(page: &[Session]) -> bool {
    i64::try_from(page.len()).is_ok_and(|read| read >= BATCH)
}

/// Looks at some leases; whether the upstream could not be reached.
async fn look_at(app: &App, sessions: &[Session], ask: Ask) -> bool {
    let looks = sessions.iter().map(async |session| {
        let standing = Standing::of(session);
        match examine(app, &standing, None, ask, app.now()).await {
            Ok((held, away)) => away && held != Held::Lost,
            Err(error) => {
                tracing::warn!(%error, session = %session.id, "a lease could not be looked at");
                false
            }
        }
    });
    join_all(looks).await.into_iter().any(|away| away)
}
