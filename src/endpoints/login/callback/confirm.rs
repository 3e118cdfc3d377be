//! Back from an upstream that was asked without a page: it stands again for the session that there is.
//!
//! Nobody has proved anything, so no session begins, none gets a new secret or a longer life, and
//! the time of the proof is what it was, unless the upstream tells of a later one. Only the session
//! that was asked for counts: whoever has signed out meanwhile, or is somebody else by now, is not
//! signed in by an answer that was still on its way.

use axum::{http::HeaderMap, response::Response};

use super::{Account, Arriving, Undone};
use crate::{
    audit::Event,
    dispatcher,
    federation::Asserted,
    foundation::clock::Timestamp,
    interactions::Returning,
    leases,
    store::{
        Connection, StoreResult, audit_events,
        sessions::{self, Session},
    },
    web::{browser, error::PageError, params::Params},
};

/// What became of the session.
enum Standing {
    Confirmed(Box<Session>),
    Over,
    AnotherPerson,
    Undone(Undone),
}

impl<E: Into<Undone>> From<E> for Standing {
    fn from(undone: E) -> Self {
        Self::Undone(undone.into())
    }
}

impl Arriving<'_> {
    /// Goes on with the session if the upstream stands for it; else the app hears that it does not.
    pub(super) async fn confirm(
        &mut self,
        headers: &HeaderMap,
        params: &Params,
        from: &str,
    ) -> Result<Response, PageError> {
        let confirmed = self.session_confirmed(headers, params, from).await;
        let (app, interaction) = (self.app, &self.departure.interaction);
        match confirmed {
            Ok(session) => dispatcher::proceed(app, interaction, &session, self.now).await,
            Err(page) => dispatcher::without_page(app, interaction, page),
        }
    }

    async fn session_confirmed(
        &mut self,
        headers: &HeaderMap,
        params: &Params,
        from: &str,
    ) -> Result<Session, PageError> {
        let asserted = self.listen(params).await?;
        let at_browser = browser::session(self.app, headers, self.now).await;
        let at_browser = at_browser.map_err(|error| self.told(error.into()))?;
        let returning = self.departure.interaction.returning.clone().filter(|returning| {
            at_browser.is_some_and(|live| live.session.id == returning.session_id)
        });
        let Some(returning) = returning else {
            return Err(self.not_confirmed("session_over"));
        };
        let connection = self.app.connection().await;
        let mut connection = connection.map_err(|error| self.told(error.into()))?;
        let done: Result<Session, Standing> = connection
            .transaction(async |conn| {
                match self.stand(conn, &asserted, (&returning, from)).await? {
                    Standing::Confirmed(session) => Ok(*session),
                    other => Err(other),
                }
            })
            .await;
        done.map_err(|standing| match standing {
            Standing::Confirmed(_) | Standing::Over => self.not_confirmed("session_over"),
            Standing::AnotherPerson => self.not_confirmed("another_person"),
            Standing::Undone(undone) => self.undone(undone),
        })
    }

    /// Notes that the upstream stands for the session, if it is of the person who is meant.
    async fn stand(
        &self,
        conn: &mut Connection,
        asserted: &Asserted,
        (returning, from): (&Returning, &str),
    ) -> Result<Standing, Undone> {
        let user = match self.account(conn, asserted, from).await? {
            Account::Open(user) if user.id == returning.user_id => user,
            _ => return Ok(Standing::AnotherPerson),
        };
        let session = sessions::hold(conn, &returning.session_id).await?;
        let own = |session: &Session| {
            session.ended_at.is_none()
                && session.user_id == user.id
                && session.upstream.as_ref() == Some(self.upstream.slug())
        };
        let Some(session) = session.filter(own) else {
            return Ok(Standing::Over);
        };
        let session = self.note_confirmed(conn, session, asserted).await?;
        leases::begin(self.app, conn, self.upstream, &session, &asserted.tokens).await?;
        Ok(Standing::Confirmed(Box::new(session)))
    }

    async fn note_confirmed(
        &self,
        conn: &mut Connection,
        session: Session,
        asserted: &Asserted,
    ) -> StoreResult<Session> {
        let said = asserted.auth_time.map(|at: Timestamp| at.min(self.now));
        let auth_time = said.unwrap_or(session.auth_time).max(session.auth_time);
        sessions::confirm_again(conn, &session.id, auth_time, self.now).await?;
        let interaction = &self.departure.interaction;
        let event = Event::done("sign_in").user(&session.user_id).trace(&interaction.trace_id);
        let event = event.upstream(self.upstream.slug()).detail("story", interaction.story());
        audit_events::insert(conn, &event.row(self.now, self.app.random())).await?;
        Ok(Session { auth_time, confirmed_at: self.now, ..session })
    }

    /// No page says so: it is for the record.
    fn not_confirmed(&self, reason: &'static str) -> PageError {
        let explanation = "Nothing was confirmed without a page.";
        PageError::new(reason, "You are not signed in", explanation).event(self.event(reason))
    }
}
