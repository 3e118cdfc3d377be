//! The discovery document (OIDC Discovery §3).

use axum::response::Response;
use serde_json::{Value, json};

use super::requests::Endpoint;
use super::server::answer;
use super::state::{ClientAuth, Proofs, Pushing, State};

/// Answers the discovery endpoint.
pub(super) fn serve(state: &State) -> Response {
    let Value::Object(mut metadata) = honest(state) else { unreachable!("metadata is an object") };
    if state.offers.introspection {
        let endpoint = json!(state.url(Endpoint::Introspection));
        metadata.insert("introspection_endpoint".to_owned(), endpoint);
    }
    if state.offers.pushing != Pushing::Unknown {
        let endpoint = json!(state.url(Endpoint::PushedRequests));
        metadata.insert("pushed_authorization_request_endpoint".to_owned(), endpoint);
        let required = json!(state.offers.pushing == Pushing::Required);
        metadata.insert("require_pushed_authorization_requests".to_owned(), required);
    }
    if state.offers.proofs != Proofs::Unknown {
        let algs = json!(["RS256", "ES256"]);
        metadata.insert("dpop_signing_alg_values_supported".to_owned(), algs);
    }
    state.lies.metadata.apply(&mut metadata, state.now());
    answer::json(200, &Value::Object(metadata))
}

fn honest(state: &State) -> Value {
    let signing_alg = match state.lies.odd_key {
        Some(odd_key) => odd_key.alg(),
        None => state.keys.current().algorithm().name(),
    };
    let auth_methods = match state.client_auth {
        ClientAuth::BasicOrPost => json!(["client_secret_basic", "client_secret_post"]),
        ClientAuth::Basic => json!(["client_secret_basic"]),
        ClientAuth::Post => json!(["client_secret_post"]),
        ClientAuth::Unchecked => json!(["private_key_jwt", "none"]),
    };
    json!({
        "issuer": state.issuer(),
        "authorization_endpoint": state.url(Endpoint::Authorize),
        "token_endpoint": state.url(Endpoint::Token),
        "userinfo_endpoint": state.url(Endpoint::Userinfo),
        "jwks_uri": state.url(Endpoint::Jwks),
        "end_session_endpoint": state.url(Endpoint::EndSession),
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": ["authorization_code"],
        "subject_types_supported": ["public"],
        "scopes_supported": ["openid", "profile", "email", "groups"],
        "claims_supported": ["sub", "name", "preferred_username", "email", "email_verified"],
        "id_token_signing_alg_values_supported": [signing_alg],
        "token_endpoint_auth_methods_supported": auth_methods,
        "code_challenge_methods_supported": ["S256"],
        "authorization_response_iss_parameter_supported": true,
    })
}
