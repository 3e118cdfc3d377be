//! Handing mail over to the mail server.
//!
//! The outbox is durable: what was queued is tried until the server has taken it, until it is of no
//! use any more, or until a day has passed, whatever is restarted meanwhile. A crash between handing
//! over and noting it sends a mail twice, and never loses one. No person waits for a mail server.

use std::sync::Arc;

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinHandle,
};

use super::busy::{Busy, Taken};
use crate::{
    app::App,
    audit::Event,
    foundation::clock::{Span, Timestamp},
    mail::masked,
    store::mail_outbox::{self, OutgoingMail},
};

/// How many mails are handed over at once.
const AT_ONCE: usize = 8;
/// How many of these may have failed before: the others do not wait for them.
const RETRIES_AT_ONCE: usize = 4;
const BATCH: i64 = 64;
/// A try that was begun by an instance which then died is made again so long after it had to end.
const CLAIM: Span = Span::from_minutes(1);
/// The pause after the first failure, in minutes. It doubles with each, up to the longest.
const FIRST_PAUSE: u32 = 1;
const LONGEST_PAUSE: u32 = 60;

/// What is being handed over: one mail for each recipient at a time, so that one whose server hangs
/// holds up nobody else.
#[derive(Clone, Debug)]
pub(super) struct Rounds {
    busy: Busy<String>,
    all: Arc<Semaphore>,
    retries: Arc<Semaphore>,
}

impl Rounds {
    pub(super) fn new() -> Self {
        Self {
            busy: Busy::default(),
            all: Arc::new(Semaphore::new(AT_ONCE)),
            retries: Arc::new(Semaphore::new(RETRIES_AT_ONCE)),
        }
    }

    /// Begins to hand over everything that is due and not being handed over already.
    pub(super) async fn begin(&self, app: &App) -> anyhow::Result<Vec<JoinHandle<()>>> {
        if !app.mail.is_configured() {
            return Ok(Vec::new());
        }
        let due = mail_outbox::list_due(&mut app.connection().await?, app.now(), BATCH).await?;
        let free = due.into_iter().filter_map(|mail| {
            let taken = self.busy.enter(mail.recipient_key.clone())?;
            Some(self.clone().serve(app.clone(), taken, mail))
        });
        // What the mail server is taking when the house stops is still noted.
        Ok(free.map(|serving| app.questions.spawn(serving)).collect())
    }

    async fn serve(self, app: App, _taken: Taken<String>, mail: OutgoingMail) {
        let admitted = tokio::select! {
            admitted = self.admit(&mail) => admitted,
            () = app.stopping.cancelled() => None,
        };
        if admitted.is_none() || app.stopping.is_cancelled() {
            return;
        }
        if let Err(error) = deliver(&app, &mail).await {
            let error = format!("{error:#}");
            tracing::warn!(kind = %mail.kind, error, "what became of a mail could not be noted");
        }
    }

    async fn admit(
        &self,
        mail: &OutgoingMail,
    ) -> Option<(Option<OwnedSemaphorePermit>, OwnedSemaphorePermit)> {
        let retry = match mail.tries {
            0 => None,
            _ => Some(Arc::clone(&self.retries).acquire_owned().await.ok()?),
        };
        Some((retry, Arc::clone(&self.all).acquire_owned().await.ok()?))
    }
}

/// Hands over everything that is due, and waits until the mail server has said what it makes of it.
pub async fn deliver_all(app: &App) -> anyhow::Result<()> {
    let rounds = Rounds::new();
    loop {
        let begun = rounds.begin(app).await?;
        if begun.is_empty() || app.stopping.is_cancelled() {
            return Ok(());
        }
        for serving in begun {
            serving.await?;
        }
    }
}

/// One try, unless another instance makes it.
async fn deliver(app: &App, mail: &OutgoingMail) -> anyhow::Result<()> {
    // Those before it may have taken their time, and a claim counts from now.
    let now = app.now();
    let until = now.plus(app.mail.patience()).plus(CLAIM);
    if !mail_outbox::claim(&mut app.connection().await?, mail, until).await? {
        return Ok(());
    }
    if mail.expires_at <= now {
        return give_up(app, mail, "expired", "it was of no use any more").await;
    }
    let carried = app.mail.carry(mail, now).await;
    // The mail server may have taken its time.
    let now = app.now();
    let Err(fault) = carried else {
        mail_outbox::sent(&mut app.connection().await?, &mail.id, now).await?;
        app.metrics.count_sent_mail(mail.kind.as_str());
        return Ok(());
    };
    let said = fault.to_string();
    let next = now.plus(pause(mail.tries));
    if fault.permanent {
        return give_up(app, mail, "refused", &said).await;
    }
    if next >= mail.expires_at {
        return give_up(app, mail, "too_late", &said).await;
    }
    retry_later(app, mail, &said, next).await
}

async fn retry_later(
    app: &App,
    mail: &OutgoingMail,
    said: &str,
    next: Timestamp,
) -> anyhow::Result<()> {
    mail_outbox::failed(&mut app.connection().await?, mail, said, next).await?;
    app.metrics.count_failed_mail("failed");
    // Said once for each mail, and not at every try.
    if mail.tries == 0 {
        let (kind, to) = (mail.kind, masked(&mail.recipient));
        tracing::warn!(%kind, to, error = said, "a mail did not leave and will be tried again");
    }
    Ok(())
}

async fn give_up(
    app: &App,
    mail: &OutgoingMail,
    reason: &'static str,
    said: &str,
) -> anyhow::Result<()> {
    let now = app.now();
    mail_outbox::give_up(&mut app.connection().await?, mail, said, now).await?;
    app.metrics.count_failed_mail("given_up");
    let (kind, to) = (mail.kind, masked(&mail.recipient));
    tracing::warn!(%kind, to, error = said, "a mail was given up");
    let event = Event::refused("mail", reason).detail("kind", kind.as_str()).detail("to", to);
    app.audit.note(event.detail("tries", mail.tries + 1).detail("what", said));
    Ok(())
}

/// How long to wait when so many tries had failed before this one.
fn pause(tries: i64) -> Span {
    let doubled = u32::try_from(tries).ok().and_then(|tries| FIRST_PAUSE.checked_shl(tries));
    // Shifted far enough, nothing is left of it.
    let minutes = doubled.filter(|minutes| (1..LONGEST_PAUSE).contains(minutes));
    Span::from_minutes(minutes.unwrap_or(LONGEST_PAUSE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_an_hour() {
        let minutes: Vec<i64> = (0..9).map(|tries| pause(tries).seconds() / 60).collect();
        assert_eq!(minutes, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
        for many in [31, 32, 33, 1_000, i64::MAX, -1] {
            assert_eq!(pause(many), Span::from_hours(1), "{many}");
        }
    }
}
