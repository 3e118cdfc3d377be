//! The endpoints that an upstream names: which of them are used, and where they may lie.

use std::sync::PoisonError;

use url::Url;

use super::{
    fault::UpstreamFault,
    http::HttpClient,
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
        let own = self.typed_issuer.origin().ascii_serialization();
        let mut elsewhere = Vec::new();
        for endpoint in metadata.visited().chain(metadata.asked()) {
            let url = Url::parse(endpoint).ok();
            let secure = url.as_ref().is_some_and(|url| {
                url.scheme() == "https"
                    || (url.scheme() == "http"
                        && is_loopback(url)
                        && is_loopback(&self.typed_issuer))
            });
            let Some(url) = url.filter(|_| secure) else {
                let detail = format!("{endpoint:?} is not an https address");
                return Err(UpstreamFault::unacceptable("upstream_endpoint_insecure", detail));
            };
            let origin = url.origin().ascii_serialization();
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

    /// An upstream outside names no endpoint inside, now or later (SF-01, SF-02).
    pub(super) async fn keep_outside(
        &self,
        http: &HttpClient,
        metadata: &Metadata,
    ) -> Result<(), UpstreamFault> {
        let others = self.at_other_hosts(metadata);
        if others.is_empty() {
            return Ok(());
        }
        let inside = http.is_inside(&self.typed_issuer).await;
        if inside.map_err(|error| UpstreamFault::unavailable("upstream_unreachable", error))? {
            return Ok(());
        }
        for (url, asked) in others {
            http.doors().watch(&url);
            // Where browsers go is their own affair.
            let found = http.doors().leads_inside(&url).await;
            // One that cannot be found leads nowhere; whoever connects will say so.
            if let Some(address) = found.ok().flatten().filter(|_| asked) {
                let detail = format!(
                    "{url} leads to {address}, which is inside your network, and the issuer is not; \
                     if that is meant, set `internal_url`"
                );
                return Err(UpstreamFault::unacceptable("upstream_endpoint_inside", detail));
            }
        }
        Ok(())
    }

    /// The endpoints at other hosts than the issuer's, and whether we ask them.
    fn at_other_hosts(&self, metadata: &Metadata) -> Vec<(Url, bool)> {
        let asked = metadata.asked().map(|endpoint| (endpoint, true));
        let all = asked.chain(metadata.visited().map(|endpoint| (endpoint, false)));
        let urls = all.filter_map(|(endpoint, asked)| Some((Url::parse(endpoint).ok()?, asked)));
        urls.filter(|(url, _)| url.host() != self.typed_issuer.host()).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::{future::ready, net::IpAddr, time::Duration};

    use futures_util::FutureExt as _;
    use serde_json::{Map, json};

    use super::*;
    use crate::federation::inside::Doorkeeper;

    /// What becomes of these endpoints of `https://idp.test`, which lies at this address, as
    /// `inside.test` does at one inside.
    async fn judge(issuer: [u8; 4], changes: &[(&str, &str)]) -> Result<(), &'static str> {
        let doors = Doorkeeper::with(move |host| {
            let address = match host.as_str() {
                "idp.test" => issuer,
                "inside.test" => [10, 0, 0, 1],
                _ => [8, 8, 8, 8],
            };
            ready(Ok(vec![IpAddr::from(address)])).boxed()
        });
        let mut document = Map::new();
        for (name, value) in [
            ("issuer", json!("https://idp.test")),
            ("authorization_endpoint", json!("https://idp.test/authorize")),
            ("token_endpoint", json!("https://api.test/token")),
            ("jwks_uri", json!("https://idp.test/keys")),
            ("response_types_supported", json!(["code"])),
            ("subject_types_supported", json!(["public"])),
            ("id_token_signing_alg_values_supported", json!(["RS256"])),
        ] {
            document.insert(name.to_owned(), value);
        }
        for (name, value) in changes {
            document.insert((*name).to_owned(), json!(value));
        }
        let issuer = Url::parse("https://idp.test").unwrap();
        let documents = Documents::new(issuer, Duration::from_secs(1), Vec::new());
        let metadata = documents.read(&document).unwrap();
        let http = HttpClient::with_doors(doors).unwrap();
        documents.keep_outside(&http, &metadata).await.map_err(|fault| fault.reason)
    }

    /// SF-01: what an upstream outside names is asked outside; a neighbour may name neighbours; and
    /// where browsers go is not for us to judge.
    #[tokio::test]
    async fn an_upstream_outside_leads_nobody_inside() {
        let (outside, inside) = ([1, 1, 1, 1], [192, 168, 0, 1]);
        assert_eq!(judge(outside, &[]).await, Ok(()));
        for name in [
            "token_endpoint",
            "jwks_uri",
            "userinfo_endpoint",
            "introspection_endpoint",
            "pushed_authorization_request_endpoint",
        ] {
            for host in
                ["inside.test", "127.1", "[::ffff:10.0.0.1]", "169.254.169.254", "[fd00::1]"]
            {
                let changes = [(name, &*format!("https://{host}/x"))];
                let refused = Err("upstream_endpoint_inside");
                assert_eq!(judge(outside, &changes).await, refused, "{name} {host}");
                assert_eq!(judge(inside, &changes).await, Ok(()), "{name} {host}");
            }
        }
        for name in ["authorization_endpoint", "end_session_endpoint"] {
            assert_eq!(judge(outside, &[(name, "https://inside.test/x")]).await, Ok(()));
        }
    }
}
