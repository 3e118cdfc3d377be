//! Everything that is kept in the short-lived state, on one screen.

use crate::foundation::{
    clock::Span,
    digest::{TokenDigest, base64url, sha256},
};

/// What a key is for. Proof fails closed: without the store the request is refused. Comfort fails
/// soft: without the store the request goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeyKind {
    /// A sign-in in progress. Proof.
    Interaction,
    /// What an authorization code stands for. Proof.
    AuthorizationCode,
    /// Failed redemptions of a code. Proof: the fifth burns the code.
    CodeFailures,
    /// A person who is away at an upstream. Proof.
    UpstreamState,
    /// An answer of an upstream that was posted, until the browser fetches it. Proof.
    UpstreamAnswer,
    /// A logout token that was acted upon. Proof: it counts once.
    LogoutToken,
    /// An assertion by which an app has proved who it is. Proof: it counts once.
    ClientAssertion,
    /// A proof of possession that was shown. Proof: it counts once.
    DpopProof,
    /// Where a person goes on who is signing out at an upstream. Proof.
    SigningOut,
    /// A one-time link in the browser that opened it, or that asked for it. Proof.
    OpenedLink,
    /// Codes that were typed in place of a link. Proof: the fifth wrong one is the last.
    LinkCodes,
    /// Second factors that were given to one sign-in of an app that draws its own forms. Proof: the
    /// fifth wrong one is the last.
    FactorTries,
    /// What a passkey has to sign. Proof.
    Passkey,
    /// The secret of an authenticator app that somebody is setting up. Proof.
    Enrolment,
    /// An authorization request that was pushed. Proof.
    PushedRequest,
    /// Password attempts from one network. Comfort.
    SignInAttempts,
    /// Accounts made from one network. Comfort.
    SignUps,
    /// Wishes to get back into an account, from one network. Comfort.
    Recoveries,
    /// Failed authentications of one client from one network. Comfort.
    ClientFailures,
    /// Requests of one network in one minute. Comfort.
    Requests,
}

impl KeyKind {
    const fn prefix(self) -> &'static str {
        match self {
            Self::Interaction => "flow",
            Self::AuthorizationCode => "code",
            Self::CodeFailures => "code-failures",
            Self::UpstreamState => "upstream-state",
            Self::UpstreamAnswer => "upstream-answer",
            Self::LogoutToken => "logout-token",
            Self::ClientAssertion => "client-assertion",
            Self::DpopProof => "dpop-proof",
            Self::SigningOut => "signing-out",
            Self::OpenedLink => "opened-link",
            Self::LinkCodes => "link-codes",
            Self::FactorTries => "factor-tries",
            Self::Passkey => "passkey",
            Self::Enrolment => "enrolment",
            Self::PushedRequest => "pushed-request",
            Self::SignInAttempts => "sign-in-attempts",
            Self::SignUps => "sign-ups",
            Self::Recoveries => "recoveries",
            Self::ClientFailures => "client-failures",
            Self::Requests => "requests",
        }
    }

    /// How long a value of this kind is kept, unless the configuration says otherwise.
    pub const fn life(self) -> Span {
        match self {
            Self::SignUps | Self::Recoveries => Span::from_hours(1),
            Self::Interaction | Self::OpenedLink | Self::LinkCodes => Span::from_minutes(30),
            Self::UpstreamState
            | Self::AuthorizationCode
            | Self::CodeFailures
            | Self::Enrolment
            | Self::FactorTries
            | Self::Passkey
            | Self::LogoutToken
            | Self::ClientAssertion
            | Self::SigningOut => Span::from_minutes(10),
            Self::UpstreamAnswer | Self::SignInAttempts | Self::ClientFailures => {
                Span::from_minutes(1)
            }
            // A minute is in the name, or in the value; clocks may differ a little.
            Self::DpopProof | Self::PushedRequest | Self::Requests => Span::from_minutes(2),
        }
    }
}

/// The name of one value. Whatever people or clients typed is hashed, so that no key is longer
/// than another and none can be chosen (IJ-09).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    kind: KeyKind,
    text: String,
}

impl Key {
    /// The key of a value that is found by a text.
    pub fn of_text(kind: KeyKind, text: &str) -> Self {
        let id = base64url(&sha256(text.as_bytes()));
        Self { kind, text: format!("kw:{}:{id}", kind.prefix()) }
    }

    /// The key of a value that is found by an opaque secret.
    pub fn of_digest(kind: KeyKind, digest: &TokenDigest) -> Self {
        Self { kind, text: format!("kw:{}:{}", kind.prefix(), digest.to_text()) }
    }

    /// What the key is for.
    pub const fn kind(&self) -> KeyKind {
        self.kind
    }

    /// The key as the store sees it.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}
