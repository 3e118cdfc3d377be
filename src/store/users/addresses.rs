//! The addresses of accounts: whose they are, who only says so, and who loses them.

use diesel::QueryResult;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::{Connection, User, users};
use crate::foundation::{clock::Timestamp, ids::UserId};

/// The accounts with a password whose address this is and was verified here; two at the most are
/// looked at. What an upstream asserts shuts nobody out of theirs (UP-17).
pub async fn find_by_verified_email(conn: &mut Connection, key: &str) -> QueryResult<Vec<User>> {
    on_backend!(conn, |conn| users::table
        .filter(users::email_key.eq(key).and(users::email_verified.eq(true)))
        .filter(users::password_hash.is_not_null().and(users::email_issuer.is_null()))
        .select(User::as_select())
        .limit(2)
        .load(conn)
        .await)
}

/// The accounts of an address, whoever says so; two at the most are looked at.
pub async fn list_by_email(conn: &mut Connection, key: &str) -> QueryResult<Vec<UserId>> {
    on_backend!(conn, |conn| users::table
        .filter(users::email_key.eq(key))
        .select(users::id)
        .limit(2)
        .load(conn)
        .await)
}

/// The accounts of an address, whoever says so; ten at the most are looked at, those that have proved
/// it before the others.
pub async fn list_of_address(conn: &mut Connection, key: &str) -> QueryResult<Vec<User>> {
    on_backend!(conn, |conn| users::table
        .filter(users::email_key.eq(key))
        .order((users::email_verified.is_null(), users::email_verified.desc(), users::id))
        .select(User::as_select())
        .limit(10)
        .load(conn)
        .await)
}

/// Those of these canonical addresses that are somebody's verified one.
pub async fn taken_addresses(conn: &mut Connection, keys: &[String]) -> QueryResult<Vec<String>> {
    let taken = users::email_key.eq_any(keys).and(users::email_verified.eq(true));
    on_backend!(conn, |conn| users::table
        .filter(taken)
        .select(users::email_key.assume_not_null())
        .distinct()
        .load(conn)
        .await)
}

/// Writes the address that an account has proved to be its own.
pub async fn set_verified_email(
    conn: &mut Connection,
    id: &UserId,
    email: &str,
    key: &str,
    now: Timestamp,
) -> QueryResult<usize> {
    on_backend!(conn, |conn| diesel::update(users::table.find(id))
        .set((
            users::email.eq(email),
            users::email_key.eq(key),
            users::email_verified.eq(true),
            users::email_issuer.eq(None::<String>),
            users::updated_at.eq(now),
        ))
        .execute(conn)
        .await)
}

/// Takes an address from all who have written it down here without proof, but for this account
/// (LK-01).
pub async fn release_address(
    conn: &mut Connection,
    key: &str,
    except: &UserId,
    now: Timestamp,
) -> QueryResult<usize> {
    let unproved = users::email_verified.is_null().or(users::email_verified.eq(false));
    let others = users::table
        .filter(users::email_key.eq(key).and(users::id.ne(except)))
        .filter(users::email_issuer.is_null().and(unproved));
    on_backend!(conn, |conn| diesel::update(others)
        .set((
            users::email.eq(None::<String>),
            users::email_key.eq(None::<String>),
            users::email_verified.eq(None::<bool>),
            users::updated_at.eq(now),
        ))
        .execute(conn)
        .await)
}
