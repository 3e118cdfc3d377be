//! There is always somebody who administers: whatever takes the role from the last one who holds it
//! and can use it is refused (AD-06).
//!
//! Whoever takes the role from somebody holds one fact until the transaction ends and looks then, so that
//! of two who would leave nobody, one comes after the other and finds out.

use crate::store::{
    Connection, StoreResult, facts,
    groups::{ADMINISTRATOR, Meanings},
    identities::Identity,
    role_holders::{self, Except},
    users::{self, Person, User},
};

/// The fact by which those who take the role away wait for one another.
const CHANGES: &str = "administrators.changes";
/// The fact that there has been one: from then on no link for the first is ever made or taken (LK-14).
const EVER: &str = "administrators.ever";

/// So many administrators are told something by mail.
const MOST_TOLD: usize = 10;

/// Makes everybody else who takes the role from somebody wait until the transaction ends. It is the first
/// statement of such a transaction, so that nobody waits for a row that is held here.
pub async fn hold(conn: &mut Connection) -> StoreResult<()> {
    facts::increment(conn, CHANGES).await?;
    Ok(())
}

/// Whether an account that is open administers, besides those that are excepted.
pub async fn any(
    conn: &mut Connection,
    meanings: &Meanings,
    except: Except<'_>,
) -> StoreResult<bool> {
    Ok(role_holders::any(conn, ADMINISTRATOR, meanings, except).await?)
}

/// Whether somebody administers without this identity of an account; also if nobody did by it. Whoever
/// asks has [`hold`] of the role.
pub async fn remain_without(
    conn: &mut Connection,
    account: &User,
    identity: &Identity,
) -> StoreResult<bool> {
    let meanings = conn.meanings();
    let groups = meanings.widen(identity.groups.to_vec());
    let gives = meanings.roles(&groups).any(|role| role == ADMINISTRATOR);
    if !gives || account.disabled_at.is_some() {
        return Ok(true);
    }
    any(conn, &meanings, Except { identity: Some(&identity.id), account: None }).await
}

/// Whether somebody administers besides this account; also if it does not.
pub async fn remain_besides(conn: &mut Connection, person: &Person) -> StoreResult<bool> {
    if person.user.disabled_at.is_some() || !person.is_administrator() {
        return Ok(true);
    }
    let meanings = conn.meanings();
    any(conn, &meanings, Except { account: Some(&person.user.id), identity: None }).await
}

/// The verified addresses of those who administer, in an order that is always the same; ten at the most.
pub async fn addresses(conn: &mut Connection) -> StoreResult<Vec<String>> {
    let meanings = conn.meanings();
    let mut addresses = Vec::new();
    for id in role_holders::reachable(conn, ADMINISTRATOR, &meanings).await? {
        let person = users::find_person(conn, &id).await?.filter(Person::is_administrator);
        addresses.extend(person.and_then(|person| person.user.email));
        if addresses.len() == MOST_TOLD {
            break;
        }
    }
    addresses.sort();
    addresses.dedup();
    Ok(addresses)
}

/// Whether there has ever been one.
pub async fn ever(conn: &mut Connection) -> StoreResult<bool> {
    Ok(facts::find(conn, EVER).await?.is_some())
}

/// Notes that there is one; `false` if that was noted before. Of many at once exactly one gets `true`.
pub async fn note_first(conn: &mut Connection) -> StoreResult<bool> {
    Ok(facts::raise(conn, EVER, 1).await?)
}

/// Whether somebody may still become the first one by a link.
pub async fn is_first_wanted(conn: &mut Connection, meanings: &Meanings) -> StoreResult<bool> {
    if ever(conn).await? {
        return Ok(false);
    }
    if any(conn, meanings, Except::default()).await? {
        // One that came another way: by a group, or before this was counted.
        note_first(conn).await?;
        return Ok(false);
    }
    Ok(true)
}
