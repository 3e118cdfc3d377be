//! Back from an upstream to link an account there to one's account here.
//!
//! It signs nobody in and touches no session. The browser has to be the one that asked, and the
//! session in which it asked has to be the one that it still has (UP-07).

use axum::{
    http::{HeaderMap, StatusCode},
    response::Response,
};

use super::Arriving;
use crate::{
    accounts::linking::Linking,
    audit::{Event, printable},
    federation::{Asserted, gates::Refusal},
    foundation::ids::{SessionId, UserId},
    store::{StoreError, audit_events, identities::LinkedBy},
    urls,
    web::{browser, error::PageError, pages::see_other, params::Params},
};

/// Why the transaction was rolled back.
enum Undone {
    LostRace,
    Taken,
    SessionOver,
    NotAdmitted(Refusal),
    Store(StoreError),
}

impl<E: Into<StoreError>> From<E> for Undone {
    fn from(error: E) -> Self {
        Self::Store(error.into())
    }
}

impl Arriving<'_> {
    /// From the answer of the upstream to the account page.
    pub(super) async fn link(
        &mut self,
        headers: &HeaderMap,
        params: &Params,
        (user, session): (&UserId, &SessionId),
        from: &str,
    ) -> Result<Response, PageError> {
        let slug = self.upstream.slug();
        self.departure.interaction.note(self.now, format!("came back from {slug}"));
        // Nobody is asked anything for a session that is gone.
        self.check_session(headers, (user, session)).await?;
        let completed = self.complete(params).await;
        let asserted = completed.map_err(|fault| self.page(&fault))?;
        let what = format!("{slug} says: {}", asserted.subject);
        self.departure.interaction.note(self.now, what);
        for _ in 0..3 {
            if self.attempt_link(&asserted, (user, session), from).await? {
                return Ok(see_other(urls::path::ACCOUNT));
            }
        }
        let cause = anyhow::anyhow!("the identity is being linked elsewhere");
        Err(self.told(PageError::unavailable(cause)))
    }

    /// The browser still has the session in which it was asked for.
    async fn check_session(
        &self,
        headers: &HeaderMap,
        (user, session): (&UserId, &SessionId),
    ) -> Result<(), PageError> {
        let held = browser::held_session(self.app, headers, None, self.now).await;
        let held = held.map_err(|error| self.told(PageError::from(error)))?;
        let same =
            held.is_some_and(|held| held.session.id == *session && held.session.user_id == *user);
        if same { Ok(()) } else { Err(self.session_over(user)) }
    }

    /// `false` if another request linked the same identity just now; this one rolled back.
    async fn attempt_link(
        &self,
        asserted: &Asserted,
        (user, session): (&UserId, &SessionId),
        from: &str,
    ) -> Result<bool, PageError> {
        let connection = self.app.connection().await;
        let mut connection = connection.map_err(|error| self.told(PageError::from(error)))?;
        let done = connection
            .transaction(async |conn| {
                let linking = self.entrance().link(conn, asserted, (user, session)).await?;
                let added_to = match linking {
                    Linking::Linked(account) => Some(account),
                    Linking::Confirmed => None,
                    Linking::Taken => return Err(Undone::Taken),
                    Linking::SessionOver => return Err(Undone::SessionOver),
                    Linking::NotAdmitted(refusal) => return Err(Undone::NotAdmitted(refusal)),
                    Linking::LostRace => return Err(Undone::LostRace),
                };
                let event = self.linked(asserted, user, LinkedBy::OwnSession);
                let event = event.detail("confirmed", added_to.is_none());
                audit_events::insert(conn, &event.row(self.now, self.app.random())).await?;
                if let Some(account) = added_to {
                    self.tell_of_link(conn, (&account, asserted), from).await?;
                }
                Ok(())
            })
            .await;
        match done {
            Ok(()) => Ok(true),
            Err(Undone::LostRace) => Ok(false),
            Err(Undone::Taken) => Err(self.taken(asserted, user)),
            Err(Undone::SessionOver) => Err(self.session_over(user)),
            Err(Undone::NotAdmitted(refusal)) => Err(self.not_admitted(&refusal)),
            Err(Undone::Store(error)) => Err(self.told(PageError::from(error))),
        }
    }

    /// What is kept about a link, and what proved it.
    pub(super) fn linked(&self, asserted: &Asserted, user: &UserId, by: LinkedBy) -> Event {
        let interaction = &self.departure.interaction;
        Event::done("link")
            .user(user)
            .upstream(self.upstream.slug())
            .trace(&interaction.trace_id)
            .detail("subject", printable(&asserted.subject))
            .detail("linked_by", by.as_str())
            .detail("story", interaction.story())
    }

    fn taken(&self, asserted: &Asserted, user: &UserId) -> PageError {
        let name = &self.upstream.settings.name;
        let event = self.event("identity_taken").user(user);
        let event = event.detail("subject", printable(&asserted.subject));
        let explanation = format!(
            "The account at {name} that you have signed in with leads to another account here."
        );
        let page = PageError::new("identity_taken", "Nothing was linked", explanation)
            .status(StatusCode::CONFLICT)
            .next_step(
                "If that account is yours too, sign in to it and take the link away there first.",
            )
            .event(event);
        self.told(page)
    }

    fn session_over(&self, user: &UserId) -> PageError {
        let event = self.event("session_changed").user(user);
        let explanation = "You have signed out since, or somebody else has signed in.";
        let page = PageError::new("session_changed", "Nothing was linked", explanation)
            .status(StatusCode::FORBIDDEN)
            .next_step("Sign in to your account, and try again there.")
            .event(event);
        self.told(page)
    }
}
