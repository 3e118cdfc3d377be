//! One way to send a request: in process to mounted routers, over TCP to everybody else.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{HeaderValue, Request, Response, Uri, header};
use bytes::Bytes;
use http_body_util::BodyExt as _;
use tower::ServiceExt as _;
use url::Url;

/// Routers by origin, and a client for the rest. Redirects are never followed here.
#[derive(Clone)]
pub(crate) struct Network {
    mounts: BTreeMap<String, Router>,
    peer: SocketAddr,
    client: reqwest::Client,
}

impl Network {
    /// A network without mounted routers; in-process requests come from 127.0.0.1.
    pub(crate) fn new() -> Self {
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            // Tests speak plain HTTP over loopback; reading the system's roots takes longer.
            .tls_certs_only([])
            .timeout(Duration::from_secs(30))
            .build();
        Self {
            mounts: BTreeMap::new(),
            peer: SocketAddr::from(([127, 0, 0, 1], 40_000)),
            client: client.expect("an HTTP client"),
        }
    }

    /// Answers an origin in process from now on.
    pub(crate) fn mount(&mut self, origin: &Url, router: Router) {
        self.mounts.insert(origin.origin().ascii_serialization(), router);
    }

    /// Sets the address that in-process requests appear to come from.
    pub(crate) fn set_peer(&mut self, peer: SocketAddr) {
        self.peer = peer;
    }

    /// Sends a request with an absolute URI and reads the whole answer.
    pub(crate) async fn send(&self, request: Request<Bytes>) -> Response<Bytes> {
        let url = Url::parse(&request.uri().to_string()).expect("an absolute URI");
        match self.mounts.get(&url.origin().ascii_serialization()) {
            Some(router) => self.send_in_process(router.clone(), request, &url).await,
            None => self.send_over_tcp(request, &url).await,
        }
    }

    /// The router sees what a server hands it: origin-form target, `Host`, and the peer's address.
    async fn send_in_process(
        &self,
        router: Router,
        mut request: Request<Bytes>,
        url: &Url,
    ) -> Response<Bytes> {
        let target = &url[url::Position::BeforePath..url::Position::AfterQuery];
        let authority = &url[url::Position::BeforeHost..url::Position::AfterPort];
        let host = HeaderValue::try_from(authority).expect("a host");
        *request.uri_mut() = Uri::try_from(target).expect("a path");
        request.headers_mut().entry(header::HOST).or_insert(host);
        request.extensions_mut().insert(ConnectInfo(self.peer));
        let response = router.oneshot(request.map(Body::from)).await;
        let (parts, body) = response.unwrap_or_else(|never| match never {}).into_parts();
        let body = body.collect().await.expect("a complete body").to_bytes();
        Response::from_parts(parts, body)
    }

    async fn send_over_tcp(&self, request: Request<Bytes>, url: &Url) -> Response<Bytes> {
        let request = reqwest::Request::try_from(request).expect("a request");
        let answer = self.client.execute(request).await;
        let answer = answer.unwrap_or_else(|cause| {
            panic!("no answer from {url}: {cause:?}; is its prefix missing in the stop list?")
        });
        let mut response = Response::new(Bytes::new());
        *response.status_mut() = answer.status();
        *response.headers_mut() = answer.headers().clone();
        *response.body_mut() = answer.bytes().await.expect("a complete body");
        response
    }
}
