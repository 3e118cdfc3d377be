//! The end of an account, by its owner: shut at once, erased later, taken back until then.

use super::administrators;
use crate::{
    clients::Clients,
    foundation::{
        clock::{Span, Timestamp},
        digest::TokenDigest,
        ids::UserId,
    },
    sessions,
    store::{
        Connection, StoreResult,
        deletions::{self, Deletion},
        grants::RevokedBecause,
        one_time_links::{self as links, LinkPurpose},
        users::{self, User},
    },
};

/// What came of deleting an account.
#[derive(Debug)]
pub enum Deleting {
    /// It is shut, and erased then.
    Done(Box<User>, Timestamp),
    /// It was shut before.
    Shut,
    /// Nobody else administers (AD-06).
    LastAdministrator,
}

/// Shuts the account and plans its end; every session and every token is over.
pub async fn delete(
    conn: &mut Connection,
    id: &UserId,
    clients: &Clients,
    grace: Span,
    now: Timestamp,
) -> StoreResult<Deleting> {
    administrators::hold(conn).await?;
    let Some(user) = users::hold_alone(conn, id).await? else {
        return Ok(Deleting::Shut);
    };
    if let Some(person) = users::find_person(conn, id).await?
        && !administrators::remain_besides(conn, &person).await?
    {
        return Ok(Deleting::LastAdministrator);
    }
    let due_at = now.plus(grace);
    let deletion = Deletion { user_id: id.clone(), asked_at: now, due_at };
    if !users::disable(conn, id, now).await? || !deletions::plan(conn, &deletion).await? {
        return Ok(Deleting::Shut);
    }
    sessions::end_all_of_user(conn, id, clients, RevokedBecause::AccountDeleted, now).await?;
    Ok(Deleting::Done(Box::new(user), due_at))
}

/// The account that a link takes back, as long as it can.
pub async fn look(
    conn: &mut Connection,
    digest: &TokenDigest,
    now: Timestamp,
) -> StoreResult<Option<User>> {
    let found = links::find(conn, digest, &[LinkPurpose::KeepAccount], now).await?;
    Ok(match found {
        Some(link) => users::find(conn, &link.user_id).await?,
        None => None,
    })
}

/// Takes the deletion back: the account is open again. `None` if the link is gone, or an
/// administrator has decided otherwise meanwhile.
pub async fn keep(
    conn: &mut Connection,
    digest: &TokenDigest,
    now: Timestamp,
) -> StoreResult<Option<User>> {
    let Some(user) = look(conn, digest, now).await? else {
        return Ok(None);
    };
    let held = users::hold_alone(conn, &user.id).await?;
    let kept = links::consume(conn, digest).await? && deletions::take_back(conn, &user.id).await?;
    if !kept || !users::enable(conn, &user.id, now).await? {
        return Ok(None);
    }
    Ok(held)
}
