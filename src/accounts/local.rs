//! Whether there are local accounts at all.

use std::sync::atomic::{AtomicI64, Ordering};

use crate::{
    config::PasswordLogin,
    foundation::clock::Timestamp,
    store::{Connection, StoreResult, users},
};

/// Knows whether anybody can sign in with a password, so that the form is shown only then. An answer
/// of the database is good for the second in which it was given.
#[derive(Debug)]
pub struct LocalAccounts {
    login: PasswordLogin,
    /// The second of the last look, doubled, and one more if there was somebody.
    looked: AtomicI64,
}

impl LocalAccounts {
    /// Nobody has looked yet.
    pub const fn new(login: PasswordLogin) -> Self {
        Self { login, looked: AtomicI64::new(i64::MIN) }
    }

    /// Whether somebody can sign in with a password.
    pub async fn any(
        &self,
        connection: impl AsyncFnOnce() -> StoreResult<Connection>,
        now: Timestamp,
    ) -> StoreResult<bool> {
        if self.login != PasswordLogin::On {
            return Ok(false);
        }
        let looked = self.looked.load(Ordering::Relaxed);
        if looked >> 1 == now.unix() {
            return Ok(looked & 1 == 1);
        }
        let any = users::any_with_password(&mut connection().await?).await?;
        self.looked.store(now.unix() << 1 | i64::from(any), Ordering::Relaxed);
        Ok(any)
    }
}
