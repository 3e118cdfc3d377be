//! Listening, answering, and stopping without losing anybody.
//!
//! Built on hyper itself, because the framework's own loop has no time limit for slow headers
//! (HT-01). At the end the listener closes first, requests in flight may finish, and idle
//! connections are told to go.

mod activity;

use std::{convert::Infallible, net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Context as _;
use axum::{Router, body::Body, extract::ConnectInfo};
use hyper::{Request, body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{conn::auto::Builder, graceful::GracefulShutdown},
};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tower::Service as _;

use self::activity::{Activity, Watched};

/// The longest head that is read.
const MAX_HEADER_BYTES: usize = 32 * 1_024;
const MAX_HEADERS: usize = 100;
/// How long the loop rests when no connection can be accepted.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Binds an address, or says what is in the way.
pub async fn bind(address: SocketAddr, setting: &str) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .with_context(|| format!("{setting} = \"{address}\": cannot listen there; is it in use?"))
}

/// Answers on a listener until told to stop, then lets requests in flight finish.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    stopping: CancellationToken,
    drain: Duration,
) {
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().max_headers(MAX_HEADERS).max_buf_size(MAX_HEADER_BYTES);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(16 * 1_024)
        .max_concurrent_streams(100)
        .keep_alive_interval(Some(Duration::from_secs(30)));
    let connections = GracefulShutdown::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stopping.cancelled() => break,
        };
        match accepted {
            Ok((stream, peer)) => attend(&builder, stream, peer, &router, &connections),
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    if tokio::time::timeout(drain, connections.shutdown()).await.is_err() {
        tracing::warn!("requests in flight did not end in time and were cut off");
    }
}

#[expect(clippy::disallowed_methods, reason = "connections are tracked by the graceful shutdown")]
fn attend(
    builder: &Builder<TokioExecutor>,
    stream: TcpStream,
    peer: SocketAddr,
    router: &Router,
    connections: &GracefulShutdown,
) {
    // Answers are small and complete: waiting to fill a packet only costs time.
    let _ = stream.set_nodelay(true);
    let activity = Arc::new(Activity::default());
    let (router, noted) = (router.clone(), Arc::clone(&activity));
    let service = service_fn(move |request: Request<Incoming>| {
        noted.begin(request.version());
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(ConnectInfo(peer));
        let answer = router.clone().call(request);
        let noted = Arc::clone(&noted);
        async move {
            let answer = answer.await.unwrap_or_else(|never| match never {});
            noted.end();
            Ok::<_, Infallible>(answer)
        }
    });
    let connection = builder
        .serve_connection(Watched::new(TokioIo::new(stream), &activity), service)
        .into_owned();
    let watched = connections.watch(connection);
    tokio::spawn(async move {
        tokio::select! {
            ended = watched => if let Err(error) = ended {
                tracing::debug!(error, "a connection ended early");
            },
            () = activity.stalls() => tracing::debug!("a connection that did nothing was closed"),
        }
    });
}
