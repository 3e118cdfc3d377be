//! The code for tokens, at the upstream's token endpoint (RFC 6749 §4.1.3), and UserInfo.

use std::time::Duration;

use futures_util::{FutureExt as _, future::BoxFuture};
use oauth2::{
    AsyncHttpClient, AuthType, AuthUrl, AuthorizationCode, Client, ClientId, ClientSecret,
    CsrfToken, EmptyExtraTokenFields, EndpointNotSet, ExtraTokenFields, HttpRequest, HttpResponse,
    PkceCodeChallenge, PkceCodeVerifier, RedirectUrl, RefreshToken, RequestTokenError, Scope,
    StandardRevocableToken, StandardTokenIntrospectionResponse, StandardTokenResponse,
    TokenResponse as _, TokenUrl,
    basic::{
        BasicErrorResponse, BasicErrorResponseType, BasicRevocationErrorResponse, BasicTokenType,
    },
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{
    as_client,
    dpop::{self, Access, Prover},
    fault::UpstreamFault,
    http::{HttpClient, MAX_BODY},
    strict_json,
};
use crate::config::{ClientAuthentication, UpstreamSettings};

/// The part of a token response that OIDC adds. The token stays a text until it is validated.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct IdTokenField {
    #[serde(default)]
    id_token: Option<String>,
}

impl ExtraTokenFields for IdTokenField {}

/// What we are at an upstream: made once for each version of its metadata.
pub(super) type RelyingParty = Client<
    BasicErrorResponse,
    StandardTokenResponse<IdTokenField, BasicTokenType>,
    StandardTokenIntrospectionResponse<EmptyExtraTokenFields, BasicTokenType>,
    StandardRevocableToken,
    BasicRevocationErrorResponse,
    oauth2::EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    oauth2::EndpointSet,
>;

/// We, as the upstream's endpoints and our settings make us.
pub(super) fn relying_party(
    settings: &UpstreamSettings,
    (authorization_endpoint, token_endpoint): (&str, &str),
    redirect_uri: &str,
) -> Result<RelyingParty, UpstreamFault> {
    let fault = |error: url::ParseError| UpstreamFault::unacceptable("upstream_address", error);
    let auth_type = match settings.client_auth {
        ClientAuthentication::Basic => AuthType::BasicAuth,
        // What else proves who we are is sent with each request.
        ClientAuthentication::Post
        | ClientAuthentication::PrivateKeyJwt
        | ClientAuthentication::SignedSecret
        | ClientAuthentication::None => AuthType::RequestBody,
    };
    let mut client = Client::new(ClientId::new(settings.client_id.clone()))
        .set_auth_uri(AuthUrl::new(authorization_endpoint.to_owned()).map_err(fault)?)
        .set_token_uri(TokenUrl::new(token_endpoint.to_owned()).map_err(fault)?)
        .set_redirect_uri(RedirectUrl::new(redirect_uri.to_owned()).map_err(fault)?)
        .set_auth_type(auth_type);
    if let Some(secret) = &settings.client_secret {
        client = client.set_client_secret(ClientSecret::new(secret.expose().to_owned()));
    }
    Ok(client)
}

/// What the authorization request carries.
pub(super) struct AuthorizationRequest<'a> {
    pub(super) state: &'a str,
    pub(super) verifier: &'a str,
    pub(super) extra: &'a [(&'a str, String)],
}

/// The address at which the person signs in (OIDC Core §3.1.2.1), always with PKCE (UP-11).
pub(super) fn authorization_url(
    client: &RelyingParty,
    settings: &UpstreamSettings,
    request: &AuthorizationRequest<'_>,
) -> String {
    let verifier = PkceCodeVerifier::new(request.verifier.to_owned());
    let state = request.state.to_owned();
    let mut url = client
        .authorize_url(|| CsrfToken::new(state))
        .add_scopes(settings.scopes.iter().map(|scope| Scope::new(scope.clone())))
        .set_pkce_challenge(PkceCodeChallenge::from_code_verifier_sha256(&verifier));
    for (name, value) in request.extra {
        url = url.add_extra_param(name.to_owned(), value.as_str());
    }
    url.url().0.into()
}

/// What the upstream gave for the code, or for a refresh token.
#[derive(Clone)]
pub(super) struct Tokens {
    pub(super) id_token: Option<String>,
    pub(super) access_token: String,
    pub(super) refresh_token: Option<String>,
    pub(super) expires_in: Option<Duration>,
    /// Whether the access token is bound to the key that was shown (RFC 9449 §5).
    pub(super) bound: bool,
}

/// What we show with a token request.
#[derive(Clone, Copy)]
pub(super) struct Shown<'a> {
    /// What proves who we are, besides the secret that the client sends by itself.
    pub(super) client: &'a [(&'static str, String)],
    /// The key that the tokens are to be bound to.
    pub(super) key: Option<Prover<'a>>,
}

/// A code, and what shows that it is ours to redeem.
pub(super) struct Redemption<'a> {
    pub(super) code: &'a str,
    pub(super) verifier: &'a str,
    pub(super) shown: Shown<'a>,
}

/// Redeems a code. Never tries twice: a code that was sent may have been used (FT-39).
pub(super) async fn redeem(
    http: &HttpClient,
    client: &RelyingParty,
    settings: &UpstreamSettings,
    redemption: &Redemption<'_>,
) -> Result<Tokens, UpstreamFault> {
    let Shown { client: proof, key } = redemption.shown;
    let patience = settings.timeout.to_std();
    let sender = Sender { http, key, patience };
    let mut request = client
        .exchange_code(AuthorizationCode::new(redemption.code.to_owned()))
        .set_pkce_verifier(PkceCodeVerifier::new(redemption.verifier.to_owned()));
    for (name, value) in proof {
        request = request.add_extra_param(*name, value.as_str());
    }
    let answer = request.request_async(&sender).boxed().await;
    tokens(&answer.map_err(fault_of)?, key.is_some())
}

/// What a refresh token leads to.
pub(super) enum Refreshed {
    /// New tokens.
    Tokens(Tokens),
    /// The token is good for nothing any more (RFC 6749 §5.2, `invalid_grant`).
    Refused(UpstreamFault),
}

/// Uses a refresh token of ours there (RFC 6749 §6). Never tries twice: providers that rotate them
/// take the second use for theft.
pub(super) async fn refresh(
    http: &HttpClient,
    client: &RelyingParty,
    settings: &UpstreamSettings,
    refresh_token: &str,
    Shown { client: proof, key }: Shown<'_>,
) -> Result<Refreshed, UpstreamFault> {
    let patience = settings.timeout.to_std();
    let sender = Sender { http, key, patience };
    let refresh_token = RefreshToken::new(refresh_token.to_owned());
    let mut request = client.exchange_refresh_token(&refresh_token);
    for (name, value) in proof {
        request = request.add_extra_param(*name, value.as_str());
    }
    let answer = request.request_async(&sender).boxed().await;
    match answer {
        Ok(answer) => tokens(&answer, key.is_some()).map(Refreshed::Tokens),
        Err(RequestTokenError::ServerResponse(response))
            if *response.error() == BasicErrorResponseType::InvalidGrant =>
        {
            let fault = UpstreamFault::unacceptable("upstream_refresh_refused", named(&response));
            Ok(Refreshed::Refused(fault))
        }
        Err(error) => Err(fault_of(error)),
    }
}

/// RFC 9449 §5: whoever binds a token says so; where that is not said it is a bearer token.
fn tokens(
    answer: &StandardTokenResponse<IdTokenField, BasicTokenType>,
    shown: bool,
) -> Result<Tokens, UpstreamFault> {
    let bound = answer.token_type().as_ref().eq_ignore_ascii_case("dpop");
    if bound && !shown {
        let detail = "token_type is DPoP, and no key was shown";
        return Err(UpstreamFault::unacceptable("upstream_token_malformed", detail));
    }
    Ok(Tokens {
        bound,
        id_token: answer.extra_fields().id_token.clone(),
        access_token: answer.access_token().secret().clone(),
        refresh_token: answer.refresh_token().map(|token| token.secret().clone()),
        expires_in: answer.expires_in(),
    })
}

/// The error by its name, which nobody has promised to be short.
fn named(response: &BasicErrorResponse) -> String {
    format!("{:.100}", response.error().to_string())
}

fn fault_of(error: RequestTokenError<UpstreamFault, BasicErrorResponse>) -> UpstreamFault {
    match error {
        RequestTokenError::Request(fault) => fault,
        RequestTokenError::ServerResponse(response) => {
            UpstreamFault::unacceptable("upstream_token_refused", named(&response))
        }
        RequestTokenError::Parse(error, body) => match as_client::error_in(&body) {
            // Some say so with status 200, as GitHub does.
            Some(refusal) => UpstreamFault::unacceptable("upstream_token_refused", refusal),
            None => UpstreamFault::unacceptable("upstream_token_malformed", error),
        },
        RequestTokenError::Other(text) => {
            UpstreamFault::unacceptable("upstream_token_malformed", text)
        }
    }
}

/// How the library's requests are sent: bounded, and with a proof where there is a key.
struct Sender<'a> {
    http: &'a HttpClient,
    key: Option<Prover<'a>>,
    patience: Duration,
}

impl<'c> AsyncHttpClient<'c> for Sender<'_> {
    type Error = UpstreamFault;
    type Future = BoxFuture<'c, Result<HttpResponse, UpstreamFault>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        self.send(request).boxed()
    }
}

impl Sender<'_> {
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, UpstreamFault> {
        let request = reqwest::Request::try_from(request)
            .map_err(|error| UpstreamFault::unacceptable("upstream_address", error))?;
        let answer = match self.key {
            Some(prover) => prover.send(self.http, request, None, self.patience).await?,
            None => self.http.send(request, self.patience, MAX_BODY).await?,
        };
        let reason = match answer.status {
            429 => Some("upstream_token_busy"),
            500.. => Some("upstream_token_failed"),
            _ => None,
        };
        if let Some(reason) = reason {
            let detail = format!("the token endpoint answered with status {}", answer.status);
            return Err(UpstreamFault::unavailable(reason, detail));
        }
        let mut response = HttpResponse::new(answer.body);
        *response.status_mut() = reqwest::StatusCode::from_u16(answer.status).unwrap_or_default();
        *response.headers_mut() = answer.headers;
        Ok(response)
    }
}

/// Asks UserInfo (OIDC Core §5.3), whose `sub` has to be that of the ID token.
pub(super) async fn userinfo(
    http: &HttpClient,
    endpoint: &str,
    access: Access<'_>,
    subject: &str,
    patience: Duration,
) -> Result<Map<String, Value>, UpstreamFault> {
    let answer = access.get(http, endpoint, patience).await?;
    if answer.status == 401 && !dpop::is_about_proof(&answer) {
        let detail = format!("UserInfo answered with status {}", answer.status);
        return Err(UpstreamFault::unacceptable("upstream_userinfo_denied", detail));
    }
    if answer.status != 200 {
        let detail = format!("UserInfo answered with status {}", answer.status);
        return Err(UpstreamFault::unavailable("upstream_userinfo_failed", detail));
    }
    let claims = strict_json::object(&answer.body).ok_or_else(|| {
        UpstreamFault::unacceptable("upstream_userinfo_malformed", "it is not a JSON object")
    })?;
    match claims.get("sub").and_then(Value::as_str) {
        Some(own) if own == subject => Ok(claims),
        Some(_) => {
            let detail = "its sub is not that of the ID token";
            Err(UpstreamFault::unacceptable("upstream_userinfo_subject", detail))
        }
        None => {
            let detail = "it names no sub";
            Err(UpstreamFault::unacceptable("upstream_userinfo_malformed", detail))
        }
    }
}
