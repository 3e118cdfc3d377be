//! Queueing mail, and saying so where it was not.

use super::Parts;
use crate::{
    audit::Event,
    foundation::clock::Timestamp,
    mail::{Message, Queued, masked},
    store::{Connection, QueryResult},
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
}
