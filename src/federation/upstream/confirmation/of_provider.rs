//! The question to an OpenID Provider: its refresh token, UserInfo, introspection, in this order.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::{
    Confirmed, ConfirmedBy, KeptTokens, Unconfirmed, denied, is_about_another, without_details,
};
use crate::{
    config::ClientAuthentication,
    federation::{
        dpop::Prover,
        exchange::{self, Tokens},
        fault::{FaultKind, UpstreamFault},
        id_token::{Expected, Nonce, ValidIdToken},
        introspection, mapping,
        metadata::Metadata,
        upstream::{
            Asserted, Upstream,
            oidc::{Provider, check_hosted_domain, issuer_of},
        },
    },
    foundation::{clock::Timestamp, random::Random},
    keys::ProofKey,
};

/// Metadata; tokens, twice where a nonce is wanted; keys, and those that have changed since; UserInfo, as
/// often as tokens. What is asked without a refresh token is less.
pub(super) const MOST_REQUESTS: usize = 7;

impl Provider {
    pub(super) async fn confirm(
        &self,
        up: &Upstream,
        kept: &KeptTokens,
        random: &dyn Random,
        now: Timestamp,
    ) -> Result<Confirmed, Unconfirmed> {
        let metadata = self.documents.metadata(&up.http, now).await?;
        let key = kept.key();
        let question = Question { provider: self, up, metadata, kept, key, random, now };
        match &kept.refresh_token {
            Some(refresh_token) => question.by_refresh(refresh_token).await,
            None => question.by_access_token().await,
        }
    }
}

/// Whether a living access token opens anything that tells about the person.
pub(in crate::federation::upstream) fn has_witness(up: &Upstream, metadata: &Metadata) -> bool {
    userinfo_of(up, metadata).is_some() || introspection_of(up, metadata).is_some()
}

fn userinfo_of<'m>(up: &Upstream, metadata: &'m Metadata) -> Option<&'m str> {
    metadata.userinfo_endpoint.as_deref().filter(|_| up.settings.userinfo)
}

/// RFC 7662 §2.1: whoever asks has to prove who they are.
fn introspection_of<'m>(up: &Upstream, metadata: &'m Metadata) -> Option<&'m str> {
    let proves = up.settings.client_auth != ClientAuthentication::None;
    metadata.introspection_endpoint.as_deref().filter(|_| proves)
}

/// One question.
struct Question<'a> {
    provider: &'a Provider,
    up: &'a Upstream,
    metadata: Arc<Metadata>,
    kept: &'a KeptTokens,
    key: Option<ProofKey>,
    random: &'a dyn Random,
    now: Timestamp,
}

impl Question<'_> {
    fn prover(&self) -> Option<Prover<'_>> {
        self.key.as_ref().map(|key| Prover { key, random: self.random, now: self.now })
    }

    async fn by_refresh(&self, refresh_token: &str) -> Result<Confirmed, Unconfirmed> {
        let (up, kept, now) = (self.up, self.kept, self.now);
        let party = self.provider.relying_party(up, &self.metadata)?;
        let tokens = up.refresh(&party, refresh_token, self.key.as_ref(), self.random, now).await?;
        let (by, renewed) = (ConfirmedBy::Refresh, kept.renewed(tokens.clone(), now));
        let Some(id_token) = &tokens.id_token else {
            let asserted = self.details_of_userinfo(&renewed).await?;
            return Ok(Confirmed { by, tokens: renewed, asserted });
        };
        let valid = match self.validate(id_token, &tokens).await {
            Ok(valid) => valid,
            Err(fault) if fault.kind == FaultKind::Unavailable => {
                let asserted = without_details(&fault);
                return Ok(Confirmed { by, tokens: renewed, asserted });
            }
            // Keys change, and are read late; clocks drift. That is no proof against the person.
            Err(fault) if KEY_FAULTS.contains(&fault.reason) || is_about_time(&fault) => {
                return Err(Unconfirmed::Unclear(Box::new(renewed), fault));
            }
            // A token that is not acceptable confirms nobody, and is no accident.
            Err(fault) => return Err(Unconfirmed::Refused(by, fault)),
        };
        let access = renewed.access(self.prover());
        let added = Provider::add_userinfo(up, &self.metadata, &valid, access).await;
        let asserted = match added {
            Ok(claims) => Some(Provider::assert(up, valid, claims, renewed.clone())),
            Err(fault) if is_about_another(&fault) => {
                return Err(Unconfirmed::Refused(ConfirmedBy::UserInfo, fault));
            }
            Err(fault) => without_details(&fault),
        };
        Ok(Confirmed { by, tokens: renewed, asserted })
    }

    /// The refreshed ID token, if it is good and about the same person (UP-36, OIDC Core §12.2), who
    /// still belongs here.
    async fn validate(
        &self,
        id_token: &str,
        tokens: &Tokens,
    ) -> Result<ValidIdToken, UpstreamFault> {
        let (up, kept, now) = (self.up, self.kept, self.now);
        let expected = Expected {
            issuer: &self.metadata.issuer,
            tenants: &up.settings.tenants,
            client_id: &up.settings.client_id,
            nonce: Nonce::IfPresent(&kept.nonce),
            algorithms: &up.settings.id_token_algs,
            access_token: &tokens.access_token,
            now,
        };
        let metadata = &self.metadata;
        let valid = self.provider.validate(up, metadata, id_token, &expected, now).await?;
        if valid.subject != kept.subject || issuer_of(&valid) != kept.issuer {
            let detail = "the refreshed ID token is about somebody else";
            return Err(UpstreamFault::unacceptable("upstream_refresh_subject", detail));
        }
        check_hosted_domain(&up.settings, &valid)?;
        Ok(valid)
    }

    /// What UserInfo says with a new access token that came without an ID token (OIDC Core §12.2). The
    /// refresh was the confirmation; only word about somebody else takes it back (UP-12).
    async fn details_of_userinfo(
        &self,
        renewed: &KeptTokens,
    ) -> Result<Option<Asserted>, Unconfirmed> {
        let Some(endpoint) = userinfo_of(self.up, &self.metadata) else {
            return Ok(None);
        };
        match self.userinfo(endpoint, renewed).await {
            Ok(claims) => Ok(self.assert(claims, renewed)),
            Err(fault) if is_about_another(&fault) => {
                Err(Unconfirmed::Refused(ConfirmedBy::UserInfo, fault))
            }
            Err(fault) => Ok(without_details(&fault)),
        }
    }

    /// Without a refresh token, as long as the access token lives. Introspection is for where UserInfo
    /// cannot be asked, or has no answer for us.
    async fn by_access_token(&self) -> Result<Confirmed, Unconfirmed> {
        if !self.kept.can_ask(self.now) {
            return Err(Unconfirmed::NoMeans);
        }
        let asked = self.by_userinfo().await;
        match asked {
            Err(Unconfirmed::NoMeans) => self.by_introspection().await,
            Err(Unconfirmed::Away(fault)) if WITHOUT_ANSWER.contains(&fault.reason) => {
                match self.by_introspection().await {
                    Err(Unconfirmed::NoMeans) => Err(Unconfirmed::Away(fault)),
                    answer => answer,
                }
            }
            answer => answer,
        }
    }

    async fn by_userinfo(&self) -> Result<Confirmed, Unconfirmed> {
        let (up, kept) = (self.up, self.kept);
        let endpoint = userinfo_of(up, &self.metadata).ok_or(Unconfirmed::NoMeans)?;
        let claims = self.userinfo(endpoint, kept).await;
        let claims = claims.map_err(|fault| denied(fault, kept, self.now))?;
        let asserted = self.assert(claims, kept);
        Ok(Confirmed { by: ConfirmedBy::UserInfo, tokens: kept.clone(), asserted })
    }

    async fn userinfo(
        &self,
        endpoint: &str,
        tokens: &KeptTokens,
    ) -> Result<Map<String, Value>, UpstreamFault> {
        let (http, patience) = (&self.up.http, self.up.settings.timeout.to_std());
        let access = tokens.access(self.prover());
        exchange::userinfo(http, endpoint, access, &tokens.subject, patience).await
    }

    /// The person as UserInfo shows them, if it says all that the rules look for.
    fn assert(&self, claims: Map<String, Value>, tokens: &KeptTokens) -> Option<Asserted> {
        let complete = !mapping::lacks_claims(&self.up.settings, &claims);
        complete.then(|| {
            let subject = tokens.subject.clone();
            let valid = ValidIdToken { subject, claims: claims.clone() };
            Provider::assert(self.up, valid, claims, tokens.clone())
        })
    }

    /// RFC 7662: whether the access token is alive. It says nothing else about the person.
    async fn by_introspection(&self) -> Result<Confirmed, Unconfirmed> {
        let (up, kept, now) = (self.up, self.kept, self.now);
        let endpoint = introspection_of(up, &self.metadata).ok_or(Unconfirmed::NoMeans)?;
        let audience = &self.metadata.token_endpoint;
        let proof = up.credentials.prove(&up.settings, audience, self.random, now)?;
        let about = (kept.access_token.as_str(), kept.subject.as_str());
        let asked = introspection::is_active(&up.http, &up.settings, endpoint, about, &proof);
        let by = ConfirmedBy::Introspection;
        match asked.await {
            Ok(true) => Ok(Confirmed { by, tokens: kept.clone(), asserted: None }),
            Ok(false) if kept.must_be_good(now) => {
                let detail = "the token is not active any more, before its time";
                let fault = UpstreamFault::unacceptable("upstream_token_inactive", detail);
                Err(Unconfirmed::Refused(by, fault))
            }
            // It may simply have expired.
            Ok(false) => Err(Unconfirmed::NoMeans),
            Err(fault) if fault.reason == "upstream_introspection_subject" => {
                Err(Unconfirmed::Refused(by, fault))
            }
            Err(fault) => Err(Unconfirmed::Away(fault)),
        }
    }
}

/// Faults of the provider's keys, and not of what was signed.
const KEY_FAULTS: &[&str] = &[
    "id_token_key_unknown",
    "id_token_signature",
    "upstream_jwks_malformed",
    "upstream_jwks_empty",
    "upstream_answer_too_large",
];

/// Whether a token that has just been made is refused for its times: whose clock is wrong, nobody knows.
fn is_about_time(fault: &UpstreamFault) -> bool {
    let times = ["id_token_issued_at", "id_token_not_yet_valid", "id_token_expired"];
    times.contains(&fault.reason)
}

/// Faults of a UserInfo that was reached and has no word for us.
const WITHOUT_ANSWER: &[&str] = &["upstream_userinfo_failed", "upstream_userinfo_malformed"];
