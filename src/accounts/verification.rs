//! Addresses: whose they are. An address is somebody's who has received what was sent to it, and
//! nobody else's from then on.

use super::approval;
use crate::{
    clients::Clients,
    foundation::{
        clock::{Span, Timestamp},
        digest::TokenDigest,
        names::email_key,
    },
    sessions,
    store::{
        Connection, StoreResult,
        grants::RevokedBecause,
        mail_outbox,
        one_time_links::{self as links, LinkPurpose, OneTimeLink},
        users::{self, User},
    },
};

use super::{administrators, factors, linking, passwords::LOST};

/// How long the link to a new address is good.
pub const LIFE: Span = Span::from_hours(24);
/// How long a change of the address can be undone from the old one.
pub const UNDO_LIFE: Span = Span::from_days(7);

/// What came of a link that proves an address.
#[derive(Debug)]
pub enum Verified {
    /// The account has this address, and it is its own. The account as it was before.
    Yes(Box<User>, String),
    /// The link was used, has ended, or is for an address that the account no longer has (LK-04).
    Gone,
    /// The address was verified for another account meanwhile.
    Taken,
}

/// What a link would do, and for whom, as long as it is good.
pub async fn look(
    conn: &mut Connection,
    digest: &TokenDigest,
    now: Timestamp,
) -> StoreResult<Option<(OneTimeLink, User)>> {
    let Some(link) = links::find(conn, digest, &LinkPurpose::OF_ADDRESS, now).await? else {
        return Ok(None);
    };
    let Some(user) = users::find(conn, &link.user_id).await? else {
        return Ok(None);
    };
    Ok(fits(conn, &link, &user).await?.then_some((link, user)))
}

/// Whether the link still says something about the account as it is. Whoever waits for approval can
/// say meanwhile whose the address is.
async fn fits(conn: &mut Connection, link: &OneTimeLink, user: &User) -> StoreResult<bool> {
    let same = link.email.as_deref().map(email_key) == user.email_key;
    let here = user.email_issuer.is_none();
    let says = link.purpose != LinkPurpose::VerifyEmail || (same && here);
    Ok(says && (user.disabled_at.is_none() || approval::is_waiting(conn, user).await?))
}

/// Uses the link, in the caller's transaction.
pub async fn confirm(
    conn: &mut Connection,
    digest: &TokenDigest,
    clients: &Clients,
    now: Timestamp,
) -> StoreResult<Verified> {
    let Some((link, user)) = look(conn, digest, now).await? else {
        return Ok(Verified::Gone);
    };
    let Some(email) = link.email.clone() else {
        return Ok(Verified::Gone);
    };
    if link.purpose == LinkPurpose::UndoEmail {
        // Ways in go by it, and a role may go with one of them.
        administrators::hold(conn).await?;
    }
    // In this order everywhere: the address, then the account.
    mail_outbox::hold_recipient(conn, &email_key(&email)).await?;
    let Some(user) = users::hold_alone(conn, &user.id).await? else {
        return Ok(Verified::Gone);
    };
    if !fits(conn, &link, &user).await? {
        return Ok(Verified::Gone);
    }
    if !links::consume(conn, digest).await? {
        return Ok(Verified::Gone);
    }
    if !take(conn, &user, &email, now).await? {
        return Ok(Verified::Taken);
    }
    if link.purpose == LinkPurpose::UndoEmail {
        let because = RevokedBecause::AddressRestored;
        links::forget(conn, &user.id, &[LinkPurpose::ChangeEmail, LinkPurpose::Recover]).await?;
        shut_out(conn, &user, &link, now).await?;
        sessions::end_all_of_user(conn, &user.id, clients, because, now).await?;
    }
    Ok(Verified::Yes(Box::new(user), email))
}

/// Whoever changed the address may be somebody else. They knew the password then, and may have prepared
/// other ways in, since then or on the day before: as long a change waits for its own link.
async fn shut_out(
    conn: &mut Connection,
    user: &User,
    undo: &OneTimeLink,
    now: Timestamp,
) -> StoreResult<()> {
    // What the account began with is its owner's.
    let born = user.created_at.plus(Span::from_seconds(1));
    let since = undo.created_at.minus(LIFE).max(born);
    factors::remove_since(conn, &user.id, since).await?;
    linking::remove_since(conn, user, since).await?;
    if user.password_hash.is_some() {
        let _ = users::set_password_hash(conn, &user.id, LOST, now).await?;
    }
    Ok(())
}

/// Makes an address the verified one of an account. Whoever else has written it down without proof
/// loses it (LK-01); `false` if it is proved to be another account's.
pub async fn take(
    conn: &mut Connection,
    user: &User,
    email: &str,
    now: Timestamp,
) -> StoreResult<bool> {
    let key = email_key(email);
    let others = users::list_of_address(conn, &key).await?;
    let is_proved = |other: &User| other.id != user.id && is_verified_here(other);
    if others.iter().any(is_proved) {
        return Ok(false);
    }
    users::set_verified_email(conn, &user.id, email, &key, now).await?;
    users::release_address(conn, &key, &user.id, now).await?;
    Ok(true)
}

/// Whether the address of an account was proved here, and not by the word of an upstream.
pub fn is_verified_here(user: &User) -> bool {
    user.email_verified == Some(true) && user.email_issuer.is_none()
}
