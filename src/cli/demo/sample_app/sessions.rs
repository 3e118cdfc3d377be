//! What the sample app remembers of each browser, in memory only.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use axum::http::{HeaderMap, HeaderValue, header};

use super::chance;
use crate::{
    federation::client_view::{Marks, Received},
    web::pages::Detail,
};

/// More browsers than any demonstration has; the memory of a process is not endless.
const MOST: usize = 1_000;

/// What is known about one browser.
#[derive(Clone, Debug)]
pub(super) enum Session {
    /// It was sent to sign in.
    SigningIn(Marks),
    /// Somebody has signed in.
    SignedIn(Arc<SignedIn>),
}

/// What a sign-in brought.
#[derive(Debug)]
pub(super) struct SignedIn {
    pub(super) received: Received,
    /// What was compared, and with what.
    pub(super) checks: Vec<Detail>,
}

/// The memory.
#[derive(Debug)]
pub(super) struct Sessions {
    cookie: String,
    kept: Mutex<HashMap<String, Session>>,
}

impl Sessions {
    /// Browsers share cookies between the ports of one host, so the cookie's name holds ours.
    pub(super) fn new(origin: &str) -> Self {
        let port = origin.rsplit(':').next().unwrap_or_default();
        Self { cookie: format!("sample-app-{port}"), kept: Mutex::default() }
    }

    /// What is known about the browser that sends these headers.
    pub(super) fn find(&self, headers: &HeaderMap) -> Option<Session> {
        self.kept().get(self.id(headers)?).cloned()
    }

    /// Forgets what was known, remembers this, and gives the `Set-Cookie` of a name that nobody
    /// knew before.
    pub(super) fn replace(&self, headers: &HeaderMap, session: Session) -> Option<HeaderValue> {
        let id = chance();
        let mut kept = self.kept();
        if let Some(old) = self.id(headers) {
            kept.remove(old);
        }
        if kept.len() >= MOST {
            kept.clear();
        }
        kept.insert(id.clone(), session);
        HeaderValue::try_from(format!("{}={id}; Path=/; HttpOnly; SameSite=Lax", self.cookie)).ok()
    }

    /// Forgets what was known.
    pub(super) fn forget(&self, headers: &HeaderMap) {
        if let Some(id) = self.id(headers) {
            self.kept().remove(id);
        }
    }

    fn id<'h>(&self, headers: &'h HeaderMap) -> Option<&'h str> {
        let lines = headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok());
        let mut pairs = lines.flat_map(|line| line.split(';'));
        pairs.find_map(|pair| {
            let (name, value) = pair.trim().split_once('=')?;
            (name == self.cookie).then_some(value)
        })
    }

    fn kept(&self) -> MutexGuard<'_, HashMap<String, Session>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
