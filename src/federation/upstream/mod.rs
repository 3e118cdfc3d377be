//! One upstream, and all of them.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
};

use serde_json::{Map, Value};

use super::{
    exchange::{self, AuthorizationRequest, RelyingParty},
    fault::UpstreamFault,
    http::HttpClient,
    id_token::{self, Expected, IdTokenFault, ValidIdToken},
    mapping::{self, MappedPerson},
    metadata::{Documents, Metadata},
};
use crate::{
    config::UpstreamSettings,
    foundation::{
        clock::Timestamp,
        digest::base64url,
        ids::UpstreamSlug,
        random::{self, Random},
    },
};

/// An identity provider at which people sign in.
pub struct Upstream {
    /// What the administrator wrote.
    pub settings: UpstreamSettings,
    redirect_uri: String,
    documents: Documents,
    party: RwLock<Option<(Arc<Metadata>, Arc<RelyingParty>)>>,
    http: HttpClient,
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
    /// `login_hint`, if the app's request has one.
    pub login_hint: Option<&'a str>,
}

/// A sign-in that has begun.
#[derive(Debug)]
pub struct Begun {
    /// Where the browser goes.
    pub url: String,
    /// What the ID token has to carry.
    pub nonce: String,
    /// What the code is redeemed with.
    pub verifier: String,
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
    /// When the person proved who they are there, if it says.
    pub auth_time: Option<Timestamp>,
    /// Its session.
    pub session_id: Option<String>,
    /// How the person proved who they are, if it says.
    pub amr: Vec<String>,
    /// At which level, if it says.
    pub acr: Option<String>,
}

impl Upstream {
    /// Where the upstream sends people back to: an address of its own (UP-04).
    pub fn redirect_uri(&self) -> &str {
        &self.redirect_uri
    }

    /// Its short name.
    pub const fn slug(&self) -> &UpstreamSlug {
        &self.settings.slug
    }

    /// Begins a sign-in.
    pub async fn begin(
        &self,
        begin: Begin<'_>,
        random: &dyn Random,
        now: Timestamp,
    ) -> Result<Begun, UpstreamFault> {
        let metadata = self.documents.metadata(&self.http, now).await?;
        let nonce = base64url(&random::bytes::<24>(random));
        let verifier = base64url(&random::bytes::<32>(random));
        let extra: Vec<(&'static str, String)> = [
            begin.prompt.map(|prompt| ("prompt", prompt.to_owned())),
            begin.max_age.map(|seconds| ("max_age", seconds.to_string())),
            begin.login_hint.map(|hint| ("login_hint", hint.to_owned())),
        ]
        .into_iter()
        .flatten()
        .collect();
        let request = AuthorizationRequest {
            state: begin.state,
            nonce: &nonce,
            verifier: &verifier,
            extra: &extra,
        };
        let party = self.relying_party(&metadata)?;
        let url = exchange::authorization_url(&party, &self.settings, &request);
        Ok(Begun { url, nonce, verifier })
    }

    /// Checks that an answer really is this upstream's (RFC 9207 §2.4).
    pub async fn check_issuer_of_answer(
        &self,
        iss: Option<&str>,
        now: Timestamp,
    ) -> Result<(), UpstreamFault> {
        let metadata = self.documents.metadata(&self.http, now).await?;
        match iss {
            Some(iss) if iss == metadata.issuer => Ok(()),
            None if !metadata.promises_iss => Ok(()),
            _ => {
                let detail = format!("iss is {iss:?} instead of {:?}", metadata.issuer);
                Err(UpstreamFault::unacceptable("upstream_mix_up", detail))
            }
        }
    }

    /// What we are at this upstream, made anew when its metadata was.
    fn relying_party(&self, metadata: &Arc<Metadata>) -> Result<Arc<RelyingParty>, UpstreamFault> {
        let made = self.party.read().unwrap_or_else(PoisonError::into_inner);
        let current = made.as_ref().filter(|(of, _)| Arc::ptr_eq(of, metadata));
        if let Some((_, party)) = current {
            return Ok(Arc::clone(party));
        }
        drop(made);
        let party = exchange::relying_party(&self.settings, metadata, &self.redirect_uri)?;
        let party = Arc::new(party);
        let made = Some((Arc::clone(metadata), Arc::clone(&party)));
        *self.party.write().unwrap_or_else(PoisonError::into_inner) = made;
        Ok(party)
    }

    /// Completes a sign-in: redeems the code, validates the ID token, adds UserInfo, maps.
    pub async fn complete(
        &self,
        code: &str,
        verifier: &str,
        nonce: &str,
        now: Timestamp,
    ) -> Result<Asserted, UpstreamFault> {
        let metadata = self.documents.metadata(&self.http, now).await?;
        let settings = &self.settings;
        let party = self.relying_party(&metadata)?;
        let tokens = exchange::redeem(&self.http, &party, settings, code, verifier).await?;
        let expected = Expected {
            issuer: &metadata.issuer,
            client_id: &settings.client_id,
            nonce,
            algorithms: &settings.id_token_algs,
            access_token: &tokens.access_token,
            now,
        };
        let valid = self.validate(&metadata, &tokens.id_token, &expected, now).await?;
        let claims = self.add_userinfo(&metadata, &valid, &tokens.access_token).await?;
        Ok(self.assert(&metadata, valid, &claims))
    }

    /// Validates the ID token; an unknown key has the JWKS fetched once more.
    async fn validate(
        &self,
        metadata: &Metadata,
        token: &str,
        expected: &Expected<'_>,
        now: Timestamp,
    ) -> Result<ValidIdToken, UpstreamFault> {
        let keys = self.documents.keys(&self.http, &metadata.jwks_uri, now).await?;
        let unknown = match id_token::validate(token, &keys, expected) {
            Ok(valid) => return Ok(valid),
            Err(IdTokenFault::Refused(fault)) => return Err(fault),
            Err(IdTokenFault::UnknownKey(fault)) => fault,
        };
        let again = self.documents.refetch_keys(&self.http, &metadata.jwks_uri, &keys, now).await?;
        let Some(keys) = again else {
            return Err(unknown);
        };
        id_token::validate(token, &keys, expected).map_err(|fault| match fault {
            IdTokenFault::Refused(fault) | IdTokenFault::UnknownKey(fault) => fault,
        })
    }

    /// The claims of the ID token, and those of UserInfo where the ID token lacks any. What the ID
    /// token says, it says.
    async fn add_userinfo(
        &self,
        metadata: &Metadata,
        valid: &ValidIdToken,
        access_token: &str,
    ) -> Result<Map<String, Value>, UpstreamFault> {
        let mut claims = valid.claims.clone();
        let wanted = self.settings.userinfo && mapping::lacks_claims(&self.settings, &claims);
        let Some(endpoint) = metadata.userinfo_endpoint.as_ref().filter(|_| wanted) else {
            return Ok(claims);
        };
        let patience = self.settings.timeout.to_std();
        let subject = &valid.subject;
        let more =
            exchange::userinfo(&self.http, endpoint, access_token, subject, patience).await?;
        // The flag is about the address beside it: the pair comes from one place (UP-14).
        let pair = |name: &str| name == "email" || name == "email_verified";
        let has_pair = claims.keys().any(|name| pair(name));
        for (name, value) in more {
            if !(has_pair && pair(&name)) {
                claims.entry(name).or_insert(value);
            }
        }
        Ok(claims)
    }

    fn assert(
        &self,
        metadata: &Metadata,
        valid: ValidIdToken,
        claims: &Map<String, Value>,
    ) -> Asserted {
        let text = |name: &str| {
            let text = valid.claims.get(name).and_then(Value::as_str);
            text.filter(|text| is_plain(text)).map(str::to_owned)
        };
        let amr = match valid.claims.get("amr") {
            Some(Value::Array(methods)) => {
                let methods = methods.iter().filter_map(Value::as_str);
                methods.filter(|method| is_plain(method)).take(10).map(str::to_owned).collect()
            }
            _ => Vec::new(),
        };
        Asserted {
            issuer: metadata.issuer.clone(),
            person: mapping::map(&self.settings, claims),
            // A time that cannot be read was refused with the token.
            auth_time: id_token::moment(&valid.claims, "auth_time").ok().flatten(),
            session_id: text("sid"),
            amr,
            acr: text("acr"),
            subject: valid.subject,
        }
    }
}

/// Whether a text is short and printable enough to be kept as it is.
fn is_plain(text: &str) -> bool {
    text.len() <= 255 && !text.chars().any(char::is_control)
}

/// All upstreams.
#[derive(Debug)]
pub struct Upstreams {
    in_order: Vec<Arc<Upstream>>,
    by_slug: HashMap<UpstreamSlug, Arc<Upstream>>,
}

impl Upstreams {
    /// The upstreams of the configuration; `redirect_uri` is the callback address of each.
    pub fn new(
        all: &[UpstreamSettings],
        http: &HttpClient,
        redirect_uri: impl Fn(&UpstreamSlug) -> String,
    ) -> Self {
        let origin = |settings: &UpstreamSettings| settings.issuer.origin().ascii_serialization();
        let make = |settings: &UpstreamSettings| {
            let others = all.iter().filter(|other| other.slug != settings.slug).map(origin);
            Arc::new(Upstream {
                redirect_uri: redirect_uri(&settings.slug),
                party: RwLock::default(),
                documents: Documents::new(
                    settings.issuer.clone(),
                    settings.timeout.to_std(),
                    others.collect(),
                ),
                http: http.clone(),
                settings: settings.clone(),
            })
        };
        let enabled = all.iter().filter(|settings| settings.enabled);
        let in_order: Vec<Arc<Upstream>> = enabled.map(make).collect();
        let by_slug = in_order.iter().map(|up| (up.slug().clone(), Arc::clone(up))).collect();
        Self { in_order, by_slug }
    }

    /// The upstream of this short name.
    pub fn find(&self, slug: &str) -> Option<&Arc<Upstream>> {
        self.by_slug.get(&UpstreamSlug::new(slug))
    }

    /// The upstreams in the order of the configuration.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Upstream>> {
        self.in_order.iter()
    }

    /// The only upstream, if there is exactly one.
    pub fn only(&self) -> Option<&Arc<Upstream>> {
        match self.in_order.as_slice() {
            [only] => Some(only),
            _ => None,
        }
    }
}
