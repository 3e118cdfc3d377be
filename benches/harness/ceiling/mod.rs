//! The ceiling server: what a minimal program doing the same work costs.
//!
//! axum, aws-lc-rs, prepared keys, and the same store work on the same kind of database; no policy,
//! no limits, no metrics, no logs, and of the audit only the row that is written with a session.
//! What Keywright costs above this is Keywright's own. Both use the same allocator.

mod grants;
mod passwords;
mod people;
mod requests;
mod sign_ins;
mod store;
mod tokens;
mod upstream;

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use bytes::Bytes;

use crate::options::CeilingArguments;
use crate::settings::{API, APP, APP_ES256, SECRET, WEB};
use crate::signing::{Algorithm, Signer, Verifier, digest_text};
use passwords::Passwords;
use people::People;
use sign_ins::SignIns;
use store::Store;
use upstream::Upstream;

/// Everything the handlers share.
struct Ceiling {
    /// The digest of each client's secret.
    clients: HashMap<&'static str, [u8; 32]>,
    es256: Signer,
    eddsa: Signer,
    rs256: Signer,
    verifier: Verifier,
    discovery: Document,
    jwks: Document,
    page: Document,
    store: Store,
    sign_ins: SignIns,
    passwords: Passwords,
    issuer: String,
}

/// A document rendered beforehand.
struct Document {
    content_type: &'static str,
    etag: String,
    body: Bytes,
}

impl Document {
    fn read(folder: &Path, name: &str, content_type: &'static str) -> anyhow::Result<Self> {
        let path = folder.join(name);
        let body = std::fs::read(&path).with_context(|| path.display().to_string())?;
        let etag = format!("\"{}\"", digest_text(&String::from_utf8_lossy(&body)));
        Ok(Self { content_type, etag, body: Bytes::from(body) })
    }

    /// The document, or 304 if the caller has it (RFC 9110 §13.1.2).
    fn answer(&self, headers: &HeaderMap) -> Response {
        let known =
            headers.get(header::IF_NONE_MATCH).is_some_and(|etag| etag == self.etag.as_str());
        let head = [
            (header::ETAG, self.etag.as_str()),
            (header::CACHE_CONTROL, "public, max-age=3600"),
            (header::CONTENT_TYPE, self.content_type),
        ];
        if known {
            (StatusCode::NOT_MODIFIED, head).into_response()
        } else {
            (head, self.body.clone()).into_response()
        }
    }
}

/// Serves until the process is ended.
pub(crate) async fn run(arguments: CeilingArguments) -> anyhow::Result<()> {
    let es256 = Signer::generate(Algorithm::Es256)?;
    let folder = &arguments.documents;
    let issuer = format!("http://localhost:{}", arguments.port);
    let ceiling = Ceiling {
        clients: clients(),
        verifier: es256.verifier()?,
        es256,
        eddsa: Signer::generate(Algorithm::EdDsa)?,
        rs256: Signer::generate(Algorithm::Rs256)?,
        discovery: Document::read(folder, "discovery.json", "application/json")?,
        jwks: Document::read(folder, "jwks.json", "application/jwk-set+json")?,
        page: Document::read(folder, "page.html", "text/html; charset=utf-8")?,
        store: Store::connect(&arguments.database, &arguments.state).await?,
        sign_ins: SignIns {
            people: People::open(&arguments.migrated, &arguments.upstream).await?,
            upstream: Upstream::discover(&arguments.upstream).await?,
            callback: format!("{issuer}/callback"),
        },
        passwords: Passwords::new()?,
        issuer,
    };
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", arguments.port)).await?;
    axum::serve(listener, routes(Arc::new(ceiling))).await.context("serving")
}

fn routes(ceiling: Arc<Ceiling>) -> Router {
    Router::new()
        .route("/readyz", get(async || "ready"))
        .route("/hello", get(async || "hello"))
        .route("/.well-known/openid-configuration", get(discovery))
        .route("/.well-known/jwks.json", get(jwks))
        .route("/token/es256", post(tokens::es256))
        .route("/token/eddsa", post(tokens::eddsa))
        .route("/token/rs256", post(tokens::rs256))
        .route("/userinfo", get(tokens::userinfo))
        .route("/introspect", post(tokens::introspect))
        .route("/argon2id", get(passwords::argon2id))
        .route("/argon2id/fresh", get(passwords::argon2id_in_fresh_memory))
        .route("/codes", get(grants::codes))
        .route("/exchange", post(grants::exchange))
        .route("/refresh", post(grants::refresh))
        .route("/refresh/with-id-token", post(grants::refresh_with_id_token))
        .route("/login-page", get(grants::login_page))
        .route("/authorize", get(sign_ins::authorize))
        .route("/callback", get(sign_ins::callback))
        .route("/token", post(sign_ins::token))
        .with_state(ceiling)
}

async fn discovery(State(ceiling): State<Arc<Ceiling>>, headers: HeaderMap) -> Response {
    ceiling.discovery.answer(&headers)
}

async fn jwks(State(ceiling): State<Arc<Ceiling>>, headers: HeaderMap) -> Response {
    ceiling.jwks.answer(&headers)
}

fn clients() -> HashMap<&'static str, [u8; 32]> {
    ["bench-es256", "bench-eddsa", "bench-rs256", WEB, APP, APP_ES256, API]
        .into_iter()
        .map(|id| (id, requests::secret_digest(SECRET)))
        .collect()
}
