//! What apps read about us: OpenID Connect Discovery 1.0 §3, RFC 8414 §2, and the JWKS.
//!
//! The documents are drawn once and answered as bytes. They are the same for every host and header
//! (IN-10), may be read from any origin, and list only what works.

use std::sync::OnceLock;

use axum::{
    body::Bytes,
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use serde_json::{Value, json};

use crate::{
    app::App,
    foundation::digest::{base64url, sha256},
    protocol::{
        jwa::SigningAlgorithm,
        scope,
        words::{GrantType, Prompt, ResponseMode},
    },
    urls::path,
    web::edge::add_security_headers,
};

/// How long apps may keep the metadata.
const METADATA_MAX_AGE: HeaderValue = HeaderValue::from_static("public, max-age=3600");
const ANY_ORIGIN: HeaderValue = HeaderValue::from_static("*");
const JSON: HeaderValue = HeaderValue::from_static("application/json");
const JWK_SET: HeaderValue = HeaderValue::from_static("application/jwk-set+json");

/// A document and its entity tag.
#[derive(Clone, Debug)]
pub struct Document {
    body: Bytes,
    etag: HeaderValue,
}

/// The documents of one server, drawn when first asked for.
#[derive(Debug, Default)]
pub struct Documents {
    metadata: OnceLock<Document>,
}

impl Documents {
    fn metadata(&self, app: &App) -> &Document {
        self.metadata.get_or_init(|| {
            let body = metadata(app).to_string();
            let tag = format!("\"{}\"", base64url(&sha256(body.as_bytes())));
            let etag = HeaderValue::try_from(tag).unwrap_or(HeaderValue::from_static("\"\""));
            Document { body: Bytes::from(body), etag }
        })
    }
}

/// What the document routes share.
#[derive(Clone, Debug)]
pub struct Serving {
    /// The house.
    pub app: App,
    /// Its documents.
    pub documents: std::sync::Arc<Documents>,
}

/// `GET /.well-known/openid-configuration` and `/.well-known/oauth-authorization-server`.
pub async fn openid_configuration(
    State(Serving { app, documents }): State<Serving>,
    headers: HeaderMap,
) -> Response {
    let document = documents.metadata(&app);
    let kept = Kept { etag: document.etag.clone(), cache_control: METADATA_MAX_AGE, kind: JSON };
    answer(&app, &headers, kept, document.body.clone())
}

/// `GET /.well-known/jwks.json`: may be kept until the keys next change (RFC 7517 §5).
pub async fn jwks(State(Serving { app, .. }): State<Serving>, headers: HeaderMap) -> Response {
    let now = app.now();
    app.keys.catch_up(&app.store, now).await;
    let (jwks, max_age) = app.keys.jwks(now);
    let cache_control = format!("public, max-age={}", max_age.seconds());
    let value = |text: &str| HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static(""));
    let kept =
        Kept { etag: value(&jwks.etag), cache_control: value(&cache_control), kind: JWK_SET };
    answer(&app, &headers, kept, jwks.body.clone())
}

struct Kept {
    etag: HeaderValue,
    cache_control: HeaderValue,
    kind: HeaderValue,
}

fn answer(app: &App, request: &HeaderMap, kept: Kept, body: Bytes) -> Response {
    let mut headers = HeaderMap::with_capacity(12);
    let known = request.get_all(header::IF_NONE_MATCH).iter().any(|line| {
        let line = line.to_str().unwrap_or_default();
        line.split(',').any(|tag| kept.etag == tag.trim().trim_start_matches("W/").as_bytes())
    });
    headers.insert(header::ETAG, kept.etag);
    headers.insert(header::CACHE_CONTROL, kept.cache_control);
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, ANY_ORIGIN);
    add_security_headers(app, &mut headers);
    if known {
        return (StatusCode::NOT_MODIFIED, headers).into_response();
    }
    headers.insert(header::CONTENT_TYPE, kept.kind);
    (headers, body).into_response()
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
    json!({
        "issuer": app.urls.issuer(),
        "authorization_endpoint": at(path::AUTHORIZE),
        "token_endpoint": at(path::TOKEN),
        "userinfo_endpoint": at(path::USERINFO),
        "jwks_uri": at(path::JWKS),
        "introspection_endpoint": at(path::INTROSPECT),
        "revocation_endpoint": at(path::REVOKE),
        "end_session_endpoint": at(path::LOGOUT),
        "scopes_supported": scopes,
        "response_types_supported": ["code"],
        "response_modes_supported": words(ResponseMode::ALL, ResponseMode::as_str),
        "grant_types_supported": words(GrantType::ALL, GrantType::as_str),
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": algorithms,
        "token_endpoint_auth_methods_supported":
            ["client_secret_basic", "client_secret_post", "none"],
        "introspection_endpoint_auth_methods_supported":
            ["client_secret_basic", "client_secret_post"],
        "revocation_endpoint_auth_methods_supported":
            ["client_secret_basic", "client_secret_post", "none"],
        "code_challenge_methods_supported": ["S256"],
        // `consent` is understood too, but there is nothing to consent to: every app is one that the
        // administrator has added.
        "prompt_values_supported":
            words(&[Prompt::None, Prompt::Login, Prompt::SelectAccount], Prompt::as_str),
        "claims_supported": [
            "iss", "sub", "aud", "exp", "iat", "auth_time", "nonce", "acr", "amr", "sid", "at_hash",
            "preferred_username", "name", "picture", "updated_at", "email", "email_verified",
            "groups",
        ],
        "claims_parameter_supported": false,
        "request_parameter_supported": false,
        "request_uri_parameter_supported": false,
        "authorization_response_iss_parameter_supported": true,
    })
}

fn words<T: Copy>(all: &[T], word: impl Fn(T) -> &'static str) -> Vec<&'static str> {
    all.iter().map(|item| word(*item)).collect()
}
