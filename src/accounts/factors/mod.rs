//! Second factors: what people prove besides a password.
//!
//! A code of an authenticator app counts once, and so does a recovery code: a conditional update
//! decides, whoever else brings the same one at the same moment (MF-02, MF-06).

mod passkeys;
mod picture;
mod recovery;
mod totp;

pub use self::{
    passkeys::{Adding, MOST_PASSKEYS, PasskeyFault, Passkeys, Presented, Presenting},
    picture::Picture,
    recovery::{COUNT as RECOVERY_CODES, renew as renew_recovery_codes},
    totp::TotpSecret,
};
use crate::{
    foundation::{
        clock::Timestamp,
        digest::TokenDigest,
        ids::{FactorId, UserId},
        random::Random,
        seal::KeyRing,
        secret::Secret,
    },
    store::{
        Connection, StoreResult, passkeys as passkey_rows, recovery_codes,
        totp_factors::{self, TotpFactor},
    },
};

/// How many authenticator apps an account may have.
pub const MOST: usize = 5;
/// The methods that a second factor adds to the first (RFC 8176 §2).
pub const METHODS: [&str; 2] = ["otp", "mfa"];

/// What somebody gives for a second factor.
#[derive(Clone, Copy)]
pub enum Given<'a> {
    /// A code of an authenticator app.
    Code(&'a str),
    /// A recovery code.
    Recovery(&'a str),
}

impl std::fmt::Debug for Given<'_> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(match self {
            Self::Code(_) => "Code(..)",
            Self::Recovery(_) => "Recovery(..)",
        })
    }
}

/// A second factor that is right, and has not counted yet.
#[derive(Debug)]
pub enum Match {
    /// A code of this app.
    Code {
        /// The app.
        id: FactorId,
        /// The step of the code.
        step: i64,
        /// The secret, sealed under the key of today.
        sealed: Vec<u8>,
    },
    /// A recovery code.
    Recovery(TokenDigest),
}

/// Whether an account is guarded by more than a password: by an authenticator app, or by a passkey.
pub async fn has_any(conn: &mut Connection, user: &UserId) -> StoreResult<bool> {
    Ok(!totp_factors::list_of_user(conn, user).await?.is_empty()
        || !passkey_rows::list_of_user(conn, user).await?.is_empty())
}

/// Finds what somebody gives among these factors and the recovery codes of their account.
pub async fn find_match(
    conn: &mut Connection,
    (ring, random): (&KeyRing, &dyn Random),
    (user, factors): (&UserId, &[TotpFactor]),
    given: Given<'_>,
    now: Timestamp,
) -> StoreResult<Option<Match>> {
    let code = match given {
        Given::Code(code) => code,
        Given::Recovery(typed) => {
            let Some(digest) = recovery::digest(user, typed) else {
                return Ok(None);
            };
            let good = recovery_codes::is_good(conn, user, &digest).await?;
            return Ok(good.then_some(Match::Recovery(digest)));
        }
    };
    for factor in factors {
        let Some(secret) = TotpSecret::open(ring, factor) else {
            tracing::error!(factor = %factor.id, "the secret of an authenticator app cannot be opened");
            continue;
        };
        if let Some(step) = secret.matching_step(code, now)
            && step > factor.last_step
        {
            let sealed = secret.seal(ring, &factor.id, random);
            return Ok(Some(Match::Code { id: factor.id.clone(), step, sealed }));
        }
    }
    Ok(None)
}

impl Match {
    /// Lets it count; `false` if it has counted meanwhile.
    #[must_use = "false means that it does not count"]
    pub async fn spend(
        &self,
        conn: &mut Connection,
        user: &UserId,
        now: Timestamp,
    ) -> StoreResult<bool> {
        Ok(match self {
            Self::Code { id, step, sealed } => {
                totp_factors::use_step(conn, id, *step, sealed).await?
            }
            Self::Recovery(digest) => recovery_codes::consume(conn, user, digest, now).await?,
        })
    }
}

/// An authenticator app that has just shown a right code.
#[derive(Debug)]
pub struct NewApp {
    /// What it shares with us.
    pub secret: TotpSecret,
    /// What the person calls it.
    pub name: String,
    /// The step of the code, which counts no second time.
    pub step: i64,
}

/// Adds an authenticator app to an account, which its transaction holds. With the first one come
/// recovery codes. Nothing, if there are too many.
pub async fn add(
    conn: &mut Connection,
    (ring, random): (&KeyRing, &dyn Random),
    user: &UserId,
    app: NewApp,
    now: Timestamp,
) -> StoreResult<Option<Vec<Secret>>> {
    let others = totp_factors::list_of_user(conn, user).await?.len();
    if others >= MOST {
        return Ok(None);
    }
    let id = FactorId::generate(random, now);
    let sealed = app.secret.seal(ring, &id, random);
    let factor = TotpFactor {
        id,
        user_id: user.clone(),
        sealed,
        name: app.name,
        last_step: app.step,
        created_at: now,
    };
    totp_factors::insert(conn, &factor).await?;
    if others > 0 {
        return Ok(Some(Vec::new()));
    }
    Ok(Some(recovery::renew(conn, user, random, now).await?))
}

/// Takes every second factor and every passkey of an account away: its owner has lost them, or never
/// had them.
pub async fn remove_all(conn: &mut Connection, user: &UserId) -> StoreResult<()> {
    totp_factors::delete_of_user(conn, user).await?;
    recovery_codes::delete_of_user(conn, user).await?;
    passkey_rows::delete_of_user(conn, user).await?;
    Ok(())
}

/// Takes away what was added to an account at a moment or later: somebody else may have been in it.
pub async fn remove_since(
    conn: &mut Connection,
    user: &UserId,
    since: Timestamp,
) -> StoreResult<()> {
    totp_factors::delete_since(conn, user, since).await?;
    passkey_rows::delete_since(conn, user, since).await?;
    recovery_codes::delete_since(conn, user, since).await?;
    if totp_factors::list_of_user(conn, user).await?.is_empty() {
        recovery_codes::delete_of_user(conn, user).await?;
    }
    Ok(())
}

/// Takes an authenticator app away from an account, which its transaction holds; with the last one
/// go the recovery codes. `false` if the account has none of this id.
#[must_use = "false means that nothing was there"]
pub async fn remove(conn: &mut Connection, id: &FactorId, user: &UserId) -> StoreResult<bool> {
    if !totp_factors::delete(conn, id, user).await? {
        return Ok(false);
    }
    if totp_factors::list_of_user(conn, user).await?.is_empty() {
        recovery_codes::delete_of_user(conn, user).await?;
    }
    Ok(true)
}

/// A name for an authenticator app, as far as it is one.
pub fn name_of_app(typed: &str) -> String {
    let name: String = typed.chars().filter(|c| !c.is_control()).take(60).collect();
    match name.trim() {
        "" => "Authenticator app".to_owned(),
        name => name.to_owned(),
    }
}
