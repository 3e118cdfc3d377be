//! The composition root: everything that handlers and jobs need, built once from the configuration.

mod client_keys;
mod mailing;
mod secret_key;

pub use client_keys::{ClientKeys, Keys};
pub use mailing::Whence;

use std::{ops::Deref, sync::Arc};

use anyhow::Context as _;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    accounts::{
        factors::Passkeys,
        house_rules::HouseRules,
        local::LocalAccounts,
        passwords::{Passwords, guessing::Guesses},
        pictures::Pictures,
        toggles::{Door, Toggle},
    },
    audit::Audit,
    clients::Clients,
    config::{Config, PasswordLogin, SignupMode, StateUrl},
    ephemeral::{Allowances, Crowd, EphemeralStore, MemoryStore, RedisStore, ShortLivedState},
    federation::{HttpClient, Upstreams},
    foundation::{
        clock::{Clock, Timestamp},
        ids::InvitationId,
        random::Random,
        seal::{KeyRing, Purpose},
    },
    interactions::{FlowBrake, Interaction},
    keys::{self, Rotation, SigningKeys},
    mail::Mail,
    metrics::Metrics,
    sessions,
    store::{Access, Connection, Store, StoreResult, is_first, migrate, pending},
    tokens::{
        access::{Confirmation, Issuing},
        refresh::RefreshPolicy,
    },
    urls::Urls,
};

/// So many floods are told apart.
const MOST_FLOODS: usize = 100_000;

/// Everything, shared.
#[derive(Clone, Debug)]
pub struct App(Arc<Parts>);

/// The parts of [`App`].
#[derive(Debug)]
pub struct Parts {
    /// The configuration.
    pub config: Config,
    /// Our addresses.
    pub urls: Urls,
    /// The database.
    pub store: Arc<Store>,
    /// The short-lived state.
    pub state: ShortLivedState,
    /// The in-process store behind it, if it is one.
    pub memory: Option<Arc<MemoryStore>>,
    /// The signing keys.
    pub keys: SigningKeys,
    /// The apps.
    pub clients: Clients,
    /// Their public keys, and who may certify them.
    pub client_keys: ClientKeys,
    /// The upstreams.
    pub upstreams: Upstreams,
    /// How others are called.
    pub http: HttpClient,
    /// The hashing pool.
    pub passwords: Passwords,
    /// Wrong passwords, counted.
    pub guesses: Guesses,
    /// How many sign-ins begin.
    pub flow_brake: FlowBrake,
    /// How many requests a network may still make, unless nobody is limited.
    pub allowances: Option<Allowances>,
    /// What comes in floods, and was said already.
    pub floods: Crowd<u32>,
    /// Passkeys, where they are taken.
    pub passkeys: Option<Passkeys>,
    /// Where pictures of people are drawn.
    pub pictures: Pictures,
    /// Whether there are local accounts.
    pub local_accounts: LocalAccounts,
    /// What administrators change at run time.
    pub rules: HouseRules,
    /// Mail.
    pub mail: Mail,
    /// Where audit events go.
    pub audit: Audit,
    /// The numbers.
    pub metrics: Metrics,
    /// Rows of the database are sealed under these keys.
    pub rows_ring: Arc<KeyRing>,
    /// Form tokens are made under these keys.
    pub csrf_ring: KeyRing,
    /// Successors of refresh tokens are derived under these keys.
    pub refresh_ring: KeyRing,
    /// Nonces for proofs of possession are made under these keys.
    pub dpop_ring: KeyRing,
    /// Everything that runs beside requests.
    pub tasks: TaskTracker,
    /// Questions to upstreams, and mails on their way, that must not be cut off.
    pub questions: TaskTracker,
    /// Tells everything that runs beside requests to end.
    pub stopping: CancellationToken,
    clock: Arc<dyn Clock>,
    random: RandomSource,
}

/// Chance, printable as nothing.
struct RandomSource(Arc<dyn Random>);

impl std::fmt::Debug for RandomSource {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Random")
    }
}

impl std::fmt::Debug for dyn Clock {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Clock")
    }
}

impl Deref for App {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

/// What a test may replace.
pub struct Ambient {
    /// Where the time comes from.
    pub clock: Arc<dyn Clock>,
    /// Where chance comes from.
    pub random: Arc<dyn Random>,
}

impl std::fmt::Debug for Ambient {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Ambient")
    }
}

impl Default for Ambient {
    fn default() -> Self {
        use crate::foundation::{clock::SystemClock, random::OsRandom};
        Self { clock: Arc::new(SystemClock), random: Arc::new(OsRandom) }
    }
}

impl App {
    /// Opens the stores, brings the schema up to date, checks the secret key, loads the keys.
    pub async fn start(mut config: Config, ambient: Ambient) -> anyhow::Result<Self> {
        install_tls_provider();
        let Ambient { clock, random } = ambient;
        let now = clock.now();
        let store = Arc::new(Store::open(&config.database, Access::Server)?);
        let secret = secret_key::find_or_make(&config, &*random)?;
        config.secrets.secret_key = Some(secret.clone());
        let ring =
            |purpose| KeyRing::derive(&secret, &config.secrets.previous_secret_keys, purpose);
        let rows_ring = Arc::new(ring(Purpose::Rows));
        bring_up_to_date(&store, &rows_ring, &*random).await?;
        let rules = HouseRules::new(&config.groups, &config.signup);
        rules.look(&store).await?;
        let (rotation, max_age) = (rotation(&config, &random)?, config.keys.jwks_max_age);
        let keys =
            SigningKeys::start(rotation, Arc::clone(&rows_ring), max_age, &store, &*random, now);
        let keys = keys.await?;
        let (backing, memory) = short_lived_store(&config, &clock)?;
        let state =
            ShortLivedState::new(backing, ring(Purpose::ShortLivedState), Arc::clone(&random));
        let (urls, http) = (Urls::new(config.server.issuer.clone()), HttpClient::new()?);
        let upstreams =
            Upstreams::new(&config.upstreams, &http, &clock, |slug| urls.upstream_callback(slug))?;
        let tasks = TaskTracker::new();
        let audit = begin_audit(&tasks, &store, &clock, &random);
        let parts = Parts {
            clients: Clients::new(&config),
            client_keys: ClientKeys::new(&config, &http)?,
            passwords: Passwords::new(&config, Arc::clone(&random))?,
            guesses: Guesses::new(ring(Purpose::Guessing), &config.rate_limits),
            flow_brake: FlowBrake::default(),
            allowances: allowances(&config),
            floods: Crowd::of(MOST_FLOODS),
            passkeys: passkeys(&config),
            pictures: Pictures::default(),
            local_accounts: LocalAccounts::new(config.passwords.login),
            rules,
            mail: Mail::new(&config, Arc::clone(&rows_ring), Arc::clone(&random))?,
            rows_ring,
            csrf_ring: ring(Purpose::Csrf),
            refresh_ring: ring(Purpose::RefreshSuccessor),
            dpop_ring: ring(Purpose::DpopNonce),
            metrics: Metrics::default(),
            stopping: CancellationToken::new(),
            random: RandomSource(random),
            config,
            urls,
            store,
            state,
            memory,
            keys,
            upstreams,
            http,
            audit,
            tasks,
            questions: TaskTracker::new(),
            clock,
        };
        Ok(Self(Arc::new(parts)))
    }

    /// A connection to the database.
    pub async fn connection(&self) -> StoreResult<Connection> {
        self.store.connection().await
    }
}

impl Parts {
    /// The present moment. A handler asks once.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Where chance comes from.
    pub fn random(&self) -> &dyn Random {
        &*self.random.0
    }

    /// Whether anybody can sign in with a password.
    pub async fn has_local_accounts(&self, now: Timestamp) -> StoreResult<bool> {
        self.local_accounts.any(async || self.store.connection().await, now).await
    }

    /// How far a door to new accounts is open.
    pub fn door(&self, door: Door) -> Toggle {
        self.rules.door(door)
    }

    /// Whether whoever is on this way may make a local account.
    pub fn signup_is_open(&self, interaction: Option<&Interaction>) -> bool {
        let invited = interaction.and_then(Interaction::invitation);
        let mode = self.door(Door::Local).mode;
        let opens = match invited {
            Some((_, kind)) if kind.administers() => true,
            Some(_) => mode != SignupMode::Closed,
            None => mode == SignupMode::Open,
        };
        opens && self.config.passwords.login == PasswordLogin::On
    }

    /// The invitation of whoever is on this way, if it counts: `signup.disabled` leaves only those that
    /// make administrators.
    pub fn invitation_of<'i>(&self, interaction: &'i Interaction) -> Option<&'i InvitationId> {
        let (invitation, kind) = interaction.invitation()?;
        (kind.administers() || !self.config.signup.disabled).then_some(invitation)
    }

    /// Whether whoever has lost their password can get back in by mail.
    pub fn recovery_is_open(&self) -> bool {
        self.config.passwords.login == PasswordLogin::On && self.mail.is_configured()
    }

    /// What issuing tokens needs.
    pub fn issuing(&self, now: Timestamp) -> Issuing<'_> {
        let (issuer, keys, random) = (self.urls.issuer(), &self.keys, self.random());
        Issuing { issuer, keys, random, now, until: None, bound_to: Confirmation::default() }
    }

    /// What beginning a session goes by.
    pub fn session_policy(&self) -> sessions::Policy<'_> {
        let (settings, clients, random) = (&self.config.sessions, &self.clients, self.random());
        sessions::Policy { settings, clients, random }
    }

    /// The lifetimes of refresh tokens.
    pub const fn refresh_policy(&self) -> RefreshPolicy {
        RefreshPolicy {
            idle_lifetime: self.config.tokens.refresh_idle_lifetime,
            grace: self.config.tokens.refresh_grace,
        }
    }
}

/// Brings the schema up to date, unless the secret key is wrong.
async fn bring_up_to_date(
    store: &Store,
    ring: &KeyRing,
    random: &dyn Random,
) -> anyhow::Result<()> {
    if !pending(store).await?.iter().any(|name| is_first(name)) {
        // The tables are there: a wrong secret key must not even change their shape.
        keys::secret_key::check(store, ring, random).await?;
    }
    migrate(store).await.context("the database cannot be brought up to date")?;
    Ok(())
}

/// Where audit events go, and the task that writes them.
fn begin_audit(
    tasks: &TaskTracker,
    store: &Arc<Store>,
    clock: &Arc<dyn Clock>,
    random: &Arc<dyn Random>,
) -> Audit {
    let (audit, writer) = Audit::new(Arc::clone(store), Arc::clone(clock), Arc::clone(random));
    tasks.spawn(writer.run());
    audit
}

fn allowances(config: &Config) -> Option<Allowances> {
    let limits = &config.rate_limits;
    let is_shared = matches!(config.state.url, StateUrl::Redis(_));
    let all = || Allowances::new(limits.requests_per_minute, config.server.instances, is_shared);
    limits.enabled.then(all)
}

/// Passkeys open accounts of our own: where those are shut, so are they.
fn passkeys(config: &Config) -> Option<Passkeys> {
    let on = config.second_factors.takes_passkeys() && config.passwords.login == PasswordLogin::On;
    let (issuer, place) = (&config.server.issuer, &config.branding.name);
    on.then(|| Passkeys::new(issuer, place)).flatten()
}

/// The keys under which rows of the database are sealed.
pub fn rows_ring(config: &Config, random: &Arc<dyn Random>) -> anyhow::Result<KeyRing> {
    let secret = secret_key::find_or_make(config, &**random)?;
    Ok(KeyRing::derive(&secret, &config.secrets.previous_secret_keys, Purpose::Rows))
}

/// The same for whoever only looks: nothing, where the server has yet to make its key.
pub fn existing_rows_ring(config: &Config) -> anyhow::Result<Option<KeyRing>> {
    existing_ring(config, Purpose::Rows)
}

/// The same for any purpose.
pub fn existing_ring(config: &Config, purpose: Purpose) -> anyhow::Result<Option<KeyRing>> {
    let secret = secret_key::find(config)?;
    let former = &config.secrets.previous_secret_keys;
    Ok(secret.map(|secret| KeyRing::derive(&secret, former, purpose)))
}

/// How the signing keys of this deployment are rotated.
pub fn rotation(config: &Config, random: &Arc<dyn Random>) -> anyhow::Result<Rotation> {
    let clients = Clients::new(config);
    Ok(Rotation::new(
        config.keys.clone(),
        clients.longest_token_lifetime(&config.tokens),
        Arc::new(rows_ring(config, random)?),
        Arc::clone(random),
    ))
}

type Backing = (Arc<dyn EphemeralStore>, Option<Arc<MemoryStore>>);

fn short_lived_store(config: &Config, clock: &Arc<dyn Clock>) -> anyhow::Result<Backing> {
    match &config.state.url {
        StateUrl::Memory => {
            let memory = Arc::new(MemoryStore::new(Arc::clone(clock)));
            Ok((Arc::<MemoryStore>::clone(&memory), Some(memory)))
        }
        StateUrl::Redis(url) => {
            let redis = RedisStore::new(url, config.state.max_connections);
            Ok((Arc::new(redis.context("state.url cannot be used")?), None))
        }
    }
}

/// Two libraries bring TLS; with more than one provider compiled in, one has to be named.
pub fn install_tls_provider() {
    // An error means that one is installed already, as in a process that starts two servers.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
}
