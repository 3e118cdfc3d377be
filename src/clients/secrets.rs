//! The secrets of one app: the one that it has, and those that it had before and that still count.
//!
//! Digests are all that is kept, except where what the app sends is signed with the secret itself.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::{
    config::{ClientSettings, Day, PreviousSecret},
    foundation::{clock::Timestamp, digest::TokenDigest, secret::Secret},
    protocol::words::AuthMethod,
};

const KIND: &str = "client_secret";

/// Which of its secrets an app has used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KnownSecret {
    /// The one that it has.
    Current,
    /// One that it had before.
    Previous,
}

#[derive(Debug)]
struct Known {
    which: KnownSecret,
    digest: TokenDigest,
    /// The secret itself, for `client_secret_jwt` alone.
    value: Option<Secret>,
    ends: Option<Timestamp>,
}

/// The secrets of one app.
#[derive(Debug)]
pub struct Secrets {
    all: Vec<Known>,
    /// Somebody was told that a former one is in use.
    told: AtomicBool,
}

impl Secrets {
    /// Takes the secrets out of the settings.
    pub(super) fn take(settings: &mut ClientSettings) -> Self {
        let signs = settings.auth_method() == AuthMethod::ClientSecretJwt;
        let known = |which, secret: Secret, ends: Option<Day>| Known {
            which,
            digest: digest(secret.expose()),
            value: signs.then_some(secret),
            ends: ends.map(Day::begins),
        };
        let current = settings.secret.take();
        let current = current.map(|secret| known(KnownSecret::Current, secret, None));
        let previous = settings.previous_secrets.drain(..).map(|former| {
            let PreviousSecret { secret, expires } = former;
            known(KnownSecret::Previous, secret, expires)
        });
        Self { all: current.into_iter().chain(previous).collect(), told: AtomicBool::new(false) }
    }

    /// Which of them this is, if it is one. Digests are compared, in constant time.
    pub fn find(&self, secret: &str, now: Timestamp) -> Option<KnownSecret> {
        let given = digest(secret);
        self.living(now).find(|own| own.digest.matches(&given)).map(|own| own.which)
    }

    /// The values of those that count, where what the app sends is signed with one.
    pub fn values(&self, now: Timestamp) -> impl Iterator<Item = (KnownSecret, &Secret)> {
        self.living(now).filter_map(|own| Some((own.which, own.value.as_ref()?)))
    }

    /// Notes that a former one is in use; whether nobody was told of it yet.
    pub fn note_previous(&self) -> bool {
        !self.told.swap(true, Ordering::Relaxed)
    }

    fn living(&self, now: Timestamp) -> impl Iterator<Item = &Known> {
        self.all.iter().filter(move |own| own.ends.is_none_or(|end| now < end))
    }
}

fn digest(secret: &str) -> TokenDigest {
    TokenDigest::of(KIND, secret.as_bytes())
}
