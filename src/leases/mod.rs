//! The upstream lease: for how long an upstream's word about a person counts, and how it is renewed.
//!
//! Every session knows when its upstream last confirmed the person. From half of `max_staleness` on
//! the upstream is asked again, by a job and by whoever needs the session; when it says no, or has
//! not said yes for the whole time, the session ends with all its tokens, and the apps are told. No
//! token outlives the lease, so that a person who is disabled there is out everywhere in time.

mod ending;
mod look;
mod tend;

pub use ending::note_if_bounded;
pub use tend::tend;

use self::{
    ending::lose,
    look::{Ask, Look, look},
};
use crate::{
    app::App,
    config::UpstreamLogout,
    federation::{ConfirmedBy, KeptTokens, Upstream},
    foundation::{
        clock::{Span, Timestamp},
        ids::{SessionId, UpstreamSlug},
    },
    store::{
        Connection, StoreResult,
        leases::{self, Lease},
        sessions::Session,
    },
};

/// By how much the clocks of instances may differ.
const CLOCKS: Span = Span::from_minutes(1);

/// What a session tells about its lease.
#[derive(Clone, Debug)]
pub struct Standing {
    /// The session.
    pub session: SessionId,
    /// The upstream that signed the person in; none for a local account.
    pub upstream: Option<UpstreamSlug>,
    /// When it last confirmed the person.
    pub confirmed_at: Timestamp,
}

impl Standing {
    /// That of a session's row.
    pub fn of(session: &Session) -> Self {
        Self {
            session: session.id.clone(),
            upstream: session.upstream.clone(),
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
    /// The upstream was asked, and its word counts until then. What is known about the person and
    /// the session may have changed meanwhile.
    Asked(Timestamp),
    /// The upstream's word counts, but is too old for this app.
    TooOld,
    /// Somebody else is asking, and has no answer yet.
    Pending,
    /// The lease is over, and so is the session.
    Lost,
}

impl Held {
    /// When the upstream's word ceases to count, if ever.
    pub const fn until(self) -> Option<Timestamp> {
        match self {
            Self::Until(at) | Self::Asked(at) => Some(at),
            Self::Free | Self::TooOld | Self::Pending | Self::Lost => None,
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
pub fn end(app: &App, standing: &Standing, limit: Option<Span>) -> Option<Timestamp> {
    let own = max_staleness(app, standing.upstream.as_ref()?);
    own.into_iter().chain(limit).min().map(|max| standing.confirmed_at.plus(max))
}

/// The ID token of a session's upstream, to sign out there with.
pub async fn id_token(
    app: &App,
    session: &SessionId,
    upstream: &UpstreamSlug,
) -> StoreResult<Option<String>> {
    let lease = leases::find(&mut app.connection().await?, session).await?;
    let lease = lease.filter(|lease| lease.upstream == *upstream);
    Ok(lease.and_then(|lease| open(app, &lease)).and_then(|tokens| tokens.id_token))
}

/// Keeps what is needed to renew the lease of a session that begins, if anybody limits it, and to
/// sign out at the upstream, if that is wanted.
pub async fn begin(
    app: &App,
    conn: &mut Connection,
    upstream: &Upstream,
    session: &Session,
    tokens: &KeptTokens,
) -> StoreResult<()> {
    let settings = &upstream.settings;
    let renews = settings.max_staleness.is_some() || app.clients.limits_staleness();
    if renews || settings.logout == UpstreamLogout::Always {
        let lease = row(app, &session.id, upstream, tokens, ConfirmedBy::SignIn);
        leases::put(conn, &lease).await?;
    } else if session.created_at < session.confirmed_at {
        // What another upstream gave in this session before is good for nothing any more.
        leases::delete(conn, &session.id).await?;
    }
    Ok(())
}

fn row(
    app: &App,
    session: &SessionId,
    upstream: &Upstream,
    tokens: &KeptTokens,
    by: ConfirmedBy,
) -> Lease {
    let plain = serde_json::to_vec(tokens).unwrap_or_default();
    Lease {
        session_id: session.clone(),
        upstream: upstream.slug().clone(),
        sealed: app.rows_ring.seal(&place(session), &plain, app.random()),
        confirmed_by: by.as_str().to_owned(),
        not_before: Timestamp::from_unix(0),
        uncertain: false,
        claim: None,
        claimed_until: None,
    }
}

fn open(app: &App, lease: &Lease) -> Option<KeptTokens> {
    let plain = app.rows_ring.open(&place(&lease.session_id), &lease.sealed)?;
    serde_json::from_slice(&plain).ok()
}

/// The place that sealed tokens belong to.
fn place(session: &SessionId) -> String {
    format!("leases:sealed:{session}")
}

/// Holds the lease of a session for whoever needs it now: renews it where that is due, and ends the
/// session where it is over. `limit` is how old the upstream's word may be for this app.
pub async fn hold(
    app: &App,
    standing: &Standing,
    limit: Option<Span>,
    now: Timestamp,
) -> StoreResult<Held> {
    examine(app, standing, limit, Ask::IfDue, now).await.map(|(held, _)| held)
}

/// Holds a lease; also whether the upstream could not be reached for it.
async fn examine(
    app: &App,
    standing: &Standing,
    limit: Option<Span>,
    ask: Ask,
    now: Timestamp,
) -> StoreResult<(Held, bool)> {
    let Some(slug) = &standing.upstream else {
        return Ok((Held::Free, false));
    };
    let own = max_staleness(app, slug);
    let Some(max) = own.into_iter().chain(limit).min() else {
        return without_limit(app, standing, slug, now).await.map(|held| (held, false));
    };
    // A time ahead of ours is some clock's mistake, and no reason to trust for longer.
    let ahead = standing.confirmed_at > now.plus(CLOCKS);
    let age = if ahead { max } else { now.since(standing.confirmed_at) };
    let ends = standing.confirmed_at.plus(max);
    if age < max.half() {
        return Ok((Held::Until(ends), false));
    }
    let answered = match look(app, standing, slug, ask, now).await? {
        Look::Confirmed(at) => Held::Asked(at.plus(max)),
        Look::Lost => Held::Lost,
        Look::Nothing { away, .. } if age < max => return Ok((Held::Asked(ends), away)),
        Look::Pending if age < max => Held::Asked(ends),
        Look::Pending => Held::Pending,
        Look::Nothing { why, away } if own.is_some_and(|own| age >= own) => {
            let ended = lose(app, standing, slug, ("lease_run_out", &why), None, now).await?;
            return Ok((if ended { Held::Lost } else { Held::Pending }, away));
        }
        Look::Nothing { away, .. } => return Ok((Held::TooOld, away)),
    };
    Ok((answered, false))
}

/// Nobody limits the word of this upstream, unless it has gone from the configuration: then it was
/// limited once if there is a lease, and nobody can renew it.
async fn without_limit(
    app: &App,
    standing: &Standing,
    slug: &UpstreamSlug,
    now: Timestamp,
) -> StoreResult<Held> {
    if app.config.upstreams.iter().any(|upstream| upstream.slug == *slug) {
        return Ok(Held::Free);
    }
    if leases::find(&mut app.connection().await?, &standing.session).await?.is_none() {
        return Ok(Held::Free);
    }
    let why = ("lease_run_out", "the upstream is not configured any more");
    lose(app, standing, slug, why, None, now).await?;
    Ok(Held::Lost)
}
