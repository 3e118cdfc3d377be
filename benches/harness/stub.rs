//! The stub upstream: an OpenID provider that costs next to nothing.
//!
//! It never asks who is there: each authorization request is the next of its people, and the code
//! itself carries what the ID token needs, so nothing is stored. Its ID tokens are really signed,
//! because verifying them is part of what a federated login costs.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::Context as _;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::options::StubArguments;
use crate::signing::{Kind, Signer, now};

struct Stub {
    issuer: String,
    signer: Signer,
    algorithm: &'static str,
    jwks: Value,
    subjects: usize,
    next: AtomicUsize,
}

/// What a code carries.
#[derive(Serialize, Deserialize)]
struct Code {
    nonce: Option<String>,
    client: String,
    person: usize,
}

/// Serves until the process is ended.
pub(crate) async fn run(arguments: StubArguments) -> anyhow::Result<()> {
    let signer = Signer::generate(arguments.algorithm)?;
    let stub = Arc::new(Stub {
        issuer: format!("http://127.0.0.1:{}", arguments.port),
        jwks: json!({ "keys": [signer.jwk()?] }),
        algorithm: arguments.algorithm.name(),
        signer,
        subjects: arguments.subjects.max(1),
        next: AtomicUsize::new(0),
    });
    let routes = Router::new()
        .route("/readyz", get(async || "ready"))
        .route("/.well-known/openid-configuration", get(discovery))
        .route("/jwks", get(async |State(stub): State<Arc<Stub>>| Json(stub.jwks.clone())))
        .route("/authorize", get(authorize))
        .route("/token", post(token))
        .route("/userinfo", get(userinfo))
        .with_state(stub);
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", arguments.port)).await?;
    axum::serve(listener, routes).await.context("serving")
}

async fn discovery(State(stub): State<Arc<Stub>>) -> Json<Value> {
    let issuer = &stub.issuer;
    Json(json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{issuer}/authorize"),
        "token_endpoint": format!("{issuer}/token"),
        "userinfo_endpoint": format!("{issuer}/userinfo"),
        "jwks_uri": format!("{issuer}/jwks"),
        "response_types_supported": ["code"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": [stub.algorithm],
        "scopes_supported": ["openid", "profile", "email"],
        "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
        "code_challenge_methods_supported": ["S256"],
        "authorization_response_iss_parameter_supported": true,
    }))
}

async fn authorize(State(stub): State<Arc<Stub>>, RawQuery(query): RawQuery) -> Response {
    let query = query.unwrap_or_default();
    let asked = |name: &str| {
        url::form_urlencoded::parse(query.as_bytes())
            .find_map(|(key, value)| (key == name).then(|| value.into_owned()))
    };
    let (Some(back), Some(client)) = (asked("redirect_uri"), asked("client_id")) else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    let person = stub.next.fetch_add(1, Ordering::Relaxed) % stub.subjects;
    let code = Code { nonce: asked("nonce"), client, person };
    let Ok(code) = serde_json::to_vec(&code) else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let mut answer = url::form_urlencoded::Serializer::new(String::new());
    answer.append_pair("code", &URL_SAFE_NO_PAD.encode(code));
    if let Some(state) = asked("state") {
        answer.append_pair("state", &state);
    }
    answer.append_pair("iss", &stub.issuer);
    let joint = if back.contains('?') { '&' } else { '?' };
    let location = format!("{back}{joint}{}", answer.finish());
    (StatusCode::SEE_OTHER, [(header::LOCATION, location)]).into_response()
}

async fn token(State(stub): State<Arc<Stub>>, form: String) -> Response {
    let code = url::form_urlencoded::parse(form.as_bytes())
        .find_map(|(key, value)| (key == "code").then(|| value.into_owned()))
        .and_then(|code| URL_SAFE_NO_PAD.decode(code).ok())
        .and_then(|code| serde_json::from_slice::<Code>(&code).ok());
    let Some(code) = code else {
        let refusal = Json(json!({ "error": "invalid_grant" }));
        return (StatusCode::BAD_REQUEST, refusal).into_response();
    };
    let mut claims = person(code.person);
    if let Some(fields) = claims.as_object_mut() {
        fields.insert("iss".to_owned(), stub.issuer.clone().into());
        fields.insert("aud".to_owned(), code.client.into());
        fields.insert("iat".to_owned(), now().into());
        fields.insert("auth_time".to_owned(), now().into());
        fields.insert("exp".to_owned(), (now() + 300).into());
        if let Some(nonce) = code.nonce {
            fields.insert("nonce".to_owned(), nonce.into());
        }
    }
    let Ok(id_token) = stub.signer.sign(Kind::IdToken, &claims) else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    Json(json!({
        "access_token": format!("stub-{}", code.person),
        "token_type": "Bearer",
        "expires_in": 300,
        "scope": "openid profile email",
        "id_token": id_token,
    }))
    .into_response()
}

async fn userinfo(headers: HeaderMap) -> Response {
    headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.rsplit_once("stub-"))
        .and_then(|(_, number)| number.parse().ok())
        .map_or_else(
            || StatusCode::UNAUTHORIZED.into_response(),
            |number| Json(person(number)).into_response(),
        )
}

fn person(number: usize) -> Value {
    json!({
        "sub": format!("person-{number}"),
        "preferred_username": format!("person{number}"),
        "name": format!("Person {number}"),
        "email": format!("person{number}@example.org"),
        "email_verified": true,
        // With every claim in the ID token, nobody needs to ask UserInfo.
        "picture": format!("https://people.example.org/{number}.png"),
        "groups": ["staff", "engineering"],
    })
}
