//! Refresh tokens (RFC 6749 §6, RFC 9700 §4.14.2): none, one that stays, or ones that rotate.

use std::collections::{HashMap, HashSet};

use super::state::{Grant, State, unique};

/// Whether the provider gives refresh tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Refreshes {
    /// It gives none.
    #[default]
    None,
    /// It gives one, which may be used again and again.
    Steady,
    /// It gives a new one at each use, and takes the second use of one for theft.
    Rotating,
}

/// The refresh tokens of a provider.
#[derive(Default)]
pub(super) struct RefreshTokens {
    pub(super) kind: Refreshes,
    living: HashMap<String, Grant>,
    spent: HashSet<String>,
}

impl RefreshTokens {
    /// A token for this grant, if there are any.
    pub(super) fn issue(&mut self, grant: &Grant) -> Option<String> {
        if self.kind == Refreshes::None {
            return None;
        }
        let token = unique("upstream-refresh");
        self.living.insert(token.clone(), grant.clone());
        Some(token)
    }

    /// What a presented token stands for, and its successor.
    pub(super) fn redeem(&mut self, token: &str) -> Option<(Grant, Option<String>)> {
        if self.spent.contains(token) {
            self.living.clear();
        }
        let grant = self.living.get(token)?.clone();
        if self.kind == Refreshes::Steady {
            return Some((grant, None));
        }
        self.living.remove(token);
        self.spent.insert(token.to_owned());
        let next = self.issue(&grant);
        Some((grant, next))
    }

    /// Makes all of them worthless.
    pub(super) fn forget(&mut self) {
        self.living.clear();
    }
}

impl State {
    /// The person as they are today, if they still are who got the token.
    pub(super) fn today(&self, mut grant: Grant) -> Grant {
        if grant.person.get("sub") == self.person.get("sub") || self.lies.other_subject_at_refresh {
            grant.person.clone_from(&self.person);
        }
        grant
    }
}
