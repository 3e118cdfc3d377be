//! The token endpoint (RFC 6749 §3.2): one pipeline, in which the grants only fill in who gets what.
//!
//! Read the form strictly, authenticate the client, check that it may use the grant, let the grant
//! decide, answer. Nothing is stored before the cheap checks are done.

mod authorization_code;
mod client_credentials;
mod refresh_token;
mod token_exchange;

use axum::{extract::State, http::StatusCode, response::Response};
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
        words::GrantType,
    },
    store::{grants::Grant, users::Person},
    tokens::{
        access::{self, AccessToken, Issuing},
        id_token::{self, Occasion},
    },
    web::{
        client_request::ClientRequest,
        error::{WireError, json},
        params::Params,
    },
};

/// What a grant gives (RFC 6749 §5.1, OIDC Core §3.1.3.3).
#[derive(Debug, Serialize)]
struct TokenResponse {
    access_token: String,
    /// RFC 8693 §2.2.1.
    #[serde(skip_serializing_if = "Option::is_none")]
    issued_token_type: Option<&'static str>,
    token_type: &'static str,
    expires_in: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_token: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id_token: Option<String>,
    scope: String,
}

impl TokenResponse {
    /// An access token and nothing beside it.
    fn of(access: AccessToken, scope: &Scope) -> Self {
        Self {
            expires_in: access.expires_in.seconds(),
            access_token: access.token,
            issued_token_type: None,
            token_type: "Bearer",
            refresh_token: None,
            id_token: None,
            scope: scope.to_string(),
        }
    }
}

/// One request on its way through the pipeline.
struct Exchange<'a> {
    app: &'a App,
    client: &'a Client,
    params: &'a Params,
    now: Timestamp,
}

impl Exchange<'_> {
    fn param(&self, name: &'static str, missing: &'static str) -> Result<&str, OAuthError> {
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
        let issuing = Issuing { until, ..self.app.issuing(self.now) };
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
    fn refuse(&self, error: OAuthError, reason: &'static str, story: Story<'_>) -> WireError {
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
#[derive(Clone, Copy, Default)]
struct Story<'a> {
    trace: Option<&'a TraceId>,
    user: Option<&'a UserId>,
}

impl<'a> Story<'a> {
    const fn of(grant: &'a Grant) -> Self {
        Self { trace: Some(&grant.trace_id), user: Some(&grant.user_id) }
    }
}

/// `POST /token`.
pub async fn token(State(app): State<App>, request: ClientRequest) -> Result<Response, WireError> {
    let now = app.now();
    app.keys.catch_up(&app.store, now).await;
    let (client, params) = (&*request.client, &request.params);
    let exchange = Exchange { app: &app, client, params, now };
    let grant_type = grant_type(&exchange)?;
    let response = match grant_type {
        GrantType::AuthorizationCode => authorization_code::redeem(&exchange).await?,
        GrantType::RefreshToken => refresh_token::refresh(&exchange).await?,
        GrantType::ClientCredentials => client_credentials::issue(&exchange).await?,
        GrantType::TokenExchange => token_exchange::exchange(&exchange, &request).await?,
    };
    app.metrics.count_tokens(grant_type.as_str(), client.id().as_str());
    Ok(json(StatusCode::OK, &response))
}

fn grant_type(exchange: &Exchange<'_>) -> Result<GrantType, OAuthError> {
    let word = exchange.param("grant_type", "grant_type is missing")?;
    let grant_type = GrantType::from_word(word)
        .ok_or_else(|| OAuthError::unsupported_grant_type("there is no such grant type here"))?;
    if !exchange.client.may_use(grant_type) {
        return Err(OAuthError::unauthorized_client("the client may not use this grant type"));
    }
    Ok(grant_type)
}
