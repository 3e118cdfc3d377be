//! Asking an upstream again whether a person still is who they were: the renewal of the lease.
//!
//! The upstream's own refresh token is the best witness: it is refused once the account there is
//! disabled or the session there has ended, and a new ID token brings the groups of today. Without
//! one, UserInfo tells as long as the access token lives.

use serde::{Deserialize, Serialize};

use super::{
    Asserted, Kind, Upstream,
    oauth2::{self, Server},
    oidc::{Provider, check_hosted_domain, issuer_of},
};
use crate::{
    federation::{
        exchange::{self, Refreshed, RelyingParty, Tokens},
        fault::{FaultKind, UpstreamFault},
        id_token::{Expected, ID_TOKEN_LEEWAY, Nonce, ValidIdToken},
        mapping,
        metadata::Metadata,
    },
    foundation::{
        clock::{Span, Timestamp},
        random::Random,
    },
};

/// What an upstream gave us, as long as we need it to ask again. It is kept sealed.
#[derive(Clone, Serialize, Deserialize)]
pub struct KeptTokens {
    /// The upstream's issuer.
    pub issuer: String,
    /// Its `sub`.
    pub subject: String,
    /// The newest ID token, to sign the person out there.
    pub id_token: Option<String>,
    nonce: String,
    access_token: String,
    access_token_ends: Option<Timestamp>,
    refresh_token: Option<String>,
}

impl std::fmt::Debug for KeptTokens {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("KeptTokens")
    }
}

impl KeptTokens {
    pub(super) fn new(
        issuer: &str,
        subject: &str,
        nonce: &str,
        tokens: Tokens,
        now: Timestamp,
    ) -> Self {
        let life = tokens.expires_in.and_then(|life| u32::try_from(life.as_secs()).ok());
        Self {
            issuer: issuer.to_owned(),
            subject: subject.to_owned(),
            id_token: tokens.id_token,
            nonce: nonce.to_owned(),
            access_token: tokens.access_token,
            access_token_ends: life.map(|seconds| now.plus(Span::from_seconds(seconds))),
            refresh_token: tokens.refresh_token,
        }
    }

    /// Whether the access token is still good for a question, as far as was said.
    fn can_ask(&self, now: Timestamp) -> bool {
        self.access_token_ends.is_none_or(|ends| ends > now)
    }

    /// Whether the access token is known to be good now, whatever clocks and slow answers do.
    fn must_be_good(&self, now: Timestamp) -> bool {
        self.access_token_ends.is_some_and(|ends| ends > now.plus(ID_TOKEN_LEEWAY))
    }

    /// These, when the refresh token is good for nothing any more.
    #[must_use]
    pub fn without_refresh_token(self) -> Self {
        Self { refresh_token: None, ..self }
    }

    /// These, with what the upstream gave anew. Some give a new refresh token, some go on with the
    /// old one (RFC 6749 §6).
    fn renewed(&self, tokens: Tokens, now: Timestamp) -> Self {
        let fresh = Self::new(&self.issuer, &self.subject, &self.nonce, tokens, now);
        Self {
            id_token: fresh.id_token.clone().or_else(|| self.id_token.clone()),
            refresh_token: fresh.refresh_token.clone().or_else(|| self.refresh_token.clone()),
            ..fresh
        }
    }
}

text_enum! {
    /// How an upstream has confirmed a person.
    ConfirmedBy {
        /// The person was there.
        SignIn = "sign_in",
        /// It gave new tokens for a refresh token.
        Refresh = "refresh",
        /// It still told about them.
        UserInfo = "userinfo",
    }
}

/// An upstream has confirmed a person.
#[derive(Debug)]
pub struct Confirmed {
    /// How.
    pub by: ConfirmedBy,
    /// What to ask with the next time.
    pub tokens: KeptTokens,
    /// What it says about the person now, if it said all that our rules look for.
    pub asserted: Option<Asserted>,
}

/// An upstream has not confirmed a person.
#[derive(Debug)]
pub enum Unconfirmed {
    /// It said no.
    Refused(UpstreamFault),
    /// It could not be asked, or did not answer as it should.
    Away(UpstreamFault),
    /// It gave new tokens, and what they say could not be checked. They replace the old ones, and
    /// confirm nobody.
    Unclear(Box<KeptTokens>, UpstreamFault),
    /// We have nothing to ask with.
    NoMeans,
}

impl From<UpstreamFault> for Unconfirmed {
    fn from(fault: UpstreamFault) -> Self {
        Self::Away(fault)
    }
}

impl Upstream {
    /// Asks whether the person is still who they were.
    pub async fn confirm(
        &self,
        kept: &KeptTokens,
        random: &dyn Random,
        now: Timestamp,
    ) -> Result<Confirmed, Unconfirmed> {
        self.check_presence(now).await?;
        match &self.kind {
            Kind::Oidc(provider) => provider.confirm(self, kept, random, now).await,
            Kind::OAuth2(server) => server.confirm(self, kept, random, now).await,
        }
    }

    /// New tokens for the refresh token that was kept.
    async fn refresh(
        &self,
        party: &RelyingParty,
        refresh_token: &str,
        random: &dyn Random,
        now: Timestamp,
    ) -> Result<Tokens, Unconfirmed> {
        let endpoint = party.token_uri().as_str();
        let proof = self.credentials.prove(&self.settings, endpoint, random, now)?;
        let (http, settings) = (&self.http, &self.settings);
        let refreshed = exchange::refresh(http, party, settings, refresh_token, &proof).await;
        match refreshed.map_err(|fault| self.name_secret(fault, now))? {
            Refreshed::Tokens(tokens) => Ok(tokens),
            Refreshed::Refused(fault) => Err(Unconfirmed::Refused(fault)),
        }
    }
}

impl Provider {
    async fn confirm(
        &self,
        up: &Upstream,
        kept: &KeptTokens,
        random: &dyn Random,
        now: Timestamp,
    ) -> Result<Confirmed, Unconfirmed> {
        let metadata = self.documents.metadata(&up.http, now).await?;
        let Some(refresh_token) = &kept.refresh_token else {
            return Self::by_userinfo(up, &metadata, kept, now).await;
        };
        let party = self.relying_party(up, &metadata)?;
        let tokens = up.refresh(&party, refresh_token, random, now).await?;
        self.by_refresh(up, &metadata, kept, tokens, now).await
    }

    async fn by_refresh(
        &self,
        up: &Upstream,
        metadata: &Metadata,
        kept: &KeptTokens,
        tokens: Tokens,
        now: Timestamp,
    ) -> Result<Confirmed, Unconfirmed> {
        let by = ConfirmedBy::Refresh;
        let Some(id_token) = &tokens.id_token else {
            return Ok(Confirmed { by, tokens: kept.renewed(tokens, now), asserted: None });
        };
        let expected = Expected {
            issuer: &metadata.issuer,
            tenants: &up.settings.tenants,
            client_id: &up.settings.client_id,
            nonce: Nonce::IfPresent(&kept.nonce),
            algorithms: &up.settings.id_token_algs,
            access_token: &tokens.access_token,
            now,
        };
        let valid = self.validate(up, metadata, id_token, &expected, now).await;
        let valid = match valid.and_then(|valid| still_theirs(up, kept, valid)) {
            Ok(valid) => valid,
            Err(fault) if fault.kind == FaultKind::Unavailable => {
                let tokens = kept.renewed(tokens, now);
                return Ok(Confirmed { by, tokens, asserted: without_details(&fault) });
            }
            // Keys change, and are read late: that is no proof against the person.
            Err(fault) if KEY_FAULTS.contains(&fault.reason) => {
                return Err(Unconfirmed::Unclear(Box::new(kept.renewed(tokens, now)), fault));
            }
            // A token that is not acceptable confirms nobody, and is no accident.
            Err(fault) => return Err(Unconfirmed::Refused(fault)),
        };
        let claims = Self::add_userinfo(up, metadata, &valid, &tokens.access_token).await;
        let renewed = kept.renewed(tokens, now);
        let asserted = match claims {
            Ok(claims) => Some(Self::assert(up, valid, claims, renewed.clone())),
            Err(fault) => without_details(&fault),
        };
        Ok(Confirmed { by, tokens: renewed, asserted })
    }

    async fn by_userinfo(
        up: &Upstream,
        metadata: &Metadata,
        kept: &KeptTokens,
        now: Timestamp,
    ) -> Result<Confirmed, Unconfirmed> {
        let asks = up.settings.userinfo && kept.can_ask(now);
        let endpoint = metadata.userinfo_endpoint.as_ref().filter(|_| asks);
        let Some(endpoint) = endpoint else {
            return Err(Unconfirmed::NoMeans);
        };
        let patience = up.settings.timeout.to_std();
        let (token, subject) = (&kept.access_token, &kept.subject);
        let claims = exchange::userinfo(&up.http, endpoint, token, subject, patience).await;
        let claims = claims.map_err(|fault| denied(fault, kept, now))?;
        let complete = !mapping::lacks_claims(&up.settings, &claims);
        let asserted = complete.then(|| {
            let valid = ValidIdToken { subject: subject.clone(), claims: claims.clone() };
            Self::assert(up, valid, claims, kept.clone())
        });
        Ok(Confirmed { by: ConfirmedBy::UserInfo, tokens: kept.clone(), asserted })
    }
}

/// The refreshed ID token is about the same person (UP-36, OIDC Core §12.2), who still belongs here.
fn still_theirs(
    up: &Upstream,
    kept: &KeptTokens,
    valid: ValidIdToken,
) -> Result<ValidIdToken, UpstreamFault> {
    if valid.subject != kept.subject || issuer_of(&valid) != kept.issuer {
        let detail = "the refreshed ID token is about somebody else";
        return Err(UpstreamFault::unacceptable("upstream_refresh_subject", detail));
    }
    check_hosted_domain(&up.settings, &valid)?;
    Ok(valid)
}

impl Server {
    async fn confirm(
        &self,
        up: &Upstream,
        kept: &KeptTokens,
        random: &dyn Random,
        now: Timestamp,
    ) -> Result<Confirmed, Unconfirmed> {
        let (by, tokens) = match &kept.refresh_token {
            Some(refresh_token) => {
                let tokens = up.refresh(self.party(), refresh_token, random, now).await?;
                (ConfirmedBy::Refresh, kept.renewed(tokens, now))
            }
            None if kept.can_ask(now) => (ConfirmedBy::UserInfo, kept.clone()),
            None => return Err(Unconfirmed::NoMeans),
        };
        let asserted = match oauth2::ask(up, &tokens.access_token).await {
            Ok((subject, _)) if subject != kept.subject => {
                let detail = "the token belongs to somebody else now";
                let fault = UpstreamFault::unacceptable("upstream_userinfo_subject", detail);
                return Err(Unconfirmed::Refused(fault));
            }
            Ok((_, claims)) => Some(oauth2::assert(up, claims, tokens.clone())),
            Err(fault) if by == ConfirmedBy::UserInfo => return Err(denied(fault, kept, now)),
            // The access token is new: a no is one, and the refresh token before it is spent.
            Err(fault) if is_no(&fault) => return Err(Unconfirmed::Refused(fault)),
            Err(fault) => without_details(&fault),
        };
        Ok(Confirmed { by, tokens, asserted })
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

/// Whether the upstream says that the person is not welcome any more.
fn is_no(fault: &UpstreamFault) -> bool {
    fault.kind == FaultKind::NotInvited || fault.reason == "upstream_userinfo_denied"
}

/// What a question that was refused means: a token that may simply have expired proves nothing.
fn denied(fault: UpstreamFault, kept: &KeptTokens, now: Timestamp) -> Unconfirmed {
    match fault.reason {
        "upstream_userinfo_denied" if !kept.must_be_good(now) => Unconfirmed::NoMeans,
        "upstream_userinfo_subject" => Unconfirmed::Refused(fault),
        _ if is_no(&fault) => Unconfirmed::Refused(fault),
        _ => Unconfirmed::Away(fault),
    }
}

/// The refresh token is spent: what it gave must not be lost for want of details.
fn without_details(fault: &UpstreamFault) -> Option<Asserted> {
    tracing::warn!(%fault, "a confirmation came without details");
    None
}
