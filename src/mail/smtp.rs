//! Handing a mail to the mail server (RFC 5321, RFC 3207, RFC 4954).
//!
//! Each mail has a connection of its own: there are few, and one that hangs is nobody else's. The
//! steps are taken one by one, so that it is known which one failed: a recipient that does not exist
//! is given up, a password that is wrong is mended and tried again.

use std::time::{Duration, UNIX_EPOCH};

use anyhow::Context as _;
use lettre::{
    Address, Message as Mime,
    message::{
        Mailbox, MultiPart,
        header::{Header, HeaderName, HeaderValue},
    },
    transport::smtp::{
        Error,
        authentication::{Credentials, Mechanism},
        client::{AsyncSmtpConnection, Certificate, TlsParameters},
        commands::{Data, Mail, Rcpt},
        extension::ClientId,
    },
};

use tokio::time::Instant;

use super::{
    fault::{Fault, Stage},
    letter::Letter,
};
use crate::{
    config::{MailAddress, MailServer, MailSettings, StartTls},
    foundation::{clock::Timestamp, ids::MailId},
};

/// How long saying goodbye may take. The mail has been taken by then.
const GOODBYE: Duration = Duration::from_secs(1);
const MECHANISMS: [Mechanism; 2] = [Mechanism::Plain, Mechanism::Login];

/// A mail that is ready to go.
#[derive(Debug)]
pub(super) struct Envelope<'a> {
    pub(super) id: &'a MailId,
    pub(super) to: &'a str,
    pub(super) letter: &'a Letter,
    pub(super) brand: &'a str,
    pub(super) issuer: &'a str,
    pub(super) now: Timestamp,
}

/// Tells programs that answer by themselves not to (RFC 3834 §5).
#[derive(Clone)]
struct AutoSubmitted;

impl Header for AutoSubmitted {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("Auto-Submitted")
    }

    fn parse(_: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Self)
    }

    fn display(&self) -> HeaderValue {
        HeaderValue::new(Self::name(), "auto-generated".to_owned())
    }
}

enum Security {
    Implicit(TlsParameters),
    StartTls(TlsParameters),
    None,
}

/// The mail server, as the configuration describes it.
pub(super) struct Smtp {
    server: MailServer,
    /// What it is called in messages.
    shown: String,
    security: Security,
    login: Option<Credentials>,
    hello: ClientId,
    from: Mailbox,
    reply_to: Option<Mailbox>,
    patience: Duration,
}

impl std::fmt::Debug for Smtp {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Smtp({})", self.shown)
    }
}

impl Smtp {
    pub(super) fn new(
        settings: &MailSettings,
        server: &MailServer,
        issuer_host: Option<&str>,
    ) -> anyhow::Result<Self> {
        let from = settings.from.as_ref().context("mail.from must be set")?;
        let security = match (server.implicit_tls, settings.starttls()) {
            (true, _) => Security::Implicit(tls(settings, server)?),
            (false, StartTls::Required) => Security::StartTls(tls(settings, server)?),
            (false, StartTls::Off) => Security::None,
        };
        let login = settings.login().map(|(user, password)| {
            Credentials::new(user.to_owned(), password.expose().to_owned())
        });
        let hello = issuer_host.map(|host| ClientId::Domain(host.to_owned())).unwrap_or_default();
        Ok(Self {
            shown: format!("the mail server {}:{}", server.host, server.port),
            server: server.clone(),
            security,
            login,
            hello,
            from: mailbox(from).context("mail.from")?,
            reply_to: settings
                .reply_to
                .as_ref()
                .map(mailbox)
                .transpose()
                .context("mail.reply_to")?,
            patience: settings.timeout.to_std(),
        })
    }

    /// Hands a mail over.
    pub(super) async fn send(&self, envelope: &Envelope<'_>) -> Result<(), Fault> {
        let to: Address = envelope
            .to
            .parse()
            .map_err(|error| Fault::hopeless(format!("the address cannot be used: {error}")))?;
        let mime = self.mime(envelope, to.clone());
        let mime =
            mime.map_err(|error| Fault::hopeless(format!("it cannot be written: {error}")))?;
        let steps = self.steps(envelope.to);
        let mut connection = self.connect(&steps).await?;
        let handed = self.hand_over(&steps, &mut connection, to, &mime).await;
        // What comes of this changes nothing: the mail has been taken, or has not.
        let _ = tokio::time::timeout(GOODBYE, connection.quit()).await;
        handed
    }

    /// Connects and logs in, as for a mail.
    pub(super) async fn check(&self) -> Result<(), Fault> {
        let mut connection = self.connect(&self.steps("")).await?;
        let _ = tokio::time::timeout(GOODBYE, connection.quit()).await;
        Ok(())
    }

    fn steps<'a>(&'a self, recipient: &'a str) -> Steps<'a> {
        Steps { smtp: self, deadline: Instant::now() + self.patience, recipient }
    }

    async fn connect(&self, steps: &Steps<'_>) -> Result<AsyncSmtpConnection, Fault> {
        let address = (self.server.host.as_str(), self.server.port);
        let implicit = match &self.security {
            Security::Implicit(tls) => Some(tls.clone()),
            Security::StartTls(_) | Security::None => None,
        };
        let patience = Some(self.patience);
        let connecting =
            AsyncSmtpConnection::connect_tokio1(address, patience, &self.hello, implicit, None);
        let mut connection = steps.take(Stage::Connecting, connecting).await?;
        if let Security::StartTls(tls) = &self.security {
            let turning = connection.starttls(tls.clone(), &self.hello);
            steps.take(Stage::StartTls, turning).await?;
        }
        if let Some(login) = &self.login {
            steps.take(Stage::Login, connection.auth(&MECHANISMS, login)).await?;
        }
        Ok(connection)
    }

    async fn hand_over(
        &self,
        steps: &Steps<'_>,
        connection: &mut AsyncSmtpConnection,
        to: Address,
        mime: &[u8],
    ) -> Result<(), Fault> {
        let from = Mail::new(Some(self.from.email.clone()), Vec::new());
        steps.take(Stage::Sender, connection.command(from)).await?;
        steps.take(Stage::Recipient, connection.command(Rcpt::new(to, Vec::new()))).await?;
        steps.take(Stage::Content, connection.command(Data)).await?;
        steps.take(Stage::Content, connection.message(mime)).await.map(drop)
    }

    /// The mail as it travels (RFC 5322). All of it is ASCII, whatever it says.
    fn mime(&self, envelope: &Envelope<'_>, to: Address) -> anyhow::Result<Vec<u8>> {
        let Envelope { id, letter, brand, issuer, now, .. } = envelope;
        let (text, html) = (letter.text(brand, issuer)?, letter.html(brand, issuer)?);
        // The same at each try, so that a mail which came twice can be known by it.
        let message_id = format!("<{id}@{}>", self.from.email.domain());
        let date = UNIX_EPOCH + Duration::from_secs(now.unix().unsigned_abs());
        let mut builder = Mime::builder()
            .from(self.from.clone())
            .to(Mailbox::new(None, to))
            .subject(letter.subject.clone())
            .date(date)
            .message_id(Some(message_id))
            .header(AutoSubmitted);
        if let Some(reply_to) = &self.reply_to {
            builder = builder.reply_to(reply_to.clone());
        }
        Ok(builder.multipart(MultiPart::alternative_plain_html(text, html))?.formatted())
    }
}

/// The steps of one conversation, which has to end in time.
struct Steps<'a> {
    smtp: &'a Smtp,
    deadline: Instant,
    recipient: &'a str,
}

impl Steps<'_> {
    async fn take<T>(
        &self,
        stage: Stage,
        step: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Fault> {
        let shown = &self.smtp.shown;
        match tokio::time::timeout_at(self.deadline, step).await {
            Ok(taken) => {
                taken.map_err(|error| Fault::of_smtp(stage, &error, shown, self.recipient))
            }
            Err(_) => Err(Fault::timeout(stage, shown, self.smtp.patience.as_secs())),
        }
    }
}

fn tls(settings: &MailSettings, server: &MailServer) -> anyhow::Result<TlsParameters> {
    let mut tls = TlsParameters::builder(server.host.clone());
    if let Some(ca) = &settings.ca {
        tls = tls
            .add_root_certificate(Certificate::from_pem(ca.pem().as_bytes()).context("mail.ca")?);
    }
    tls.build().context("mail.url: TLS cannot be used")
}

fn mailbox(address: &MailAddress) -> anyhow::Result<Mailbox> {
    Ok(Mailbox::new(address.name.clone(), address.address.parse()?))
}
