//! Access tokens that were revoked one by one (RFC 7009), until they would have expired anyway.

use diesel::QueryResult;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::{Connection, schema::revoked_access_tokens as revoked};
use crate::foundation::clock::Timestamp;

/// Notes that the token is dead.
pub async fn insert(conn: &mut Connection, jti: &str, expires_at: Timestamp) -> QueryResult<usize> {
    on_backend!(conn, |conn| diesel::insert_into(revoked::table)
        .values((revoked::jti.eq(jti), revoked::expires_at.eq(expires_at)))
        .on_conflict_do_nothing()
        .execute(conn)
        .await)
}

/// Whether the token was revoked.
pub async fn contains(conn: &mut Connection, jti: &str) -> QueryResult<bool> {
    let found: Option<String> = on_backend!(conn, |conn| revoked::table
        .find(jti)
        .select(revoked::jti)
        .first(conn)
        .await
        .optional())?;
    Ok(found.is_some())
}
