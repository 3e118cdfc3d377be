//! What an upstream says about itself: discovery and JWKS, fetched, checked and kept.
//!
//! What the administrator typed may lack a slash at the end or have one too many; the issuer that
//! comes back is then compared to the byte. A copy is used for an hour, and for a day when the
//! upstream cannot be reached. An unknown `kid` fetches the JWKS again, at most twice a minute.

use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use openidconnect::core::CoreProviderMetadata;
use serde_json::{Map, Value};
use tokio::sync::Mutex;
use url::Url;

use super::{
    fault::UpstreamFault,
    http::{HttpClient, MAX_BODY},
    id_token::TENANT_PLACE,
    jwk_filter::{self, MAX_JWKS, UpstreamKey},
    strict_json,
};
use crate::foundation::clock::{Span, Timestamp};

const FRESH: Span = Span::from_hours(1);
const USABLE: Span = Span::from_days(1);
/// Between two fetches of the JWKS because of an unknown `kid` (JW-06).
const REFETCH_PAUSE: Span = Span::from_seconds(30);
/// After a failed fetch the former copy is used for so long before the next try.
const RETRY_PAUSE: Span = Span::from_seconds(10);

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

struct Kept<T> {
    value: Arc<T>,
    fetched_at: Timestamp,
}

struct Slot<T> {
    kept: Option<Kept<T>>,
    failed_at: Option<Timestamp>,
    /// When an unknown `kid` last had them fetched.
    refetched_at: Option<Timestamp>,
    /// How many fetches have failed, and how the last one did.
    failures: u64,
    fault: Option<UpstreamFault>,
}

impl<T> Slot<T> {
    fn younger_than(&self, span: Span, now: Timestamp) -> Option<Arc<T>> {
        let kept = self.kept.as_ref().filter(|kept| now.since(kept.fetched_at) < span);
        kept.map(|kept| Arc::clone(&kept.value))
    }

    /// A copy that will do without asking: a fresh one, or an old one right after a failure.
    fn at_hand(&self, now: Timestamp) -> Option<Arc<T>> {
        let just_failed = self.failed_at.is_some_and(|at| now.since(at) < RETRY_PAUSE);
        self.younger_than(if just_failed { USABLE } else { FRESH }, now)
    }

    /// Whether there is a copy that goes on without the document.
    fn has_copy(&self, now: Timestamp) -> bool {
        self.younger_than(USABLE, now).is_some()
    }

    fn keep(
        &mut self,
        fetched: Result<T, UpstreamFault>,
        now: Timestamp,
    ) -> Result<Arc<T>, UpstreamFault> {
        match fetched {
            Ok(value) => {
                let value = Arc::new(value);
                self.kept = Some(Kept { value: Arc::clone(&value), fetched_at: now });
                self.failed_at = None;
                Ok(value)
            }
            Err(fault) => {
                if self.failed_at.is_none() {
                    tracing::warn!(%fault, "an upstream's document could not be refreshed");
                }
                self.failed_at = Some(now);
                self.failures += 1;
                self.fault = Some(fault.clone());
                self.younger_than(USABLE, now).ok_or(fault)
            }
        }
    }
}

/// A document that many requests share: one fetches, the others wait for what it brings, be it a
/// failure, so that nobody pays for another's time-out and then for their own.
struct Shared<T> {
    slot: Mutex<Slot<T>>,
    failures: AtomicU64,
}

impl<T> Shared<T> {
    fn new() -> Self {
        let slot =
            Slot { kept: None, failed_at: None, refetched_at: None, failures: 0, fault: None };
        Self { slot: Mutex::new(slot), failures: AtomicU64::new(0) }
    }

    async fn get(
        &self,
        now: Timestamp,
        fetch: impl AsyncFnOnce(bool) -> Result<T, UpstreamFault>,
    ) -> Result<Arc<T>, UpstreamFault> {
        let failures = self.failures.load(Ordering::Acquire);
        let mut slot = self.slot.lock().await;
        if let Some(value) = slot.at_hand(now) {
            return Ok(value);
        }
        if let Some(fault) = slot.fault.as_ref().filter(|_| slot.failures != failures) {
            return Err(fault.clone());
        }
        let fetched = fetch(slot.has_copy(now)).await;
        let answer = slot.keep(fetched, now);
        self.failures.store(slot.failures, Ordering::Release);
        answer
    }
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
    keys: Shared<Vec<UpstreamKey>>,
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
        self.metadata.slot.lock().await.younger_than(USABLE, now)
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
        let mut slot = self.metadata.slot.lock().await;
        match (&mut slot.kept, &fetched) {
            (Some(kept), Ok(fetched)) if *kept.value == *fetched => {
                kept.fetched_at = now;
                slot.failed_at = None;
            }
            _ => drop(slot.keep(fetched, now)),
        }
        self.metadata.failures.store(slot.failures, Ordering::Release);
        seen
    }

    pub(super) async fn keys(
        &self,
        http: &HttpClient,
        jwks_uri: &str,
        now: Timestamp,
    ) -> Result<Arc<Vec<UpstreamKey>>, UpstreamFault> {
        self.keys.get(now, async |has_copy| self.fetch_keys(http, jwks_uri, has_copy).await).await
    }

    /// The keys after one more look, because those that were tried did not do; nothing if the last
    /// such look was just now. Looking because a copy is old does not count: the first unknown `kid`
    /// always gets its look (FT-36).
    pub(super) async fn refetch_keys(
        &self,
        http: &HttpClient,
        jwks_uri: &str,
        tried: &Arc<Vec<UpstreamKey>>,
        now: Timestamp,
    ) -> Result<Option<Arc<Vec<UpstreamKey>>>, UpstreamFault> {
        let mut slot = self.keys.slot.lock().await;
        // Somebody else has looked while we tried.
        let newer = slot.kept.as_ref().filter(|kept| !Arc::ptr_eq(&kept.value, tried));
        if let Some(kept) = newer {
            return Ok(Some(Arc::clone(&kept.value)));
        }
        if slot.refetched_at.is_some_and(|at| now.since(at) < REFETCH_PAUSE) {
            return Ok(None);
        }
        slot.refetched_at = Some(now);
        let fetched = self.fetch_keys(http, jwks_uri, slot.has_copy(now)).await;
        slot.keep(fetched, now).map(Some)
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
    ) -> Result<Vec<UpstreamKey>, UpstreamFault> {
        let answer = http.get_again(jwks_uri, has_copy, self.patience, MAX_JWKS).await?;
        if answer.status != 200 {
            let detail = format!("{jwks_uri} answered with status {}", answer.status);
            return Err(UpstreamFault::unavailable("upstream_jwks_failed", detail));
        }
        jwk_filter::read(&answer.body)
    }
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
