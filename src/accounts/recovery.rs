//! The way back into an account whose password is lost.

use crate::{
    clients::Clients,
    foundation::{
        clock::{Span, Timestamp},
        digest::TokenDigest,
        names::{email_key, username_key},
    },
    sessions,
    store::{
        Connection, StoreResult,
        grants::RevokedBecause,
        mail_outbox,
        one_time_links::{self as links, LinkPurpose, OneTimeLink},
        personal_access_tokens,
        users::{self, AccountKind, User},
    },
};

use super::{
    administrators, factors, linking,
    verification::{self, is_verified_here},
};

/// How long a link or a code that was mailed is good.
pub const LIFE: Span = Span::from_minutes(15);
/// The same in minutes, as people are told.
pub fn minutes() -> u32 {
    u32::try_from(LIFE.seconds() / 60).unwrap_or(u32::MAX)
}

/// How many codes go to one address within a day; after that there are links only, because six digits
/// can be guessed if there are enough of them (RC-15).
pub const CODES_PER_DAY: i64 = 10;

/// Who it is that wants to get back in.
#[derive(Debug)]
pub enum Found {
    /// An account with a password, and the address the mail goes to.
    Account(Box<User>, String),
    /// An account without a password: it signs in elsewhere (RC-14).
    Elsewhere(Box<User>, String),
    /// Nobody, or nobody who can be reached; why, in one word.
    Nobody(&'static str),
}

/// The account of a username or an address.
pub async fn find(conn: &mut Connection, name: &str) -> StoreResult<Found> {
    let by_username = users::find_by_username(conn, &username_key(name)).await?;
    let user = match by_username {
        None if name.contains('@') => {
            choose(&users::list_of_address(conn, &email_key(name)).await?)
        }
        found => found,
    };
    let Some(user) = user.filter(|user| user.kind == AccountKind::Person) else {
        return Ok(Found::Nobody("unknown"));
    };
    if user.disabled_at.is_some() {
        return Ok(Found::Nobody("user_disabled"));
    }
    let (Some(email), Some(key)) = (user.email.clone(), user.email_key.clone()) else {
        return Ok(Found::Nobody("no_address"));
    };
    if user.password_hash.is_none() {
        return Ok(match user.email_verified {
            Some(true) => Found::Elsewhere(Box::new(user), email),
            _ => Found::Nobody("no_password"),
        });
    }
    if user.email_issuer.is_some() {
        return Ok(Found::Nobody("address_of_upstream"));
    }
    let others = users::list_of_address(conn, &key).await?;
    let is_anothers = |other: &User| other.id != user.id && is_verified_here(other);
    if !is_verified_here(&user) && others.iter().any(is_anothers) {
        return Ok(Found::Nobody("address_of_another"));
    }
    Ok(Found::Account(Box::new(user), email))
}

/// Of the accounts with one address the one that has proved it, or the only one that says so.
fn choose(users: &[User]) -> Option<User> {
    let only = |fits: &dyn Fn(&&User) -> bool| {
        let mut fitting = users.iter().filter(fits);
        let first = fitting.next();
        first.filter(|_| fitting.next().is_none()).cloned()
    };
    let local = |user: &&User| user.email_issuer.is_none();
    only(&|user| is_verified_here(user)).or_else(|| only(&local)).or_else(|| {
        let none_here = !users.iter().any(|user| local(&user));
        none_here.then(|| only(&|user| user.email_verified == Some(true))).flatten()
    })
}

/// The account that a link leads back into, as long as it is good.
pub async fn look(
    conn: &mut Connection,
    digest: &TokenDigest,
    now: Timestamp,
) -> StoreResult<Option<(OneTimeLink, User)>> {
    let Some(link) = links::find(conn, digest, &[LinkPurpose::Recover], now).await? else {
        return Ok(None);
    };
    let user = users::find(conn, &link.user_id).await?;
    Ok(user.filter(|user| fits(&link, user)).map(|user| (link, user)))
}

/// The link was sent to the address that the account has, or handed over by an administrator.
fn fits(link: &OneTimeLink, user: &User) -> bool {
    let sent_there = |email: &str| {
        user.email_key.as_deref() == Some(&email_key(email))
            && user.email_issuer.is_none()
            && user.password_hash.is_some()
    };
    user.disabled_at.is_none() && link.email.as_deref().is_none_or(sent_there)
}

/// Uses the link: the account has this password and no other way in that its owner has not proved.
/// Every session and every token ends (LK-02); `None` if the link is gone.
pub async fn reset(
    conn: &mut Connection,
    digest: &TokenDigest,
    hash: &str,
    clients: &Clients,
    now: Timestamp,
) -> StoreResult<Option<User>> {
    let Some((link, user)) = look(conn, digest, now).await? else {
        return Ok(None);
    };
    if !is_verified_here(&user) {
        // Ways in go by it, and a role may go with one of them.
        administrators::hold(conn).await?;
    }
    if let Some(email) = &link.email {
        mail_outbox::hold_recipient(conn, &email_key(email)).await?;
    }
    let user = users::hold_alone(conn, &link.user_id).await?.filter(|user| fits(&link, user));
    let Some(user) = user else {
        return Ok(None);
    };
    if !links::consume(conn, digest).await? {
        return Ok(None);
    }
    if let Some(email) = link.email.as_deref().filter(|_| !is_verified_here(&user)) {
        // Until now anybody may have called this address theirs, and prepared a way in (LK-03).
        linking::remove_since(conn, &user, Timestamp::from_unix(0)).await?;
        factors::remove_all(conn, &user.id).await?;
        let _ = verification::take(conn, &user, email, now).await?;
    }
    let _ = users::set_password_hash(conn, &user.id, hash, now).await?;
    // Nothing that was begun before changes the address afterwards (LK-04). Only the way back to the
    // former address stays: whoever holds the present one may be who took the account over.
    links::forget(conn, &user.id, &[LinkPurpose::VerifyEmail]).await?;
    // Nor does what was given to programs (PT-11).
    personal_access_tokens::revoke_of_user(conn, &user.id, now).await?;
    let because = RevokedBecause::PasswordChanged;
    sessions::end_all_of_user(conn, &user.id, clients, because, now).await?;
    Ok(Some(user))
}
