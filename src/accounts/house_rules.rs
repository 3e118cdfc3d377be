//! What administrators change while servers run: what groups mean, and how far the doors are open.
//!
//! Each instance looks every second and holds what it has seen, so that no request asks for it. While the
//! database is away that stays as it was: nobody gets an account or a token of a person without it.

use std::sync::{
    PoisonError, RwLock,
    atomic::{AtomicI64, Ordering},
};

use super::{
    groups,
    toggles::{self, Approval, Door, SetHere, Toggle},
};
use crate::{
    config::{GroupDefinition, SignupSettings},
    foundation::clock::Timestamp,
    store::{Store, StoreResult, facts},
};

/// The rules as this instance has last seen them.
#[derive(Debug)]
pub struct HouseRules {
    /// The groups that the configuration declares.
    declared: Vec<GroupDefinition>,
    settings: SignupSettings,
    set: RwLock<SetHere>,
    /// The last change of groups that was seen.
    revision: AtomicI64,
    epoch: AtomicI64,
}

impl HouseRules {
    /// The rules of the configuration. Nobody has looked yet.
    pub fn new(declared: &[GroupDefinition], settings: &SignupSettings) -> Self {
        Self {
            declared: declared.to_vec(),
            settings: settings.clone(),
            set: RwLock::default(),
            revision: AtomicI64::new(-1),
            epoch: AtomicI64::new(0),
        }
    }

    /// Looks what has changed: one statement, and one more when groups have.
    pub async fn look(&self, store: &Store) -> StoreResult<()> {
        let names = [
            groups::REVISION,
            Door::Local.fact(),
            Door::Federated.fact(),
            toggles::APPROVAL,
            facts::SECURITY_EPOCH,
        ];
        let mut connection = store.connection().await?;
        let seen = facts::list(&mut connection, &names).await?;
        *self.set.write().unwrap_or_else(PoisonError::into_inner) = SetHere::of_facts(&seen);
        let value = |wanted: &str| {
            let found = seen.iter().find(|(name, _)| name == wanted);
            found.map_or(0, |(_, value)| *value)
        };
        self.epoch.store(value(facts::SECURITY_EPOCH), Ordering::Release);
        let revision = value(groups::REVISION);
        if revision != self.revision.load(Ordering::Acquire) {
            store.set_meanings(groups::load(&mut connection, &self.declared).await?);
            self.revision.store(revision, Ordering::Release);
        }
        Ok(())
    }

    /// How far a door is open.
    pub fn door(&self, door: Door) -> Toggle {
        toggles::in_force(&self.settings, self.set(), door)
    }

    /// Whether whoever makes an account without an invitation waits for an administrator.
    pub fn approval(&self) -> Approval {
        toggles::approval_in_force(&self.settings, self.set())
    }

    /// The security epoch: what was promised up to then does not count any more.
    pub fn epoch(&self) -> Timestamp {
        Timestamp::from_unix(self.epoch.load(Ordering::Acquire))
    }

    fn set(&self) -> SetHere {
        *self.set.read().unwrap_or_else(PoisonError::into_inner)
    }
}
