//! The apps: what each may do, and whether it is who it says it is.

mod secrets;

pub use secrets::{KnownSecret, Secrets};

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, PoisonError, RwLock},
};

use crate::{
    config::{
        ClientSettings, ClientType, Config, LOCAL, PkcePolicy, SecondFactorSettings, TokenSettings,
    },
    foundation::{
        clock::Span,
        ids::{ClientId, UpstreamSlug},
        names::username_key,
    },
    protocol::{
        acr::Level,
        redirect_uri::{self, LoopbackPort},
        scope::{self, Scope},
        words::{AuthMethod, GrantType},
    },
    store::{
        Connection, StoreResult, facts,
        users::{AccountKind, Person, User},
    },
};

/// An app.
#[derive(Debug)]
pub struct Client {
    /// What the administrator wrote.
    pub settings: ClientSettings,
    /// The scopes that it may have.
    pub scope: Scope,
    /// How long its access tokens are good.
    pub access_token_lifetime: Span,
    /// How long its ID tokens are good.
    pub id_token_lifetime: Span,
    /// What the house asks of people at every app.
    second_factors: Arc<SecondFactorSettings>,
    secrets: Secrets,
}

impl Client {
    fn new(
        mut settings: ClientSettings,
        tokens: &TokenSettings,
        second_factors: Arc<SecondFactorSettings>,
    ) -> Self {
        let secrets = Secrets::take(&mut settings);
        Self {
            scope: settings.scopes.iter().collect(),
            access_token_lifetime: settings
                .access_token_lifetime
                .unwrap_or(tokens.access_token_lifetime),
            id_token_lifetime: settings.id_token_lifetime.unwrap_or(tokens.id_token_lifetime),
            secrets,
            second_factors,
            settings,
        }
    }

    /// Its `client_id`.
    pub const fn id(&self) -> &ClientId {
        &self.settings.id
    }

    /// Whether it cannot prove who it is.
    pub fn is_public(&self) -> bool {
        self.settings.is_public()
    }

    /// How it proves who it is.
    pub fn auth_method(&self) -> AuthMethod {
        self.settings.auth_method()
    }

    /// Its secrets.
    pub const fn secrets(&self) -> &Secrets {
        &self.secrets
    }

    /// Whether it may use this grant type.
    pub fn may_use(&self, grant_type: GrantType) -> bool {
        self.settings.grant_types.contains(&grant_type)
    }

    /// Whether it is given anything on behalf of people. A client that only acts for itself has
    /// scopes that are no person's to give.
    pub fn acts_for_people(&self) -> bool {
        self.may_use(GrantType::AuthorizationCode)
            || self.may_use(GrantType::TokenExchange)
            || self.settings.api
    }

    /// Whether this is the service account that it is by itself, and open.
    pub fn is_account(&self, user: &User) -> bool {
        let name = self.settings.service_account.as_deref();
        name.is_some_and(|name| username_key(name) == user.username_key)
            && user.kind == AccountKind::Service
            && user.disabled_at.is_none()
    }

    /// Whether people may be sent back to this address.
    pub fn may_redirect_to(&self, uri: &str) -> bool {
        let loopback = match self.settings.r#type {
            ClientType::Native => LoopbackPort::Free,
            ClientType::Confidential | ClientType::Public => LoopbackPort::Fixed,
        };
        let registered = &self.settings.redirect_uris;
        registered.iter().any(|own| redirect_uri::matches(own, uri, loopback))
    }

    /// Whether people may be sent to this address after signing out.
    pub fn may_redirect_after_logout(&self, uri: &str) -> bool {
        self.settings.post_logout_redirect_uris.iter().any(|own| own == uri)
    }

    /// Who its access tokens are for: its configured audience, else itself.
    pub fn audience(&self) -> &str {
        self.settings.audience.as_deref().unwrap_or(self.id().as_str())
    }

    /// Whether somebody with these groups may enter.
    pub fn admits(&self, groups: &[String]) -> bool {
        let allowed = &self.settings.allowed_groups;
        allowed.is_empty() || allowed.iter().any(|group| groups.contains(group))
    }

    /// Whether people may come by this upstream; none stands for accounts of our own.
    pub fn accepts(&self, upstream: Option<&UpstreamSlug>) -> bool {
        let allowed = &self.settings.allowed_upstreams;
        let way = upstream.map_or(LOCAL, UpstreamSlug::as_str);
        allowed.is_empty() || allowed.iter().any(|slug| slug.as_str() == way)
    }

    /// Whether a sign-in at this level is enough, whatever a single request asks for.
    pub fn is_content_with(&self, level: Option<Level>) -> bool {
        self.settings.require_acr.is_none_or(|least| level >= Some(least))
    }

    /// Why it does not let in, or no longer, a person who came this way and proved themselves at this
    /// level; nothing if it does. Whatever speaks for a person is judged by this.
    pub fn turns_away(
        &self,
        person: &Person,
        upstream: Option<&UpstreamSlug>,
        level: Option<Level>,
    ) -> Option<&'static str> {
        if person.user.disabled_at.is_some() {
            Some("user_disabled")
        } else if !self.admits(&person.groups()) {
            Some("no_longer_allowed")
        } else if !self.accepts(upstream) {
            Some("upstream_not_allowed")
        } else if !self.is_content_with(level) || self.is_too_little(person, level) {
            Some("acr_too_low")
        } else {
            None
        }
    }

    /// Whether a group of the person's asks for two factors, and the sign-in had less. Whoever joins such
    /// a group signs in anew (MF-01); a program has no factors to prove.
    fn is_too_little(&self, person: &Person, level: Option<Level>) -> bool {
        person.user.kind == AccountKind::Person
            && level < Some(Level::MultiFactor)
            && self.second_factors.required_for(&person.groups())
    }

    /// Whether one of its addresses has this origin.
    pub fn has_origin(&self, origin: &str) -> bool {
        self.settings.redirect_uris.iter().any(|uri| {
            url::Url::parse(uri).is_ok_and(|url| {
                matches!(url.scheme(), "https" | "http")
                    && url.origin().ascii_serialization() == origin
            })
        })
    }

    /// Where the person probably came from: for "back to the app" links.
    pub fn home(&self) -> Option<String> {
        let first = self.settings.redirect_uris.first()?;
        let url = url::Url::parse(first).ok()?;
        matches!(url.scheme(), "https" | "http").then(|| url.origin().ascii_serialization())
    }
}

/// All apps.
#[derive(Debug)]
pub struct Clients {
    by_id: HashMap<ClientId, Arc<Client>>,
    /// Clients under the ratchet that are known to have used PKCE.
    ratcheted: RwLock<HashSet<ClientId>>,
}

impl Clients {
    /// The apps of the configuration.
    pub fn new(config: &Config) -> Self {
        let second_factors = Arc::new(config.second_factors.clone());
        let client = |settings: &ClientSettings| {
            let client = Client::new(settings.clone(), &config.tokens, Arc::clone(&second_factors));
            (settings.id.clone(), Arc::new(client))
        };
        Self { by_id: config.clients.iter().map(client).collect(), ratcheted: RwLock::default() }
    }

    /// The app of this id, if it may be used at all.
    pub fn find(&self, id: &str) -> Option<Arc<Client>> {
        let client = self.by_id.get(&ClientId::new(id))?;
        client.settings.enabled.then(|| Arc::clone(client))
    }

    /// Every app.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Client>> {
        self.by_id.values()
    }

    /// What somebody who came this way may let a program do: see what apps are told about people, and
    /// what the apps that let them in understand. A program refreshes nothing.
    pub fn scope_of(
        &self,
        person: &Person,
        upstream: Option<&UpstreamSlug>,
        level: Option<Level>,
    ) -> Scope {
        let open = self.by_id.values().filter(|client| {
            let settings = &client.settings;
            settings.enabled
                && client.acts_for_people()
                && client.turns_away(person, upstream, level).is_none()
        });
        let mut words: Vec<&str> = open.flat_map(|client| client.scope.iter()).collect();
        words.sort_unstable();
        let known = scope::KNOWN.iter().copied().chain(words);
        known.filter(|word| *word != scope::OFFLINE_ACCESS).collect()
    }

    /// The apps whose refresh tokens outlive a sign-out.
    pub fn keeping_offline_access(&self) -> Vec<ClientId> {
        let keeping = self.by_id.values().filter(|client| client.settings.offline_after_logout);
        keeping.map(|client| client.id().clone()).collect()
    }

    /// The apps that are told when a session ends (OIDC Back-Channel Logout §2.2).
    pub fn told_of_logout(&self) -> Vec<ClientId> {
        let told = self.by_id.values().filter(|c| c.settings.backchannel_logout_uri.is_some());
        told.map(|client| client.id().clone()).collect()
    }

    /// Whether any app limits how old the word of an upstream may be.
    pub fn limits_staleness(&self) -> bool {
        self.by_id.values().any(|client| client.settings.max_staleness.is_some())
    }

    /// How old the word of an upstream may be for the most patient of the apps that limit it.
    pub fn longest_staleness(&self) -> Option<Span> {
        self.by_id.values().filter_map(|client| client.settings.max_staleness).max()
    }

    /// The longest lifetime of any token that is issued to any app.
    pub fn longest_token_lifetime(&self, tokens: &TokenSettings) -> Span {
        let all = self.by_id.values();
        let own = all.flat_map(|client| [client.access_token_lifetime, client.id_token_lifetime]);
        own.fold(tokens.access_token_lifetime.max(tokens.id_token_lifetime), Span::max)
    }

    /// Whether this client must use PKCE now (RFC 9700 §2.1.1). Asks the database only for a
    /// client under the ratchet that is not known to have used it.
    pub async fn requires_pkce(
        &self,
        client: &Client,
        connection: impl AsyncFnOnce() -> StoreResult<Connection>,
    ) -> StoreResult<bool> {
        if client.is_public() || client.settings.pkce == PkcePolicy::Required {
            return Ok(true);
        }
        if self.is_ratcheted(client.id()) {
            return Ok(true);
        }
        let used = facts::find(&mut connection().await?, &fact(client.id())).await?.is_some();
        if used {
            self.remember_ratchet(client.id());
        }
        Ok(used)
    }

    /// Notes that a client under the ratchet has used PKCE: from now on it must.
    pub async fn note_pkce(
        &self,
        client: &Client,
        connection: impl AsyncFnOnce() -> StoreResult<Connection>,
    ) -> StoreResult<()> {
        let under_ratchet = !client.is_public() && client.settings.pkce == PkcePolicy::Ratchet;
        if under_ratchet && !self.is_ratcheted(client.id()) {
            facts::raise(&mut connection().await?, &fact(client.id()), 1).await?;
            self.remember_ratchet(client.id());
        }
        Ok(())
    }

    fn is_ratcheted(&self, id: &ClientId) -> bool {
        self.ratcheted.read().unwrap_or_else(PoisonError::into_inner).contains(id)
    }

    fn remember_ratchet(&self, id: &ClientId) {
        self.ratcheted.write().unwrap_or_else(PoisonError::into_inner).insert(id.clone());
    }
}

fn fact(id: &ClientId) -> String {
    format!("clients.{id}.pkce_used")
}
