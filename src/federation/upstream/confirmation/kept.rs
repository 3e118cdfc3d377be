//! What an upstream gave at a sign-in, as long as it is needed to ask again.

use serde::{Deserialize, Serialize};

use crate::{
    federation::{
        dpop::{Access, Prover},
        exchange::Tokens,
        id_token::ID_TOKEN_LEEWAY,
    },
    foundation::clock::{Span, Timestamp},
    keys::ProofKey,
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
    pub(super) nonce: String,
    pub(super) access_token: String,
    access_token_ends: Option<Timestamp>,
    pub(super) refresh_token: Option<String>,
    /// The key that the tokens are bound to, and whether the access token of the moment is.
    #[serde(default)]
    key: Option<String>,
    #[serde(default)]
    bound: bool,
    /// Whether there is somebody to ask with the access token. Known where the tokens came from.
    #[serde(skip)]
    has_witness: bool,
}

impl std::fmt::Debug for KeptTokens {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("KeptTokens")
    }
}

impl KeptTokens {
    pub(in crate::federation::upstream) fn new(
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
            key: None,
            bound: tokens.bound,
            has_witness: false,
        }
    }

    /// These, where UserInfo or introspection can be asked with the access token, or not.
    pub(in crate::federation::upstream) fn with_witness(self, has_witness: bool) -> Self {
        Self { has_witness, ..self }
    }

    /// These, bound to this key (RFC 9449).
    pub(in crate::federation::upstream) fn with_key(self, key: Option<&ProofKey>) -> Self {
        Self { key: key.map(|key| key.private().expose().to_owned()), ..self }
    }

    /// The key that they are bound to. Refresh tokens are shown with it whatever the access token of
    /// the moment is (RFC 9449 §5).
    pub(super) fn key(&self) -> Option<ProofKey> {
        self.key.as_deref().and_then(ProofKey::read)
    }

    /// The access token, to be used with this key where it is bound to it.
    pub(super) fn access<'a>(&'a self, prover: Option<Prover<'a>>) -> Access<'a> {
        Access { token: &self.access_token, prover: prover.filter(|_| self.bound) }
    }

    /// Whether these tokens, fresh from a sign-in, will be good for a question at this time.
    pub fn will_do(&self, at: Timestamp) -> bool {
        self.refresh_token.is_some() || (self.has_witness && self.can_ask(at))
    }

    /// Whether the access token is still good for a question, as far as was said.
    pub(super) fn can_ask(&self, now: Timestamp) -> bool {
        self.access_token_ends.is_none_or(|ends| ends > now)
    }

    /// Whether the access token is known to be good now, whatever clocks and slow answers do.
    pub(super) fn must_be_good(&self, now: Timestamp) -> bool {
        self.access_token_ends.is_some_and(|ends| ends > now.plus(ID_TOKEN_LEEWAY))
    }

    /// These, when the refresh token is good for nothing any more.
    #[must_use]
    pub fn without_refresh_token(self) -> Self {
        Self { refresh_token: None, ..self }
    }

    /// These, with what the upstream gave anew. Some give a new refresh token, some go on with the
    /// old one (RFC 6749 §6).
    pub(super) fn renewed(&self, tokens: Tokens, now: Timestamp) -> Self {
        let fresh = Self::new(&self.issuer, &self.subject, &self.nonce, tokens, now);
        Self {
            id_token: fresh.id_token.clone().or_else(|| self.id_token.clone()),
            refresh_token: fresh.refresh_token.clone().or_else(|| self.refresh_token.clone()),
            key: self.key.clone(),
            ..fresh
        }
    }
}
