//! Why a sign-in at an upstream failed: a word for the page and the audit, details for the story.

use std::fmt;

/// Who has to do something about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// The upstream is away, slow or broken at the moment.
    Unavailable,
    /// The upstream's answer is not acceptable.
    Unacceptable,
    /// The answer is good, and says that the person is none of those who may come in this way.
    NotInvited,
}

/// A failure of a sign-in at an upstream.
#[derive(Clone, Debug)]
pub struct UpstreamFault {
    /// Who has to do something about it.
    pub kind: FaultKind,
    /// The reason in one word.
    pub reason: &'static str,
    /// What was seen. For the story that an administrator reads; holds no secret.
    pub detail: String,
}

impl UpstreamFault {
    /// The upstream is away, slow or broken at the moment.
    pub fn unavailable(reason: &'static str, detail: impl fmt::Display) -> Self {
        Self { kind: FaultKind::Unavailable, reason, detail: detail.to_string() }
    }

    /// The upstream's answer is not acceptable.
    pub fn unacceptable(reason: &'static str, detail: impl fmt::Display) -> Self {
        Self { kind: FaultKind::Unacceptable, reason, detail: detail.to_string() }
    }

    /// Whether nothing has answered at all.
    pub(super) fn is_silence(&self) -> bool {
        matches!(self.reason, "upstream_unreachable" | "upstream_slow")
    }

    /// Whether an answer of a token endpoint was not read, or was that of something in front of it: the
    /// endpoint itself may have done what it was asked.
    pub(super) fn is_unread(&self) -> bool {
        let broken = matches!(
            self.reason,
            "upstream_token_failed" | "upstream_token_malformed" | "upstream_answer_too_large"
        );
        broken || self.is_silence()
    }

    /// The person is none of those who may come in this way.
    pub fn not_invited(reason: &'static str, detail: impl fmt::Display) -> Self {
        Self { kind: FaultKind::NotInvited, reason, detail: detail.to_string() }
    }
}

impl fmt::Display for UpstreamFault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: {}", self.reason, self.detail)
    }
}

impl std::error::Error for UpstreamFault {}
