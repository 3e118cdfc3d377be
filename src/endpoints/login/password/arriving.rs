//! After a right password: the session, or the wait for a second factor.

use std::net::IpAddr;

use axum::{http::HeaderMap, response::Response};

use super::known;
use crate::{
    app::App,
    dispatcher::{self, begin_session, password, second_factor::Remaining, welcome},
    endpoints::login::second_factor::Device,
    foundation::{clock::Timestamp, ids::UserId, secret::Secret},
    interactions::{self, Half, HalfBy, Interaction},
    protocol::acr::Level,
    sessions::Proof,
    store::{
        StoreError, StoreResult, sessions::Session, totp_factors::TotpFactor, users, users::User,
    },
    web::{
        address,
        browser::{self, BrowserMark},
        cookies,
        error::PageError,
    },
};

/// What came of it.
enum SignedIn {
    /// A session.
    Begun(Box<(Session, Secret)>),
    /// A second factor is to come.
    Half,
    /// Nothing: the password was replaced, or the account shut, while it was checked.
    Replaced,
}

/// Somebody with a right password.
pub(super) struct Arriving<'a> {
    pub(super) app: &'a App,
    pub(super) headers: &'a HeaderMap,
    pub(super) mark: &'a BrowserMark,
    pub(super) hash: &'a str,
    pub(super) from: IpAddr,
    pub(super) now: Timestamp,
}

impl Arriving<'_> {
    /// Goes on; nothing, if the password has been replaced meanwhile.
    pub(super) async fn arrive(
        &self,
        interaction: &mut Interaction,
        user: User,
    ) -> Result<Option<Response>, PageError> {
        let Self { app, headers, mark, now, .. } = *self;
        if user.password_temporary {
            return self.choose_another(interaction, &user).await;
        }
        dispatcher::claim(app, interaction).await?;
        interaction.note(now, format!("{} gave a right password", user.username));
        match self.sign_in(interaction, &user.id).await {
            Ok(SignedIn::Begun(begun)) => {
                app.metrics.count_sign_in("password");
                let mut response = welcome(app, headers, interaction, *begun, now).await;
                cookies::add(response.headers_mut(), known::cookie(app, mark, &user.id, now));
                Ok(Some(response))
            }
            Ok(SignedIn::Half) => {
                let by = HalfBy::Password(password::digest_of(self.hash));
                let half = Half { user_id: user.id, at: now, by };
                dispatcher::second_factor::ask(app, interaction.clone(), half).await.map(Some)
            }
            Ok(SignedIn::Replaced) => {
                interactions::put(&app.state, interaction).await?;
                Ok(None)
            }
            Err(error) => Err(dispatcher::stay(app, interaction, error.into()).await),
        }
    }

    /// Begins the session, if nothing else is to be proved. What ends all sessions ends those that are
    /// about to begin.
    async fn sign_in(&self, interaction: &Interaction, user_id: &UserId) -> StoreResult<SignedIn> {
        let Self { app, headers, hash, now, .. } = *self;
        let former = browser::session(app, headers, now).await?.map(|former| former.session);
        let mut connection = app.connection().await?;
        connection
            .transaction(async |conn| {
                let user = users::hold(conn, user_id).await?;
                if !user.is_some_and(|user| password::has_password(&user, hash)) {
                    return Ok(SignedIn::Replaced);
                }
                if self.remaining(conn, interaction, user_id).await? != Remaining::Nothing {
                    return Ok(SignedIn::Half);
                }
                let (former, proof) = (former.as_ref(), self.proof(user_id));
                let begun = begin_session(app, conn, former, proof, interaction, now).await?;
                Ok::<_, StoreError>(SignedIn::Begun(Box::new(begun)))
            })
            .await
    }

    async fn remaining(
        &self,
        conn: &mut crate::store::Connection,
        interaction: &Interaction,
        user: &UserId,
    ) -> StoreResult<Remaining> {
        let Self { app, headers, mark, hash, now, .. } = *self;
        let device = Device { app, mark, user, hash };
        let spared = |factors: &[TotpFactor]| device.is_remembered(headers, factors, now);
        dispatcher::second_factor::after_password(app, conn, interaction, user, spared).await
    }

    fn proof(&self, user_id: &UserId) -> Proof {
        Proof {
            user_id: user_id.clone(),
            upstream: None,
            upstream_sid: None,
            auth_time: self.now,
            amr: vec!["pwd".to_owned()],
            acr: Level::SingleFactor,
            address: self.from.to_string(),
            user_agent: address::user_agent(self.headers),
        }
    }
}
