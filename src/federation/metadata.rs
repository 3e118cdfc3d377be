//! What an upstream says about itself: discovery and JWKS, fetched, checked and kept.
//!
//! What the administrator typed may lack a slash at the end or have one too many; the issuer that
//! comes back is then compared to the byte. A copy is used for an hour, and for a day when the
//! upstream cannot be reached. An unknown `kid` fetches the JWKS again, at most twice a minute.

use std::{net::IpAddr, sync::Arc, time::Duration};

use openidconnect::core::CoreProviderMetadata;
use serde_json::{Map, Value};
use url::Url;

use super::{
    fault::UpstreamFault,
    http::{HttpClient, MAX_BODY},
    id_token::TENANT_PLACE,
    kept::Shared,
    strict_json,
};
use crate::{
    foundation::clock::Timestamp,
    keys::{JwksFault, MAX_JWKS, PublishedKey, read_jwks},
};

/// What an upstream says about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a member of the document")]
pub(super) struct Metadata {
    pub(super) issuer: String,
    pub(super) authorization_endpoint: String,
    pub(super) token_endpoint: String,
    pub(super) userinfo_endpoint: Option<String>,
    pub(super) jwks_uri: String,
    /// RP-Initiated Logout §2.1.
    pub(super) end_session_endpoint: Option<String>,
    /// RFC 8414 §2, RFC 7662.
    pub(super) introspection_endpoint: Option<String>,
    /// RFC 9126 §5.
    pub(super) pushed_authorization_request_endpoint: Option<String>,
    /// Whether it takes no other authorization requests (RFC 9126 §5).
    pub(super) wants_pushed_requests: bool,
    /// Whether it takes `DPoP` proofs that are signed with ES256 (RFC 9449 §5.1).
    pub(super) takes_dpop: bool,
    /// Whether it can be asked without a page (`prompt_values_supported`).
    pub(super) takes_prompt_none: bool,
    /// Whether its answers always carry `iss` (RFC 9207 §3).
    pub(super) promises_iss: bool,
}

/// The kept documents of one upstream.
pub(super) struct Documents {
    pub(super) typed_issuer: Url,
    patience: Duration,
    /// The other upstreams' issuers: whoever points there is not who it says it is (UP-06).
    pub(super) foreign_origins: Vec<String>,
    /// The issuer with a place for the tenant, where several tenants may sign in.
    template: Option<String>,
    /// The endpoints at other hosts that the log knows of.
    pub(super) elsewhere: std::sync::Mutex<Vec<String>>,
    metadata: Shared<Metadata>,
    keys: Shared<Vec<PublishedKey>>,
}

impl Documents {
    pub(super) fn new(typed_issuer: Url, patience: Duration, foreign_origins: Vec<String>) -> Self {
        Self {
            typed_issuer,
            patience,
            foreign_origins,
            template: None,
            elsewhere: std::sync::Mutex::default(),
            metadata: Shared::new(),
            keys: Shared::new(),
        }
    }

    /// Accepts an issuer with a place for the tenant where the typed one has `common` or the like.
    pub(super) fn with_tenants(mut self) -> Self {
        let issuer = &self.typed_issuer;
        let tenant = issuer.path_segments().and_then(|mut steps| steps.next());
        self.template = tenant.filter(|tenant| !tenant.is_empty()).map(|tenant| {
            let path = issuer.path().replacen(tenant, TENANT_PLACE, 1);
            format!("{}{path}", issuer.origin().ascii_serialization())
        });
        self
    }

    pub(super) async fn metadata(
        &self,
        http: &HttpClient,
        now: Timestamp,
    ) -> Result<Arc<Metadata>, UpstreamFault> {
        self.metadata.get(now, async |has_copy| self.discover(http, has_copy).await).await
    }

    /// The metadata that everything goes on with while the document cannot be had.
    pub(super) async fn copy(&self, now: Timestamp) -> Option<Arc<Metadata>> {
        self.metadata.copy(now).await
    }

    /// Asks for the metadata anew, whatever is at hand, to see how the upstream is. Nobody waits for
    /// it. What is made from a copy stays good as long as nothing changes.
    pub(super) async fn look(
        &self,
        http: &HttpClient,
        now: Timestamp,
    ) -> Result<(), UpstreamFault> {
        let has_copy = self.copy(now).await.is_some();
        let fetched = self.discover(http, has_copy).await;
        let seen = fetched.as_ref().map(drop).map_err(UpstreamFault::clone);
        self.metadata.confirm(fetched, now).await;
        seen
    }

    pub(super) async fn keys(
        &self,
        http: &HttpClient,
        jwks_uri: &str,
        now: Timestamp,
    ) -> Result<Arc<Vec<PublishedKey>>, UpstreamFault> {
        self.keys.get(now, async |has_copy| self.fetch_keys(http, jwks_uri, has_copy).await).await
    }

    /// The keys after one more look, because those that were tried did not do; nothing if the last
    /// such look was just now.
    pub(super) async fn refetch_keys(
        &self,
        http: &HttpClient,
        jwks_uri: &str,
        tried: &Arc<Vec<PublishedKey>>,
        now: Timestamp,
    ) -> Result<Option<Arc<Vec<PublishedKey>>>, UpstreamFault> {
        let fetch = async |has_copy| self.fetch_keys(http, jwks_uri, has_copy).await;
        self.keys.get_newer(tried, now, fetch).await
    }

    async fn discover(&self, http: &HttpClient, has_copy: bool) -> Result<Metadata, UpstreamFault> {
        let (document, from) = self.document(http, has_copy).await?;
        let metadata = self.read(&document)?;
        self.keep_outside(http, &metadata, from);
        Ok(metadata)
    }

    fn address(&self) -> String {
        let typed = self.typed_issuer.as_str().trim_end_matches('/');
        format!("{typed}/.well-known/openid-configuration")
    }

    fn malformed(&self, detail: &str) -> UpstreamFault {
        let detail = format!("{}: {detail}", self.address());
        UpstreamFault::unacceptable("upstream_discovery_malformed", detail)
    }

    /// The discovery document as it comes, and who has sent it.
    pub(super) async fn document(
        &self,
        http: &HttpClient,
        has_copy: bool,
    ) -> Result<(Map<String, Value>, Option<IpAddr>), UpstreamFault> {
        let url = self.address();
        let answer = http.get_again(&url, has_copy, self.patience, MAX_BODY).await?;
        if answer.status != 200 {
            let detail = format!("{url} answered with status {}", answer.status);
            return Err(UpstreamFault::unavailable("upstream_discovery_failed", detail));
        }
        let document = strict_json::object(&answer.body);
        let document = document.ok_or_else(|| self.malformed("it is not a JSON object"))?;
        Ok((document, answer.from))
    }

    /// What counts of it, if it can be trusted.
    pub(super) fn read(&self, document: &Map<String, Value>) -> Result<Metadata, UpstreamFault> {
        let typed = self.typed_issuer.as_str().trim_end_matches('/');
        let is_true = |name: &str| document.get(name) == Some(&Value::Bool(true));
        let dpop = document.get("dpop_signing_alg_values_supported").and_then(Value::as_array);
        let takes_dpop = dpop.is_some_and(|algs| algs.iter().any(|alg| alg == "ES256"));
        let prompts = document.get("prompt_values_supported").and_then(Value::as_array);
        let takes_prompt_none = prompts.is_none_or(|words| words.iter().any(|word| word == "none"));
        let issuer = document.get("issuer").and_then(Value::as_str).unwrap_or_default();
        let is_template = self.template.as_deref() == Some(issuer);
        if issuer != typed && issuer != format!("{typed}/") && !is_template {
            let detail = format!("{} says that the issuer is {issuer:?}", self.address());
            return Err(UpstreamFault::unacceptable("upstream_issuer_mismatch", detail));
        }
        let parsed: CoreProviderMetadata = serde_json::from_value(Value::Object(document.clone()))
            .map_err(|error| self.malformed(&error.to_string()))?;
        let endpoint = |name: &str| document.get(name).and_then(Value::as_str).map(str::to_owned);
        let required =
            |name: &str| endpoint(name).ok_or_else(|| self.malformed(&format!("it has no {name}")));
        let metadata = Metadata {
            issuer: issuer.to_owned(),
            authorization_endpoint: required("authorization_endpoint")?,
            token_endpoint: required("token_endpoint")?,
            userinfo_endpoint: endpoint("userinfo_endpoint"),
            end_session_endpoint: endpoint("end_session_endpoint"),
            introspection_endpoint: endpoint("introspection_endpoint"),
            pushed_authorization_request_endpoint: endpoint(
                "pushed_authorization_request_endpoint",
            ),
            wants_pushed_requests: is_true("require_pushed_authorization_requests"),
            takes_dpop,
            jwks_uri: parsed.jwks_uri().url().as_str().to_owned(),
            takes_prompt_none,
            promises_iss: is_true("authorization_response_iss_parameter_supported"),
        };
        self.check_endpoints(&metadata)?;
        Ok(metadata)
    }

    pub(super) async fn fetch_keys(
        &self,
        http: &HttpClient,
        jwks_uri: &str,
        has_copy: bool,
    ) -> Result<Vec<PublishedKey>, UpstreamFault> {
        let answer = http.get_again(jwks_uri, has_copy, self.patience, MAX_JWKS).await?;
        if answer.status != 200 {
            let detail = format!("{jwks_uri} answered with status {}", answer.status);
            return Err(UpstreamFault::unavailable("upstream_jwks_failed", detail));
        }
        read_jwks(&answer.body).map_err(unfit_jwks)
    }
}

fn unfit_jwks(fault: JwksFault) -> UpstreamFault {
    let detail = match fault {
        JwksFault::Malformed(detail) => {
            return UpstreamFault::unacceptable("upstream_jwks_malformed", detail);
        }
        JwksFault::Empty => {
            "the provider publishes no signing key at all. At Authentik this means that the \
             provider has no signing key selected and signs with the client secret (HS256); select \
             a signing key there"
        }
        JwksFault::NothingFit => {
            "the provider publishes no key that is fit for checking signatures"
        }
    };
    UpstreamFault::unacceptable("upstream_jwks_empty", detail)
}

/// Whether a provider publishes discovery under this issuer, and says that it is the one.
pub async fn find_provider(
    issuer: &Url,
    http: &HttpClient,
    patience: Duration,
) -> Result<(), UpstreamFault> {
    let documents = Documents::new(issuer.clone(), patience, Vec::new());
    documents.discover(http, false).await.map(drop)
}
