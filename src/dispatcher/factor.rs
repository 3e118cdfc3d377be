//! A second factor that is tried: on the page, and by an app that draws its own form. Wrong codes cost
//! time like wrong passwords, and are counted by themselves (MF-02, PW-10).

use super::password::{Attempt, Telling};
use crate::{
    accounts::{
        factors::{self, Given, Match},
        passwords::guessing::{Account, Admission, Pending, Try},
    },
    app::{App, Whence},
    audit::Event,
    foundation::{clock::Span, ids::UserId},
    store::{
        Connection, StoreError, StoreResult, audit_events, recovery_codes,
        totp_factors::{self, TotpFactor},
        users::User,
    },
    web::{address, error::PageError},
};

/// What came of a try.
#[derive(Debug)]
pub enum FactorTried {
    /// It is right, and has not counted yet.
    Right(Box<RightFactor>),
    /// It is not.
    Wrong,
    /// Too many were wrong before: not before so long.
    TooMany(Span),
}

/// A factor that is right.
#[derive(Debug)]
pub struct RightFactor {
    /// Which one.
    pub matched: Match,
    /// The authenticator apps of the account.
    pub apps: Vec<TotpFactor>,
    /// The try, whose end is to be told.
    pub pending: Box<Pending>,
}

impl Attempt<'_> {
    /// Tries a second factor of somebody whose first is proved.
    pub async fn factor(
        &self,
        user: &UserId,
        given: Given<'_>,
        known_browser: Option<&[u8]>,
        event: Telling<'_>,
    ) -> Result<FactorTried, PageError> {
        let app = self.app;
        let a_try = Try {
            account: Account::Factor(user),
            network: &address::network(self.from),
            known_browser,
            client: self.client,
        };
        let pending = match app.guesses.admit(&app.store, a_try, self.now).await? {
            Admission::Free(pending) => pending,
            Admission::Wait(wait) => return Ok(FactorTried::TooMany(wait)),
            Admission::Busy => {
                let busy = anyhow::anyhow!("too many codes are tried at once");
                return Err(PageError::too_busy(busy));
            }
        };
        let (matched, apps) = self.look(user, given).await?;
        if let Some(matched) = matched {
            return Ok(FactorTried::Right(Box::new(RightFactor { matched, apps, pending })));
        }
        self.wrong_factor(*pending, event).await?;
        Ok(FactorTried::Wrong)
    }

    async fn look(
        &self,
        user: &UserId,
        given: Given<'_>,
    ) -> StoreResult<(Option<Match>, Vec<TotpFactor>)> {
        let app = self.app;
        let mut connection = app.connection().await?;
        let apps = totp_factors::list_of_user(&mut connection, user).await;
        let apps = apps.map_err(StoreError::from)?;
        let means = (&*app.rows_ring, app.random());
        let own = (user, apps.as_slice());
        let matched = factors::find_match(&mut connection, means, own, given, self.now).await?;
        Ok((matched, apps))
    }

    /// Counts a code that was wrong, or that had counted meanwhile.
    pub async fn wrong_factor(&self, pending: Pending, event: Telling<'_>) -> StoreResult<()> {
        self.count(pending, "second factors are being guessed", event).await
    }
}

/// A recovery code is gone, and perhaps not by the hand of its owner.
pub async fn tell_of_recovery(
    app: &App,
    conn: &mut Connection,
    user: &User,
    event: Telling<'_>,
    whence: Whence<'_>,
) -> StoreResult<()> {
    let left = recovery_codes::count_of_user(conn, &user.id).await?;
    let event = event(Event::done("use_recovery_code")).detail("left", left);
    audit_events::insert(conn, &event.row(whence.at, app.random())).await?;
    let what = format!("a recovery code was used to sign in; {left} are left");
    app.queue_notice(conn, user, &what, whence).await?;
    Ok(())
}
