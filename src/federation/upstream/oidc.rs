//! An upstream that speaks OpenID Connect: who has signed in is what a fully validated ID token says.

use std::sync::{Arc, PoisonError, RwLock};

use serde_json::{Map, Value};

use super::{Asserted, Begin, KeptTokens, Returned, Upstream, has_witness};
use crate::{
    config::{BoundTokens, PushedRequests, UpstreamSettings},
    federation::{
        assurance,
        dpop::{Access, Prover},
        exchange::{self, RelyingParty},
        fault::UpstreamFault,
        id_token::{self, Expected, IdTokenFault, Nonce, TENANT_PLACE, ValidIdToken},
        logout_token::{self, LogoutNotice},
        mapping,
        metadata::{Documents, Metadata},
        pushed, strict_json,
    },
    foundation::{clock::Timestamp, random::Random},
    keys::{ProofKey, PublishedKey},
};

/// What is known about an OpenID Provider.
pub(super) struct Provider {
    pub(super) documents: Documents,
    party: RwLock<Option<(Arc<Metadata>, Arc<RelyingParty>)>>,
}

impl Provider {
    pub(super) fn new(settings: &UpstreamSettings, foreign_origins: Vec<String>) -> Self {
        let patience = settings.timeout.to_std();
        let documents = Documents::new(settings.issuer.clone(), patience, foreign_origins);
        let documents =
            if settings.tenants.is_empty() { documents } else { documents.with_tenants() };
        Self { documents, party: RwLock::default() }
    }

    pub(super) async fn begin(
        &self,
        up: &Upstream,
        begin: Begin<'_>,
        verifier: &str,
        nonce: &str,
        now: Timestamp,
    ) -> Result<String, UpstreamFault> {
        let metadata = self.documents.metadata(&up.http, now).await?;
        if begin.prompt == Some("none") && !metadata.takes_prompt_none {
            let what = "its prompt_values_supported do not hold none";
            return Err(UpstreamFault::unacceptable("upstream_not_silent", what));
        }
        let party = self.relying_party(up, &metadata)?;
        let prompt = begin.prompt.or(up.settings.prompt.as_deref());
        // A hint only: what counts is the claim (UP-20).
        let domain = match up.settings.hosted_domains.as_slice() {
            [] => None,
            [only] => Some(only.clone()),
            _ => Some("*".to_owned()),
        };
        let own = [
            ("nonce", Some(nonce.to_owned())),
            ("prompt", prompt.map(str::to_owned)),
            ("max_age", begin.max_age.map(|seconds| seconds.to_string())),
            ("login_hint", begin.login_hint.map(str::to_owned)),
            ("hd", domain),
        ];
        Ok(up.authorization_url(&party, (begin, verifier), own))
    }

    /// Pushes what the address of a sign-in asks, where that is wanted (RFC 9126): the address to go to.
    pub(super) async fn push(
        &self,
        up: &Upstream,
        address: String,
        random: &dyn Random,
        now: Timestamp,
    ) -> Result<String, UpstreamFault> {
        let metadata = self.documents.metadata(&up.http, now).await?;
        let (settings, mode) = (&up.settings, up.settings.par);
        let endpoint = match &metadata.pushed_authorization_request_endpoint {
            Some(endpoint) if mode != PushedRequests::Never => endpoint,
            None if mode == PushedRequests::Always => {
                let detail = "par is \"always\", and the metadata names no \
                              pushed_authorization_request_endpoint";
                return Err(UpstreamFault::unacceptable("upstream_par_missing", detail));
            }
            _ => return Ok(address),
        };
        let proof = up.credentials.prove(settings, &metadata.token_endpoint, random, now)?;
        let endpoints = (endpoint.as_str(), metadata.authorization_endpoint.as_str());
        match pushed::push(&up.http, settings, endpoints, &address, &proof).await {
            // What would have been pushed goes through the browser, as without all this.
            Err(fault) if mode == PushedRequests::Auto && !metadata.wants_pushed_requests => {
                if !pushed::may_do_without(&fault) {
                    return Err(fault);
                }
                tracing::warn!(%fault, upstream = %up.slug(), "a request was not pushed");
                Ok(address)
            }
            answer => answer,
        }
    }

    pub(super) async fn check_issuer_of_answer(
        &self,
        up: &Upstream,
        iss: Option<&str>,
        now: Timestamp,
    ) -> Result<(), UpstreamFault> {
        let metadata = self.documents.metadata(&up.http, now).await?;
        let of_tenant = |iss: &str| {
            let tenants = up.settings.tenants.iter();
            tenants
                .map(|tenant| metadata.issuer.replace(TENANT_PLACE, tenant))
                .any(|own| own == iss)
        };
        match iss {
            Some(iss) if iss == metadata.issuer || of_tenant(iss) => Ok(()),
            None if !metadata.promises_iss => Ok(()),
            _ => {
                let detail = format!("iss is {iss:?} instead of {:?}", metadata.issuer);
                Err(UpstreamFault::unacceptable("upstream_mix_up", detail))
            }
        }
    }

    /// What we are at this upstream, made anew when its metadata was.
    pub(super) fn relying_party(
        &self,
        up: &Upstream,
        metadata: &Arc<Metadata>,
    ) -> Result<Arc<RelyingParty>, UpstreamFault> {
        let made = self.party.read().unwrap_or_else(PoisonError::into_inner);
        let current = made.as_ref().filter(|(of, _)| Arc::ptr_eq(of, metadata));
        if let Some((_, party)) = current {
            return Ok(Arc::clone(party));
        }
        drop(made);
        let endpoints = (&*metadata.authorization_endpoint, &*metadata.token_endpoint);
        let party = exchange::relying_party(&up.settings, endpoints, up.redirect_uri())?;
        let party = Arc::new(party);
        let made = Some((Arc::clone(metadata), Arc::clone(&party)));
        *self.party.write().unwrap_or_else(PoisonError::into_inner) = made;
        Ok(party)
    }

    /// Redeems the code, validates the ID token, adds UserInfo, maps.
    pub(super) async fn complete(
        &self,
        up: &Upstream,
        returned: Returned<'_>,
        random: &dyn Random,
        now: Timestamp,
    ) -> Result<Asserted, UpstreamFault> {
        let metadata = self.documents.metadata(&up.http, now).await?;
        let settings = &up.settings;
        let party = self.relying_party(up, &metadata)?;
        let key = Self::new_key(up, &metadata)?;
        let tokens = up.redeem(&party, returned, key.as_ref(), random, now).await?;
        let id_token = tokens.id_token.as_deref().ok_or_else(|| {
            UpstreamFault::unacceptable("id_token_missing", "the token answer has no id_token")
        })?;
        let expected = Expected {
            issuer: &metadata.issuer,
            tenants: &settings.tenants,
            client_id: &settings.client_id,
            nonce: Nonce::Required(returned.nonce),
            algorithms: &settings.id_token_algs,
            access_token: &tokens.access_token,
            now,
        };
        let valid = self.validate(up, &metadata, id_token, &expected, now).await?;
        check_hosted_domain(settings, &valid)?;
        // Refresh tokens may be bound where access tokens are not (RFC 9449 §5): the key is kept.
        let bound = key.as_ref().filter(|_| tokens.bound);
        let prover = bound.map(|key| Prover { key, random, now });
        let access = Access { token: &tokens.access_token, prover };
        let claims = Self::add_userinfo(up, &metadata, &valid, access).await?;
        let issuer = issuer_of(&valid);
        let kept = KeptTokens::new(&issuer, &valid.subject, returned.nonce, tokens, now);
        let kept = kept.with_key(key.as_ref());
        let kept = kept.with_witness(has_witness(up, &metadata));
        let mut asserted = Self::assert(up, valid, claims, kept);
        let posted = returned.user.filter(|_| up.posts_its_answers()).and_then(posted_name);
        // The person's own word: no rule ever sees it.
        asserted.person.name = asserted.person.name.or(posted);
        Ok(asserted)
    }

    /// The key that the tokens of a sign-in are bound to, where that is wanted and offered.
    fn new_key(up: &Upstream, metadata: &Metadata) -> Result<Option<ProofKey>, UpstreamFault> {
        if up.settings.dpop == BoundTokens::Never || !metadata.takes_dpop {
            return Ok(None);
        }
        let key = ProofKey::generate();
        key.map(Some).map_err(|error| UpstreamFault::unacceptable("dpop_key_unfit", error))
    }

    /// Validates an ID token.
    pub(super) async fn validate(
        &self,
        up: &Upstream,
        metadata: &Metadata,
        token: &str,
        expected: &Expected<'_>,
        now: Timestamp,
    ) -> Result<ValidIdToken, UpstreamFault> {
        let validate = |keys: &[PublishedKey]| id_token::validate(token, keys, expected);
        let valid = self.with_keys(up, metadata, now, validate).await;
        valid.map_err(|fault| up.health.name_clock(fault))
    }

    /// What the upstream says with a logout token (OIDC Back-Channel Logout §2.6).
    pub(super) async fn read_logout_token(
        &self,
        up: &Upstream,
        token: &str,
        now: Timestamp,
    ) -> Result<LogoutNotice, UpstreamFault> {
        let metadata = self.documents.metadata(&up.http, now).await?;
        let expected = logout_token::Expected {
            issuer: &metadata.issuer,
            tenants: &up.settings.tenants,
            client_id: &up.settings.client_id,
            algorithms: &up.settings.id_token_algs,
            now,
        };
        let validate = |keys: &[PublishedKey]| logout_token::validate(token, keys, &expected);
        let notice = self.with_keys(up, &metadata, now, validate).await;
        notice.map_err(|fault| up.health.name_clock(fault))
    }

    /// The address at which people sign out there, if it has one.
    pub(super) async fn end_session_endpoint(
        &self,
        up: &Upstream,
        now: Timestamp,
    ) -> Result<Option<String>, UpstreamFault> {
        Ok(self.documents.metadata(&up.http, now).await?.end_session_endpoint.clone())
    }

    /// Validates with the provider's keys; an unknown one has the JWKS fetched once more.
    async fn with_keys<T>(
        &self,
        up: &Upstream,
        metadata: &Metadata,
        now: Timestamp,
        validate: impl Fn(&[PublishedKey]) -> Result<T, IdTokenFault>,
    ) -> Result<T, UpstreamFault> {
        let keys = self.documents.keys(&up.http, &metadata.jwks_uri, now).await?;
        let unknown = match validate(&keys) {
            Ok(valid) => return Ok(valid),
            Err(IdTokenFault::Refused(fault)) => return Err(fault),
            Err(IdTokenFault::UnknownKey(fault)) => fault,
        };
        let again = self.documents.refetch_keys(&up.http, &metadata.jwks_uri, &keys, now).await?;
        let Some(keys) = again else {
            return Err(unknown);
        };
        validate(&keys).map_err(|fault| match fault {
            IdTokenFault::Refused(fault) | IdTokenFault::UnknownKey(fault) => fault,
        })
    }

    /// The claims of the ID token, and those of UserInfo where the ID token lacks any. What the ID
    /// token says, it says.
    pub(super) async fn add_userinfo(
        up: &Upstream,
        metadata: &Metadata,
        valid: &ValidIdToken,
        access: Access<'_>,
    ) -> Result<Map<String, Value>, UpstreamFault> {
        let mut claims = valid.claims.clone();
        let wanted = up.settings.userinfo && mapping::lacks_claims(&up.settings, &claims);
        let Some(endpoint) = metadata.userinfo_endpoint.as_ref().filter(|_| wanted) else {
            return Ok(claims);
        };
        let patience = up.settings.timeout.to_std();
        let subject = &valid.subject;
        let more = exchange::userinfo(&up.http, endpoint, access, subject, patience).await?;
        // The flag is about the address beside it: the pair comes from one place (UP-14).
        let is_pair = |name: &str| mapping::is_about_address(&up.settings, name);
        let has_pair = claims.keys().any(|name| is_pair(name));
        for (name, value) in more {
            if !(has_pair && is_pair(&name)) {
                claims.entry(name).or_insert(value);
            }
        }
        Ok(claims)
    }

    pub(super) fn assert(
        up: &Upstream,
        valid: ValidIdToken,
        claims: Map<String, Value>,
        tokens: KeptTokens,
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
        let acr = text("acr");
        Asserted {
            issuer: tokens.issuer.clone(),
            person: mapping::map(&up.settings, &claims).person,
            claims,
            // A time that cannot be read was refused with the token.
            auth_time: id_token::moment(&valid.claims, "auth_time").ok().flatten(),
            session_id: text("sid"),
            level: assurance::level(&up.settings, acr.as_deref(), &amr),
            amr,
            acr,
            subject: valid.subject,
            tokens,
        }
    }
}

/// The issuer of a validated token: the concrete one where the provider writes a template.
pub(super) fn issuer_of(valid: &ValidIdToken) -> String {
    valid.claims.get("iss").and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// The Workspace domain is in the token, or it was not checked by anybody (UP-20).
pub(super) fn check_hosted_domain(
    settings: &UpstreamSettings,
    valid: &ValidIdToken,
) -> Result<(), UpstreamFault> {
    let domain = valid.claims.get("hd").and_then(Value::as_str);
    let listed = |domain: &str| settings.hosted_domains.iter().any(|own| own == domain);
    if settings.hosted_domains.is_empty() || domain.is_some_and(listed) {
        return Ok(());
    }
    let detail = format!("hd is {:.100}", format!("{domain:?}"));
    Err(UpstreamFault::not_invited("upstream_hosted_domain", detail))
}

/// The name in what Apple has the browser post at the first sign-in. It is the person's own word:
/// good for a name, and for nothing else that is in there.
fn posted_name(user: &str) -> Option<String> {
    let user = strict_json::object(user.as_bytes())?;
    let name = user.get("name")?;
    let part = |part: &str| name.get(part).and_then(Value::as_str).map(str::trim);
    let parts: Vec<&str> = [part("firstName"), part("lastName")].into_iter().flatten().collect();
    Some(mapping::plain(&parts.join(" "))).filter(|name| !name.is_empty())
}

/// Whether a text is short and printable enough to be kept as it is.
fn is_plain(text: &str) -> bool {
    text.len() <= 255 && !text.chars().any(char::is_control)
}
