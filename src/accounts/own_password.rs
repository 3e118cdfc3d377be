//! Another password, chosen by whoever has just shown the one there is.

use crate::{
    foundation::{clock::Timestamp, secret::Secret},
    sessions::{self, Policy},
    store::{
        Connection, StoreResult,
        grants::RevokedBecause,
        mail_outbox,
        one_time_links::{self, LinkPurpose},
        sessions::{self as session_rows, Session},
        users::{self, User},
    },
};

/// The account of a session that still stands, held until the transaction ends: what ends all sessions
/// ends what they are about to do. None if it does not stand any more.
pub async fn still(
    conn: &mut Connection,
    session: &Session,
    known: &User,
) -> StoreResult<Option<User>> {
    if let Some(address) = &known.email_key {
        // Whoever proves this address waits for it before the account, and so does this.
        mail_outbox::hold_recipient(conn, address).await?;
    }
    let user = users::hold_alone(conn, &session.user_id).await?;
    let session = session_rows::hold(conn, &session.id).await?;
    let stands = session.is_some_and(|session| session.ended_at.is_none());
    Ok(user.filter(|user| stands && user.disabled_at.is_none()))
}

/// Replaces the password: every other session ends with every family of tokens, and so does the secret
/// of this one (PW-18). `None` if the session is over, or somebody else has changed it meanwhile.
pub async fn change(
    conn: &mut Connection,
    (session, known): (&Session, &User),
    hash: &str,
    policy: Policy<'_>,
    now: Timestamp,
) -> StoreResult<Option<(User, Secret)>> {
    let user = still(conn, session, known).await?;
    let Some(user) = user.filter(|user| user.password_hash == known.password_hash) else {
        return Ok(None);
    };
    let because = RevokedBecause::PasswordChanged;
    let Some(secret) = sessions::end_all_others(conn, session, policy, because, now).await? else {
        return Ok(None);
    };
    let _ = users::set_password_hash(conn, &user.id, hash, now).await?;
    one_time_links::forget(conn, &user.id, &[LinkPurpose::Recover]).await?;
    Ok(Some((user, secret)))
}
