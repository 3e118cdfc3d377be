//! Approval: whoever makes an account without an invitation has one at once, and waits until an
//! administrator has looked at it.
//!
//! An account that waits is shut like any other that is: nothing living belongs to it, and nothing opens
//! it but the approval. Only who knows its password, or comes from its upstream, hears that it waits.

use crate::{
    foundation::{
        clock::{Span, Timestamp},
        ids::UserId,
    },
    store::{
        Connection, StoreResult, facts,
        users::{self, User},
        waiting_accounts::{self, WaitingAccount},
    },
};

/// When administrators were last told that somebody waits.
const TOLD: &str = "signup.waiting_told";
/// They are told no sooner again, however many come: their mailboxes are not a stranger's to fill.
const PAUSE: Span = Span::from_hours(1);

/// Since when an account is shut that has never been open. By this the row itself tells that there may be
/// a wait: for any other shut account nothing more is asked, so that a right password for it costs what a
/// wrong one costs (PW-08).
const NEVER_OPEN: Timestamp = Timestamp::from_unix(0);

/// Shuts an account that is about to be made.
pub fn shut(user: &mut User) {
    user.disabled_at = Some(NEVER_OPEN);
}

/// Keeps that the account, which was made shut, waits.
pub async fn wait(conn: &mut Connection, user: &UserId, now: Timestamp) -> StoreResult<()> {
    let waiting = WaitingAccount { user_id: user.clone(), asked_at: now };
    waiting_accounts::insert(conn, &waiting).await?;
    Ok(())
}

/// Whether an account waits.
pub async fn is_waiting(conn: &mut Connection, user: &User) -> StoreResult<bool> {
    Ok(user.disabled_at == Some(NEVER_OPEN)
        && waiting_accounts::find(conn, &user.id).await?.is_some())
}

/// Opens an account that waits; `false` if it does not.
#[must_use = "false means that nothing was opened"]
pub async fn approve(conn: &mut Connection, user: &UserId, now: Timestamp) -> StoreResult<bool> {
    Ok(waiting_accounts::take(conn, user).await? && users::enable(conn, user, now).await?)
}

/// Erases an account that waits, as if it had never been made; `false` if it does not wait.
#[must_use = "false means that nothing was erased"]
pub async fn refuse(conn: &mut Connection, user: &UserId) -> StoreResult<bool> {
    Ok(waiting_accounts::erase(conn, user).await?)
}

/// Whether it is time to tell administrators that somebody waits; if so, it is noted.
pub async fn is_to_be_told(conn: &mut Connection, now: Timestamp) -> StoreResult<bool> {
    let told = facts::find(conn, TOLD).await?.map(Timestamp::from_unix);
    let is_due = told.is_none_or(|told| now.since(told) >= PAUSE);
    if is_due {
        facts::set(conn, TOLD, now.unix()).await?;
    }
    Ok(is_due)
}
