//! The upstream lease: for how long an upstream's word about a person counts, and how it is renewed.
//!
//! Every session knows when its upstream last confirmed the person. From half of `max_staleness` on
//! the upstream is asked again, by a job and by whoever needs the session; when it says no, or has
//! not said yes for the whole time, the session ends with all its tokens, and the apps are told. No
//! token outlives the lease, so that a person who is disabled there is out everywhere in time.

use std::time::Duration;

use futures_util::future::join_all;

use crate::{
    accounts::provisioning::{Arrival, Entrance},
    app::App,
    audit::Event,
    federation::{Confirmed, ConfirmedBy, KeptTokens, Unconfirmed, Upstream, UpstreamFault},
    foundation::{
        clock::{Span, Timestamp},
        ids::{SessionId, UpstreamSlug},
    },
    sessions,
    store::{
        Connection, StoreError, StoreResult, audit_events,
        grants::RevokedBecause,
        leases::{self, Lease},
        sessions::{self as session_rows, Session},
    },
};

/// How many leases one round looks at, and how many at once.
const BATCH: i64 = 64;
const AT_ONCE: usize = 8;
/// After a look that led to nothing, the next one is this much later.
const PAUSE: Span = Span::from_seconds(10);
/// How much longer than a request to the upstream a look may take.
const MARGIN: Span = Span::from_seconds(5);
/// How often somebody who waits for another's look sees whether it is over.
const GLANCE: Duration = Duration::from_millis(100);

/// What a session tells about its lease.
#[derive(Clone, Copy, Debug)]
pub struct Standing<'a> {
    /// The session.
    pub session: &'a SessionId,
    /// The upstream that signed the person in; none for a local account.
    pub upstream: Option<&'a UpstreamSlug>,
    /// When it last confirmed the person.
    pub confirmed_at: Timestamp,
}

impl<'a> Standing<'a> {
    /// That of a session's row.
    pub const fn of(session: &'a Session) -> Self {
        Self {
            session: &session.id,
            upstream: session.upstream.as_ref(),
            confirmed_at: session.confirmed_at,
        }
    }
}

/// Whether a session may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Held {
    /// Nobody limits it.
    Free,
    /// The upstream's word counts until then.
    Until(Timestamp),
    /// The upstream has just given its word anew, and it counts until then. What is known about
    /// the person may have changed.
    Renewed(Timestamp),
    /// The upstream's word counts, but is too old for this app.
    TooOld,
    /// The lease is over, and so is the session.
    Lost,
}

impl Held {
    /// When the upstream's word ceases to count, if ever.
    pub const fn until(self) -> Option<Timestamp> {
        match self {
            Self::Until(at) | Self::Renewed(at) => Some(at),
            Self::Free | Self::TooOld | Self::Lost => None,
        }
    }
}

/// For how long the word of this upstream counts, switched on or not.
fn max_staleness(app: &App, slug: &UpstreamSlug) -> Option<Span> {
    let settings = app.config.upstreams.iter().find(|upstream| upstream.slug == *slug);
    settings.and_then(|settings| settings.max_staleness)
}

/// When the lease of a session ends, if nobody renews it. `limit` is how old the upstream's word
/// may be for this app.
pub fn end(app: &App, standing: Standing<'_>, limit: Option<Span>) -> Option<Timestamp> {
    let own = max_staleness(app, standing.upstream?);
    own.into_iter().chain(limit).min().map(|max| standing.confirmed_at.plus(max))
}

/// Keeps what is needed to renew the lease of a session that begins, if anybody limits it.
pub async fn begin(
    app: &App,
    conn: &mut Connection,
    upstream: &Upstream,
    session: &Session,
    tokens: &KeptTokens,
    now: Timestamp,
) -> StoreResult<()> {
    let own = upstream.settings.max_staleness;
    if own.is_some() || app.clients.limits_staleness() {
        let lease = row(app, &session.id, upstream, tokens, ConfirmedBy::SignIn, now);
        leases::put(conn, &lease).await?;
    }
    Ok(())
}

fn row(
    app: &App,
    session: &SessionId,
    upstream: &Upstream,
    tokens: &KeptTokens,
    by: ConfirmedBy,
    now: Timestamp,
) -> Lease {
    let plain = serde_json::to_vec(tokens).unwrap_or_default();
    let next = upstream.settings.max_staleness.map(Span::half);
    Lease {
        session_id: session.clone(),
        upstream: upstream.slug().clone(),
        sealed: app.rows_ring.seal(&place(session), &plain, app.random()),
        confirmed_by: by.as_str().to_owned(),
        due_at: next.map_or(Timestamp::NEVER, |next| now.plus(next)),
        claimed_until: None,
    }
}

/// The place that sealed tokens belong to.
fn place(session: &SessionId) -> String {
    format!("leases:sealed:{session}")
}

/// Holds the lease of a session for whoever needs it now: renews it where that is due, and ends the
/// session where it is over. `limit` is how old the upstream's word may be for this app.
pub async fn hold(
    app: &App,
    standing: Standing<'_>,
    limit: Option<Span>,
    now: Timestamp,
) -> StoreResult<Held> {
    let Some(slug) = standing.upstream else {
        return Ok(Held::Free);
    };
    let own = max_staleness(app, slug);
    let Some(max) = own.into_iter().chain(limit).min() else {
        return Ok(Held::Free);
    };
    let age = now.since(standing.confirmed_at);
    let ends = standing.confirmed_at.plus(max);
    if age < max.half() {
        return Ok(Held::Until(ends));
    }
    match look(app, standing, slug, now).await? {
        Look::Confirmed(at) => Ok(Held::Renewed(at.plus(max))),
        Look::Refused(fault) => {
            lose(app, standing.session, slug, fault.reason, &fault.detail, now).await?;
            Ok(Held::Lost)
        }
        Look::Over => Ok(Held::Lost),
        Look::Nothing(_) if age < max => Ok(Held::Until(ends)),
        Look::Nothing(why) if own.is_some_and(|own| age >= own) => {
            lose(app, standing.session, slug, "lease_run_out", &why, now).await?;
            Ok(Held::Lost)
        }
        Look::Nothing(_) => Ok(Held::TooOld),
    }
}

/// What asking the upstream has led to.
enum Look {
    /// It confirmed the person, at this time.
    Confirmed(Timestamp),
    /// It said no.
    Refused(UpstreamFault),
    /// The session has ended meanwhile.
    Over,
    /// Nothing, for this reason.
    Nothing(String),
}

async fn look(
    app: &App,
    standing: Standing<'_>,
    slug: &UpstreamSlug,
    now: Timestamp,
) -> StoreResult<Look> {
    let session = standing.session;
    let Some(upstream) = app.upstreams.find(slug.as_str()) else {
        return Ok(Look::Nothing("the upstream is switched off".to_owned()));
    };
    let until = now.plus(upstream.settings.timeout).plus(MARGIN);
    if !leases::claim(&mut app.connection().await?, session, now, until).await? {
        return wait(app, standing, upstream).await;
    }
    // Read under the claim: what was read before it may have been spent by whoever had it.
    let tokens = match tokens(app, standing).await? {
        Ok(tokens) => tokens,
        Err(instead) => return Ok(instead),
    };
    match upstream.confirm(&tokens, app.random(), now).await {
        Ok(confirmed) => keep(app, session, upstream, &confirmed, now).await,
        Err(Unconfirmed::Refused(fault)) => Ok(Look::Refused(fault)),
        Err(Unconfirmed::Away(fault)) => {
            leases::release(&mut app.connection().await?, session, now.plus(PAUSE)).await?;
            Ok(Look::Nothing(fault.to_string()))
        }
        Err(Unconfirmed::NoMeans) => {
            // Nothing more can be done until the lease runs out.
            let ends = upstream.settings.max_staleness.map(|max| standing.confirmed_at.plus(max));
            let later = |ends| if ends > now { ends } else { now.plus(PAUSE) };
            let due = ends.map_or(Timestamp::NEVER, later);
            leases::release(&mut app.connection().await?, session, due).await?;
            Ok(Look::Nothing("it gives no means to ask again".to_owned()))
        }
    }
}

/// What to ask the upstream with; or what is known without asking.
async fn tokens(app: &App, standing: Standing<'_>) -> StoreResult<Result<KeptTokens, Look>> {
    let session = standing.session;
    let mut connection = app.connection().await?;
    let found = session_rows::find(&mut connection, session).await?;
    let Some((row, _)) = found else {
        return Ok(Err(Look::Over));
    };
    let Some(lease) = leases::find(&mut connection, session).await? else {
        return Ok(Err(Look::Over));
    };
    if row.confirmed_at > standing.confirmed_at {
        leases::release(&mut connection, session, lease.due_at).await?;
        return Ok(Err(Look::Confirmed(row.confirmed_at)));
    }
    let plain = app.rows_ring.open(&place(session), &lease.sealed);
    let tokens = plain.and_then(|plain| serde_json::from_slice(&plain).ok());
    let unreadable = || Look::Nothing("what was kept cannot be opened any more".to_owned());
    Ok(tokens.ok_or_else(unreadable))
}

/// Waits for what somebody else is asking just now.
async fn wait(app: &App, standing: Standing<'_>, upstream: &Upstream) -> StoreResult<Look> {
    let patience = upstream.settings.timeout.to_std();
    let glances = patience.as_millis() / GLANCE.as_millis().max(1);
    for glance in 0..=glances {
        let mut connection = app.connection().await?;
        let found = session_rows::find(&mut connection, standing.session).await?;
        let Some((row, _)) = found else {
            return Ok(Look::Over);
        };
        if row.confirmed_at > standing.confirmed_at {
            return Ok(Look::Confirmed(row.confirmed_at));
        }
        match leases::find(&mut connection, standing.session).await? {
            None if glance == 0 => {
                return Ok(Look::Nothing("nothing was kept to ask it with".to_owned()));
            }
            // The upstream said no to whoever asked.
            None => return Ok(Look::Over),
            Some(lease) if lease.claimed_until.is_none() => {
                return Ok(Look::Nothing("whoever asked it got no answer".to_owned()));
            }
            Some(_) => {}
        }
        drop(connection);
        tokio::time::sleep(GLANCE).await;
    }
    Ok(Look::Nothing("somebody else is asking it".to_owned()))
}

/// Keeps what the upstream has said: the time, its new tokens, and who the person is today.
async fn keep(
    app: &App,
    session: &SessionId,
    upstream: &Upstream,
    confirmed: &Confirmed,
    now: Timestamp,
) -> StoreResult<Look> {
    let lease = row(app, session, upstream, &confirmed.tokens, confirmed.by, now);
    let mut connection = app.connection().await?;
    let gone = connection
        .transaction(async |conn| {
            leases::put(conn, &lease).await?;
            session_rows::confirm(conn, session, now).await?;
            let Some(asserted) = &confirmed.asserted else {
                return Ok::<_, StoreError>(None);
            };
            let entrance = Entrance {
                upstream,
                federated: app.config.signup.federated,
                rows: &app.rows_ring,
                random: app.random(),
                now,
            };
            Ok(shut_out(entrance.confirm(conn, asserted).await?))
        })
        .await?;
    Ok(gone.map_or(Look::Confirmed(now), Look::Refused))
}

/// Why our own rules shut out somebody whom the upstream has confirmed, if they do.
fn shut_out(arrival: Option<Arrival>) -> Option<UpstreamFault> {
    let (reason, what) = match arrival {
        Some(Arrival::Known(_)) => return None,
        Some(Arrival::Disabled(_)) => ("account_disabled", "the account here is shut".to_owned()),
        Some(Arrival::NotAdmitted(refusal) | Arrival::NotAllowed(refusal)) => {
            ("not_admitted", refusal.what)
        }
        None | Some(Arrival::Created(_) | Arrival::LostRace) => {
            ("account_gone", "there is no such account here any more".to_owned())
        }
    };
    Some(UpstreamFault::unacceptable(reason, what))
}

/// Renews the leases that are due, and ends the sessions whose leases are over, so that apps hear of
/// it although nobody uses them.
pub async fn tend(app: &App) -> anyhow::Result<()> {
    let limited = app.config.upstreams.iter().filter(|upstream| upstream.max_staleness.is_some());
    // A queue for each: one that hangs must not hold up the others.
    let queues = limited.map(|upstream| tend_queue(app, &upstream.slug));
    join_all(queues).await.into_iter().collect()
}

async fn tend_queue(app: &App, slug: &UpstreamSlug) -> anyhow::Result<()> {
    loop {
        let now = app.now();
        let due = leases::list_due(&mut app.connection().await?, slug, now, BATCH).await?;
        for some in due.chunks(AT_ONCE) {
            let looks = join_all(some.iter().map(|session| tend_one(app, session, now))).await;
            looks.into_iter().collect::<StoreResult<()>>()?;
        }
        if i64::try_from(due.len()).unwrap_or(BATCH) < BATCH {
            return Ok(());
        }
    }
}

async fn tend_one(app: &App, session: &Session, now: Timestamp) -> StoreResult<()> {
    let held = hold(app, Standing::of(session), None, now).await?;
    if matches!(held, Held::Renewed(_) | Held::Lost) {
        return Ok(());
    }
    // Whatever a look has led to, the next one is later: a round has an end.
    let later = now.plus(PAUSE);
    let ends = held.until().filter(|ends| *ends > now);
    let due = ends.map_or(later, |ends| ends.min(later));
    leases::put_off(&mut app.connection().await?, &session.id, now, due).await?;
    Ok(())
}

/// Ends a session whose lease is over: every token of it, those for offline use too.
async fn lose(
    app: &App,
    session: &SessionId,
    slug: &UpstreamSlug,
    reason: &'static str,
    detail: &str,
    now: Timestamp,
) -> StoreResult<()> {
    let mut connection = app.connection().await?;
    let Some((row, _)) = session_rows::find(&mut connection, session).await? else {
        return Ok(());
    };
    let event = Event::refused("lease", reason).user(&row.user_id).upstream(slug);
    let event = event.detail("session", session.as_str()).detail("what", detail);
    let event = event.row(now, app.random());
    connection
        .transaction(async |conn| {
            sessions::end(conn, &row, &app.clients, RevokedBecause::LeaseLost, now).await?;
            leases::delete(conn, session).await?;
            audit_events::insert(conn, &event).await?;
            Ok::<_, StoreError>(())
        })
        .await?;
    tracing::info!(upstream = %slug, reason, "an upstream does not confirm a person any more");
    Ok(())
}
