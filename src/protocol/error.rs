//! The wire error of OAuth 2.0: one value, whose HTTP status follows from its code.

use std::{error::Error, fmt};

/// The `error` values that we answer with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorCode {
    /// RFC 6749 §4.1.2.1, §5.2.
    InvalidRequest,
    /// RFC 6749 §5.2.
    InvalidClient,
    /// RFC 6749 §5.2.
    InvalidGrant,
    /// RFC 6749 §4.1.2.1, §5.2.
    UnauthorizedClient,
    /// RFC 6749 §5.2.
    UnsupportedGrantType,
    /// RFC 6749 §4.1.2.1, §5.2.
    InvalidScope,
    /// RFC 6749 §4.1.2.1.
    AccessDenied,
    /// RFC 6749 §4.1.2.1.
    UnsupportedResponseType,
    /// RFC 6749 §4.1.2.1.
    ServerError,
    /// RFC 6749 §4.1.2.1.
    TemporarilyUnavailable,
    /// OIDC Core §3.1.2.6.
    LoginRequired,
    /// OIDC Core §3.1.2.6.
    InteractionRequired,
    /// OIDC Core §3.1.2.6.
    ConsentRequired,
    /// OpenID Connect Core Error Code `unmet_authentication_requirements`.
    UnmetAuthenticationRequirements,
    /// OIDC Core §3.1.2.6.
    RequestNotSupported,
    /// OIDC Core §3.1.2.6.
    RequestUriNotSupported,
    /// OIDC Core §3.1.2.6.
    RegistrationNotSupported,
    /// RFC 6750 §3.1.
    InvalidToken,
    /// RFC 6750 §3.1.
    InsufficientScope,
    /// RFC 7009 §2.2.1.
    UnsupportedTokenType,
    /// RFC 8693 §2.2.2.
    InvalidTarget,
}

impl ErrorCode {
    /// The word on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid_request",
            Self::InvalidClient => "invalid_client",
            Self::InvalidGrant => "invalid_grant",
            Self::UnauthorizedClient => "unauthorized_client",
            Self::UnsupportedGrantType => "unsupported_grant_type",
            Self::InvalidScope => "invalid_scope",
            Self::AccessDenied => "access_denied",
            Self::UnsupportedResponseType => "unsupported_response_type",
            Self::ServerError => "server_error",
            Self::TemporarilyUnavailable => "temporarily_unavailable",
            Self::LoginRequired => "login_required",
            Self::InteractionRequired => "interaction_required",
            Self::ConsentRequired => "consent_required",
            Self::UnmetAuthenticationRequirements => "unmet_authentication_requirements",
            Self::RequestNotSupported => "request_not_supported",
            Self::RequestUriNotSupported => "request_uri_not_supported",
            Self::RegistrationNotSupported => "registration_not_supported",
            Self::InvalidToken => "invalid_token",
            Self::InsufficientScope => "insufficient_scope",
            Self::UnsupportedTokenType => "unsupported_token_type",
            Self::InvalidTarget => "invalid_target",
        }
    }

    /// The HTTP status of an answer with this code (RFC 6749 §5.2, RFC 6750 §3.1).
    pub const fn status(self) -> u16 {
        match self {
            Self::InvalidClient | Self::InvalidToken => 401,
            Self::InsufficientScope | Self::AccessDenied => 403,
            Self::ServerError => 500,
            Self::TemporarilyUnavailable => 503,
            _ => 400,
        }
    }
}

/// An error for a machine. `description` is a fixed public sentence that reflects no input;
/// `source` is private and only logged.
#[derive(Debug)]
pub struct OAuthError {
    /// What goes into `error`.
    pub code: ErrorCode,
    /// What goes into `error_description`.
    pub description: &'static str,
    /// Why it really happened, for the log.
    pub source: Option<Box<dyn Error + Send + Sync>>,
}

macro_rules! named {
    ($($(#[$doc:meta])* $name:ident = $code:ident),+ $(,)?) => {
        impl OAuthError {$(
            $(#[$doc])*
            pub const fn $name(description: &'static str) -> Self {
                Self { code: ErrorCode::$code, description, source: None }
            }
        )+}
    };
}

named! {
    /// The request is malformed.
    invalid_request = InvalidRequest,
    /// The client did not prove who it is.
    invalid_client = InvalidClient,
    /// The code or refresh token is not good (any more).
    invalid_grant = InvalidGrant,
    /// This client may not do that.
    unauthorized_client = UnauthorizedClient,
    /// There is no such grant type here.
    unsupported_grant_type = UnsupportedGrantType,
    /// The token is not to be had for that audience.
    invalid_target = InvalidTarget,
    /// Nothing is left of the scope.
    invalid_scope = InvalidScope,
    /// The person or a rule said no.
    access_denied = AccessDenied,
    /// There is no such response type here.
    unsupported_response_type = UnsupportedResponseType,
    /// Something of ours is broken.
    server_error = ServerError,
    /// Something we need is away for the moment.
    temporarily_unavailable = TemporarilyUnavailable,
    /// `prompt=none`, and nobody is signed in.
    login_required = LoginRequired,
    /// `prompt=none`, and the person has not agreed to what the app asks for.
    consent_required = ConsentRequired,
    /// Nobody has proved who they are as well as was asked.
    unmet_authentication_requirements = UnmetAuthenticationRequirements,
    /// The bearer token is not good.
    invalid_token = InvalidToken,
    /// The bearer token does not reach that far.
    insufficient_scope = InsufficientScope,
}

impl OAuthError {
    /// Any code with its public sentence.
    pub const fn new(code: ErrorCode, description: &'static str) -> Self {
        Self { code, description, source: None }
    }

    /// Notes the private cause.
    #[must_use]
    pub fn because(mut self, cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(cause.into());
        self
    }
}

impl fmt::Display for OAuthError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: {}", self.code.as_str(), self.description)
    }
}

impl Error for OAuthError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_ref().map(|cause| &**cause as &(dyn Error + 'static))
    }
}
