//! One upstream, and all of them: the same face for those that speak OpenID Connect ([`oidc`]) and
//! those that only speak OAuth 2.0 ([`oauth2`]).

mod checkup;
mod confirmation;
mod oauth2;
mod oidc;
mod presence;

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use serde_json::{Map, Value};

pub use self::{
    confirmation::{Confirmed, ConfirmedBy, KeptTokens, Unconfirmed},
    presence::SecretEnd,
};

use self::confirmation::has_witness;

use super::{
    assurance,
    client_auth::Credentials,
    clocks::Clocks,
    dpop::Prover,
    exchange::{self, AuthorizationRequest, Redemption, RelyingParty, Shown, Tokens},
    fault::UpstreamFault,
    health::Health,
    http::HttpClient,
    logout_token::LogoutNotice,
    mapping::MappedPerson,
};
use crate::{
    config::{Protocol, ResponseMode, UpstreamSettings},
    foundation::{
        clock::{Clock, Timestamp},
        digest::base64url,
        ids::UpstreamSlug,
        names::is_email,
        random::{self, Random},
    },
    keys::ProofKey,
    protocol::acr::Level,
};

/// An identity provider at which people sign in.
pub struct Upstream {
    /// What the administrator wrote.
    pub settings: UpstreamSettings,
    redirect_uri: String,
    credentials: Credentials,
    http: HttpClient,
    health: Arc<Health>,
    kind: Kind,
    /// Whether it was said that sessions through it are bounded.
    told_of_bounds: AtomicBool,
}

/// What an upstream speaks.
enum Kind {
    Oidc(Box<oidc::Provider>),
    OAuth2(Box<oauth2::Server>),
}

impl std::fmt::Debug for Upstream {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Upstream({})", self.settings.slug)
    }
}

/// What a sign-in asks of the upstream.
#[derive(Debug, Clone, Copy)]
pub struct Begin<'a> {
    /// Our `state`.
    pub state: &'a str,
    /// `prompt`, if the app's request wants one.
    pub prompt: Option<&'a str>,
    /// `max_age`, if the app's request has one.
    pub max_age: Option<u32>,
    /// `login_hint`, if there is an address to go by.
    pub login_hint: Option<&'a str>,
    /// The level that is wanted.
    pub level: Option<Level>,
}

/// A sign-in that has begun.
#[derive(Debug)]
pub struct Begun {
    /// Where the browser goes.
    pub url: String,
    /// What the ID token has to carry, if there will be one.
    pub nonce: String,
    /// What the code is redeemed with.
    pub verifier: String,
}

/// What came back, and what belongs to it.
#[derive(Debug, Clone, Copy)]
pub struct Returned<'a> {
    /// The code.
    pub code: &'a str,
    /// What it is redeemed with.
    pub verifier: &'a str,
    /// What the ID token has to carry.
    pub nonce: &'a str,
    /// What the browser posted about the person, which Apple sends once. Nobody has signed it.
    pub user: Option<&'a str>,
}

/// Who the upstream says has signed in.
#[derive(Debug)]
pub struct Asserted {
    /// The upstream's issuer.
    pub issuer: String,
    /// Its `sub`.
    pub subject: String,
    /// What its claims mean here.
    pub person: MappedPerson,
    /// Its claims, as they came.
    pub claims: Map<String, Value>,
    /// When the person proved who they are there, if it says.
    pub auth_time: Option<Timestamp>,
    /// Its session.
    pub session_id: Option<String>,
    /// How the person proved who they are, if it says.
    pub amr: Vec<String>,
    /// At which level, in our words.
    pub level: Level,
    /// At which level, in its own words.
    pub acr: Option<String>,
    /// What confirms the person later.
    pub tokens: KeptTokens,
}

impl Upstream {
    fn new(
        settings: &UpstreamSettings,
        http: &HttpClient,
        health: Health,
        redirect_uri: String,
        foreign_origins: Vec<String>,
    ) -> anyhow::Result<Self> {
        let health = Arc::new(health);
        let kind = match settings.protocol {
            Protocol::Oidc => Kind::Oidc(Box::new(oidc::Provider::new(settings, foreign_origins))),
            Protocol::OAuth2 => {
                Kind::OAuth2(Box::new(oauth2::Server::new(settings, &redirect_uri)?))
            }
        };
        Ok(Self {
            redirect_uri,
            credentials: Credentials::new(settings)?,
            http: http.for_upstream(settings, Arc::clone(&health))?,
            health,
            settings: settings.clone(),
            kind,
            told_of_bounds: AtomicBool::new(false),
        })
    }

    /// Where the upstream sends people back to: an address of its own (UP-04).
    pub fn redirect_uri(&self) -> &str {
        &self.redirect_uri
    }

    /// Its short name.
    pub const fn slug(&self) -> &UpstreamSlug {
        &self.settings.slug
    }

    /// Whether nobody has said yet that sessions through it are bounded. True once.
    pub fn is_first_to_tell_of_bounds(&self) -> bool {
        !self.told_of_bounds.swap(true, Ordering::Relaxed)
    }

    /// Whether its answers are posted by the browser, and never stand in an address.
    pub fn posts_its_answers(&self) -> bool {
        self.settings.response_mode == ResponseMode::FormPost
    }

    /// Begins a sign-in.
    pub async fn begin(
        &self,
        begin: Begin<'_>,
        random: &dyn Random,
        now: Timestamp,
    ) -> Result<Begun, UpstreamFault> {
        self.check_presence(now).await?;
        let nonce = base64url(&random::bytes::<24>(random));
        let verifier = base64url(&random::bytes::<32>(random));
        let url = match &self.kind {
            Kind::Oidc(provider) => {
                let url = provider.begin(self, begin, &verifier, &nonce, now).await?;
                provider.push(self, url, random, now).await?
            }
            Kind::OAuth2(server) => server.begin(self, begin, &verifier),
        };
        Ok(Begun { url, nonce, verifier })
    }

    /// Checks that an answer really is this upstream's (RFC 9207 §2.4).
    pub async fn check_issuer_of_answer(
        &self,
        iss: Option<&str>,
        now: Timestamp,
    ) -> Result<(), UpstreamFault> {
        match &self.kind {
            Kind::Oidc(provider) => provider.check_issuer_of_answer(self, iss, now).await,
            Kind::OAuth2(_) => oauth2::check_issuer_of_answer(self, iss),
        }
    }

    /// Completes a sign-in: redeems the code, learns who it is, maps what is said about them.
    pub async fn complete(
        &self,
        returned: Returned<'_>,
        random: &dyn Random,
        now: Timestamp,
    ) -> Result<Asserted, UpstreamFault> {
        let asserted = match &self.kind {
            Kind::Oidc(provider) => provider.complete(self, returned, random, now).await,
            Kind::OAuth2(server) => server.complete(self, returned, random, now).await,
        }?;
        assurance::check(&self.settings, &asserted)?;
        Ok(asserted)
    }

    /// What the upstream says with a logout token (OIDC Back-Channel Logout §2.6).
    pub async fn read_logout_token(
        &self,
        token: &str,
        now: Timestamp,
    ) -> Result<LogoutNotice, UpstreamFault> {
        match &self.kind {
            Kind::Oidc(provider) => provider.read_logout_token(self, token, now).await,
            Kind::OAuth2(_) => {
                let detail = "an upstream without ID tokens sends no logout tokens";
                Err(UpstreamFault::unacceptable("logout_token_unexpected", detail))
            }
        }
    }

    /// The address at which people sign out there, if it has one (RP-Initiated Logout §2.1).
    pub async fn end_session_endpoint(
        &self,
        now: Timestamp,
    ) -> Result<Option<String>, UpstreamFault> {
        match &self.kind {
            Kind::Oidc(provider) => {
                // Signed out here is better than lost on the way there.
                self.check_presence(now).await?;
                provider.end_session_endpoint(self, now).await
            }
            Kind::OAuth2(_) => Ok(None),
        }
    }

    /// The address of an authorization request. What the administrator adds comes first, and our
    /// own parameters are never among it.
    fn authorization_url(
        &self,
        party: &RelyingParty,
        (begin, verifier): (Begin<'_>, &str),
        own: impl IntoIterator<Item = (&'static str, Option<String>)>,
    ) -> String {
        let settings = &self.settings;
        let added = settings.authorization_params.iter();
        let mut extra: Vec<(&str, String)> =
            added.map(|(name, value)| (name.as_str(), value.clone())).collect();
        if self.posts_its_answers() {
            extra.push(("response_mode", "form_post".to_owned()));
        }
        let own =
            own.into_iter().chain([("acr_values", assurance::acr_values(settings, begin.level))]);
        extra.extend(own.filter_map(|(name, value)| Some((name, value?))));
        let request = AuthorizationRequest { state: begin.state, verifier, extra: &extra };
        exchange::authorization_url(party, settings, &request)
    }

    /// Redeems a code, with whatever proves who we are there.
    async fn redeem(
        &self,
        party: &RelyingParty,
        returned: Returned<'_>,
        key: Option<&ProofKey>,
        random: &dyn Random,
        now: Timestamp,
    ) -> Result<Tokens, UpstreamFault> {
        let endpoint = party.token_uri().as_str();
        let proof = self.credentials.prove(&self.settings, endpoint, random, now)?;
        let Returned { code, verifier, .. } = returned;
        let key = key.map(|key| Prover { key, random, now });
        let redemption = Redemption { code, verifier, shown: Shown { client: &proof, key } };
        // Whoever brings a code comes from there.
        let redeemed =
            exchange::redeem(&self.http.sure(), party, &self.settings, &redemption).await;
        redeemed.map_err(|fault| self.name_secret(fault, now))
    }
}

/// All upstreams.
#[derive(Debug)]
pub struct Upstreams {
    in_order: Vec<Arc<Upstream>>,
    by_slug: HashMap<UpstreamSlug, Arc<Upstream>>,
}

impl Upstreams {
    /// The upstreams of the configuration; `redirect_uri` is the callback address of each. Keys and
    /// certificates that cannot be used are problems of the configuration.
    pub fn new(
        all: &[UpstreamSettings],
        http: &HttpClient,
        clock: &Arc<dyn Clock>,
        redirect_uri: impl Fn(&UpstreamSlug) -> String,
    ) -> anyhow::Result<Self> {
        let origin = |settings: &UpstreamSettings| settings.issuer.origin().ascii_serialization();
        let clocks = Arc::new(Clocks::default());
        let make = |settings: &UpstreamSettings| {
            let slug = settings.slug.clone();
            let health = Health::new(slug, Arc::clone(clock), Arc::clone(&clocks));
            let others = all.iter().filter(|other| other.slug != settings.slug).map(origin);
            let redirect_uri = redirect_uri(&settings.slug);
            Upstream::new(settings, http, health, redirect_uri, others.collect()).map(Arc::new)
        };
        let enabled = all.iter().filter(|settings| settings.enabled);
        let in_order: Vec<Arc<Upstream>> = enabled.map(make).collect::<Result<_, _>>()?;
        let by_slug = in_order.iter().map(|up| (up.slug().clone(), Arc::clone(up))).collect();
        Ok(Self { in_order, by_slug })
    }

    /// The upstream of this short name.
    pub fn find(&self, slug: &str) -> Option<&Arc<Upstream>> {
        self.by_slug.get(&UpstreamSlug::new(slug))
    }

    /// The upstreams in the order of the configuration.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Upstream>> {
        self.in_order.iter()
    }

    /// The upstream to which the people of an e-mail domain go.
    pub fn of_domain(&self, domain: &str) -> Option<&Arc<Upstream>> {
        let has = |up: &&Arc<Upstream>| {
            up.settings.email_domains.iter().any(|own| own.eq_ignore_ascii_case(domain))
        };
        self.in_order.iter().find(has)
    }

    /// The upstream to which the person with this address goes. What is not quite an address, as
    /// people and mail programs read them, leads nowhere.
    pub fn of_address(&self, address: &str) -> Option<&Arc<Upstream>> {
        let (_, domain) = address.split_once('@').filter(|_| is_email(address))?;
        self.of_domain(domain)
    }
}
