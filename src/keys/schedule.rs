//! The life of a key as dates, and when its successor is due. Pure.

use crate::{
    foundation::clock::{Span, Timestamp},
    store::signing_keys::SigningKeyRow,
};

/// How long a key is known to all instances before it is published. Instances look for changes
/// every second; two minutes forgive a slow database and clocks that differ.
pub(super) const ANNOUNCE: Span = Span::from_minutes(2);

/// What is added where clocks of different machines are compared.
pub(super) const CLOCK_MARGIN: Span = Span::from_minutes(5);

text_enum! {
    /// Where a key is in its life.
    KeyState {
        /// Known to the instances, not yet in the JWKS.
        Announced = "announced",
        /// In the JWKS, not yet signing.
        Published = "published",
        /// In the JWKS and signing.
        Signing = "signing",
        /// In the JWKS, no longer signing.
        Retiring = "retiring",
        /// No longer in the JWKS.
        Gone = "gone",
    }
}

/// The dates of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// From when it stands in the JWKS.
    pub published_at: Timestamp,
    /// From when it signs.
    pub signs_from: Timestamp,
    /// Until when it signs; open while it has no successor.
    pub signs_until: Option<Timestamp>,
    /// From when it no longer stands in the JWKS.
    pub gone_at: Option<Timestamp>,
}

impl Schedule {
    /// The dates of a stored key.
    pub const fn of(row: &SigningKeyRow) -> Self {
        Self {
            published_at: row.published_at,
            signs_from: row.signs_from,
            signs_until: row.signs_until,
            gone_at: row.gone_at,
        }
    }

    /// Where the key is in its life.
    pub fn state(&self, now: Timestamp) -> KeyState {
        if self.gone_at.is_some_and(|at| at <= now) {
            KeyState::Gone
        } else if now < self.published_at {
            KeyState::Announced
        } else if now < self.signs_from {
            KeyState::Published
        } else if self.signs_until.is_none_or(|until| now < until) {
            KeyState::Signing
        } else {
            KeyState::Retiring
        }
    }

    /// Whether it stands in the JWKS.
    pub fn is_published(&self, now: Timestamp) -> bool {
        !matches!(self.state(now), KeyState::Announced | KeyState::Gone)
    }

    /// When it next enters or leaves the JWKS.
    pub fn next_change(&self, now: Timestamp) -> Option<Timestamp> {
        [Some(self.published_at), self.gone_at].into_iter().flatten().filter(|at| *at > now).min()
    }
}

/// What the dates of successors follow from.
#[derive(Clone, Copy, Debug)]
pub struct Policy {
    /// How long a key signs.
    pub rotation_interval: Span,
    /// How long a key is published before it signs.
    pub publish_lead: Span,
    /// The longest lifetime of the JWKS that was ever handed out.
    pub longest_max_age: Span,
    /// The longest lifetime of a token that was ever handed out.
    pub longest_token_lifetime: Span,
}

impl Policy {
    /// How long a key really is published before it signs.
    pub fn lead(&self) -> Span {
        self.publish_lead.max(self.longest_max_age.plus(CLOCK_MARGIN))
    }

    /// From the making of a key to its first signature.
    pub fn preparation(&self) -> Span {
        ANNOUNCE.plus(self.lead())
    }

    /// The shortest time in which any instance, however it is configured, prepares a key; the margin
    /// that every lead has is left to clocks that differ.
    pub fn least_preparation(&self) -> Span {
        ANNOUNCE.plus(self.longest_max_age)
    }

    /// The dates of the very first key: nobody has cached a JWKS without it. They lie a day back, so
    /// that a clock which is set right after the first start does not take the key away.
    pub const fn first(now: Timestamp) -> Schedule {
        let at = now.minus(Span::from_days(1));
        Schedule { published_at: at, signs_from: at, signs_until: None, gone_at: None }
    }

    /// Whether the successor of `newest` has to be made now.
    pub fn is_due(&self, newest: &Schedule, now: Timestamp) -> bool {
        let ends = newest.signs_from.plus(self.rotation_interval);
        newest.signs_until.is_none() && ends <= now.plus(self.preparation())
    }

    /// The dates of the successor of `newest`, if it is made now; with `hurry`, as soon as is honest.
    pub fn successor(&self, newest: &Schedule, now: Timestamp, hurry: Hurry) -> Schedule {
        let published_at = now.plus(ANNOUNCE);
        let soonest = published_at.plus(self.lead());
        let signs_from = match hurry {
            Hurry::BySchedule => soonest.max(newest.signs_from.plus(self.rotation_interval)),
            Hurry::AsSoonAsHonest => soonest,
        };
        Schedule { published_at, signs_from, signs_until: None, gone_at: None }
    }

    /// When a key that signs until `signs_until` may leave the JWKS.
    pub fn gone_after(&self, signs_until: Timestamp) -> Timestamp {
        signs_until.plus(self.longest_token_lifetime).plus(CLOCK_MARGIN)
    }
}

/// How soon a successor takes over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hurry {
    /// When its predecessor has signed for the whole interval.
    BySchedule,
    /// When it has been published long enough.
    AsSoonAsHonest,
}
