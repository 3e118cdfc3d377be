//! Asking an upstream again whether a person still is who they were: the renewal of the lease.
//!
//! The upstream's own refresh token is the best witness: it is refused once the account there is
//! disabled or the session there has ended, and a new ID token brings the groups of today. Without
//! one, UserInfo tells as long as the access token lives.

use serde::{Deserialize, Serialize};

use super::{
    exchange::{self, Refreshed, Tokens},
    fault::{FaultKind, UpstreamFault},
    id_token::{Expected, Nonce, ValidIdToken},
    mapping,
    metadata::Metadata,
    upstream::{Asserted, Upstream},
};
use crate::foundation::clock::{Span, Timestamp};

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
        now: Timestamp,
    ) -> Result<Confirmed, Unconfirmed> {
        let metadata = self.documents.metadata(&self.http, now).await?;
        if let Some(refresh_token) = &kept.refresh_token {
            let party = self.relying_party(&metadata)?;
            let settings = &self.settings;
            return match exchange::refresh(&self.http, &party, settings, refresh_token).await? {
                Refreshed::Tokens(tokens) => self.by_refresh(&metadata, kept, tokens, now).await,
                Refreshed::Refused(fault) => Err(Unconfirmed::Refused(fault)),
            };
        }
        self.by_userinfo(&metadata, kept, now).await
    }

    async fn by_refresh(
        &self,
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
            client_id: &self.settings.client_id,
            nonce: Nonce::IfPresent(&kept.nonce),
            algorithms: &self.settings.id_token_algs,
            access_token: &tokens.access_token,
            now,
        };
        let valid = match self.validate(metadata, id_token, &expected, now).await {
            Ok(valid) => valid,
            // A token that is not acceptable confirms nobody, and is no accident.
            Err(fault) if fault.kind == FaultKind::Unacceptable => {
                return Err(Unconfirmed::Refused(fault));
            }
            Err(fault) => {
                let tokens = kept.renewed(tokens, now);
                return Ok(Confirmed { by, tokens, asserted: without_details(&fault) });
            }
        };
        if valid.subject != kept.subject || metadata.issuer != kept.issuer {
            // UP-36, OIDC Core §12.2.
            let detail = "the refreshed ID token is about somebody else";
            let fault = UpstreamFault::unacceptable("upstream_refresh_subject", detail);
            return Err(Unconfirmed::Refused(fault));
        }
        let claims = self.add_userinfo(metadata, &valid, &tokens.access_token).await;
        let renewed = kept.renewed(tokens, now);
        let asserted = match claims {
            Ok(claims) => Some(self.assert(valid, claims, renewed.clone())),
            Err(fault) => without_details(&fault),
        };
        Ok(Confirmed { by, tokens: renewed, asserted })
    }

    async fn by_userinfo(
        &self,
        metadata: &Metadata,
        kept: &KeptTokens,
        now: Timestamp,
    ) -> Result<Confirmed, Unconfirmed> {
        let over = kept.access_token_ends.is_some_and(|ends| ends <= now);
        let Some(endpoint) = metadata.userinfo_endpoint.as_ref().filter(|_| !over) else {
            return Err(Unconfirmed::NoMeans);
        };
        let patience = self.settings.timeout.to_std();
        let (token, subject) = (&kept.access_token, &kept.subject);
        let claims = exchange::userinfo(&self.http, endpoint, token, subject, patience).await;
        let claims = claims.map_err(|fault| match fault.reason {
            "upstream_userinfo_denied" | "upstream_userinfo_subject" => Unconfirmed::Refused(fault),
            _ => Unconfirmed::Away(fault),
        })?;
        let complete = !mapping::lacks_claims(&self.settings, &claims);
        let asserted = complete.then(|| {
            let valid = ValidIdToken { subject: subject.clone(), claims: claims.clone() };
            self.assert(valid, claims, kept.clone())
        });
        Ok(Confirmed { by: ConfirmedBy::UserInfo, tokens: kept.clone(), asserted })
    }
}

/// The refresh token is spent: what it gave must not be lost for want of details.
fn without_details(fault: &UpstreamFault) -> Option<Asserted> {
    tracing::warn!(%fault, "a confirmation came without details");
    None
}
