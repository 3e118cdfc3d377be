//! Back from an upstream under an address that an account here has already.
//!
//! Nothing of what the upstream says is kept meanwhile: whoever types the code that was mailed goes
//! there once more, and the word counts for who is named then only if it is the same (LK-07).

use axum::response::Response;

use super::{Arriving, Undone};
use crate::{
    accounts::{
        linking::{Namesake, state_of},
        one_time_links::{self, digest_of_code},
        recovery,
    },
    app::Whence,
    audit::{Event, printable},
    federation::Asserted,
    foundation::{clock::Span, ids::UserId, names::email_key},
    interactions::{self, Candidate, CandidateWord},
    mail::Message,
    store::{
        Connection, StoreResult, audit_events,
        identities::LinkedBy,
        mail_outbox::{self, MailKind},
        users::User,
    },
    urls,
    web::{error::PageError, pages::see_other},
};

impl Arriving<'_> {
    /// What the person has said to the account that may be theirs, if they were asked as who they are
    /// now.
    fn word(&self, asserted: &Asserted) -> Option<&Candidate> {
        let same = |candidate: &&Candidate| {
            candidate.upstream == *self.upstream.slug()
                && candidate.issuer == asserted.issuer
                && candidate.subject == asserted.subject
                && self.now.since(candidate.at) < recovery::LIFE
        };
        self.departure.interaction.candidate.as_ref().filter(same)
    }

    /// The account that is the person's by the code that they have typed.
    pub(super) fn proved(&self, asserted: &Asserted) -> Option<(&UserId, &str)> {
        let candidate = self.word(asserted).filter(|candidate| candidate.is_proved())?;
        Some((&candidate.user_id, &candidate.state))
    }

    /// The account that may be the person's, unless they were asked about it already.
    pub(super) async fn find_candidate(
        &self,
        conn: &mut Connection,
        asserted: &Asserted,
    ) -> Result<Option<Box<User>>, Undone> {
        let settings = &self.upstream.settings;
        let joins = settings.link_verified_email && asserted.person.email_verified == Some(true);
        let asked = self.word(asserted).is_some_and(|candidate| {
            matches!(candidate.word, CandidateWord::Proved | CandidateWord::Declined)
        });
        if joins || asked {
            return Ok(None);
        }
        match self.entrance().candidate(conn, asserted, &self.app.upstreams).await? {
            Namesake::Account(user) => Ok(Some(user)),
            Namesake::None => Ok(None),
            Namesake::LostRace => Err(Undone::LostRace),
        }
    }

    /// Mails the code, and sends the person where it is typed.
    pub(super) async fn ask(
        &mut self,
        asserted: &Asserted,
        user: &User,
        from: &str,
    ) -> Result<Response, PageError> {
        let name = called(asserted);
        let sent = self.send_code(user, (name, from)).await;
        let code = sent.map_err(|error| self.told(error.into()))?;
        let interaction = &mut self.departure.interaction;
        let mailed = if code.is_some() { "a code" } else { "no further code" };
        let what = format!("an account here has the same address: {mailed} was mailed to it");
        interaction.note(self.now, what);
        let code = code.map(|code| digest_of_code(&interaction.flow, &code));
        interaction.candidate = Some(Candidate {
            user_id: user.id.clone(),
            upstream: self.upstream.slug().clone(),
            issuer: asserted.issuer.clone(),
            subject: asserted.subject.clone(),
            name: printable(name),
            state: state_of(user),
            at: self.now,
            word: CandidateWord::Asked(code),
        });
        let kept = interactions::put(&self.app.state, interaction).await;
        let to = urls::connect(&interaction.flow);
        kept.map_err(|error| self.told(PageError::from(error)))?;
        Ok(see_other(&to))
    }

    /// Queues the mail. Answers the code, unless so many were sent that one could be guessed (RC-15).
    async fn send_code(
        &self,
        user: &User,
        (name, from): (&str, &str),
    ) -> StoreResult<Option<String>> {
        let (app, now) = (self.app, self.now);
        let email = user.email.as_deref().unwrap_or_default();
        let code = one_time_links::code(app.random());
        let message = Message::ConnectCode {
            upstream: self.upstream.settings.name.clone(),
            name: name.to_owned(),
            code: code.clone(),
            minutes: recovery::minutes(),
            address_of_request: from.to_owned(),
        };
        let event = Event::done("connect_code").user(&user.id).upstream(self.upstream.slug());
        let event = event.trace(&self.departure.interaction.trace_id).address(from);
        let mut connection = app.connection().await?;
        connection
            .transaction(async |conn| {
                let (key, day) = (email_key(email), now.minus(Span::from_days(1)));
                mail_outbox::hold_recipient(conn, &key).await?;
                let kind = MailKind::ConnectCode;
                let sent = mail_outbox::count_of_kind_to(conn, &key, kind, day).await?;
                if sent >= recovery::CODES_PER_DAY {
                    return Ok(None);
                }
                let queued = app.queue_mail(conn, email, &message, now).await?;
                if queued.refusal().is_some() {
                    return Ok(None);
                }
                audit_events::insert(conn, &event.row(now, app.random())).await?;
                Ok(Some(code))
            })
            .await
    }

    /// What is kept about a link that an address has led to, and told to who has the account.
    pub(super) async fn note_link(
        &self,
        conn: &mut Connection,
        asserted: &Asserted,
        user: &User,
        (by, from): (LinkedBy, &str),
    ) -> StoreResult<()> {
        let event = self.linked(asserted, &user.id, by).address(from);
        audit_events::insert(conn, &event.row(self.now, self.app.random())).await?;
        self.tell_of_link(conn, (user, asserted), from).await
    }

    /// Tells who has the account that there is another way into it.
    pub(super) async fn tell_of_link(
        &self,
        conn: &mut Connection,
        (user, asserted): (&User, &Asserted),
        from: &str,
    ) -> StoreResult<()> {
        let (upstream, name) = (&self.upstream.settings.name, called(asserted));
        let what = format!("signing in with {upstream} as {name} was added");
        let whence = Whence { address: from, at: self.now };
        self.app.queue_notice(conn, user, &what, whence).await?;
        Ok(())
    }
}

/// What a person is called at the upstream, for people to read.
fn called(asserted: &Asserted) -> &str {
    let person = &asserted.person;
    person.username.as_ref().or(person.email.as_ref()).unwrap_or(&asserted.subject)
}
