//! The endpoints, and what they were asked.

use axum::http::{HeaderMap, Method, Uri};
use bytes::Bytes;
use url::form_urlencoded;

/// The addresses of the provider, and of the attacker's key files beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Endpoint {
    Discovery,
    Jwks,
    Authorize,
    Token,
    Userinfo,
    /// RFC 7662.
    Introspection,
    /// RFC 9126.
    PushedRequests,
    EndSession,
    /// Where a forged `jku` header points.
    AttackerJwks,
    /// Where a forged `x5u` header points.
    AttackerCertificate,
    /// Any other path.
    Unknown,
}

impl Endpoint {
    const FIXED: [Self; 9] = [
        Self::Jwks,
        Self::Authorize,
        Self::Token,
        Self::Userinfo,
        Self::Introspection,
        Self::PushedRequests,
        Self::EndSession,
        Self::AttackerJwks,
        Self::AttackerCertificate,
    ];

    /// The path of the endpoint; for discovery, the part after the issuer.
    pub(super) fn path(self) -> &'static str {
        match self {
            Self::Discovery => "/.well-known/openid-configuration",
            Self::Jwks => "/jwks",
            Self::Authorize => "/authorize",
            Self::Token => "/token",
            Self::Userinfo => "/userinfo",
            Self::Introspection => "/introspect",
            Self::PushedRequests => "/par",
            Self::EndSession => "/end_session",
            Self::AttackerJwks => "/attacker/jwks",
            Self::AttackerCertificate => "/attacker/certificate.pem",
            Self::Unknown => "/unknown",
        }
    }

    pub(super) fn of(path: &str, discovery_path: &str) -> Self {
        if path == discovery_path {
            return Self::Discovery;
        }
        let fixed = Self::FIXED.into_iter().find(|endpoint| endpoint.path() == path);
        fixed.unwrap_or(Self::Unknown)
    }
}

/// One request as it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Recorded {
    pub(crate) endpoint: Endpoint,
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    pub(crate) headers: HeaderMap,
    pub(crate) query: Vec<(String, String)>,
    pub(crate) form: Vec<(String, String)>,
    pub(crate) body: Bytes,
}

impl Recorded {
    pub(super) fn new(
        endpoint: Endpoint,
        (method, uri, headers): (Method, Uri, HeaderMap),
        body: Bytes,
    ) -> Self {
        let query = pairs(uri.query().unwrap_or_default().as_bytes());
        let is_form = headers.get("content-type").is_some_and(|value| {
            value.as_bytes().starts_with(b"application/x-www-form-urlencoded")
        });
        let form = if is_form { pairs(&body) } else { Vec::new() };
        Self { endpoint, method, uri, headers, query, form, body }
    }

    /// The first query or form parameter of that name, the form first.
    pub(crate) fn param(&self, name: &str) -> Option<&str> {
        let mut all = self.form.iter().chain(&self.query);
        all.find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// A header as text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

fn pairs(text: &[u8]) -> Vec<(String, String)> {
    form_urlencoded::parse(text).into_owned().collect()
}
