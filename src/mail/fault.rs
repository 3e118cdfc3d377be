//! Why a mail did not leave, in words.

use std::error::Error as _;

use super::plain::masked_in;

/// The longest thing that a mail server says of which anything is kept.
const MAX_SAID: usize = 300;

/// How far the conversation with the mail server had come (RFC 5321 §3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The mail could not even be written.
    Writing,
    /// Connecting, greeting, `EHLO`.
    Connecting,
    /// Turning to TLS.
    StartTls,
    /// User and password.
    Login,
    /// `MAIL FROM`.
    Sender,
    /// `RCPT TO`.
    Recipient,
    /// The mail itself.
    Content,
}

/// A mail that did not leave.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{said}")]
pub struct Fault {
    /// Where it failed.
    pub stage: Stage,
    /// Whether another try would fail the same way: the mail server refuses this recipient or this
    /// mail. What is wrong with us or with the server can be mended, so that it is tried again.
    pub permanent: bool,
    /// What happened, in a sentence. The recipient stands in it in part only.
    said: String,
}

impl Fault {
    /// A mail that can never be sent.
    pub(super) fn hopeless(said: impl Into<String>) -> Self {
        Self { stage: Stage::Writing, permanent: true, said: said.into() }
    }

    /// Something that may go well another time.
    pub(super) fn passing(stage: Stage, said: impl Into<String>) -> Self {
        Self { stage, permanent: false, said: said.into() }
    }

    /// What the mail server said, or what happened to the connection, at this stage.
    pub(super) fn of_smtp(
        stage: Stage,
        error: &lettre::transport::smtp::Error,
        server: &str,
        recipient: &str,
    ) -> Self {
        let code = error.status().map(u16::from);
        let cause = error.source().map_or_else(|| error.to_string(), causes);
        let cause: String = cause.chars().filter(|c| !c.is_control()).take(MAX_SAID).collect();
        let cause = masked_in(&cause, recipient);
        let said = match code {
            Some(code) => refused(stage, server, &format!("{code} {cause}")),
            None => broken(stage, server, &cause),
        };
        // Some servers ask for a login only when it comes to the recipient (RFC 4954 §6).
        let about_login = matches!(code, Some(530 | 534 | 535 | 538));
        let about_mail = matches!(stage, Stage::Recipient | Stage::Content);
        Self { stage, permanent: error.is_permanent() && about_mail && !about_login, said }
    }

    /// Nothing came in time.
    pub(super) fn timeout(stage: Stage, server: &str, seconds: u64) -> Self {
        let step = match stage {
            Stage::Writing | Stage::Connecting => "the greeting",
            Stage::StartTls => "TLS",
            Stage::Login => "the login",
            Stage::Sender => "the sender",
            Stage::Recipient => "the recipient",
            Stage::Content => "the mail itself",
        };
        let said = format!("{server} did not answer within {seconds} s; it came to {step}");
        Self::passing(stage, said)
    }
}

/// An error with what it came from, as one sentence.
fn causes(error: &(dyn std::error::Error + 'static)) -> String {
    let mut said = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_said = cause.to_string();
        if !said.contains(&cause_said) {
            said = format!("{said}: {cause_said}");
        }
        next = cause.source();
    }
    said
}

fn refused(stage: Stage, server: &str, answer: &str) -> String {
    match stage {
        Stage::Writing | Stage::Connecting => format!("{server} turned us away: {answer}"),
        Stage::StartTls => format!("{server} did not turn to TLS: {answer}"),
        Stage::Login => format!("{server} refused the user or the password: {answer}"),
        Stage::Sender => format!("{server} refused the sender (mail.from): {answer}"),
        Stage::Recipient => format!("{server} refused the recipient: {answer}"),
        Stage::Content => format!("{server} refused the mail: {answer}"),
    }
}

fn broken(stage: Stage, server: &str, cause: &str) -> String {
    match stage {
        Stage::Writing | Stage::Connecting => format!("{server} could not be reached: {cause}"),
        Stage::StartTls => format!("TLS with {server} failed: {cause}"),
        Stage::Login => format!("{server} let nobody log in: {cause}"),
        Stage::Sender | Stage::Recipient => {
            format!("the connection to {server} was lost: {cause}")
        }
        Stage::Content => {
            format!("the connection to {server} was lost before it had taken the mail: {cause}")
        }
    }
}
