//! The grant types (RFC 6749 §1.3): who gets what, for which proof.
//!
//! However an app comes by its tokens, at the token endpoint, through the cookie of a browser app or
//! through the JSON API, they are given here. Nothing is stored before the cheap checks are done.

pub mod authorization_code;
pub mod client_credentials;
pub mod direct;
pub mod refresh_token;
pub mod token_exchange;

use serde::Serialize;

use crate::{
    app::App,
    audit::Event,
    clients::Client,
    foundation::{
        clock::Timestamp,
        ids::{TraceId, UserId},
    },
    keys::KeyError,
    leases::{self, Held, Standing},
    protocol::{
        error::OAuthError,
        scope::{OPENID, Scope},
    },
    store::{grants::Grant, users::Person},
    tokens::{
        access::{self, AccessToken, Confirmation, Issuing},
        id_token::{self, Occasion},
    },
    web::{dpop::Proof, error::WireError, params::Params},
};

/// What a grant gives (RFC 6749 §5.1, OIDC Core §3.1.3.3).
#[derive(Debug, Serialize)]
pub struct TokenResponse {
    /// What APIs are called with.
    pub access_token: String,
    /// RFC 8693 §2.2.1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issued_token_type: Option<&'static str>,
    /// How it is used (RFC 6749 §7.1).
    pub token_type: &'static str,
    /// For how many seconds it is good.
    pub expires_in: i64,
    /// For the next one, where the grant reaches that far.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refresh_token: Option<String>,
    /// Who signed in, with `openid`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id_token: Option<String>,
    /// What was granted.
    pub scope: String,
}

impl TokenResponse {
    /// An access token and nothing beside it.
    fn of(access: AccessToken, scope: &Scope) -> Self {
        Self {
            expires_in: access.expires_in.seconds(),
            access_token: access.token,
            issued_token_type: None,
            token_type: access.token_type,
            refresh_token: None,
            id_token: None,
            scope: scope.to_string(),
        }
    }
}

/// A client, who has proved to be it, asks for tokens.
#[derive(Clone, Copy, Debug)]
pub struct Exchange<'a> {
    /// The house.
    pub app: &'a App,
    /// Who asks.
    pub client: &'a Client,
    /// What it says.
    pub params: &'a Params,
    /// The proof of the key to which its tokens are bound.
    pub proof: Option<&'a Proof>,
    /// The thumbprint of the certificate to which they are bound.
    pub certificate: Option<&'a str>,
    /// When.
    pub now: Timestamp,
}

impl Exchange<'_> {
    /// The thumbprint of the key that it has proved to hold.
    fn key(&self) -> Option<&str> {
        self.proof.map(|proof| proof.key.as_str())
    }

    /// Uses up the proof, where there is one: whoever asks has shown a code, a token or who they are.
    async fn use_proof(&self) -> Result<(), OAuthError> {
        match self.proof {
            Some(proof) => Ok(proof.use_up(self.app).await?),
            None => Ok(()),
        }
    }

    /// What issuing a token to it needs.
    fn issuing(&self) -> Issuing<'_> {
        let bound_to = Confirmation { jkt: self.key(), certificate: self.certificate };
        Issuing { bound_to, ..self.app.issuing(self.now) }
    }

    /// A parameter that the grant type cannot do without.
    pub fn param(&self, name: &'static str, missing: &'static str) -> Result<&str, OAuthError> {
        self.params.get(name).ok_or_else(|| OAuthError::invalid_request(missing))
    }

    /// Access token and, with `openid`, ID token of a person; the refresh token is added by the grant.
    fn tokens_for(
        &self,
        grant: &Grant,
        person: &Person,
        scope: &Scope,
        nonce: Option<&str>,
        until: Option<Timestamp>,
    ) -> Result<TokenResponse, KeyError> {
        let issuing = Issuing { until, ..self.issuing() };
        let access = access::issue_for_person(issuing, self.client, grant, person, scope)?;
        let occasion = Occasion { nonce, access_token: &access.token, scope };
        let id_token = scope
            .contains(OPENID)
            .then(|| id_token::issue_id_token(issuing, self.client, grant, person, occasion))
            .transpose()?;
        Ok(TokenResponse { id_token, ..TokenResponse::of(access, scope) })
    }

    /// The upstream that signed the person in still stands by its word, as far as this client cares.
    async fn hold(&self, standing: &Standing, story: Story<'_>) -> Result<Held, WireError> {
        let limit = self.client.settings.max_staleness;
        let held = leases::hold(self.app, standing, limit, self.now).await?;
        let reason = match held {
            Held::Free | Held::Until(_) | Held::Asked(_) => return Ok(held),
            Held::Pending => {
                let busy = "the upstream is being asked about the person; try again";
                return Err(OAuthError::temporarily_unavailable(busy).into());
            }
            Held::TooOld => "lease_too_old",
            Held::Lost => "lease_lost",
        };
        let error = OAuthError::invalid_grant("the person has to sign in again");
        Err(self.refuse(error, reason, story))
    }

    /// A refusal that an administrator will want to read about.
    pub fn refuse(&self, error: OAuthError, reason: &'static str, story: Story<'_>) -> WireError {
        let mut event = Event::refused("token", reason).client(self.client.id());
        if let Some(trace) = story.trace {
            event = event.trace(trace);
        }
        if let Some(user) = story.user {
            event = event.user(user);
        }
        WireError::from(error).event(event)
    }
}

/// Which story and person a refusal belongs to.
#[derive(Clone, Copy, Debug, Default)]
pub struct Story<'a> {
    /// The story, if one is known.
    pub trace: Option<&'a TraceId>,
    /// The person, if one is known.
    pub user: Option<&'a UserId>,
}

impl<'a> Story<'a> {
    /// That of a grant.
    pub const fn of(grant: &'a Grant) -> Self {
        Self { trace: Some(&grant.trace_id), user: Some(&grant.user_id) }
    }
}
