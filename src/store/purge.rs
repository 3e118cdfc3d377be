//! Deleting what has expired, a few rows at a time, so that no request waits behind it.

use diesel::QueryResult;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::{
    Connection,
    schema::{
        audit_events, grants, logout_deliveries, password_guesses, personal_access_tokens,
        revoked_access_tokens, sessions,
    },
};
use crate::foundation::clock::Timestamp;

/// How many rows one statement deletes.
pub const BATCH: i64 = 500;

/// Deletes families (and with them their refresh tokens) that expired before `before`.
pub async fn grants(conn: &mut Connection, before: Timestamp) -> QueryResult<usize> {
    let expired: Vec<crate::foundation::ids::GrantId> = on_backend!(conn, |conn| grants::table
        .filter(grants::expires_at.lt(before))
        .select(grants::id)
        .limit(BATCH)
        .load(conn)
        .await)?;
    on_backend!(conn, |conn| diesel::delete(grants::table.filter(grants::id.eq_any(&expired)))
        .execute(conn)
        .await)
}

/// Deletes sessions that expired before `before`, unless tokens still live that began in them.
pub async fn sessions(conn: &mut Connection, before: Timestamp) -> QueryResult<usize> {
    let living = grants::table.filter(grants::session_id.eq(sessions::id));
    let expired: Vec<crate::foundation::ids::SessionId> =
        on_backend!(conn, |conn| sessions::table
            .filter(sessions::expires_at.lt(before))
            .filter(diesel::dsl::not(diesel::dsl::exists(living)))
            .select(sessions::id)
            .limit(BATCH)
            .load(conn)
            .await)?;
    on_backend!(conn, |conn| diesel::delete(sessions::table.filter(sessions::id.eq_any(&expired)))
        .execute(conn)
        .await)
}

/// Deletes counts of wrong passwords that nobody has added to since `before`.
pub async fn password_guesses(conn: &mut Connection, before: Timestamp) -> QueryResult<usize> {
    let old = password_guesses::table.filter(password_guesses::last_failed_at.lt(before));
    let old: Vec<crate::foundation::digest::TokenDigest> =
        on_backend!(conn, |conn| old.select(password_guesses::key).limit(BATCH).load(conn).await)?;
    // One that was added to meanwhile stays.
    on_backend!(conn, |conn| diesel::delete(
        password_guesses::table
            .filter(password_guesses::key.eq_any(&old))
            .filter(password_guesses::last_failed_at.lt(before))
    )
    .execute(conn)
    .await)
}

/// Deletes receipts of sessions that ended before `before`. Those that are due by then belong to
/// clients that are not told of anything any more.
pub async fn logout_deliveries(conn: &mut Connection, before: Timestamp) -> QueryResult<usize> {
    let old = logout_deliveries::table.filter(logout_deliveries::ended_at.lt(before));
    let old: Vec<crate::foundation::ids::SessionId> = on_backend!(conn, |conn| old
        .select(logout_deliveries::session_id)
        .limit(BATCH)
        .load(conn)
        .await)?;
    on_backend!(conn, |conn| diesel::delete(
        logout_deliveries::table.filter(logout_deliveries::session_id.eq_any(&old))
    )
    .execute(conn)
    .await)
}

/// Deletes notes about revoked access tokens that expired before `before`.
pub async fn revoked_access_tokens(conn: &mut Connection, before: Timestamp) -> QueryResult<usize> {
    let expired: Vec<String> = on_backend!(conn, |conn| revoked_access_tokens::table
        .filter(revoked_access_tokens::expires_at.lt(before))
        .select(revoked_access_tokens::jti)
        .limit(BATCH)
        .load(conn)
        .await)?;
    on_backend!(conn, |conn| diesel::delete(
        revoked_access_tokens::table.filter(revoked_access_tokens::jti.eq_any(&expired))
    )
    .execute(conn)
    .await)
}

/// Deletes personal access tokens that expired or were revoked before `before`.
pub async fn personal_access_tokens(
    conn: &mut Connection,
    before: Timestamp,
) -> QueryResult<usize> {
    let dead = personal_access_tokens::expires_at
        .lt(before)
        .or(personal_access_tokens::revoked_at.lt(before));
    let dead: Vec<crate::foundation::ids::PersonalAccessTokenId> =
        on_backend!(conn, |conn| personal_access_tokens::table
            .filter(dead)
            .select(personal_access_tokens::id)
            .limit(BATCH)
            .load(conn)
            .await)?;
    on_backend!(conn, |conn| diesel::delete(
        personal_access_tokens::table.filter(personal_access_tokens::id.eq_any(&dead))
    )
    .execute(conn)
    .await)
}

/// Deletes audit events older than `before`.
pub async fn audit_events(conn: &mut Connection, before: Timestamp) -> QueryResult<usize> {
    let old: Vec<String> = on_backend!(conn, |conn| audit_events::table
        .filter(audit_events::at.lt(before))
        .select(audit_events::id)
        .limit(BATCH)
        .load(conn)
        .await)?;
    on_backend!(conn, |conn| diesel::delete(
        audit_events::table.filter(audit_events::id.eq_any(&old))
    )
    .execute(conn)
    .await)
}
