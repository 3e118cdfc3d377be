//! Asking an upstream again whether a person still is who they were: the renewal of the lease.
//!
//! The upstream's own refresh token is the best witness: it is refused once the account there is
//! disabled or the session there has ended, and a new ID token brings the groups of today. Without
//! one, UserInfo tells as long as the access token lives; and where it cannot be asked, introspection
//! at least says whether that token was taken back.

mod kept;
mod of_provider;
mod of_server;

pub use self::kept::KeptTokens;
pub(super) use self::of_provider::has_witness;

use super::{Asserted, Kind, Upstream, oauth2};
use crate::{
    federation::{
        dpop::Prover,
        exchange::{self, Refreshed, RelyingParty, Shown, Tokens},
        fault::{FaultKind, UpstreamFault},
    },
    foundation::{
        clock::{Span, Timestamp},
        random::Random,
    },
    keys::ProofKey,
};

text_enum! {
    /// How an upstream has confirmed a person.
    ConfirmedBy {
        /// The person was there.
        SignIn = "sign_in",
        /// It gave new tokens for a refresh token.
        Refresh = "refresh",
        /// It still told about them.
        UserInfo = "userinfo",
        /// It said that their token is alive.
        Introspection = "introspection",
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
    /// It said no, when it was asked in this way.
    Refused(ConfirmedBy, UpstreamFault),
    /// It could not be asked, or did not answer as it should.
    Away(UpstreamFault),
    /// It was shown the refresh token, and what it answered was not to be read: the token may be spent.
    Unread(UpstreamFault),
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

    /// How long a question takes at most, if every request that belongs to it takes as long as it may.
    pub fn longest_question(&self) -> Span {
        let requests = match &self.kind {
            Kind::Oidc(_) => of_provider::MOST_REQUESTS,
            Kind::OAuth2(_) => oauth2::most_requests(&self.settings),
        };
        (1..requests).fold(self.settings.timeout, |all, _| all.plus(self.settings.timeout))
    }

    /// New tokens for the refresh token that was kept.
    async fn refresh(
        &self,
        party: &RelyingParty,
        refresh_token: &str,
        key: Option<&ProofKey>,
        random: &dyn Random,
        now: Timestamp,
    ) -> Result<Tokens, Unconfirmed> {
        let endpoint = party.token_uri().as_str();
        let proof = self.credentials.prove(&self.settings, endpoint, random, now)?;
        let (http, settings) = (&self.http, &self.settings);
        let key = key.map(|key| Prover { key, random, now });
        let shown = Shown { client: &proof, key };
        let refreshed = exchange::refresh(http, party, settings, refresh_token, shown).await;
        match refreshed.map_err(|fault| self.name_secret(fault, now)) {
            Err(fault) if fault.is_unread() => Err(Unconfirmed::Unread(fault)),
            Err(fault) => Err(fault.into()),
            Ok(Refreshed::Tokens(tokens)) => Ok(tokens),
            Ok(Refreshed::Refused(fault)) => Err(Unconfirmed::Refused(ConfirmedBy::Refresh, fault)),
        }
    }
}

/// Whether the upstream says that the person is not welcome any more.
fn is_no(fault: &UpstreamFault) -> bool {
    fault.kind == FaultKind::NotInvited || fault.reason == "upstream_userinfo_denied"
}

/// Whether it tells about somebody else (UP-12).
fn is_about_another(fault: &UpstreamFault) -> bool {
    fault.reason == "upstream_userinfo_subject"
}

/// What a question to UserInfo that was refused means: a token that may simply have expired proves
/// nothing.
fn denied(fault: UpstreamFault, kept: &KeptTokens, now: Timestamp) -> Unconfirmed {
    let by = ConfirmedBy::UserInfo;
    match fault.reason {
        "upstream_userinfo_denied" if !kept.must_be_good(now) => Unconfirmed::NoMeans,
        _ if is_no(&fault) || is_about_another(&fault) => Unconfirmed::Refused(by, fault),
        _ => Unconfirmed::Away(fault),
    }
}

/// The refresh token is spent: what it gave must not be lost for want of details.
fn without_details(fault: &UpstreamFault) -> Option<Asserted> {
    tracing::warn!(%fault, "a confirmation came without details");
    None
}
