//! The configuration: typed, checked as a whole, read once.
//!
//! One TOML file, then environment variables over it, then `*_file` for secrets. Everything that
//! is wrong is reported at once with its setting, its value and the fix; an unknown key is an
//! error with a suggestion. The reference in `docs/configuration.md` is generated from these types.

#[macro_use]
pub(crate) mod reading;
mod addresses;
mod attributes;
mod client_claims;
mod clients;
mod groups;
mod limits;
mod lists;
mod load;
mod mail;
mod mapping;
mod presets;
mod problems;
mod redis_url;
mod reference;
mod second_factors;
mod sections;
mod upstream_checks;
mod upstream_values;
mod upstreams;
mod values;

pub use addresses::{DatabaseUrl, Issuer, Pattern, StateUrl};
pub use attributes::{Attribute, AttributeKind, ChangedBy, Visibility};
pub use client_claims::{ClaimValue, ClientClaim, GroupValue, PersonClaim};
pub use clients::{ClaimPlacement, ClientSettings, ClientType, ConsentPolicy, PkcePolicy};
pub use groups::{GroupDefinition, group_name_fault, is_role};
pub use limits::{ConnectionSettings, RateLimitSettings};
pub use lists::OneOrMore;
pub use load::{Environment, load, parse};
pub use mail::{MailAddress, MailServer, MailSettings, MailSink, StartTls};
pub use mapping::{
    ClaimRule, ClaimSettings, ClaimSource, ClaimValues, EmailTrust, GroupSettings,
    UpstreamAdmission, UpstreamSignup, VerifiedForm,
};
pub use presets::{Ask, Preset, PresetName, presets};
pub use problems::{Problem, Problems};
pub use redis_url::RedisUrl;
pub use reference::markdown as reference_markdown;
pub use second_factors::{PasskeyUse, SecondFactorSettings, TotpEnrolment};
pub use sections::{
    AccountSettings, BrandingSettings, DatabaseSettings, KeySettings, PasswordLogin,
    PasswordSettings, PersonalAccessTokens, SecretSettings, ServerSettings, SessionSettings,
    SignupEmail, SignupMode, SignupSettings, StateSettings, TokenSettings,
};
pub use upstream_values::{Certificates, Day, Levels, Parameters};
pub use upstreams::{
    AcrTrust, BoundTokens, ClientAuthentication, FrontChannelLogout, LOCAL, Protocol,
    PushedRequests, ResponseMode, UpstreamLogout, UpstreamSettings,
};

section! {
    /// The whole of `keywright.toml`.
    pub struct Config {
        /// How the world reaches Keywright.
        server: ServerSettings,
        /// What connections to the public listener may cost.
        connections: ConnectionSettings,
        /// Where everything durable is kept.
        database: DatabaseSettings,
        /// Where short-lived shared state is kept.
        state: StateSettings,
        /// What encrypts the rest.
        secrets: SecretSettings,
        /// Lifetimes of what is issued.
        tokens: TokenSettings,
        /// Signing keys and their rotation.
        keys: KeySettings,
        /// Browser sessions.
        sessions: SessionSettings,
        /// Local passwords.
        passwords: PasswordSettings,
        /// What people prove besides a password.
        second_factors: SecondFactorSettings,
        /// Who may get an account.
        signup: SignupSettings,
        /// What people may do with their accounts.
        accounts: AccountSettings,
        /// Brakes against guessing.
        rate_limits: RateLimitSettings,
        /// How mail leaves. Without `url` and `sink` there is no mail, and what needs it is not offered.
        mail: MailSettings,
        /// How the pages look.
        branding: BrandingSettings,
        /// Identity providers at which people sign in.
        upstreams: Vec<UpstreamSettings> = Vec::new(),
        /// The apps that sign people in through Keywright.
        clients: Vec<ClientSettings> = Vec::new(),
        /// Groups that mean something: what each belongs to, and which role it gives.
        groups: Vec<GroupDefinition> = Vec::new(),
        /// What accounts say about people beyond name and address.
        attributes: Vec<Attribute> = Vec::new(),
    }
}

impl Config {
    /// Checks what only the whole can tell, and adds what is wrong to `problems`.
    fn check(&self, problems: &mut Problems) {
        self.server.check(problems);
        self.connections.check(problems);
        self.secrets.check(&self.server.issuer, problems);
        self.tokens.check(problems);
        self.keys.check(problems);
        self.sessions.check(problems);
        self.passwords.check(problems);
        self.second_factors.check(problems);
        self.rate_limits.check(problems);
        self.mail.check(&self.server.issuer, problems);
        upstreams::check(&self.upstreams, self.mail.is_configured(), problems);
        clients::check(&self.clients, &self.upstreams, problems);
        groups::check(&self.groups, problems);
        attributes::check(&self.attributes, &self.clients, problems);
    }
}
