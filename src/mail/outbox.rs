//! Queueing a mail, and opening what was queued.

use std::sync::Arc;

use super::{carrier::Carrier, fault::Fault, letter::Letter, message::Message};
use crate::{
    config::Config,
    foundation::{
        clock::{Span, Timestamp},
        ids::MailId,
        names::{email_key, is_email},
        random::Random,
        seal::KeyRing,
    },
    store::{
        Connection, QueryResult,
        mail_outbox::{self, OutgoingMail},
    },
};

/// How many mails one address gets within a quarter of an hour (RC-11): those that anybody can cause,
/// and notices about the account. These have a count of their own, so that nobody can hold up the
/// notice of what they have done.
const MOST: i64 = 3;
const MOST_NOTICES: i64 = 12;
const WINDOW: Span = Span::from_minutes(15);

/// What became of a mail. Whoever asked for it is told the same in every case.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "a mail that was not queued never leaves"]
pub enum Queued {
    /// It leaves soon.
    Yes(MailId),
    /// The address has had enough mail for now.
    TooManyToAddress,
    /// Too much mail was caused within an hour (`mail.max_per_hour`).
    TooManyInAll,
    /// This is no plain address (IJ-16).
    NoAddress,
    /// There is no mail.
    NotConfigured,
}

impl Queued {
    /// Why not, in one word.
    pub const fn refusal(&self) -> Option<&'static str> {
        match self {
            Self::Yes(_) => None,
            Self::TooManyToAddress => Some("too_many_to_address"),
            Self::TooManyInAll => Some("too_many_in_all"),
            Self::NoAddress => Some("no_address"),
            Self::NotConfigured => Some("not_configured"),
        }
    }
}

/// Mail as the rest of the house uses it.
pub struct Mail {
    carrier: Carrier,
    ring: Arc<KeyRing>,
    random: Arc<dyn Random>,
    max_per_hour: u32,
    patience: Span,
}

impl std::fmt::Debug for Mail {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Mail({:?})", self.carrier)
    }
}

fn place(id: &MailId) -> String {
    format!("mail_outbox:letter:{id}")
}

impl Mail {
    /// Mail of this configuration, sealed under the keys of rows.
    pub fn new(
        config: &Config,
        ring: Arc<KeyRing>,
        random: Arc<dyn Random>,
    ) -> anyhow::Result<Self> {
        let carrier = Carrier::new(config)?;
        let (max_per_hour, patience) = (config.mail.max_per_hour, config.mail.timeout);
        Ok(Self { carrier, ring, random, max_per_hour, patience })
    }

    /// Whether there is any mail. What needs it is not offered otherwise.
    pub const fn is_configured(&self) -> bool {
        self.carrier.is_configured()
    }

    /// How mail leaves.
    pub const fn carrier(&self) -> &Carrier {
        &self.carrier
    }

    /// How long handing over one mail may take.
    pub const fn patience(&self) -> Span {
        self.patience
    }

    /// Queues a message in the caller's transaction: it leaves if that is committed, and only then.
    pub async fn queue(
        &self,
        conn: &mut Connection,
        to: &str,
        message: &Message,
        now: Timestamp,
    ) -> QueryResult<Queued> {
        if !self.is_configured() {
            return Ok(Queued::NotConfigured);
        }
        if !is_email(to) {
            return Ok(Queued::NoAddress);
        }
        let recipient_key = email_key(to);
        if let Some(braked) = self.brake(conn, &recipient_key, message, now).await? {
            return Ok(braked);
        }
        let id = MailId::generate(&*self.random, now);
        let letter = message.write(self.carrier.brand());
        let mail = OutgoingMail {
            kind: message.kind(),
            recipient: to.to_owned(),
            recipient_key,
            letter: Some(self.seal(&id, &letter)),
            created_at: now,
            expires_at: message.expires_at(now),
            next_try_at: Some(now),
            tries: 0,
            sent_at: None,
            gave_up_at: None,
            last_error: None,
            id: id.clone(),
        };
        mail_outbox::insert(conn, &mail).await?;
        Ok(Queued::Yes(id))
    }

    async fn brake(
        &self,
        conn: &mut Connection,
        recipient_key: &str,
        message: &Message,
        now: Timestamp,
    ) -> QueryResult<Option<Queued>> {
        let notice = message.kind().is_notice();
        mail_outbox::hold_recipient(conn, recipient_key).await?;
        if message.kind().carries_a_way_back() {
            return Ok(None);
        }
        let since = now.minus(WINDOW).plus(Span::from_seconds(1));
        let to_address = mail_outbox::count_to(conn, recipient_key, notice, since).await?;
        if to_address >= if notice { MOST_NOTICES } else { MOST } {
            return Ok(Some(Queued::TooManyToAddress));
        }
        if notice {
            return Ok(None);
        }
        let since = now.minus(Span::from_hours(1)).plus(Span::from_seconds(1));
        let in_all = mail_outbox::count_since(conn, since).await?;
        Ok((in_all >= i64::from(self.max_per_hour)).then_some(Queued::TooManyInAll))
    }

    /// One try to hand over what was queued.
    pub async fn carry(&self, mail: &OutgoingMail, now: Timestamp) -> Result<(), Fault> {
        let letter = self
            .open(mail)
            .ok_or_else(|| Fault::hopeless("it was sealed under a secret key that is gone"))?;
        self.carrier.carry(&mail.id, &mail.recipient, &letter, now).await
    }

    fn seal(&self, id: &MailId, letter: &Letter) -> Vec<u8> {
        // Texts and pairs of texts can always be written as JSON.
        let plain = serde_json::to_vec(letter).unwrap_or_default();
        self.ring.seal(&place(id), &plain, &*self.random)
    }

    fn open(&self, mail: &OutgoingMail) -> Option<Letter> {
        let sealed = mail.letter.as_deref()?;
        serde_json::from_slice(&self.ring.open(&place(&mail.id), sealed)?).ok()
    }
}
