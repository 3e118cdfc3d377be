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
    /// `response_mode` (OAuth 2.0 Multiple Response Types §2.1, Form Post Response Mode).
    ResponseMode {
        /// The answer is in the query of the redirect.
        Query = "query",
        /// The answer is posted by a form in the browser.
        FormPost = "form_post",
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
    }
}
