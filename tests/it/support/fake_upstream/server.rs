//! Connections, dispatch to the endpoints, and the plain answers they build.

use std::convert::Infallible;
use std::io;
use std::sync::{Arc, Mutex};

use axum::body::Body;
use axum::http::{Method, Request};
use axum::response::Response;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::faults::FaultPlan;
use super::requests::{Endpoint, Recorded};
use super::state::{self, State};
use super::{authorize, discovery, introspection, key_set, logout, pushed, token, userinfo};

/// Serves until the task is aborted; its connections end with it.
pub(super) async fn serve(listener: TcpListener, state: Arc<Mutex<State>>) {
    let mut connections = JoinSet::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else { return };
        let state = Arc::clone(&state);
        connections.spawn(async move {
            let service = service_fn(move |request| handle(Arc::clone(&state), request));
            let server = auto::Builder::new(TokioExecutor::new());
            // An error here is a broken connection, often one that a fault broke on purpose.
            let _ = server.serve_connection(TokioIo::new(stream), service).await;
        });
        while connections.try_join_next().is_some() {}
    }
}

/// An error makes hyper close the connection without an answer.
async fn handle(
    state: Arc<Mutex<State>>,
    request: Request<Incoming>,
) -> Result<Response, io::Error> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
    let (recorded, fault) = {
        let mut state = state::lock(&state);
        let path = parts.uri.path();
        let endpoint = Endpoint::of(path, &state.discovery_path());
        let endpoint = state.aliases.get(path).copied().unwrap_or(endpoint);
        let head = (parts.method, parts.uri, parts.headers);
        let recorded = Recorded::new(endpoint, head, body);
        state.requests.push(recorded.clone());
        let fault = state.lies.faults.get_mut(&endpoint).and_then(FaultPlan::next);
        (recorded, fault)
    };
    let honest = || dispatch(&mut state::lock(&state), &recorded);
    let mut response = match fault {
        Some(fault) => fault.apply(&recorded, honest).await?,
        None => honest(),
    };
    // The server would write the computer's own time.
    let date = state::lock(&state).date();
    response.headers_mut().insert("date", date.parse().expect("a date is a header"));
    Ok(response)
}

fn dispatch(state: &mut State, request: &Recorded) -> Response {
    let is_post = request.method == Method::POST;
    match request.endpoint {
        Endpoint::Discovery if state.plain => answer::page(404, "no discovery here"),
        Endpoint::Discovery => discovery::serve(state),
        Endpoint::Jwks => key_set::serve(state),
        Endpoint::Authorize => authorize::serve(state, request),
        Endpoint::Token if is_post => token::serve(state, request),
        Endpoint::Token => answer::page(405, "POST only"),
        Endpoint::Userinfo => userinfo::serve(state, request),
        Endpoint::Introspection => introspection::serve(state, request),
        Endpoint::PushedRequests => pushed::serve(state, request),
        Endpoint::EndSession => logout::serve(state, request),
        Endpoint::AttackerJwks => key_set::serve_attacker_jwks(state),
        Endpoint::AttackerCertificate => key_set::serve_attacker_certificate(state),
        Endpoint::Unknown => userinfo::serve_document(state, request),
    }
}

/// Plain answers.
pub(super) mod answer {
    use super::{Body, Infallible, Response};
    use axum::http::response::Builder;
    use serde_json::Value;
    use url::Url;

    pub(in super::super) fn json(status: u16, value: &Value) -> Response {
        text(status, "application/json", value.to_string())
    }

    pub(in super::super) fn page(status: u16, message: &str) -> Response {
        let html = format!("<!doctype html><title>Upstream</title><p>{message}</p>");
        text(status, "text/html; charset=utf-8", html)
    }

    pub(in super::super) fn text(
        status: u16,
        content_type: &str,
        body: impl Into<Body>,
    ) -> Response {
        finish(Response::builder().status(status).header("content-type", content_type), body)
    }

    pub(in super::super) fn see_other(target: &Url) -> Response {
        finish(Response::builder().status(303).header("location", target.as_str()), Body::empty())
    }

    pub(in super::super) fn unauthorized() -> Response {
        let challenge = "Bearer error=\"invalid_token\"";
        finish(Response::builder().status(401).header("www-authenticate", challenge), Body::empty())
    }

    /// A body that arrives in the pieces of an endless or slow stream.
    pub(in super::super) fn stream(
        pieces: impl futures_util::Stream<Item = Vec<u8>> + Send + 'static,
    ) -> Body {
        use futures_util::StreamExt as _;
        Body::from_stream(pieces.map(Ok::<_, Infallible>))
    }

    fn finish(builder: Builder, body: impl Into<Body>) -> Response {
        builder.body(body.into()).expect("a valid response")
    }
}
