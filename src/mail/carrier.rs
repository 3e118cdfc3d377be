//! The way by which mail leaves: to the mail server, or to a sink that shows it while developing.

use url::Url;

use super::{
    fault::{Fault, Stage},
    letter::Letter,
    page::{Page, Shown},
    smtp::{Envelope, Smtp},
};
use crate::{
    config::{Config, MailSink},
    foundation::{clock::Timestamp, ids::MailId},
};

/// What takes mail, as the configuration says.
#[derive(Debug)]
pub struct Carrier {
    way: Way,
    brand: String,
    issuer: String,
}

#[derive(Debug)]
enum Way {
    Smtp(Box<Smtp>),
    Log,
    Page(Page),
    Nowhere,
}

impl Carrier {
    /// The carrier of this configuration.
    pub fn new(config: &Config) -> anyhow::Result<Self> {
        let issuer = config.server.issuer.as_str().to_owned();
        let url = Url::parse(&issuer).ok();
        let host =
            url.as_ref().and_then(Url::domain).filter(|_| !config.server.issuer.is_loopback());
        let way = match (&config.mail.url, config.mail.sink) {
            (Some(server), _) => Way::Smtp(Box::new(Smtp::new(&config.mail, server, host)?)),
            (None, Some(MailSink::Log)) => Way::Log,
            (None, Some(MailSink::Page)) => Way::Page(Page::default()),
            (None, None) => Way::Nowhere,
        };
        Ok(Self { way, brand: config.branding.name.clone(), issuer })
    }

    /// Whether there is any mail.
    pub const fn is_configured(&self) -> bool {
        !matches!(self.way, Way::Nowhere)
    }

    /// What this place is called in mails.
    pub fn brand(&self) -> &str {
        &self.brand
    }

    /// Hands a letter over, once and now.
    pub async fn carry(
        &self,
        id: &MailId,
        to: &str,
        letter: &Letter,
        now: Timestamp,
    ) -> Result<(), Fault> {
        let (brand, issuer) = (&*self.brand, &*self.issuer);
        let text = || {
            let text = letter.text(brand, issuer);
            text.map_err(|error| Fault::hopeless(format!("it cannot be written: {error}")))
        };
        match &self.way {
            Way::Smtp(smtp) => smtp.send(&Envelope { id, to, letter, brand, issuer, now }).await,
            Way::Log => {
                let (subject, text) = (&letter.subject, text()?);
                tracing::info!(to, subject, "mail.sink = \"log\":\n{text}");
                Ok(())
            }
            Way::Page(page) => {
                let (to, subject, text) = (to.to_owned(), letter.subject.clone(), text()?);
                let links = letter.links().map(str::to_owned).collect();
                page.show(Shown { at: now, to, subject, text, links });
                Ok(())
            }
            Way::Nowhere => Err(Fault::passing(Stage::Writing, "mail is not configured any more")),
        }
    }

    /// Connects and logs in as for a mail; nothing to do for a sink.
    pub async fn check(&self) -> Result<(), Fault> {
        match &self.way {
            Way::Smtp(smtp) => smtp.check().await,
            Way::Log | Way::Page(_) | Way::Nowhere => Ok(()),
        }
    }

    /// The mails on the page of the sink, the newest first; nothing where there is no such page.
    pub fn shown(&self) -> Option<Vec<Shown>> {
        match &self.way {
            Way::Page(page) => Some(page.all()),
            Way::Smtp(_) | Way::Log | Way::Nowhere => None,
        }
    }
}
