//! A password that is tried: by the page, by an app that draws its own form, and by whoever is to
//! show once more that an account is theirs. One rule and one timing for all of them: wrong ones are
//! counted in one place (PW-12), and no answer tells what was wrong.

use std::{net::IpAddr, time::Duration};

use tokio::time::Instant;

use crate::{
    accounts::{
        approval,
        passwords::{
            HashingFault, LOST, Place, Verdict,
            guessing::{Account, Admission, Pending, Try},
        },
    },
    app::App,
    audit::Event,
    foundation::{
        clock::{Span, Timestamp},
        digest::TokenDigest,
        ids::{ClientId, TraceId, UserId},
        names::{email_key, username_key},
        secret::Secret,
    },
    store::{Connection, StoreError, StoreResult, users, users::User},
    web::{address, error::PageError},
};

/// How long after it came a try is told to wait. Nothing is hashed for it, and the row of an account
/// takes some microseconds that the lack of one does not: whoever measures sees this time alone (PW-08).
const TOLD_TO_WAIT_AFTER: Duration = Duration::from_millis(5);

/// A try, by whom it is made.
#[derive(Clone, Copy, Debug)]
pub struct Attempt<'a> {
    /// The house.
    pub app: &'a App,
    /// From where.
    pub from: IpAddr,
    /// On the way to which app.
    pub client: Option<&'a ClientId>,
    /// In which story.
    pub trace: &'a TraceId,
    /// When.
    pub now: Timestamp,
}

/// Adds to an event whose story it is.
pub type Telling<'a> = &'a (dyn Fn(Event) -> Event + Send + Sync);

/// What came of a try.
#[derive(Debug)]
pub enum Tried {
    /// It is right: the account, and its hash as it is now.
    Right(Box<User>, String),
    /// It is right, and the account waits for an administrator.
    Waiting(UserId),
    /// It is not; the account that was meant, if there is one.
    Wrong(Option<UserId>),
    /// Too many were wrong before: not before so long.
    TooMany(Span, Option<UserId>),
}

/// Takes a place among those whose password is hashed. Whoever finds none is turned away before any store
/// is asked for them, which others need meanwhile (PW-03).
pub fn enter(app: &App) -> Result<Place<'_>, PageError> {
    app.passwords.enter().map_err(hashing_fault)
}

impl Attempt<'_> {
    /// Tries a password, unless too many were wrong before. Everything takes as long when there is no
    /// such account. `known` says at which browser an account is known, if it is.
    pub async fn sign_in<'b>(
        &self,
        place: Place<'_>,
        (name, password): (&str, &Secret),
        known: impl FnOnce(&User) -> Option<&'b [u8]> + Send,
    ) -> Result<Tried, PageError> {
        let told_to_wait = Instant::now() + TOLD_TO_WAIT_AFTER;
        // The connection goes back before the hash is made: hashing is slow.
        let user = find_user(&mut self.app.connection().await?, name).await?;
        let who = user.as_ref().map(|user| user.id.clone());
        let canonical = username_key(name);
        let a_try = Try {
            account: user
                .as_ref()
                .map_or(Account::Nobody(&canonical), |user| Account::Of(&user.id)),
            network: &address::network(self.from),
            known_browser: user.as_ref().and_then(known),
            client: self.client,
        };
        let pending = match self.app.guesses.admit(&self.app.store, a_try, self.now).await? {
            Admission::Free(pending) => pending,
            Admission::Wait(wait) => {
                drop(place);
                tokio::time::sleep_until(told_to_wait).await;
                return Ok(Tried::TooMany(wait, who));
            }
            Admission::Busy => return Err(hashing_fault(HashingFault::Busy)),
        };
        let tried = verify(self.app, place, password, user).await?;
        if matches!(tried, Tried::Wrong(_)) {
            let own = |event| self.event(event);
            self.count(*pending, "passwords are being guessed", &own).await?;
            return Ok(Tried::Wrong(who));
        }
        pending.succeeded(&self.app.store).await?;
        Ok(tried)
    }

    /// Tries the password of who is known already. It counts like any other try.
    pub async fn confirm(
        &self,
        (user, password): (&User, &Secret),
        known_browser: Option<&[u8]>,
    ) -> Result<Tried, PageError> {
        let a_try = Try {
            account: Account::Of(&user.id),
            network: &address::network(self.from),
            known_browser,
            client: self.client,
        };
        let pending = match self.app.guesses.admit(&self.app.store, a_try, self.now).await? {
            Admission::Free(pending) => pending,
            Admission::Wait(wait) => return Ok(Tried::TooMany(wait, Some(user.id.clone()))),
            Admission::Busy => return Err(hashing_fault(HashingFault::Busy)),
        };
        let stored = user.password_hash.as_deref();
        let verdict = self.app.passwords.verify(password, stored).await;
        Ok(match verdict.map_err(hashing_fault)? {
            Verdict::Right | Verdict::RightAndRehashed(_) => {
                pending.succeeded(&self.app.store).await?;
                let hash = user.password_hash.clone().unwrap_or_default();
                Tried::Right(Box::new(user.clone()), hash)
            }
            Verdict::Wrong | Verdict::Unusable => {
                let _ = pending.failed(&self.app.store, self.now).await?;
                Tried::Wrong(Some(user.id.clone()))
            }
        })
    }

    /// Counts a wrong password or code, and raises the alarm where many are tried at one app.
    pub(super) async fn count(
        &self,
        pending: Pending,
        alarm: &'static str,
        event: Telling<'_>,
    ) -> StoreResult<()> {
        if let Some(accounts) = pending.failed(&self.app.store, self.now).await? {
            tracing::warn!(accounts, "{alarm}");
            let refused = Event::refused("sign_in", "guessing").detail("accounts", accounts);
            self.app.audit.note(event(refused));
        }
        Ok(())
    }

    /// An event of this story.
    fn event(&self, event: Event) -> Event {
        let event = event.trace(self.trace);
        match self.client {
            Some(client) => event.client(client),
            None => event,
        }
    }
}

/// Whether the password is the account's own.
async fn verify(
    app: &App,
    place: Place<'_>,
    password: &Secret,
    user: Option<User>,
) -> Result<Tried, PageError> {
    let stored = user.as_ref().and_then(|user| user.password_hash.as_deref());
    let verdict = app.passwords.verify_in(place, password, stored).await;
    let verdict = verdict.map_err(hashing_fault)?;
    let Some(user) = user else {
        return Ok(Tried::Wrong(None));
    };
    if verdict == Verdict::Unusable && user.password_hash.as_deref() != Some(LOST) {
        tracing::error!(user = %user.id, "a stored password hash cannot be used");
    }
    if matches!(verdict, Verdict::Wrong | Verdict::Unusable) {
        return Ok(Tried::Wrong(None));
    }
    if user.disabled_at.is_some() {
        let waits = approval::is_waiting(&mut app.connection().await?, &user).await?;
        return Ok(if waits { Tried::Waiting(user.id) } else { Tried::Wrong(None) });
    }
    let old = user.password_hash.clone().unwrap_or_default();
    let Verdict::RightAndRehashed(better) = verdict else {
        return Ok(Tried::Right(Box::new(user), old));
    };
    let mut connection = app.connection().await?;
    let rehashed = users::rehash_password(&mut connection, &user.id, &old, &better).await;
    rehashed.map_err(StoreError::from)?;
    Ok(Tried::Right(Box::new(user), better))
}

/// The account of a username, or of a verified address that is one account's alone.
async fn find_user(conn: &mut Connection, name: &str) -> StoreResult<Option<User>> {
    if let Some(user) = users::find_by_username(conn, &username_key(name)).await? {
        return Ok(Some(user));
    }
    if !name.contains('@') {
        return Ok(None);
    }
    let mut found = users::find_by_verified_email(conn, &email_key(name)).await?;
    Ok(if found.len() == 1 { found.pop() } else { None })
}

fn hashing_fault(fault: HashingFault) -> PageError {
    match fault {
        HashingFault::Busy => {
            PageError::too_busy(fault).event(Event::refused("sign_in", "too_many_sign_ins"))
        }
        HashingFault::Failed(_) => PageError::unavailable(fault),
    }
}

/// A name that was typed, as far as it is one.
pub fn name_typed(text: &str) -> String {
    text.trim().chars().filter(|c| !c.is_control()).take(320).collect()
}

/// What is kept with a sign-in of the password that was right.
pub fn digest_of(hash: &str) -> String {
    TokenDigest::of("password hash", hash.as_bytes()).to_text()
}

/// Whether the account is open and has this password still.
pub fn has_password(user: &User, hash: &str) -> bool {
    user.disabled_at.is_none() && user.password_hash.as_deref() == Some(hash)
}

/// The same by the digest that was kept.
pub fn has_password_of(user: &User, digest: &str) -> bool {
    let own = user.password_hash.as_deref().map(digest_of);
    user.disabled_at.is_none() && own.as_deref() == Some(digest)
}
