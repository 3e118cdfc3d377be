//! The fixed words of requests: grant types, response modes, prompts.

text_enum! {
    /// `grant_type` (RFC 6749 §4, §6).
    GrantType {
        /// RFC 6749 §4.1.
        AuthorizationCode = "authorization_code",
        /// RFC 6749 §6.
        RefreshToken = "refresh_token",
        /// RFC 6749 §4.4.
        ClientCredentials = "client_credentials",
        /// RFC 8693 §2.1.
        TokenExchange = "urn:ietf:params:oauth:grant-type:token-exchange",
    }
}

text_enum! {
    /// `response_mode` (OAuth 2.0 Multiple Response Types §2.1, Form Post Response Mode, JARM §2.3).
    ResponseMode {
        /// The answer is in the query of the redirect.
        Query = "query",
        /// The answer is in the fragment of the redirect.
        Fragment = "fragment",
        /// The answer is posted by a form in the browser.
        FormPost = "form_post",
        /// The answer is a JWT in the query (JARM §2.3.1).
        QueryJwt = "query.jwt",
        /// The answer is a JWT in the fragment (JARM §2.3.2).
        FragmentJwt = "fragment.jwt",
        /// The answer is a JWT that a form posts (JARM §2.3.3).
        FormPostJwt = "form_post.jwt",
    }
}

text_enum! {
    /// `prompt` (OIDC Core §3.1.2.1).
    Prompt {
        /// No page may be shown.
        None = "none",
        /// The person signs in again, session or not.
        Login = "login",
        /// The person confirms what the app gets.
        Consent = "consent",
        /// The person chooses the account.
        SelectAccount = "select_account",
        /// The person makes an account (Initiating User Registration §4).
        Create = "create",
    }
}

impl ResponseMode {
    /// How the answer travels, and whether it is signed.
    pub const fn parts(self) -> (Carrier, bool) {
        match self {
            Self::Query => (Carrier::Query, false),
            Self::Fragment => (Carrier::Fragment, false),
            Self::FormPost => (Carrier::Form, false),
            Self::QueryJwt => (Carrier::Query, true),
            Self::FragmentJwt => (Carrier::Fragment, true),
            Self::FormPostJwt => (Carrier::Form, true),
        }
    }
}

/// What an answer travels in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carrier {
    /// The query of a redirect.
    Query,
    /// The fragment of a redirect.
    Fragment,
    /// A form that the browser posts.
    Form,
}

text_enum! {
    /// How a client proves who it is (OIDC Core §9, RFC 8705 §2).
    AuthMethod {
        /// Its secret, in the header.
        ClientSecretBasic = "client_secret_basic",
        /// Its secret, in the form.
        ClientSecretPost = "client_secret_post",
        /// A JWT under its secret, which is never sent.
        ClientSecretJwt = "client_secret_jwt",
        /// A JWT under a key of its own.
        PrivateKeyJwt = "private_key_jwt",
        /// A certificate of an authority (RFC 8705 §2.1).
        TlsClientAuth = "tls_client_auth",
        /// A certificate that it has made itself (RFC 8705 §2.2).
        SelfSignedTlsClientAuth = "self_signed_tls_client_auth",
        /// Not at all: it is who it says it is.
        None = "none",
    }
}

impl AuthMethod {
    /// Whether a secret is sent, in whichever of the two ways.
    pub const fn sends_secret(self) -> bool {
        matches!(self, Self::ClientSecretBasic | Self::ClientSecretPost)
    }

    /// Whether it rests on a secret that both sides know.
    pub const fn has_secret(self) -> bool {
        self.sends_secret() || matches!(self, Self::ClientSecretJwt)
    }

    /// Whether it is a signed assertion (RFC 7523 §2.2).
    pub const fn is_assertion(self) -> bool {
        matches!(self, Self::ClientSecretJwt | Self::PrivateKeyJwt)
    }

    /// Whether it is a certificate.
    pub const fn is_certificate(self) -> bool {
        matches!(self, Self::TlsClientAuth | Self::SelfSignedTlsClientAuth)
    }
}
