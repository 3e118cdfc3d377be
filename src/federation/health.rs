//! How an upstream has answered lately, so that nobody is sent to one that is away.
//!
//! A request without an answer raises doubt, and whoever doubts looks: by a request that nobody else
//! can bend, for a document that we have no copy of, or for whether anybody is at the token endpoint.
//! Only when three such looks in a row meet nobody does the upstream count as away; then whatever
//! would be asked fails at once, and after a pause that grows one look at a time goes through. Any
//! answer ends the absence. What people bring or make us ask closes no upstream for the others: a
//! proxy there may well cut off who asks too much, or in an odd way.

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use super::{clocks::Clocks, fault::UpstreamFault, http::Answer};
use crate::foundation::{
    clock::{Clock, Span, Timestamp},
    ids::UpstreamSlug,
};

/// How many failures in a row make an absence (FT-34).
const FAILURES: u32 = 3;
/// Failures that lie further apart do not belong together.
const ROW: Span = Span::from_minutes(5);
/// How long an upstream that is away is left alone, at first and at most.
const FIRST_PAUSE: Span = Span::from_seconds(5);
const LONGEST_PAUSE: Span = Span::from_seconds(60);
/// Whoever has not been asked for so long is asked, to know before a person finds out.
const QUIET: Span = Span::from_seconds(60);

/// How one upstream has answered lately.
pub(super) struct Health {
    slug: UpstreamSlug,
    clock: Arc<dyn Clock>,
    clocks: Arc<Clocks>,
    standing: Mutex<Standing>,
    /// The same as in the standing, for whoever only wants to know.
    away: AtomicBool,
}

impl std::fmt::Debug for Health {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Health({})", self.slug)
    }
}

#[derive(Default)]
struct Standing {
    asked_at: Option<Timestamp>,
    /// Whether it has ever answered.
    answered: bool,
    /// Something was not answered, and nobody has looked since.
    in_doubt: bool,
    failed_at: Option<Timestamp>,
    /// How many looks in a row have met nobody.
    failures: u32,
    absence: Option<Absence>,
}

struct Absence {
    since: Timestamp,
    why: String,
    tried_at: Timestamp,
    pause: Span,
    /// Somebody is trying just now.
    trying: bool,
}

impl Absence {
    /// Whether it is time to try again. A clock that was set back must not put it off for ever.
    fn is_due(&self, now: Timestamp) -> bool {
        !self.trying && (now.since(self.tried_at) >= self.pause || now < self.tried_at)
    }

    fn fault(&self) -> UpstreamFault {
        let (since, why) = (self.since, &self.why);
        let detail = format!("it was not asked: nothing has answered since {since:?} ({why})");
        UpstreamFault::unavailable("upstream_away", detail)
    }
}

/// What is asked for, and so what may be asked of whom, and what silence is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Errand {
    /// A document that is there for everybody. A server that fails at it is out of order.
    Document,
    /// A document of which we have a copy: without it everything goes on.
    Copy,
    /// Nothing but whether somebody is there.
    Knock,
    /// Something about a person. It never serves to try an upstream again: a refresh token that is
    /// sent and not answered is lost.
    Person,
    /// Something that a person has just brought from there: it is there, whatever we have met.
    Brought,
}

impl Errand {
    /// Whether it shows how the upstream is: silence then counts, and it may be sent to one that is
    /// away.
    const fn is_look(self) -> bool {
        matches!(self, Self::Document | Self::Knock)
    }

    /// Whether a status is no answer. What was asked may be the cause of a server error, unless a
    /// proxy says that nobody is behind it (502 to 504).
    const fn is_silence(self, status: u16) -> bool {
        match self {
            Self::Document | Self::Copy => status >= 500,
            Self::Knock | Self::Person | Self::Brought => matches!(status, 502..=504),
        }
    }
}

impl Health {
    pub(super) fn new(slug: UpstreamSlug, clock: Arc<dyn Clock>, clocks: Arc<Clocks>) -> Self {
        let (standing, away) = (Mutex::default(), AtomicBool::new(false));
        Self { slug, clock, clocks, standing, away }
    }

    fn standing(&self) -> MutexGuard<'_, Standing> {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it counts as away.
    pub(super) fn is_away(&self) -> bool {
        self.away.load(Ordering::Relaxed)
    }

    /// Nothing, unless it is away.
    pub(super) fn check(&self) -> Result<(), UpstreamFault> {
        if !self.is_away() {
            return Ok(());
        }
        self.standing().absence.as_ref().map_or(Ok(()), |absence| Err(absence.fault()))
    }

    /// Whether somebody should see how it is: it is in doubt, is to be tried again, or nobody has
    /// asked it for a while.
    pub(super) fn wants_a_look(&self) -> bool {
        let now = self.clock.now();
        let standing = self.standing();
        match &standing.absence {
            Some(absence) => absence.is_due(now),
            None if standing.in_doubt || standing.failures > 0 => true,
            None => standing.asked_at.is_none_or(|at| now.since(at) >= QUIET || now < at),
        }
    }

    /// Leave to ask it something, unless it is away.
    pub(super) fn ask(self: &Arc<Self>, errand: Errand) -> Result<Question, UpstreamFault> {
        let now = self.clock.now();
        let mut standing = self.standing();
        let mut tries = false;
        if let Some(absence) = &mut standing.absence {
            tries = errand.is_look() && absence.is_due(now);
            absence.trying |= tries;
            if !tries && errand != Errand::Brought {
                return Err(absence.fault());
            }
        }
        standing.asked_at = Some(now);
        Ok(Question { health: Arc::clone(self), asked_at: now, errand, tries })
    }

    fn answered(&self) {
        let mut standing = self.standing();
        standing.failures = 0;
        standing.in_doubt = false;
        standing.answered = true;
        let absence = standing.absence.take();
        self.away.store(false, Ordering::Relaxed);
        drop(standing);
        if let Some(absence) = absence {
            let seconds = self.clock.now().since(absence.since).seconds();
            tracing::info!(upstream = %self.slug, seconds, "an upstream answers again");
        }
    }

    fn unanswered(&self, why: String, errand: Errand, tried: bool) {
        let now = self.clock.now();
        let mut standing = self.standing();
        if !errand.is_look() {
            standing.in_doubt = true;
            return;
        }
        if let Some(absence) = &mut standing.absence {
            // Late failures of those who asked before do not count again.
            if tried {
                let longer = absence.pause.plus(absence.pause).min(LONGEST_PAUSE);
                *absence = Absence { pause: longer, tried_at: now, trying: false, why, ..*absence };
            }
            return;
        }
        let in_a_row = standing.failed_at.is_some_and(|at| now.since(at) <= ROW);
        standing.failures = if in_a_row { standing.failures + 1 } else { 1 };
        standing.failed_at = Some(now);
        if standing.failures < FAILURES {
            return;
        }
        tracing::warn!(
            upstream = %self.slug,
            why,
            "an upstream does not answer; nobody is sent there until it does"
        );
        let (pause, trying) = (FIRST_PAUSE, false);
        standing.absence = Some(Absence { since: now, why, tried_at: now, pause, trying });
        self.away.store(true, Ordering::Relaxed);
    }

    /// Whoever was trying has given up.
    fn stop_trying(&self) {
        if let Some(absence) = &mut self.standing().absence {
            absence.trying = false;
        }
    }

    /// Whether it has ever answered.
    pub(super) fn has_answered(&self) -> bool {
        self.standing().answered
    }

    /// By how many seconds its clock is ahead of ours, as it last said.
    pub(super) fn clock_ahead(&self) -> Option<i64> {
        self.clocks.ahead(&self.slug)
    }

    /// What is wrong with its clock or ours, if anything.
    pub(super) fn clock_trouble(&self) -> Option<String> {
        self.clocks.trouble(&self.slug)
    }

    /// A fault about a time, with what the clocks have to do with it.
    pub(super) fn name_clock(&self, mut fault: UpstreamFault) -> UpstreamFault {
        let about_time = match fault.reason {
            // What is issued by a slow clock has expired already.
            "id_token_expired" => self.clock_ahead() < Some(0),
            "id_token_issued_at" | "id_token_not_yet_valid" => self.clock_ahead() > Some(0),
            "logout_token_time" => true,
            _ => false,
        };
        if let Some(trouble) = self.clock_trouble().filter(|_| about_time) {
            fault.detail = format!("{}; {trouble}", fault.detail);
        }
        fault
    }
}

/// A question to an upstream that is on its way. Who drops it has not waited for the answer.
pub(super) struct Question {
    health: Arc<Health>,
    asked_at: Timestamp,
    errand: Errand,
    tries: bool,
}

impl Question {
    /// What came of it.
    pub(super) fn end(mut self, answer: &Result<Answer, UpstreamFault>) {
        let tries = std::mem::take(&mut self.tries);
        let health = &self.health;
        match answer {
            Ok(answer) if self.errand.is_silence(answer.status) => {
                health.unanswered(format!("status {}", answer.status), self.errand, tries);
            }
            Ok(answer) => {
                let moments = (self.asked_at, health.clock.now());
                health.clocks.note(&health.slug, &answer.headers, moments);
                health.answered();
            }
            Err(fault) if fault.is_silence() => {
                health.unanswered(fault.to_string(), self.errand, tries);
            }
            Err(_) => health.answered(),
        }
    }
}

impl Drop for Question {
    fn drop(&mut self) {
        if self.tries {
            self.health.stop_trying();
        }
    }
}
