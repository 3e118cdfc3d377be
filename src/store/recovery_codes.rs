//! Recovery codes: what stands in for a second factor that is lost. Only digests are kept.

use diesel::QueryResult;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::{Connection, schema::recovery_codes};
use crate::foundation::{clock::Timestamp, digest::TokenDigest, ids::UserId};

/// A row of `recovery_codes`.
#[derive(Clone, Debug, Insertable)]
#[diesel(table_name = recovery_codes)]
struct RecoveryCode {
    digest: TokenDigest,
    user_id: UserId,
    created_at: Timestamp,
    used_at: Option<Timestamp>,
}

/// Keeps these in place of those before, which count no longer.
pub async fn replace(
    conn: &mut Connection,
    user: &UserId,
    digests: &[TokenDigest],
    now: Timestamp,
) -> QueryResult<()> {
    delete_of_user(conn, user).await?;
    for digest in digests {
        let (digest, user_id) = (digest.clone(), user.clone());
        let row = RecoveryCode { digest, user_id, created_at: now, used_at: None };
        on_backend!(conn, |conn| diesel::insert_into(recovery_codes::table)
            .values(&row)
            .execute(conn)
            .await)?;
    }
    Ok(())
}

/// Whether the code of this digest is this account's and still counts.
pub async fn is_good(
    conn: &mut Connection,
    user: &UserId,
    digest: &TokenDigest,
) -> QueryResult<bool> {
    let good = recovery_codes::table
        .find(digest)
        .filter(recovery_codes::user_id.eq(user).and(recovery_codes::used_at.is_null()));
    let found: Option<UserId> = on_backend!(conn, |conn| good
        .select(recovery_codes::user_id)
        .first(conn)
        .await
        .optional())?;
    Ok(found.is_some())
}

/// Uses the code of this digest; `false` if it is not this account's, or was used before.
#[must_use = "false means that the code does not count"]
pub async fn consume(
    conn: &mut Connection,
    user: &UserId,
    digest: &TokenDigest,
    now: Timestamp,
) -> QueryResult<bool> {
    let unused = recovery_codes::table
        .find(digest)
        .filter(recovery_codes::user_id.eq(user).and(recovery_codes::used_at.is_null()));
    on_backend!(conn, |conn| diesel::update(unused)
        .set(recovery_codes::used_at.eq(now))
        .execute(conn)
        .await)
    .map(|rows| rows == 1)
}

/// How many of an account still count.
pub async fn count_of_user(conn: &mut Connection, user: &UserId) -> QueryResult<i64> {
    let unused = recovery_codes::table
        .filter(recovery_codes::user_id.eq(user).and(recovery_codes::used_at.is_null()));
    on_backend!(conn, |conn| unused.count().get_result(conn).await)
}

/// Takes all of an account away.
pub async fn delete_of_user(conn: &mut Connection, user: &UserId) -> QueryResult<usize> {
    let own = recovery_codes::table.filter(recovery_codes::user_id.eq(user));
    on_backend!(conn, |conn| diesel::delete(own).execute(conn).await)
}

/// Deletes those of an account that came at this moment or later.
pub async fn delete_since(
    conn: &mut Connection,
    user: &UserId,
    since: Timestamp,
) -> QueryResult<usize> {
    let late = recovery_codes::table
        .filter(recovery_codes::user_id.eq(user).and(recovery_codes::created_at.ge(since)));
    on_backend!(conn, |conn| diesel::delete(late).execute(conn).await)
}
