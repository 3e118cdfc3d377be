//! The end of a lease, and what is said beforehand where every lease ends: some upstreams give nothing
//! that they could be asked with again.

use super::Standing;
use crate::{
    app::App,
    audit::Event,
    federation::{KeptTokens, Upstream},
    foundation::{
        clock::{Span, Timestamp},
        ids::{SessionId, UpstreamSlug},
    },
    sessions,
    store::{
        StoreError, StoreResult, audit_events, grants::RevokedBecause, identities, leases,
        sessions as session_rows,
    },
};

/// How many identities are looked at at once.
const BATCH: i64 = 200;

/// Ends a session whose lease is over: every token of it, those for offline use too. Only if the
/// lease still is the one that was judged: not after another sign-in, and not while, without this
/// `claim`, somebody is asking. Answers whether it has ended.
pub(super) async fn lose(
    app: &App,
    standing: &Standing,
    slug: &UpstreamSlug,
    (reason, detail): (&'static str, &str),
    claim: Option<&str>,
    now: Timestamp,
) -> StoreResult<bool> {
    let session = &standing.session;
    let mut connection = app.connection().await?;
    let ended = connection
        .transaction(async |conn| {
            let Some(row) = session_rows::hold(conn, session).await? else {
                return Ok(true);
            };
            let lease = leases::hold(conn, session).await?;
            let holder = lease.as_ref().and_then(|lease| lease.claim.as_deref());
            let expired = lease.as_ref().is_some_and(|l| l.claimed_until.is_none_or(|u| u <= now));
            let free = lease.is_none() || holder == claim || (claim.is_none() && expired);
            if row.confirmed_at > standing.confirmed_at || !free {
                return Ok(false);
            }
            let event = Event::refused("lease", reason).user(&row.user_id).upstream(slug);
            let event = event.detail("session", session.as_str()).detail("what", detail);
            sessions::end(conn, &row, &app.clients, RevokedBecause::LeaseLost, now).await?;
            audit_events::insert(conn, &event.row(now, app.random())).await?;
            Ok::<_, StoreError>(true)
        })
        .await?;
    if ended {
        app.metrics.count_lease_end(slug.as_str(), reason);
        tracing::info!(upstream = %slug, reason, "an upstream does not confirm a person any more");
    }
    Ok(ended)
}

/// Forgets the groups that an upstream has asserted about the person of a session that it has ended.
pub(super) async fn forget_groups(
    app: &App,
    session: &SessionId,
    slug: &UpstreamSlug,
) -> StoreResult<()> {
    let mut connection = app.connection().await?;
    let found = session_rows::find(&mut connection, session).await?;
    if let Some((row, _)) = found {
        identities::forget_groups(&mut connection, &row.user_id, slug).await?;
    }
    Ok(())
}

/// Forgets the groups by which an upstream has not stood for longer than its word counts: there may be
/// no session left through it that could end, and still another way in.
pub(super) async fn forget_old_groups(
    app: &App,
    slug: &UpstreamSlug,
    max: Span,
    now: Timestamp,
) -> StoreResult<()> {
    let mut connection = app.connection().await?;
    loop {
        let before = now.minus(max);
        let some = identities::forget_old_groups(&mut connection, slug, before, BATCH).await?;
        if i64::try_from(some).unwrap_or(0) < BATCH || app.stopping.is_cancelled() {
            return Ok(());
        }
    }
}

/// Tells the administrator that nothing can confirm a person who has just signed in, where that is
/// wanted: their session ends when the time is over. The log says it once, the numbers and the story
/// of the sign-in each time. Answers what the story says.
pub fn note_if_bounded(
    app: &App,
    upstream: &Upstream,
    tokens: &KeptTokens,
    now: Timestamp,
) -> Option<String> {
    let (own, slug) = (upstream.settings.max_staleness, upstream.slug());
    let max = own.or_else(|| app.clients.longest_staleness())?;
    if tokens.will_do(now.plus(max.half())) {
        return None;
    }
    app.metrics.count_lease(slug.as_str(), "none", "bounded");
    if upstream.is_first_to_tell_of_bounds() {
        tracing::warn!(
            upstream = %slug,
            %max,
            "this upstream gives nothing to ask it with again: sessions through it, or their tokens for \
             the apps that limit it, end when max_staleness is over. Have it give refresh tokens, most often with the scope \
             offline_access, or access tokens that live longer than half of max_staleness"
        );
    }
    let what =
        if own.is_some() { "the session ends" } else { "apps that limit it want a new sign-in" };
    Some(format!("{slug} gives nothing to ask it with again: {what} after {max}"))
}
