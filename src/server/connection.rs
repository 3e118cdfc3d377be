//! One connection, from its first byte to its last.

use std::{
    convert::Infallible,
    io,
    net::{IpAddr, SocketAddr},
    pin::pin,
    sync::Arc,
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    extract::ConnectInfo,
    http::{HeaderMap, HeaderValue, Response, StatusCode, header},
};
use hyper::{Request, Version, body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto::Builder,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_util::sync::CancellationToken;
use tower::Service as _;

use super::{
    Terms,
    activity::{Activity, Quiet, Watched},
    places::Places,
    proxy_protocol,
};

/// The longest head that is read.
const MAX_HEADER_BYTES: usize = 16 * 1_024;
const MAX_HEADERS: usize = 100;
/// The longest target: what an app has to say that is longer it can post.
const MAX_TARGET: usize = 12 * 1_024;
/// All cookies of a request together: ours are a few hundred bytes.
const MAX_COOKIES: usize = 8 * 1_024;
/// What was on its way when we were told to stop is still answered.
const LAST_REQUESTS: Duration = Duration::from_millis(500);

/// What all connections of a listener share.
#[derive(Debug)]
pub(super) struct Hall {
    terms: Terms,
    router: Router,
    places: Arc<Places>,
    builder: Builder<TokioExecutor>,
    stopping: CancellationToken,
    cut: CancellationToken,
}

impl Hall {
    pub(super) fn new(
        terms: Terms,
        router: Router,
        places: Arc<Places>,
        stopping: CancellationToken,
    ) -> Self {
        let mut builder = Builder::new(TokioExecutor::new());
        builder.http1().max_headers(MAX_HEADERS).max_buf_size(MAX_HEADER_BYTES);
        builder
            .http2()
            .timer(TokioTimer::new())
            .max_header_list_size(16 * 1_024)
            .max_concurrent_streams(100)
            .keep_alive_interval(Some(Duration::from_secs(30)));
        Self { terms, router, places, builder, stopping, cut: CancellationToken::new() }
    }

    /// Ends all connections at once.
    pub(super) fn cut(&self) {
        self.cut.cancel();
    }

    /// Attends to a connection until it ends.
    pub(super) async fn attend(&self, stream: TcpStream, peer: SocketAddr) {
        // Answers are small and complete: waiting to fill a packet only costs time.
        let _ = stream.set_nodelay(true);
        let ended = tokio::select! {
            ended = self.receive(stream, peer) => ended,
            () = self.cut.cancelled() => return,
        };
        if let Err(error) = ended {
            tracing::debug!(%error, "a connection came to nothing");
        }
    }

    async fn receive(&self, mut stream: TcpStream, peer: SocketAddr) -> io::Result<()> {
        let soon = self.terms.stall;
        let mut peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
        if self.terms.proxy_protocol && self.is_proxy(peer.ip()) {
            let announced = proxy_protocol::read(&mut stream);
            peer = tokio::time::timeout(soon, announced).await??.unwrap_or(peer);
        }
        let place = if self.is_proxy(peer.ip()) { None } else { Some(self.places.of(peer.ip())) };
        if matches!(place, Some(None)) {
            return Ok(());
        }
        match &self.terms.certificates {
            None => Box::pin(self.converse(stream, peer)).await,
            Some(certificates) => {
                let secured = certificates.acceptor().accept(stream);
                let secured = tokio::time::timeout(soon, secured).await??;
                Box::pin(self.converse(secured, peer)).await;
            }
        }
        drop(place);
        Ok(())
    }

    fn is_proxy(&self, address: IpAddr) -> bool {
        self.terms.proxies.iter().any(|network| network.contains(&address))
    }

    async fn converse<S>(&self, stream: S, peer: SocketAddr)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let activity = Arc::new(Activity::default());
        let service = service_fn(|request| self.answer(request, peer, &activity));
        let stream = Watched::new(TokioIo::new(stream), &activity);
        let mut connection = pin!(self.builder.serve_connection(stream, service));
        let stopped = async {
            self.stopping.cancelled().await;
            tokio::time::sleep(LAST_REQUESTS).await;
        };
        tokio::select! {
            ended = connection.as_mut() => return note(ended),
            () = stopped => {}
            quiet = activity.quiet(self.terms.stall, self.terms.idle) => {
                if quiet == Quiet::Stalled {
                    tracing::debug!("a connection that did nothing was closed");
                    return;
                }
            }
        }
        connection.as_mut().graceful_shutdown();
        tokio::select! {
            ended = connection.as_mut() => note(ended),
            _ = activity.quiet(self.terms.stall, self.terms.stall) => {}
        }
    }

    fn answer(
        &self,
        request: Request<Incoming>,
        peer: SocketAddr,
        activity: &Arc<Activity>,
    ) -> impl Future<Output = Result<Response<Body>, Infallible>> + use<> {
        let running = activity.begin(request.version());
        let refused = fault(&request);
        // Who keeps a connection open is told with the last answer that it ends.
        let stopping = (request.version() < Version::HTTP_2).then(|| self.stopping.clone());
        let answer = refused.is_none().then(|| {
            let mut request = request.map(Body::new);
            request.extensions_mut().insert(ConnectInfo(peer));
            self.router.clone().call(request)
        });
        async move {
            let mut response = match answer {
                Some(answer) => answer.await.unwrap_or_else(|never| match never {}),
                None => refuse(refused.unwrap_or(StatusCode::BAD_REQUEST)),
            };
            if stopping.is_some_and(|stopping| stopping.is_cancelled()) {
                let close = HeaderValue::from_static("close");
                response.headers_mut().insert(header::CONNECTION, close);
            }
            drop(running);
            Ok(response)
        }
    }
}

fn note(ended: Result<(), Box<dyn std::error::Error + Send + Sync>>) {
    if let Err(error) = ended {
        tracing::debug!(error, "a connection ended early");
    }
}

/// What is too long to be looked at (HT-03).
fn fault(request: &Request<Incoming>) -> Option<StatusCode> {
    let target = request.uri().path_and_query().map_or(0, |target| target.as_str().len());
    if target > MAX_TARGET {
        return Some(StatusCode::URI_TOO_LONG);
    }
    let cookies = request.headers().get_all(header::COOKIE).iter();
    let cookies: usize = cookies.map(HeaderValue::len).sum();
    (cookies > MAX_COOKIES).then_some(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE)
}

fn refuse(status: StatusCode) -> Response<Body> {
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    let mut response = Response::new(Body::from(status.canonical_reason().unwrap_or_default()));
    (*response.status_mut(), *response.headers_mut()) = (status, headers);
    response
}
