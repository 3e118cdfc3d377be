//! Queueing mail, and saying so where it was not.

use super::Parts;
use crate::{
    audit::Event,
    foundation::clock::Timestamp,
    mail::{Link, Message, Queued, masked},
    store::{Connection, QueryResult, users::User},
    urls::path,
};

impl Parts {
    /// Queues a message in the caller's transaction. Whoever asked for it must be told the same
    /// whatever the answer is: a mail that the brake has stopped is counted and noted here (RC-11).
    pub async fn queue_mail(
        &self,
        conn: &mut Connection,
        to: &str,
        message: &Message,
        now: Timestamp,
    ) -> QueryResult<Queued> {
        let queued = self.mail.queue(conn, to, message, now).await?;
        if let Some(reason) = queued.refusal() {
            let kind = message.kind().as_str();
            self.metrics.count_failed_mail("not_queued");
            let event = Event::refused("mail", reason).detail("kind", kind);
            self.audit.note(event.detail("to", masked(to)));
        }
        Ok(queued)
    }

    /// Tells the owner of an account, where mail reaches them, that a way to sign in has changed, and
    /// from where.
    pub async fn tell_of_method(
        &self,
        conn: &mut Connection,
        user: &User,
        (what, from): (&str, &str),
        now: Timestamp,
    ) -> QueryResult<()> {
        let verified = user.email_verified == Some(true) && self.mail.is_configured();
        let Some(to) = user.email.as_deref().filter(|_| verified) else {
            return Ok(());
        };
        let message = Message::MethodChanged {
            what: what.to_owned(),
            when: now,
            from_where: from.to_owned(),
            account: Link::new(&self.urls, path::ACCOUNT, &[]),
        };
        self.queue_mail(conn, to, &message, now).await.map(drop)
    }
}
