//! Asking an upstream whether a person still is who they were: one asks, the others wait.
//!
//! A question is not cut off by whoever waits for it: a refresh token that was spent must not be lost
//! because a client has gone away. Whoever asks holds a claim with a name of its own, and only under
//! that name is anything kept or ended: a sign-in that happens meanwhile wins.

use std::{sync::Arc, time::Duration};

use futures_util::{FutureExt as _, future::BoxFuture};

use super::{
    Standing,
    ending::{forget_groups, lose},
    open, row,
};
use crate::{
    accounts::{
        provisioning::{Arrival, Entrance},
        toggles::Door,
    },
    app::App,
    federation::{Confirmed, ConfirmedBy, KeptTokens, Unconfirmed, Upstream, UpstreamFault},
    foundation::{
        clock::{Span, Timestamp},
        digest::base64url,
        ids::UpstreamSlug,
        random,
    },
    store::{
        StoreError, StoreResult, identities,
        leases::{self, Lease},
        sessions as session_rows,
    },
};

/// After a question that led to nothing, the next one is this much later.
const PAUSE: Span = Span::from_seconds(10);
/// For how much longer than its question a claim holds: the answer is kept, and clocks differ.
const KEEPING: Span = Span::from_minutes(2);
/// After these an answer is kept once more, where the database was away.
const PAUSES: [Duration; 4] = [
    Duration::from_millis(200),
    Duration::from_secs(1),
    Duration::from_secs(3),
    Duration::from_secs(8),
];
/// How often, and how many times, somebody who waits for another's answer looks whether it is there.
const GLANCE: Duration = Duration::from_millis(100);
const GLANCES: u32 = 60;

/// Whether the upstream may be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ask {
    /// Unless it was asked in vain just now.
    IfDue,
    /// No: it does not answer anybody at the moment.
    No,
}

/// What asking the upstream has led to.
pub(super) enum Look {
    /// It confirmed the person, at this time.
    Confirmed(Timestamp),
    /// It said no, and the session has ended.
    Lost,
    /// Somebody else is asking.
    Pending,
    /// Nothing, for this reason; perhaps because it could not be reached.
    Nothing { why: String, away: bool },
}

fn nothing(why: &str) -> Look {
    Look::Nothing { why: why.to_owned(), away: false }
}

/// Asks, in a task of its own.
pub(super) async fn look(
    app: &App,
    standing: &Standing,
    slug: &UpstreamSlug,
    ask: Ask,
    now: Timestamp,
) -> StoreResult<Look> {
    let Some(upstream) = app.upstreams.find(slug.as_str()) else {
        return Ok(nothing("the upstream is switched off"));
    };
    if ask == Ask::No {
        let why = "the upstream does not answer".to_owned();
        return Ok(Look::Nothing { why, away: true });
    }
    let asking = take_and_ask(app.clone(), Arc::clone(upstream), standing.clone(), now);
    match app.questions.spawn(asking).await {
        Ok(Ok(Some(look))) => Ok(look),
        Ok(Ok(None)) => wait(app, standing).await,
        Ok(Err(error)) => Err(error),
        Err(error) => Ok(nothing(&error.to_string())),
    }
}

/// Takes the right to ask, and asks; nothing, if somebody else is asking.
async fn take_and_ask(
    app: App,
    upstream: Arc<Upstream>,
    standing: Standing,
    now: Timestamp,
) -> StoreResult<Option<Look>> {
    let claim = base64url(&random::bytes::<16>(app.random()));
    match take(&app, &standing, &upstream, &claim, now).boxed().await? {
        Taken::Yes(lease) => {
            let question = Question { app, upstream, standing, lease: *lease, claim };
            question.ask().await.map(Some)
        }
        Taken::Instead(look) => Ok(Some(look)),
        Taken::Busy => Ok(None),
    }
}

enum Taken {
    Yes(Box<Lease>),
    Busy,
    Instead(Look),
}

/// Takes the right to ask; or what is known without asking.
async fn take(
    app: &App,
    standing: &Standing,
    upstream: &Upstream,
    claim: &str,
    now: Timestamp,
) -> StoreResult<Taken> {
    let until = now.plus(upstream.longest_question()).plus(KEEPING);
    let session = &standing.session;
    let mut connection = app.connection().await?;
    connection
        .transaction(async |conn| {
            let Some(row) = session_rows::hold(conn, session).await? else {
                return Ok(Taken::Instead(nothing("the session is gone")));
            };
            if row.confirmed_at > standing.confirmed_at {
                return Ok(Taken::Instead(Look::Confirmed(row.confirmed_at)));
            }
            // The tokens of one upstream are no business of another (SF-07).
            let lease = leases::hold(conn, session).await?;
            let Some(mut lease) = lease.filter(|lease| lease.upstream == *upstream.slug()) else {
                return Ok(Taken::Instead(nothing("nothing was kept to ask it with")));
            };
            if lease.claimed_until.is_some_and(|until| until > now) {
                return Ok(Taken::Busy);
            }
            if lease.not_before > now {
                let why = "it was asked in vain a moment ago".to_owned();
                return Ok(Taken::Instead(Look::Nothing { why, away: false }));
            }
            // Whoever had the last claim and did not give it back may have sent the question.
            lease.uncertain |= lease.claim.is_some();
            leases::claim(conn, session, claim, until, lease.uncertain).await?;
            Ok::<_, StoreError>(Taken::Yes(Box::new(lease)))
        })
        .await
}

/// Waits for what somebody else is asking just now.
async fn wait(app: &App, standing: &Standing) -> StoreResult<Look> {
    for _ in 0..GLANCES {
        tokio::time::sleep(GLANCE).await;
        let mut connection = app.connection().await?;
        // In this order: the claim goes in the very moment in which the confirmation comes.
        let lease = leases::find(&mut connection, &standing.session).await?;
        let found = session_rows::find(&mut connection, &standing.session).await?;
        match (found, lease) {
            (Some((row, _)), _) if row.confirmed_at > standing.confirmed_at => {
                return Ok(Look::Confirmed(row.confirmed_at));
            }
            // The upstream said no to whoever asked.
            (_, None) | (None, _) => return Ok(Look::Lost),
            (_, Some(lease)) if lease.claim.is_none() => {
                return Ok(nothing("whoever asked it got no answer"));
            }
            _ => {}
        }
    }
    Ok(Look::Pending)
}

/// A question to an upstream, under a claim.
struct Question {
    app: App,
    upstream: Arc<Upstream>,
    standing: Standing,
    lease: Lease,
    claim: String,
}

impl Question {
    async fn ask(self) -> StoreResult<Look> {
        let Some(tokens) = open(&self.app, &self.lease) else {
            let why = "what was kept cannot be opened any more";
            return self.give_up(why, self.ends(), self.lease.uncertain, false).await;
        };
        // What is said in answer was true when it was asked, however long it takes to arrive.
        let asked_at = self.app.now();
        let asked = self.upstream.confirm(&tokens, self.app.random(), asked_at);
        let deadline = self.upstream.longest_question().to_std();
        let Ok(answer) = tokio::time::timeout(deadline, asked).await else {
            self.count(None, "away");
            return self.give_up("it took too long", self.soon(), true, true).await;
        };
        self.count_answer(&answer);
        match answer {
            Ok(confirmed) => insist(|| self.keep(&confirmed, asked_at).boxed()).await,
            Err(Unconfirmed::Refused(_, fault)) => self.refused(&fault, tokens).await,
            Err(Unconfirmed::Unclear(tokens, fault)) => {
                self.keep_tokens(&tokens, self.soon(), &fault.to_string()).await
            }
            Err(Unconfirmed::Away(fault)) => self.away(&fault, self.lease.uncertain).await,
            Err(Unconfirmed::Unread(fault)) => self.away(&fault, true).await,
            Err(Unconfirmed::NoMeans) => {
                let why = "it gives no means to ask again";
                self.give_up(why, self.ends(), self.lease.uncertain, false).await
            }
        }
    }

    fn count_answer(&self, answer: &Result<Confirmed, Unconfirmed>) {
        match answer {
            Ok(confirmed) => self.count(Some(confirmed.by), "confirmed"),
            Err(Unconfirmed::Refused(by, _)) => self.count(Some(*by), "refused"),
            Err(Unconfirmed::Unclear(..)) => self.count(Some(ConfirmedBy::Refresh), "unclear"),
            Err(Unconfirmed::Away(_) | Unconfirmed::Unread(_)) => self.count(None, "away"),
            Err(Unconfirmed::NoMeans) => self.count(None, "no_means"),
        }
    }

    fn count(&self, means: Option<ConfirmedBy>, outcome: &'static str) {
        let means = means.map_or("none", ConfirmedBy::as_str);
        self.app.metrics.count_lease(self.upstream.slug().as_str(), means, outcome);
    }

    fn soon(&self) -> Timestamp {
        self.app.now().plus(PAUSE)
    }

    /// Nothing more can be done until the lease runs out.
    fn ends(&self) -> Timestamp {
        let max = self.upstream.settings.max_staleness;
        let ends = max.map_or(Timestamp::NEVER, |max| self.standing.confirmed_at.plus(max));
        if ends > self.app.now() { ends } else { self.soon() }
    }

    async fn away(&self, fault: &UpstreamFault, uncertain: bool) -> StoreResult<Look> {
        tracing::warn!(%fault, upstream = %self.upstream.slug(), "a lease was not renewed");
        self.give_up(&fault.to_string(), self.soon(), uncertain, true).await
    }

    async fn give_up(
        &self,
        why: &str,
        next: Timestamp,
        uncertain: bool,
        away: bool,
    ) -> StoreResult<Look> {
        let mut connection = self.app.connection().await?;
        let (session, claim) = (&self.standing.session, &self.claim);
        leases::release(&mut connection, session, claim, next, uncertain).await?;
        Ok(Look::Nothing { why: why.to_owned(), away })
    }

    /// The upstream said no. Unless an earlier answer was never read: then the token that it refuses
    /// may be one that it has replaced, and the lease runs out instead.
    async fn refused(&self, fault: &UpstreamFault, tokens: KeptTokens) -> StoreResult<Look> {
        if self.lease.uncertain && fault.reason == "upstream_refresh_refused" {
            let tokens = tokens.without_refresh_token();
            return self.keep_tokens(&tokens, self.soon(), "its last answer was lost").await;
        }
        let (slug, claim) = (self.upstream.slug(), Some(self.claim.as_str()));
        let because = (fault.reason, fault.detail.as_str());
        let lost = lose(&self.app, &self.standing, slug, because, claim, self.app.now()).await?;
        if lost {
            // Whatever other way in the person has, these groups were the upstream's word.
            forget_groups(&self.app, &self.standing.session, slug).await?;
        }
        Ok(if lost { Look::Lost } else { nothing("somebody has signed in meanwhile") })
    }

    /// Keeps tokens that confirm nobody yet.
    async fn keep_tokens(
        &self,
        tokens: &KeptTokens,
        next: Timestamp,
        why: &str,
    ) -> StoreResult<Look> {
        let by = ConfirmedBy::from_word(&self.lease.confirmed_by).unwrap_or(ConfirmedBy::SignIn);
        let fresh = row(&self.app, &self.standing.session, &self.upstream, tokens, by);
        let lease = Lease { not_before: next, ..fresh };
        insist(|| self.renew(&lease, why).boxed()).await
    }

    async fn renew(&self, lease: &Lease, why: &str) -> StoreResult<Look> {
        let mut connection = self.app.connection().await?;
        let _ = leases::renew(&mut connection, lease, &self.claim).await?;
        Ok(nothing(why))
    }

    /// Keeps what the upstream has said: the time, its new tokens, and who the person is today. The rows
    /// in the order in which sign-ins take them: identity and account, session, lease.
    async fn keep(&self, confirmed: &Confirmed, now: Timestamp) -> StoreResult<Look> {
        let app = &self.app;
        let session = &self.standing.session;
        let lease = row(app, session, &self.upstream, &confirmed.tokens, confirmed.by);
        let mut connection = app.connection().await?;
        let kept = connection
            .transaction(async |conn| {
                let arrival = if let Some(asserted) = &confirmed.asserted {
                    self.entrance(now).confirm(conn, asserted).await?
                } else {
                    let KeptTokens { issuer, subject, .. } = &confirmed.tokens;
                    identities::touch(conn, (issuer, subject), now).await?;
                    None
                };
                if let Some(fault) = shut_out(confirmed, arrival) {
                    return Ok(Kept::ShutOut(fault));
                }
                session_rows::confirm(conn, session, now).await?;
                if leases::renew(conn, &lease, &self.claim).await? {
                    Ok(Kept::Yes)
                } else {
                    Err(Undone::Overtaken)
                }
            })
            .await;
        drop(connection);
        match kept {
            Ok(Kept::Yes) => Ok(Look::Confirmed(now)),
            Ok(Kept::ShutOut(fault)) => self.refused(&fault, confirmed.tokens.clone()).await,
            Err(Undone::Overtaken) => Ok(nothing("somebody has signed in meanwhile")),
            Err(Undone::Store(error)) => Err(error),
        }
    }

    fn entrance(&self, now: Timestamp) -> Entrance<'_> {
        Entrance {
            upstream: &self.upstream,
            federated: self.app.door(Door::Federated).mode,
            // Nobody is made here.
            approval: false,
            invitation: None,
            rows: &self.app.rows_ring,
            random: self.app.random(),
            now,
        }
    }
}

/// Keeps what was said, with patience: a refresh token that was spent is not lost to a deadlock, a busy
/// file, or a database that is away for a moment. Who shuts down waits for it.
async fn insist<'a>(keep: impl Fn() -> BoxFuture<'a, StoreResult<Look>>) -> StoreResult<Look> {
    for pause in PAUSES {
        match keep().await {
            Err(error) if error.is_transient() => {
                tracing::warn!(%error, "an upstream's answer is kept once more");
                tokio::time::sleep(pause).await;
            }
            kept => return kept,
        }
    }
    keep().await
}

enum Kept {
    Yes,
    ShutOut(UpstreamFault),
}

enum Undone {
    Overtaken,
    Store(StoreError),
}

impl<E: Into<StoreError>> From<E> for Undone {
    fn from(error: E) -> Self {
        Self::Store(error.into())
    }
}

/// Why our own rules shut out somebody whom the upstream has confirmed, if they do.
fn shut_out(confirmed: &Confirmed, arrival: Option<Arrival>) -> Option<UpstreamFault> {
    confirmed.asserted.as_ref()?;
    let (reason, what) = match arrival {
        Some(Arrival::Known(_)) => return None,
        Some(Arrival::Disabled(_)) => ("account_disabled", "the account here is shut".to_owned()),
        Some(Arrival::NotAdmitted(refusal) | Arrival::NotAllowed(refusal)) => {
            ("not_admitted", refusal.what)
        }
        // Nobody is made here who was not known.
        None | Some(_) => ("account_gone", "there is no such account here any more".to_owned()),
    };
    Some(UpstreamFault::unacceptable(reason, what))
}
