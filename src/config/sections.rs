//! The sections of the configuration that describe Keywright itself.

use std::net::{Ipv4Addr, SocketAddr};

use ipnet::IpNet;
use url::Url;

use super::{
    addresses::{DatabaseUrl, Issuer, StateUrl},
    problems::Problems,
    upstream_values::Certificates,
    values::word_setting,
};
use crate::foundation::{clock::Span, secret::Secret};

section! {
    /// How the world reaches Keywright.
    pub struct ServerSettings {
        /// The public origin, without path and without slash at the end. It stands in every token.
        /// `http` is accepted for loopback hosts only.
        issuer: Issuer = Issuer::unconfigured(),
        /// Where the public listener waits.
        listen: SocketAddr = SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)),
        /// Where `/livez`, `/readyz` and `/metrics` wait. Not for the public.
        management_listen: SocketAddr = SocketAddr::from((Ipv4Addr::LOCALHOST, 9090)),
        /// Networks whose `X-Forwarded-For` is believed.
        trusted_proxies: Vec<IpNet> = Vec::new(),
        /// Whether the proxies of `trusted_proxies` pass on connections, and say before the first
        /// byte for whom each is (PROXY protocol, version 1 or 2). Theirs must say so then.
        proxy_protocol: bool = false,
        /// The header by which the proxies of `trusted_proxies` pass on the certificate of an app, such as
        /// `Client-Cert` (RFC 9440). They have to drop it from what comes from elsewhere. Understood are the
        /// form of RFC 9440 and PEM that is percent-encoded (nginx, Traefik and others).
        client_certificate_header: Option<String>,
        /// The authorities whose certificates apps may prove themselves by (`tls_client_auth`), in PEM.
        client_certificate_ca: Option<Certificates>,
        /// A certificate and those that lead to its authority, in PEM: makes the public listener
        /// speak TLS. Read again when the file changes.
        tls_certificate_file: Option<String>,
        /// The private key of that certificate, in PEM.
        tls_key_file: Option<String>,
        /// How many instances run. More than one needs PostgreSQL and Redis.
        instances: u32 = 1,
        /// How long requests in flight may take to end after SIGTERM.
        drain_timeout: Span = Span::from_seconds(25),
    }
}

impl ServerSettings {
    pub(super) fn check(&self, problems: &mut Problems) {
        if let Some(all) = self.trusted_proxies.iter().find(|net| net.prefix_len() == 0) {
            let fix = "would believe anybody's headers; name the proxy's own network";
            problems.add("server.trusted_proxies", all, fix);
        }
        if self.proxy_protocol && self.trusted_proxies.is_empty() {
            let fix =
                "is believed of server.trusted_proxies alone; name the balancer's own network";
            problems.add("server.proxy_protocol", true, fix);
        }
        self.check_client_certificates(problems);
        let missing = match (&self.tls_certificate_file, &self.tls_key_file) {
            (Some(_), None) => Some("server.tls_key_file"),
            (None, Some(_)) => Some("server.tls_certificate_file"),
            _ => None,
        };
        if let Some(setting) = missing {
            problems.add_bare(setting, "must be set, too: certificate and key belong together");
        }
        if self.tls_certificate_file.is_some() && self.issuer.as_str().starts_with("http://") {
            let fix = "must begin with https:// where server.tls_certificate_file is set";
            problems.add("server.issuer", self.issuer.as_str(), fix);
        }
        if self.instances == 0 {
            problems.add("server.instances", 0, "must be at least 1");
        }
    }

    fn check_client_certificates(&self, problems: &mut Problems) {
        let Some(name) = &self.client_certificate_header else {
            return;
        };
        let at = "server.client_certificate_header";
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        if name.is_empty() || !name.bytes().all(fits) {
            problems.add(at, format!("{name:?}"), "must be the name of a header");
        } else if self.trusted_proxies.is_empty() {
            let fix = "is believed of server.trusted_proxies alone; name the proxy's own network";
            problems.add(at, format!("{name:?}"), fix);
        } else if self.proxy_protocol {
            // Behind a balancer that passes on connections nobody says which requests a proxy has made.
            let fix = "does not go with server.proxy_protocol: the proxy has to end TLS itself";
            problems.add(at, format!("{name:?}"), fix);
        }
    }
}

section! {
    /// Where everything durable is kept.
    pub struct DatabaseSettings {
        /// The database. Also read from `DATABASE_URL`.
        url: DatabaseUrl = DatabaseUrl::Sqlite("./data/keywright.db".into()),
        /// The most connections to PostgreSQL that this instance opens.
        max_connections: u32 = 16,
    }
}

section! {
    /// Where short-lived shared state is kept.
    pub struct StateSettings {
        /// The store. Also read from `REDIS_URL`.
        url: StateUrl = StateUrl::Memory,
        /// The most connections to Redis that this instance opens.
        max_connections: u32 = 16,
    }
}

section! {
    /// What encrypts private keys and everything else that must not be read from the database.
    pub struct SecretSettings {
        /// At least 32 characters, the same on every instance. Also read from `SECRET_KEY`. Without
        /// it one is made beside the SQLite file, for a loopback issuer only.
        secret_key: Option<Secret>,
        /// Former secret keys: they still decrypt, and no longer encrypt.
        previous_secret_keys: Vec<Secret> = Vec::new(),
    }
}

impl SecretSettings {
    pub(super) fn check(&self, issuer: &Issuer, problems: &mut Problems) {
        let at = "secrets.secret_key";
        match &self.secret_key {
            None if !issuer.is_loopback() => {
                problems
                    .add_bare(at, "must be set for this issuer; make one: openssl rand -hex 32");
            }
            Some(key) if is_weak(key.expose()) => {
                let fix = "too short or too regular: at least 32 random characters, \
                           for example from: openssl rand -hex 32";
                problems.add_bare(at, fix);
            }
            _ => {}
        }
    }
}

/// Whether a key could not have come out of a generator (LG-03).
fn is_weak(key: &str) -> bool {
    let kinds: std::collections::BTreeSet<u8> = key.bytes().collect();
    key.len() < 32 || kinds.len() < 8
}

text_enum! {
    /// Whether people may have personal access tokens.
    PersonalAccessTokens {
        /// Nobody, and those that there are are worth nothing.
        Off = "off",
        /// Everybody, for a time.
        Expiring = "expiring",
        /// Everybody, for a time or for good.
        Lasting = "lasting",
    }
}

section! {
    /// Lifetimes of what is issued.
    pub struct TokenSettings {
        /// How long an authorization code can be redeemed.
        authorization_code_lifetime: Span = Span::from_seconds(60),
        /// How long an access token is good, unless the client says otherwise.
        access_token_lifetime: Span = Span::from_minutes(15),
        /// How long an ID token is good, unless the client says otherwise.
        id_token_lifetime: Span = Span::from_minutes(15),
        /// A refresh token that is not used for this long is dead.
        refresh_idle_lifetime: Span = Span::from_days(7),
        /// A family of refresh tokens ends after this long, used or not.
        refresh_absolute_lifetime: Span = Span::from_days(30),
        /// For this long after a rotation, the previous refresh token gets the same answer again,
        /// so that a lost reply does not sign anybody out. `"0s"` is strict.
        refresh_grace: Span = Span::from_seconds(10),
        /// Whether proofs of possession (`DPoP`) have to carry a nonce of ours, so that none can be made for
        /// later. Costs apps one more request each five minutes.
        dpop_nonces: bool = false,
        /// Whether people may have personal access tokens: none, such that expire, or also such that
        /// last until they are revoked.
        personal_access_tokens: PersonalAccessTokens = PersonalAccessTokens::Expiring,
        /// How long a personal access token is good, unless its owner says otherwise.
        personal_access_token_lifetime: Span = Span::from_days(90),
        /// The longest that its owner may say. Made shorter, it counts for those that there are, too.
        personal_access_token_max_lifetime: Span = Span::from_days(366),
    }
}

impl TokenSettings {
    pub(super) fn check(&self, problems: &mut Problems) {
        let mut within = |name: &str, span: Span, most: Span| {
            if span == Span::ZERO || span > most {
                let at = format!("tokens.{name}");
                problems.add(&at, span, format!("must be between \"1s\" and \"{most}\""));
            }
        };
        let day = Span::from_days(1);
        within(
            "authorization_code_lifetime",
            self.authorization_code_lifetime,
            Span::from_minutes(10),
        );
        within("access_token_lifetime", self.access_token_lifetime, day);
        within("id_token_lifetime", self.id_token_lifetime, day);
        within("refresh_idle_lifetime", self.refresh_idle_lifetime, Span::from_days(366));
        within("refresh_absolute_lifetime", self.refresh_absolute_lifetime, Span::from_days(366));
        let longest = self.personal_access_token_max_lifetime;
        within("personal_access_token_max_lifetime", longest, Span::from_days(3_660));
        if longest != Span::ZERO {
            within("personal_access_token_lifetime", self.personal_access_token_lifetime, longest);
        }
        if self.refresh_grace > Span::from_minutes(2) {
            problems.add("tokens.refresh_grace", self.refresh_grace, "must be at most \"2m\"");
        }
    }
}

section! {
    /// Signing keys and their rotation.
    pub struct KeySettings {
        /// How long a key signs before the next one takes over.
        rotation_interval: Span = Span::from_days(90),
        /// How long a key stands in the JWKS before it signs. At least `jwks_max_age` is kept in
        /// any case; apps that cache longer than they should need more.
        publish_lead: Span = Span::from_days(1),
        /// The longest time for which apps may cache the JWKS.
        jwks_max_age: Span = Span::from_minutes(5),
    }
}

impl KeySettings {
    pub(super) fn check(&self, problems: &mut Problems) {
        if self.jwks_max_age > Span::from_days(1) {
            problems.add("keys.jwks_max_age", self.jwks_max_age, "must be at most \"1d\"");
        }
        let least = self.publish_lead.plus(self.jwks_max_age).plus(Span::from_hours(1));
        if self.rotation_interval < least {
            let fix = format!("must leave room for publish_lead: at least \"{least}\"");
            problems.add("keys.rotation_interval", self.rotation_interval, fix);
        }
    }
}

section! {
    /// Browser sessions.
    pub struct SessionSettings {
        /// A session that is not used for this long ends.
        idle_lifetime: Span = Span::from_hours(12),
        /// A session ends after this long, used or not.
        absolute_lifetime: Span = Span::from_days(7),
        /// So many one person may have. A further one ends the oldest.
        max_per_person: u32 = 50,
    }
}

impl SessionSettings {
    pub(super) fn check(&self, problems: &mut Problems) {
        if !(1..=1_000).contains(&self.max_per_person) {
            let fix = "must be between 1 and 1000";
            problems.add("sessions.max_per_person", self.max_per_person, fix);
        }
    }
}

text_enum! {
    /// Whether people may sign in with a local password.
    PasswordLogin {
        /// The form is shown and its POST is accepted.
        On = "on",
        /// Neither form nor POST.
        Off = "off",
    }
}

text_enum! {
    /// Whether somebody who makes a local account gives an e-mail address.
    SignupEmail {
        /// Nobody is asked for one.
        Off = "off",
        /// Whoever likes.
        Optional = "optional",
        /// Everybody.
        Required = "required",
    }
}

text_enum! {
    /// Who may get an account.
    SignupMode {
        /// Anybody.
        Open = "open",
        /// Whoever holds an invitation.
        Invite = "invite",
        /// Nobody new.
        Closed = "closed",
    }
}
word_setting!(PasswordLogin, PersonalAccessTokens, SignupEmail, SignupMode);

section! {
    /// Local passwords.
    pub struct PasswordSettings {
        /// Whether people may sign in with a local password.
        login: PasswordLogin = PasswordLogin::On,
        /// The fewest characters of a new password.
        min_length: u32 = 8,
        /// How hard to guess a new password must be for somebody who knows the person: 1 takes a
        /// thousand tries, 2 a million, 3 a hundred million, 4 ten billion. At the sign-in form a
        /// million tries take years; 3 also refuses every password of eight characters. `0` refuses
        /// the most common passwords only.
        min_strength: u32 = 2,
        /// A file of leaked passwords that nobody may choose: SHA-1 digests in hex or beginnings of
        /// at least ten digits, one a line and sorted, with or without `:count`.
        breached_list: Option<String>,
        /// argon2id: memory in KiB.
        argon2_memory_kib: u32 = 19_456,
        /// argon2id: passes.
        argon2_passes: u32 = 2,
        /// argon2id: lanes.
        argon2_lanes: u32 = 1,
    }
}

impl PasswordSettings {
    pub(super) fn check(&self, problems: &mut Problems) {
        let fits = argon2::Params::new(
            self.argon2_memory_kib,
            self.argon2_passes,
            self.argon2_lanes,
            None,
        );
        if let Err(error) = fits {
            let (name, value) = match error {
                argon2::Error::TimeTooSmall => ("argon2_passes", self.argon2_passes),
                argon2::Error::ThreadsTooFew | argon2::Error::ThreadsTooMany => {
                    ("argon2_lanes", self.argon2_lanes)
                }
                _ => ("argon2_memory_kib", self.argon2_memory_kib),
            };
            problems.add(&format!("passwords.{name}"), value, error.to_string());
        }
        if !(8..=64).contains(&self.min_length) {
            problems.add("passwords.min_length", self.min_length, "must be between 8 and 64");
        }
        if self.min_strength > 4 {
            problems.add("passwords.min_strength", self.min_strength, "must be between 0 and 4");
        }
    }
}

section! {
    /// Who may get an account. `keywright signup` sets `local` and `federated` while servers run.
    pub struct SignupSettings {
        /// Whether both doors are shut, whatever else is said, and invitations open neither. Also read from
        /// `DISABLE_SIGNUP`.
        disabled: bool = false,
        /// By the sign-up form of local accounts.
        local: SignupMode = SignupMode::Closed,
        /// Whether that form asks for an e-mail address.
        email: SignupEmail = SignupEmail::Optional,
        /// By signing in at an upstream for the first time.
        federated: SignupMode = SignupMode::Open,
        /// Whether whoever gets an account without an invitation waits until an administrator has
        /// approved it. `keywright signup set --approval` sets it while servers run.
        approval: bool = false,
    }
}

section! {
    /// What people may do with their accounts.
    pub struct AccountSettings {
        /// Whether people may delete their own account.
        self_deletion: bool = true,
        /// How long a deleted account is shut before nothing is left of it.
        deletion_grace: Span = Span::from_days(14),
    }
}

section! {
    /// How the pages look.
    pub struct BrandingSettings {
        /// What the pages call this place.
        name: String = "Keywright".to_owned(),
        /// Whom to ask for help: an address that pages link to.
        support: Option<Url>,
    }
}
