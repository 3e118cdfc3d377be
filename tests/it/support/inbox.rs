//! The mailbox of everybody in a test: a mail server of its own, and what it took.

use keywright::jobs;

use super::{
    app::{Builder, TestApp},
    received::Received,
    smtp::SmtpReceiver,
};

/// A mail server, and an instance that sends to it.
pub(crate) struct Inbox(SmtpReceiver);

impl Inbox {
    pub(crate) fn open() -> Self {
        Self(SmtpReceiver::start())
    }

    /// An instance that mails to it, with more configuration.
    pub(crate) fn builder(&self, config: &str) -> Builder {
        TestApp::builder().config(config).config(&self.config())
    }

    /// What an instance that mails to it has in its configuration.
    pub(crate) fn config(&self) -> String {
        format!("[mail]\nurl = \"smtp://127.0.0.1:{}\"\nfrom = \"id@id.test\"\n", self.0.port)
    }

    /// Everything that has come so far, once everybody who waits is answered.
    pub(crate) async fn all(&self, app: &TestApp) -> Vec<Received> {
        jobs::answer_recoveries(&app.app).await.unwrap();
        jobs::deliver_mail(&app.app).await.unwrap();
        self.0.received()
    }

    /// What has come to one address.
    pub(crate) async fn of(&self, app: &TestApp, address: &str) -> Vec<Received> {
        let mut mails = self.all(app).await;
        mails.retain(|mail| mail.to == [format!("RCPT TO:<{address}>")]);
        mails
    }

    /// The newest mail to an address.
    pub(crate) async fn newest(&self, app: &TestApp, address: &str) -> Received {
        self.of(app, address).await.pop().unwrap_or_else(|| panic!("no mail to {address}"))
    }
}

/// The first link of a mail that holds a secret, below the issuer.
pub(crate) fn link_in(mail: &Received) -> String {
    let text = mail.text();
    let link = text.split_whitespace().find(|word| word.contains("?token="));
    let link = link.unwrap_or_else(|| panic!("no link in {text}"));
    link.strip_prefix("https://id.test").unwrap_or_else(|| panic!("{link}")).to_owned()
}

/// The code of a mail.
pub(crate) fn code_in(mail: &Received) -> String {
    let text = mail.text();
    let is_code = |word: &&str| word.len() == 6 && word.bytes().all(|byte| byte.is_ascii_digit());
    let code = text.split(|c: char| !c.is_ascii_alphanumeric()).find(is_code);
    code.unwrap_or_else(|| panic!("no code in {text}")).to_owned()
}
