//! What apps read about us: OpenID Connect Discovery 1.0 §3, RFC 8414 §2, and the JWKS.
//!
//! The documents are drawn once and answered as bytes. They are the same for every host and header
//! (IN-10), may be read from any origin, and list only what works.

use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use axum::{
    body::{Body, Bytes},
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::Response,
};
use serde_json::{Value, json};

use crate::{
    app::App,
    foundation::{
        clock::{Span, Timestamp},
        digest::{base64url, sha256},
    },
    keys::Jwks,
    protocol::{
        acr::Level,
        jwa::{FOREIGN_ALGORITHMS, SECRET_ALGORITHMS, SigningAlgorithm},
        scope,
        words::{AuthMethod, GrantType, Prompt, ResponseMode},
    },
    urls::path,
    web::edge::add_security_headers,
};

/// How long apps may keep the metadata.
const METADATA_MAX_AGE: HeaderValue = HeaderValue::from_static("public, max-age=3600");
const ANY_ORIGIN: HeaderValue = HeaderValue::from_static("*");
const JSON: HeaderValue = HeaderValue::from_static("application/json");
const JWK_SET: HeaderValue = HeaderValue::from_static("application/jwk-set+json");

/// A document as it is answered: its bytes, and every header of the answer.
#[derive(Debug)]
struct Document {
    body: Bytes,
    etag: HeaderValue,
    headers: HeaderMap,
}

impl Document {
    fn new(app: &App, body: Bytes, etag: &str, cache_control: HeaderValue) -> Self {
        let etag = HeaderValue::try_from(etag).unwrap_or(HeaderValue::from_static("\"\""));
        let mut headers = HeaderMap::with_capacity(12);
        headers.insert(header::ETAG, etag.clone());
        headers.insert(header::CACHE_CONTROL, cache_control);
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, ANY_ORIGIN);
        add_security_headers(app, &mut headers);
        Self { body, etag, headers }
    }

    /// The document, or 304 for who has it already (RFC 9110 §13.1.2).
    fn answer(&self, request: &HeaderMap, kind: HeaderValue) -> Response {
        let known = request.get_all(header::IF_NONE_MATCH).iter().any(|line| {
            let line = line.to_str().unwrap_or_default();
            line.split(',')
                .map(|tag| tag.trim().trim_start_matches("W/"))
                .any(|tag| tag == "*" || self.etag == tag.as_bytes())
        });
        let body = if known { Body::empty() } else { Body::from(self.body.clone()) };
        let mut response = Response::new(body);
        *response.headers_mut() = self.headers.clone();
        if known {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
        } else {
            response.headers_mut().insert(header::CONTENT_TYPE, kind);
        }
        response
    }
}

/// The documents of one server, drawn when first asked for.
#[derive(Debug)]
pub struct Documents {
    app: App,
    metadata: OnceLock<Document>,
    jwks: RwLock<Option<DrawnJwks>>,
}

/// The JWKS as it was answered last, and what it was drawn from.
#[derive(Clone, Debug)]
struct DrawnJwks {
    jwks: Arc<Jwks>,
    max_age: Span,
    document: Arc<Document>,
}

impl Documents {
    /// The documents of this server.
    pub fn new(app: App) -> Self {
        Self { app, metadata: OnceLock::new(), jwks: RwLock::default() }
    }

    fn metadata(&self) -> &Document {
        self.metadata.get_or_init(|| {
            let body = metadata(&self.app).to_string();
            let etag = format!("\"{}\"", base64url(&sha256(body.as_bytes())));
            Document::new(&self.app, Bytes::from(body), &etag, METADATA_MAX_AGE)
        })
    }

    fn jwks(&self, now: Timestamp) -> Arc<Document> {
        let (jwks, max_age) = self.app.keys.jwks(now);
        let drawn = self.jwks.read().unwrap_or_else(PoisonError::into_inner);
        let current =
            |drawn: &&DrawnJwks| drawn.max_age == max_age && Arc::ptr_eq(&drawn.jwks, &jwks);
        if let Some(drawn) = drawn.as_ref().filter(current) {
            return Arc::clone(&drawn.document);
        }
        drop(drawn);
        let cache_control = format!("public, max-age={}", max_age.seconds());
        let cache_control = HeaderValue::try_from(cache_control);
        let cache_control = cache_control.unwrap_or(HeaderValue::from_static("no-cache"));
        let document = Document::new(&self.app, jwks.body.clone(), &jwks.etag, cache_control);
        let document = Arc::new(document);
        let drawn = DrawnJwks { jwks, max_age, document: Arc::clone(&document) };
        *self.jwks.write().unwrap_or_else(PoisonError::into_inner) = Some(drawn);
        document
    }
}

/// `GET /.well-known/openid-configuration` and `/.well-known/oauth-authorization-server`.
pub async fn openid_configuration(
    State(documents): State<Arc<Documents>>,
    request: Request,
) -> Response {
    documents.metadata().answer(request.headers(), JSON)
}

/// `GET /.well-known/jwks.json`: may be kept until the keys next change (RFC 7517 §5).
pub async fn jwks(State(documents): State<Arc<Documents>>, request: Request) -> Response {
    let app = &documents.app;
    let now = app.now();
    app.keys.catch_up(&app.store, now).await;
    documents.jwks(now).answer(request.headers(), JWK_SET)
}

fn metadata(app: &App) -> Value {
    let at = |path: &str| app.urls.absolute(path);
    let algorithms: Vec<&str> = SigningAlgorithm::ALL.iter().map(|alg| alg.as_str()).collect();
    let mut scopes: Vec<&str> = scope::KNOWN.to_vec();
    for client in app.clients.iter() {
        for word in client.scope.iter().filter(|word| scope::KNOWN.contains(word)) {
            if !scopes.contains(&word) {
                scopes.push(word);
            }
        }
    }
    // RFC 8705 §3.3: where certificates come at all.
    let with_certificates = app.config.server.client_certificate_header.is_some();
    json!({
        "issuer": app.urls.issuer(),
        "authorization_endpoint": at(path::AUTHORIZE),
        "pushed_authorization_request_endpoint": at(path::PAR),
        "require_pushed_authorization_requests": false,
        "token_endpoint": at(path::TOKEN),
        "userinfo_endpoint": at(path::USERINFO),
        "jwks_uri": at(path::JWKS),
        "introspection_endpoint": at(path::INTROSPECT),
        "revocation_endpoint": at(path::REVOKE),
        "end_session_endpoint": at(path::LOGOUT),
        "backchannel_logout_supported": true,
        "backchannel_logout_session_supported": true,
        "scopes_supported": scopes,
        "response_types_supported": ["code"],
        "response_modes_supported": response_modes(app),
        "authorization_signing_alg_values_supported": algorithms,
        "grant_types_supported": words(GrantType::ALL, GrantType::as_str),
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": algorithms,
        "token_endpoint_auth_methods_supported": auth_methods(app, Proof::OrNone),
        "token_endpoint_auth_signing_alg_values_supported": assertion_algorithms(),
        "introspection_endpoint_auth_methods_supported": auth_methods(app, Proof::Always),
        "introspection_endpoint_auth_signing_alg_values_supported": assertion_algorithms(),
        "revocation_endpoint_auth_methods_supported": auth_methods(app, Proof::OrNone),
        "revocation_endpoint_auth_signing_alg_values_supported": assertion_algorithms(),
        "code_challenge_methods_supported": ["S256"],
        "dpop_signing_alg_values_supported": FOREIGN_ALGORITHMS,
        "acr_values_supported": levels(app),
        "prompt_values_supported": words(Prompt::ALL, Prompt::as_str),
        "claims_supported": [
            "iss", "sub", "aud", "exp", "iat", "auth_time", "nonce", "acr", "amr", "sid", "at_hash",
            "preferred_username", "name", "picture", "locale", "updated_at", "email", "email_verified",
            "groups", "roles",
        ],
        "claims_parameter_supported": false,
        "request_parameter_supported": false,
        "request_uri_parameter_supported": false,
        "authorization_response_iss_parameter_supported": true,
        "tls_client_certificate_bound_access_tokens": with_certificates,
    })
}

/// Whether an endpoint is for those as well who prove nothing.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Proof {
    Always,
    OrNone,
}

/// How clients can prove who they are. Certificates come by a proxy, and not everywhere.
fn auth_methods(app: &App, proof: Proof) -> Vec<&'static str> {
    let server = &app.config.server;
    let works = |method: &&AuthMethod| match method {
        AuthMethod::None => proof == Proof::OrNone,
        AuthMethod::TlsClientAuth => {
            server.client_certificate_header.is_some() && server.client_certificate_ca.is_some()
        }
        AuthMethod::SelfSignedTlsClientAuth => server.client_certificate_header.is_some(),
        _ => true,
    };
    AuthMethod::ALL.iter().filter(works).map(|method| method.as_str()).collect()
}

/// What assertions may be signed with (RFC 8414 §2).
fn assertion_algorithms() -> Vec<&'static str> {
    let of_secrets = SECRET_ALGORITHMS.iter().map(|(alg, _)| *alg);
    FOREIGN_ALGORITHMS.iter().copied().chain(of_secrets).collect()
}

/// Those that every client may have, and what any client has beyond.
fn response_modes(app: &App) -> Vec<&'static str> {
    let usual = [ResponseMode::Query, ResponseMode::FormPost];
    let has = |mode: &ResponseMode| {
        usual.contains(mode)
            || app.clients.iter().any(|client| client.settings.response_modes.contains(mode))
    };
    let modes: Vec<ResponseMode> = ResponseMode::ALL.iter().copied().filter(has).collect();
    words(&modes, ResponseMode::as_str)
}

/// The levels that people can reach. Beyond a second factor it takes an upstream.
fn levels(app: &App) -> Vec<&'static str> {
    let elsewhere = app.upstreams.iter().next().is_some();
    let here = app.config.second_factors.can_be_set_up();
    let reached = |level: &&Level| match level {
        Level::SingleFactor => true,
        Level::MultiFactor => elsewhere || here || app.passkeys.is_some(),
        Level::PhishingResistant => elsewhere || app.passkeys.is_some(),
    };
    Level::ALL.iter().filter(reached).map(|level| level.as_str()).collect()
}

fn words<T: Copy>(all: &[T], word: impl Fn(T) -> &'static str) -> Vec<&'static str> {
    all.iter().map(|item| word(*item)).collect()
}
