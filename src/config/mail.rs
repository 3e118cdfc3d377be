//! The settings of mail: the server that takes it, or a sink that shows it while developing.

use toml::Value;
use url::Url;

use super::{
    addresses::Issuer,
    problems::Problems,
    reading::Setting,
    upstream_values::Certificates,
    values::{read_text, word_setting},
};
use crate::foundation::{clock::Span, names::is_email, secret::Secret};

/// The port of submission over TLS (RFC 8314 §3.3), and of submission (RFC 6409 §3.1).
const SUBMISSIONS: u16 = 465;
const SUBMISSION: u16 = 587;
/// The port of a mail server on this very computer.
const SMTP: u16 = 25;

text_enum! {
    /// Whether `smtp://` turns to TLS before anything is said (RFC 3207).
    StartTls {
        /// It does, or nothing is sent.
        Required = "required",
        /// It does not: everything can be read on the way.
        Off = "off",
    }
}

text_enum! {
    /// Where mail is shown instead of being sent.
    MailSink {
        /// In the log.
        Log = "log",
        /// On a page of the management listener.
        Page = "page",
    }
}
word_setting!(StartTls, MailSink);

section! {
    /// How mail leaves. Without `url` and `sink` there is no mail, and what needs it is not offered.
    pub struct MailSettings {
        /// The mail server. `smtps://` speaks TLS from the start, `smtp://` turns to it by STARTTLS,
        /// unless the host is this computer. In user and password, signs such as `@` and `/` are
        /// percent-encoded.
        url: Option<MailServer>,
        /// The password, if it does not stand in `url`.
        password: Option<Secret>,
        /// Whether `smtp://` turns to TLS. Without it: `required`, and `off` for a server on this
        /// computer.
        starttls: Option<StartTls>,
        /// Certificates in PEM that are trusted for the mail server besides the system's.
        ca: Option<Certificates>,
        /// Who writes, like `"Example <id@example.org>"`.
        from: Option<MailAddress>,
        /// Whom answers go to, if not to `from`.
        reply_to: Option<MailAddress>,
        /// Shows mail instead of sending it: for development, with an issuer on this computer.
        sink: Option<MailSink>,
        /// How long handing over one mail may take.
        timeout: Span = Span::from_seconds(30),
        /// The most mails that people can cause within an hour. Notices about somebody's own account
        /// are not among them.
        max_per_hour: u32 = 1000,
    }
}

impl MailSettings {
    /// Whether there is mail.
    pub const fn is_configured(&self) -> bool {
        self.url.is_some() || self.sink.is_some()
    }

    /// Whether `smtp://` turns to TLS.
    pub fn starttls(&self) -> StartTls {
        let here = self.url.as_ref().is_some_and(MailServer::is_loopback);
        self.starttls.unwrap_or(if here { StartTls::Off } else { StartTls::Required })
    }

    /// User and password, if the server wants some.
    pub fn login(&self) -> Option<(&str, &Secret)> {
        let server = self.url.as_ref()?;
        let password = server.password.as_ref().or(self.password.as_ref())?;
        Some((server.user.as_deref()?, password))
    }

    pub(super) fn check(&self, issuer: &Issuer, problems: &mut Problems) {
        match (&self.url, self.sink) {
            (Some(server), None) => self.check_server(server, problems),
            (Some(_), Some(sink)) => {
                let fix = "shows mail instead of sending it; leave out either url or sink";
                problems.add("mail.sink", format!("\"{sink}\""), fix);
            }
            (None, Some(sink)) if !issuer.is_loopback() => {
                let fix = "would show links that open accounts: it is for an issuer on this \
                           computer; set mail.url";
                problems.add("mail.sink", format!("\"{sink}\""), fix);
            }
            (None, None) if self.says_something() => {
                let fix = "must be set for mail to leave, like \
                           \"smtps://USER@mail.example.org\"; or leave out the whole section";
                problems.add_bare("mail.url", fix);
            }
            (None, _) => {}
        }
        if self.timeout == Span::ZERO || self.timeout > Span::from_minutes(2) {
            let fix = "must be between \"1s\" and \"2m\"";
            problems.add("mail.timeout", self.timeout, fix);
        }
        if self.max_per_hour == 0 {
            let fix = "must be at least 1; without url and sink there is no mail";
            problems.add("mail.max_per_hour", 0, fix);
        }
    }

    fn says_something(&self) -> bool {
        self.from.is_some() || self.reply_to.is_some() || self.password.is_some()
    }

    fn check_server(&self, server: &MailServer, problems: &mut Problems) {
        if self.from.is_none() {
            let fix = "must be set, like \"Example <id@example.org>\"";
            problems.add_bare("mail.from", fix);
        }
        if let Some(starttls) = self.starttls.filter(|_| server.implicit_tls) {
            let fix = "smtps:// speaks TLS from the start; leave it out, or write smtp://";
            problems.add("mail.starttls", format!("\"{starttls}\""), fix);
        }
        if server.password.is_some() && self.password.is_some() {
            problems.add_bare("mail.password", "stands in mail.url too; leave out one of them");
        } else if server.user.is_none() && self.password.is_some() {
            let fix = "has no user; write one into mail.url, like \"smtps://USER@HOST\"";
            problems.add_bare("mail.password", fix);
        } else if server.user.is_some() && self.login().is_none() {
            let fix = "must be set, because mail.url names a user (or password_file)";
            problems.add_bare("mail.password", fix);
        }
        let open = !server.implicit_tls && self.starttls() == StartTls::Off;
        if open && !server.is_loopback() && server.user.is_some() {
            let fix = "would send the password for everybody to read; leave it out, or log in \
                       over TLS";
            problems.add("mail.starttls", "\"off\"", fix);
        }
    }
}

/// The mail server that takes what leaves.
#[derive(Clone, Debug)]
pub struct MailServer {
    /// Its name or address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Whether the connection begins with TLS.
    pub implicit_tls: bool,
    /// Who logs in.
    pub user: Option<String>,
    password: Option<Secret>,
}

impl MailServer {
    /// Whether it is on this computer.
    pub fn is_loopback(&self) -> bool {
        let address = self.host.parse::<std::net::IpAddr>();
        self.host == "localhost" || address.is_ok_and(|address| address.is_loopback())
    }

    fn parse(text: &str) -> Result<Self, String> {
        let url = Url::parse(text).map_err(|error| format!("{error}; write {}", Self::kind()))?;
        let implicit_tls = match url.scheme() {
            "smtps" => true,
            "smtp" => false,
            _ => return Err(format!("unknown kind; write {}", Self::kind())),
        };
        let beyond = !matches!(url.path(), "" | "/") || url.query().is_some();
        if beyond || url.fragment().is_some() {
            return Err(format!("nothing may follow the port; write {}", Self::kind()));
        }
        let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']).to_lowercase();
        if host.is_empty() {
            return Err(format!("names no host; write {}", Self::kind()));
        }
        let decoded = |text: &str| {
            decode(text).ok_or_else(|| "the user or the password is not UTF-8".to_owned())
        };
        let user = Some(url.username()).filter(|user| !user.is_empty()).map(decoded).transpose()?;
        let password = url.password().map(decoded).transpose()?.map(Secret::new);
        let mut server = Self { host, port: 0, implicit_tls, user, password };
        server.port = url.port().unwrap_or(match (implicit_tls, server.is_loopback()) {
            (true, _) => SUBMISSIONS,
            (false, true) => SMTP,
            (false, false) => SUBMISSION,
        });
        Ok(server)
    }
}

/// Undoes percent-encoding (RFC 3986 §2.1).
fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let encoded = (*first == b'%').then(|| after.split_at_checked(2)).flatten();
        let encoded = encoded.and_then(|(digits, beyond)| {
            let byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
            Some((byte, beyond))
        });
        let (byte, beyond) = encoded.unwrap_or((*first, after));
        bytes.push(byte);
        rest = beyond;
    }
    String::from_utf8(bytes).ok()
}

impl Setting for MailServer {
    const SECRET: bool = true;

    fn kind() -> String {
        "\"smtps://USER:PASSWORD@HOST:PORT\" or \"smtp://USER:PASSWORD@HOST:PORT\"".to_owned()
    }

    fn read(value: &Value, path: &str, problems: &mut Problems) -> Option<Self> {
        let text = value.as_str().unwrap_or_default();
        // The value may hold a password: only its scheme is shown.
        let scheme = text.split_once("://").map_or("(no scheme)", |(scheme, _)| scheme);
        Self::parse(text).map_err(|fault| problems.add(path, scheme, fault)).ok()
    }

    fn show(&self) -> String {
        String::new()
    }
}

/// An address, with a name before it or without.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MailAddress {
    /// The name.
    pub name: Option<String>,
    /// The address itself.
    pub address: String,
}

impl MailAddress {
    fn parse(text: &str) -> Result<Self, String> {
        let fault = || "must be like \"Example <id@example.org>\" or \"id@example.org\"".to_owned();
        let text = text.trim();
        let (name, address) = match text.strip_suffix('>') {
            Some(text) => text.rsplit_once('<').ok_or_else(fault)?,
            None => ("", text),
        };
        let name = name.trim().trim_matches('"').trim();
        let good = !name.contains(['<', '>', '"', '\\']) && !name.chars().any(char::is_control);
        if !good || !is_email(address) {
            return Err(fault());
        }
        let name = Some(name.to_owned()).filter(|name| !name.is_empty());
        Ok(Self { name, address: address.to_owned() })
    }
}

impl Setting for MailAddress {
    fn kind() -> String {
        "mail address, or a name and one".to_owned()
    }

    fn read(value: &Value, path: &str, problems: &mut Problems) -> Option<Self> {
        read_text(value, path, problems, Self::parse)
    }

    fn show(&self) -> String {
        let Self { name, address } = self;
        name.as_ref().map_or_else(|| format!("\"{address}\""), |n| format!("\"{n} <{address}>\""))
    }
}

#[cfg(test)]
#[path = "mail_tests.rs"]
mod tests;
