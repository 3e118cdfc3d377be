//! The endpoints that an upstream names: which of them are used, and where they may lie.

use std::{collections::HashSet, net::IpAddr, sync::PoisonError};

use url::Url;

use super::{
    fault::UpstreamFault,
    http::HttpClient,
    inside::is_inside,
    metadata::{Documents, Metadata},
};
use crate::protocol::redirect_uri::is_loopback;

impl Metadata {
    /// The endpoints that are asked from here.
    fn asked(&self) -> impl Iterator<Item = &String> {
        let required = [&self.token_endpoint, &self.jwks_uri];
        let optional = [
            &self.userinfo_endpoint,
            &self.introspection_endpoint,
            &self.pushed_authorization_request_endpoint,
        ];
        required.into_iter().chain(optional.into_iter().flatten())
    }

    /// The endpoints that browsers are sent to.
    fn visited(&self) -> impl Iterator<Item = &String> {
        std::iter::once(&self.authorization_endpoint).chain(&self.end_session_endpoint)
    }
}

impl Documents {
    /// Endpoints are `https`, or `http` on this computer when the upstream itself is; and none lies
    /// at another configured upstream (RFC 9700 §4.4.1).
    pub(super) fn check_endpoints(&self, metadata: &Metadata) -> Result<(), UpstreamFault> {
        let own = origin(&self.typed_issuer);
        let mut elsewhere = Vec::new();
        for endpoint in metadata.visited().chain(metadata.asked()) {
            let url = Url::parse(endpoint).ok();
            let secure = url.as_ref().is_some_and(|url| {
                url.scheme() == "https"
                    || (url.scheme() == "http"
                        && is_loopback(url)
                        && is_loopback(&self.typed_issuer))
            });
            let names_nobody = |url: &Url| url.username().is_empty() && url.password().is_none();
            let Some(url) = url.filter(|url| secure && names_nobody(url)) else {
                let detail = format!("{endpoint:?} is not an https address");
                return Err(UpstreamFault::unacceptable("upstream_endpoint_insecure", detail));
            };
            let origin = origin(&url);
            if origin != own && self.foreign_origins.contains(&origin) {
                let detail = format!("{endpoint:?} belongs to another configured upstream");
                return Err(UpstreamFault::unacceptable("upstream_mix_up", detail));
            }
            if origin != own {
                elsewhere.push(endpoint.clone());
            }
        }
        self.remark(&metadata.issuer, elsewhere);
        Ok(())
    }

    /// Says which endpoints are at other hosts, once.
    fn remark(&self, issuer: &str, elsewhere: Vec<String>) {
        let mut known = self.elsewhere.lock().unwrap_or_else(PoisonError::into_inner);
        if *known != elsewhere && !elsewhere.is_empty() {
            tracing::warn!(issuer, endpoints = ?elsewhere, "endpoints are at other hosts");
        }
        *known = elsewhere;
    }

    /// An upstream that has answered from outside leads nobody inside by what it names (SF-01).
    pub(super) fn keep_outside(
        &self,
        http: &HttpClient,
        metadata: &Metadata,
        from: Option<IpAddr>,
    ) {
        // The connection is proof of where it is; a second look at its name would not be.
        let strangers = match from {
            Some(address) if !is_inside(address) => self.other_hosts(metadata),
            _ => HashSet::new(),
        };
        http.strangers().set(strangers);
    }

    fn other_hosts(&self, metadata: &Metadata) -> HashSet<String> {
        let all = metadata.asked().chain(metadata.visited());
        let urls = all.filter_map(|endpoint| Url::parse(endpoint).ok());
        let others = urls.filter(|url| url.host() != self.typed_issuer.host());
        others.filter_map(|url| url.host_str().map(str::to_owned)).collect()
    }
}

/// The origin, without the dot that a host may end with and be the same.
fn origin(url: &Url) -> String {
    let mut plain = url.clone();
    let host = url.host_str().map(|host| host.trim_end_matches('.'));
    match plain.set_host(host) {
        Ok(()) => plain.origin().ascii_serialization(),
        Err(_) => url.origin().ascii_serialization(),
    }
}

#[cfg(test)]
mod tests {
    use std::{future::ready, net::SocketAddr, time::Duration};

    use futures_util::FutureExt as _;
    use serde_json::{Map, Value, json};

    use super::*;
    use crate::federation::inside::Outside;

    /// The document of `https://idp.test`, with these endpoints.
    fn document(endpoints: &[(&str, &str)]) -> Map<String, Value> {
        let mut document = json!({
            "issuer": "https://idp.test",
            "authorization_endpoint": "https://idp.test/authorize",
            "token_endpoint": "https://idp.test/token",
            "jwks_uri": "https://idp.test/keys",
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
        });
        for (name, endpoint) in endpoints {
            document[*name] = json!(endpoint);
        }
        document.as_object().cloned().unwrap()
    }

    /// What becomes of a request to an endpoint that `https://idp.test` names, which has answered from
    /// this address; `inside.test` is inside.
    async fn ask(from: [u8; 4], endpoint: &str) -> &'static str {
        let lookup = |_| ready(Ok(vec![SocketAddr::from(([10, 0, 0, 1], 0))])).boxed();
        let document = document(&[("userinfo_endpoint", endpoint)]);
        let issuer = Url::parse("https://idp.test").unwrap();
        let patience = Duration::from_millis(200);
        let documents = Documents::new(issuer, patience, Vec::new());
        let metadata = documents.read(&document).unwrap();
        let http = HttpClient::with(Outside::with(lookup)).unwrap();
        documents.keep_outside(&http, &metadata, Some(from.into()));
        let answer = http.get(endpoint, None, patience, 1_024).await;
        answer.map(drop).unwrap_err().reason
    }

    /// UP-06, SF-05: a dot makes no other host, and an endpoint holds no name or password.
    #[test]
    fn tricky_addresses_of_endpoints_are_seen_through() {
        let issuer = Url::parse("https://idp.test").unwrap();
        let foreign = vec!["https://kc.test".to_owned()];
        let documents = Documents::new(issuer, Duration::from_secs(1), foreign);
        for (endpoint, reason) in [
            ("https://kc.test/token", Some("upstream_mix_up")),
            ("https://kc.test./token", Some("upstream_mix_up")),
            ("https://KC.test:443/token", Some("upstream_mix_up")),
            ("https://name:word@idp.test/token", Some("upstream_endpoint_insecure")),
            ("https://name@idp.test/token", Some("upstream_endpoint_insecure")),
            ("https://idp.test./token", None),
        ] {
            let read = documents.read(&document(&[("token_endpoint", endpoint)]));
            assert_eq!(read.err().map(|fault| fault.reason), reason, "{endpoint}");
        }
    }

    /// SF-01, SF-02: who answers from outside leads nobody inside, however the address is written; a
    /// neighbour may name neighbours.
    #[tokio::test]
    async fn an_upstream_outside_leads_nobody_inside() {
        for host in
            ["inside.test", "127.1", "[::ffff:127.0.0.1]", "127.0.0.1:1", "2130706433", "[::1]"]
        {
            let endpoint = format!("https://{host}/x");
            assert_eq!(ask([8, 8, 8, 8], &endpoint).await, "upstream_endpoint_inside", "{host}");
            assert_ne!(ask([10, 9, 9, 9], &endpoint).await, "upstream_endpoint_inside", "{host}");
        }
    }
}
