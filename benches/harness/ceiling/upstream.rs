//! The ceiling server as a client of the stub upstream.

use anyhow::{Context as _, ensure};
use serde::Deserialize;
use serde_json::Value;

use super::people::Profile;
use crate::settings::{SECRET, UPSTREAM_CLIENT};
use crate::signing::{Verifier, now};

/// The upstream, as its metadata describe it, with its key read once.
pub(super) struct Upstream {
    http: reqwest::Client,
    pub(super) issuer: String,
    pub(super) authorization_endpoint: String,
    token_endpoint: String,
    key: Verifier,
}

/// What the upstream has proved about a person.
pub(super) struct Asserted {
    pub(super) subject: String,
    pub(super) groups: Vec<String>,
    pub(super) profile: Profile,
    /// The claims as they came.
    pub(super) claims: Vec<u8>,
}

#[derive(Deserialize)]
struct Metadata {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    jwks_uri: String,
}

#[derive(Deserialize)]
struct TokenAnswer {
    id_token: String,
}

#[derive(Deserialize)]
struct Claims {
    iss: String,
    sub: String,
    aud: String,
    exp: u64,
    nonce: String,
    email: Option<String>,
    email_verified: Option<bool>,
    name: Option<String>,
    picture: Option<String>,
    #[serde(default)]
    groups: Vec<String>,
}

impl Upstream {
    /// Reads the metadata and the keys.
    pub(super) async fn discover(issuer: &str) -> anyhow::Result<Self> {
        let http = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()?;
        let metadata = format!("{issuer}/.well-known/openid-configuration");
        let metadata: Metadata = http.get(metadata).send().await?.json().await?;
        ensure!(metadata.issuer == issuer, "the upstream calls itself {}", metadata.issuer);
        let keys: Value = http.get(&metadata.jwks_uri).send().await?.json().await?;
        let key = keys.pointer("/keys/0").context("the upstream has no key")?;
        Ok(Self {
            http,
            issuer: metadata.issuer,
            authorization_endpoint: metadata.authorization_endpoint,
            token_endpoint: metadata.token_endpoint,
            key: Verifier::of_jwk(key)?,
        })
    }

    /// A code for what it proves (RFC 6749 §4.1.3, OIDC Core §3.1.3.7).
    pub(super) async fn redeem(
        &self,
        code: &str,
        callback: &str,
        verifier: &str,
        nonce: &str,
    ) -> anyhow::Result<Asserted> {
        let form = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", callback),
            ("code_verifier", verifier),
        ];
        let request = self.http.post(&self.token_endpoint);
        let request = request.basic_auth(UPSTREAM_CLIENT, Some(SECRET)).form(&form);
        let answer = request.send().await?.error_for_status()?.bytes().await?;
        let answer: TokenAnswer = serde_json::from_slice(&answer)?;
        let payload = self.key.verify(&answer.id_token)?;
        let claims: Claims = serde_json::from_slice(&payload)?;
        ensure!(claims.iss == self.issuer, "an ID token of {}", claims.iss);
        ensure!(claims.aud == UPSTREAM_CLIENT, "an ID token for {}", claims.aud);
        ensure!(claims.nonce == nonce, "an ID token for another browser");
        ensure!(now() < claims.exp, "an ID token of the past");
        let Claims { email, email_verified, name, picture, .. } = claims;
        Ok(Asserted {
            subject: claims.sub,
            groups: claims.groups,
            profile: Profile { email, email_verified, name, picture },
            claims: payload,
        })
    }
}
