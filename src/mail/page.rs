//! The sink for development: the last mails, in memory, for a page of the management listener.

use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
};

use crate::foundation::clock::Timestamp;

const KEPT: usize = 50;

/// A mail that was shown instead of being sent.
#[derive(Clone, Debug)]
pub struct Shown {
    /// When.
    pub at: Timestamp,
    /// Whom it would have gone to.
    pub to: String,
    /// Its subject.
    pub subject: String,
    /// Its text part.
    pub text: String,
    /// Its links.
    pub links: Vec<String>,
}

/// The last mails, the newest first.
#[derive(Debug, Default)]
pub(super) struct Page(Mutex<VecDeque<Shown>>);

impl Page {
    pub(super) fn show(&self, mail: Shown) {
        let mut mails = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        mails.truncate(KEPT - 1);
        mails.push_front(mail);
    }

    pub(super) fn all(&self) -> Vec<Shown> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }
}
