//! A relying party that checks what the specifications ask of it, made from another code base.

use std::io;
use std::time::Duration;

use openidconnect::core::{
    CoreAuthenticationFlow, CoreClient, CoreProviderMetadata, CoreUserInfoClaims,
};
use openidconnect::{
    AccessTokenHash, AuthorizationCode, ClientId, ClientSecret, CsrfToken, HttpRequest,
    HttpResponse, IssuerUrl, Nonce, OAuth2TokenResponse as _, PkceCodeChallenge, RedirectUrl,
    Scope, TokenResponse as _,
};
use serde_json::Value;

use crate::support::browser::Browser;
use crate::support::fake_upstream::{CLIENT_ID, CLIENT_SECRET, FakeUpstream};

pub(super) const REDIRECT_URI: &str = "https://rp.test/callback";

/// What a sign-in told the relying party.
#[derive(Debug)]
pub(super) struct SignedIn {
    pub(super) subject: String,
    pub(super) id_token: String,
    pub(super) userinfo: Value,
}

/// Signs in at the provider, from discovery to userinfo; the error says what was refused.
pub(super) async fn sign_in(upstream: &FakeUpstream) -> Result<SignedIn, String> {
    let http = Http::new();
    let http = |request| http.clone().send(request);
    let issuer = IssuerUrl::new(upstream.issuer()).map_err(reason)?;
    let metadata = CoreProviderMetadata::discover_async(issuer, &http).await.map_err(reason)?;
    let client = CoreClient::from_provider_metadata(
        metadata,
        ClientId::new(CLIENT_ID.into()),
        Some(ClientSecret::new(CLIENT_SECRET.into())),
    )
    .set_redirect_uri(RedirectUrl::new(REDIRECT_URI.into()).map_err(reason)?);

    let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
    let flow = CoreAuthenticationFlow::AuthorizationCode;
    let (address, state, nonce) = client
        .authorize_url(flow, CsrfToken::new_random, Nonce::new_random)
        .add_scope(Scope::new("email".into()))
        .set_pkce_challenge(challenge)
        .url();
    let code = authorize(upstream, address.as_str(), state.secret()).await?;

    let exchange = client.exchange_code(AuthorizationCode::new(code)).map_err(reason)?;
    let tokens = exchange.set_pkce_verifier(verifier).request_async(&http).await.map_err(reason)?;
    let id_token = tokens.id_token().ok_or("no ID token")?;
    let verifier = client.id_token_verifier();
    let claims = id_token.claims(&verifier, &nonce).map_err(reason)?;
    if let Some(expected) = claims.access_token_hash() {
        let alg = id_token.signing_alg().map_err(reason)?;
        let key = id_token.signing_key(&verifier).map_err(reason)?;
        let hash = AccessTokenHash::from_token(tokens.access_token(), alg, key).map_err(reason)?;
        if hash != *expected {
            return Err("at_hash differs".into());
        }
    }
    let request = client.user_info(tokens.access_token().clone(), Some(claims.subject().clone()));
    let userinfo: CoreUserInfoClaims =
        request.map_err(reason)?.request_async(&http).await.map_err(reason)?;
    Ok(SignedIn {
        subject: claims.subject().to_string(),
        id_token: id_token.to_string(),
        userinfo: serde_json::to_value(userinfo).map_err(reason)?,
    })
}

async fn authorize(upstream: &FakeUpstream, address: &str, state: &str) -> Result<String, String> {
    if !address.starts_with("http") {
        return Err("the authorization endpoint is no web address".into());
    }
    let mut browser = Browser::over_network(&upstream.origin());
    browser.stop_at(REDIRECT_URI);
    let journey = browser.visit(address).await;
    if let Some(error) = journey.param("error") {
        return Err(error);
    }
    if journey.param("state").as_deref() != Some(state) {
        return Err("state differs".into());
    }
    // RFC 9207 §2.4: the metadata promises the parameter.
    if journey.param("iss") != Some(upstream.issuer()) {
        return Err("iss differs".into());
    }
    journey.param("code").filter(|code| !code.is_empty()).ok_or_else(|| "no code".into())
}

/// The whole chain of causes: the outermost error rarely says anything.
fn reason(error: impl std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}

/// Plain HTTP with limits: no redirects, one second, half a MiB.
#[derive(Clone)]
struct Http(reqwest::Client);

impl Http {
    const LIMIT: usize = 512 * 1024;

    fn new() -> Self {
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .tls_certs_only([])
            .timeout(Duration::from_secs(1))
            .build();
        Self(client.expect("an HTTP client"))
    }

    async fn send(self, request: HttpRequest) -> Result<HttpResponse, io::Error> {
        let request = reqwest::Request::try_from(request).map_err(io::Error::other)?;
        let mut answer = self.0.execute(request).await.map_err(io::Error::other)?;
        let mut body = Vec::new();
        while let Some(piece) = answer.chunk().await.map_err(io::Error::other)? {
            body.extend_from_slice(&piece);
            if body.len() > Self::LIMIT {
                return Err(io::Error::other("the answer is too long"));
            }
        }
        let mut response = HttpResponse::new(body);
        *response.status_mut() = answer.status();
        *response.headers_mut() = answer.headers().clone();
        Ok(response)
    }
}
