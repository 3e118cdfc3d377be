//! Whether `secret_key` is the right one, and moving on to a new one.

use super::key_set::place;
use crate::{
    config::Problems,
    foundation::{random::Random, seal::KeyRing},
    store::{Connection, QueryResult, Store, StoreError, facts, signing_keys},
};

/// The name of the sealed fact that only the right key opens.
const CHECK: &str = "secret_key.check";

/// Refuses a wrong `secret_key` before anything is written with it.
pub async fn check(store: &Store, ring: &KeyRing, random: &dyn Random) -> anyhow::Result<()> {
    let mut connection = store.connection().await?;
    if facts::find_sealed(&mut connection, CHECK).await?.is_none() {
        let sealed = ring.seal(CHECK, b"right", random);
        facts::insert_sealed(&mut connection, CHECK, &sealed).await?;
    }
    // Read again: another instance with another key may have been first.
    let sealed = facts::find_sealed(&mut connection, CHECK).await?;
    let sealed = sealed.ok_or_else(|| StoreError::Unreachable("the check was not kept".into()))?;
    if ring.open(CHECK, &sealed).is_none() {
        let fix = "is not the key that this database was written with; set the former key, or \
                   list it in secrets.previous_secret_keys";
        anyhow::bail!(Problems::one("secrets.secret_key", fix));
    }
    Ok(())
}

/// Whether this is the key that the database was written with; nothing if it was written with none
/// yet. Writes nothing.
pub async fn is_right(store: &Store, ring: &KeyRing) -> Result<Option<bool>, StoreError> {
    Ok(opens_rows(&mut store.connection().await?, ring).await?)
}

/// The same, as a transaction sees it.
pub async fn opens_rows(conn: &mut Connection, ring: &KeyRing) -> QueryResult<Option<bool>> {
    let sealed = facts::find_sealed(conn, CHECK).await?;
    Ok(sealed.map(|sealed| ring.open(CHECK, &sealed).is_some()))
}

/// Seals under the current key what a former one sealed, so that the former one can be dropped
/// from the configuration (LG-05).
pub(super) async fn reseal(
    store: &Store,
    ring: &KeyRing,
    random: &dyn Random,
) -> anyhow::Result<()> {
    let mut connection = store.connection().await?;
    for row in signing_keys::list(&mut connection).await? {
        let place = place(&row.id);
        if ring.is_current(&place, &row.private_key) {
            continue;
        }
        if let Some(plain) = ring.open(&place, &row.private_key) {
            let sealed = ring.seal(&place, &plain, random);
            signing_keys::reseal(&mut connection, &row.id, &row.private_key, &sealed).await?;
        }
    }
    // Last, because it tells that everything before is done.
    if let Some(old) = facts::find_sealed(&mut connection, CHECK).await?
        && !ring.is_current(CHECK, &old)
    {
        let new = ring.seal(CHECK, b"right", random);
        facts::replace_sealed(&mut connection, CHECK, &old, &new).await?;
    }
    Ok(())
}
