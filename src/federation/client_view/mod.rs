//! A provider as an app sees it that works with the tokens themselves.
//!
//! [`Upstream`](super::Upstream) keeps no token once it knows who has signed in. An app that calls
//! others on a person's behalf, or shows people what it was told, needs the tokens: as they were
//! sent, and opened with the keys that the provider publishes.

mod jwt;
mod token_request;

use std::time::Duration;

use serde_json::{Map, Value};
use url::Url;

pub use jwt::OpenToken;

use self::{jwt::Sealed, token_request::TokenAnswer};
use super::{
    dpop::Access,
    exchange,
    fault::UpstreamFault,
    http::{HttpClient, MAX_BODY},
    id_token::{self, Expected, IdTokenFault, Nonce},
    metadata::{Documents, Metadata},
    strict_json,
};
use crate::foundation::{
    clock::Timestamp,
    digest::{base64url, sha256},
    secret::Secret,
};

const PATIENCE: Duration = Duration::from_secs(5);

/// What a provider knows an app by.
#[derive(Clone, Debug)]
pub struct Registration {
    /// The provider's issuer.
    pub issuer: Url,
    /// The app's id there.
    pub client_id: String,
    /// The app's secret there.
    pub client_secret: Secret,
    /// Where people come back to.
    pub redirect_uri: String,
    /// What the app asks for.
    pub scope: String,
}

/// What one sign-in is recognised by.
#[derive(Clone, Debug)]
pub struct Marks {
    /// Comes back with the answer (RFC 6749 §10.12).
    pub state: String,
    /// Comes back in the ID token.
    pub nonce: String,
    /// What the code is redeemed with (RFC 7636).
    pub verifier: String,
}

/// What the provider gave. Both signatures are good.
#[derive(Clone, Debug)]
pub struct Received {
    /// Who signed in.
    pub id_token: OpenToken,
    /// What opens other doors.
    pub access_token: OpenToken,
    /// What brings new tokens.
    pub refresh_token: Option<Secret>,
    /// What UserInfo says about the same person.
    pub userinfo: Map<String, Value>,
}

/// A provider, as an app sees it.
pub struct ClientView {
    registration: Registration,
    documents: Documents,
    http: HttpClient,
}

impl std::fmt::Debug for ClientView {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "ClientView({})", self.registration.issuer)
    }
}

impl ClientView {
    /// The view of one app.
    pub fn new(registration: Registration, http: HttpClient) -> Self {
        let documents = Documents::new(registration.issuer.clone(), PATIENCE, Vec::new());
        Self { registration, documents, http }
    }

    /// Where a person signs in (OIDC Core §3.1.2.1).
    pub async fn begin(
        &self,
        marks: &Marks,
        prompt: Option<&str>,
        now: Timestamp,
    ) -> Result<String, UpstreamFault> {
        let metadata = self.documents.metadata(&self.http, now).await?;
        let mut url = parsed(&metadata.authorization_endpoint)?;
        url.query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", &self.registration.client_id)
            .append_pair("redirect_uri", &self.registration.redirect_uri)
            .append_pair("scope", &self.registration.scope)
            .append_pair("state", &marks.state)
            .append_pair("nonce", &marks.nonce)
            .append_pair("code_challenge", &base64url(&sha256(marks.verifier.as_bytes())))
            .append_pair("code_challenge_method", "S256")
            .extend_pairs(prompt.map(|prompt| ("prompt", prompt)));
        Ok(url.into())
    }

    /// Checks that an answer is this provider's (RFC 9207 §2.4) and gives the provider's name.
    pub async fn check_issuer_of_answer(
        &self,
        iss: Option<&str>,
        now: Timestamp,
    ) -> Result<String, UpstreamFault> {
        let metadata = self.documents.metadata(&self.http, now).await?;
        match iss {
            Some(iss) if iss == metadata.issuer => Ok(iss.to_owned()),
            None if !metadata.promises_iss => Ok(metadata.issuer.clone()),
            _ => {
                let detail = format!("iss is {iss:?} instead of {:?}", metadata.issuer);
                Err(UpstreamFault::unacceptable("upstream_mix_up", detail))
            }
        }
    }

    /// Redeems a code (RFC 6749 §4.1.3) and validates the ID token in full.
    pub async fn complete(
        &self,
        code: &str,
        marks: &Marks,
        now: Timestamp,
    ) -> Result<Received, UpstreamFault> {
        let metadata = self.documents.metadata(&self.http, now).await?;
        let form = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", &self.registration.redirect_uri),
            ("code_verifier", &marks.verifier),
        ];
        let answer = self.ask_for_tokens(&metadata, &form).await?;
        let received = self.open(&metadata, answer, now).await?;
        let alg = received.id_token.header_text("alg").to_owned();
        let expected = Expected {
            issuer: &metadata.issuer,
            tenants: &[],
            client_id: &self.registration.client_id,
            nonce: Nonce::Required(&marks.nonce),
            algorithms: &[alg],
            access_token: &received.access_token.raw,
            now,
        };
        let keys = self.documents.keys(&self.http, &metadata.jwks_uri, now).await?;
        id_token::validate(&received.id_token.raw, &keys, &expected).map_err(
            |fault| match fault {
                IdTokenFault::Refused(fault) | IdTokenFault::UnknownKey(fault) => fault,
            },
        )?;
        Ok(received)
    }

    /// Gets new tokens (RFC 6749 §6). The ID token has to be about the same sign-in as before
    /// (OIDC Core §12.2).
    pub async fn refresh(
        &self,
        before: &Received,
        now: Timestamp,
    ) -> Result<Received, UpstreamFault> {
        let metadata = self.documents.metadata(&self.http, now).await?;
        let old = before.refresh_token.as_ref().map(Secret::expose).unwrap_or_default();
        let form = [("grant_type", "refresh_token"), ("refresh_token", old)];
        let answer = self.ask_for_tokens(&metadata, &form).await?;
        let mut received = self.open(&metadata, answer, now).await?;
        for claim in ["iss", "sub", "aud", "auth_time"] {
            let (new, old) = (&received.id_token.payload, &before.id_token.payload);
            if new.get(claim) != old.get(claim) {
                let detail = format!("{claim} is not what it was before");
                return Err(UpstreamFault::unacceptable("id_token_changed", detail));
            }
        }
        // Without a new one, the old one goes on (RFC 6749 §6).
        received.refresh_token = received.refresh_token.or_else(|| before.refresh_token.clone());
        Ok(received)
    }

    /// Where a person signs out (RP-Initiated Logout §2), if the provider has such a place.
    pub async fn sign_out_url(
        &self,
        id_token: &OpenToken,
        come_back_to: &str,
    ) -> Result<Option<String>, UpstreamFault> {
        // The kept copy of the provider's metadata holds only what signing in needs.
        let issuer = self.registration.issuer.as_str().trim_end_matches('/');
        let address = format!("{issuer}/.well-known/openid-configuration");
        let answer = self.http.get(&address, None, PATIENCE, MAX_BODY).await?;
        let document = strict_json::object(&answer.body).unwrap_or_default();
        let Some(endpoint) = document.get("end_session_endpoint").and_then(Value::as_str) else {
            return Ok(None);
        };
        let mut url = parsed(endpoint)?;
        url.query_pairs_mut()
            .append_pair("id_token_hint", &id_token.raw)
            .append_pair("client_id", &self.registration.client_id)
            .append_pair("post_logout_redirect_uri", come_back_to);
        Ok(Some(url.into()))
    }

    /// Opens both tokens and asks UserInfo about the person.
    async fn open(
        &self,
        metadata: &Metadata,
        answer: TokenAnswer,
        now: Timestamp,
    ) -> Result<Received, UpstreamFault> {
        let missing = || UpstreamFault::unacceptable("id_token_missing", "there is no id_token");
        let id_token = answer.id_token.ok_or_else(missing)?;
        let id_token = self.open_token(metadata, &id_token, "JWT", now).await?;
        let access_token = self.open_token(metadata, &answer.access_token, "at+jwt", now).await?;
        let subject = id_token.text("sub").unwrap_or_default();
        let userinfo = match &metadata.userinfo_endpoint {
            Some(endpoint) => {
                let token = &access_token.raw;
                let access = Access::bearer(token);
                exchange::userinfo(&self.http, endpoint, access, subject, PATIENCE).await?
            }
            None => Map::new(),
        };
        let refresh_token = answer.refresh_token.map(Secret::new);
        Ok(Received { id_token, access_token, refresh_token, userinfo })
    }

    /// Opens a token; an unknown key has the JWKS fetched once more.
    async fn open_token(
        &self,
        metadata: &Metadata,
        token: &str,
        typ: &str,
        now: Timestamp,
    ) -> Result<OpenToken, UpstreamFault> {
        let sealed = Sealed::read(token)?;
        let mut keys = self.documents.keys(&self.http, &metadata.jwks_uri, now).await?;
        if sealed.key(&keys).is_none() {
            let again =
                self.documents.refetch_keys(&self.http, &metadata.jwks_uri, &keys, now).await?;
            keys = again.unwrap_or(keys);
        }
        let unknown = || UpstreamFault::unacceptable("token_key_unknown", "no such key");
        let key = sealed.key(&keys).cloned().ok_or_else(unknown)?;
        sealed.open(&key, typ)
    }
}

fn parsed(address: &str) -> Result<Url, UpstreamFault> {
    Url::parse(address).map_err(|error| UpstreamFault::unacceptable("upstream_address", error))
}
