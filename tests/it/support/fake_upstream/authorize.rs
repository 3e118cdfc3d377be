//! The authorization endpoint (OIDC Core §3.1.2). It answers at once, as if the person had acted.

use axum::response::Response;
use serde_json::{Map, Value, json};
use url::Url;

use super::pushed;
use super::requests::Recorded;
use super::server::answer;
use super::state::{Grant, Outcome, State, unique};

/// Answers the authorization endpoint.
pub(super) fn serve(state: &mut State, request: &Recorded) -> Response {
    // RFC 6749 §4.1.2.1: without a known client and a redirect URI there is nowhere to send errors.
    let request = &match pushed::resolve(state, request) {
        Ok(request) => request,
        Err(what) => return answer::page(400, what),
    };
    let client_id = request.param("client_id").unwrap_or_default();
    if !state.clients.contains_key(client_id) {
        return answer::page(400, "unknown client_id");
    }
    let Some(redirect_uri) = request.param("redirect_uri").and_then(|uri| Url::parse(uri).ok())
    else {
        return answer::page(400, "redirect_uri missing or malformed");
    };
    let mut response = decide(state, request);
    if let Some(value) = request.param("state") {
        response.insert("state".into(), json!(value));
    }
    if !state.plain {
        response.insert("iss".into(), json!(state.issuer()));
    }
    state.lies.authorization_response.apply(&mut response, state.now());
    if request.param("response_mode") == Some("form_post") {
        if let Some(user) = &state.posted_user {
            response.insert("user".into(), json!(user));
        }
        return answer::text(200, "text/html", form_post(&redirect_uri, &response));
    }
    answer::see_other(&with_query(redirect_uri, &response))
}

fn decide(state: &mut State, request: &Recorded) -> Map<String, Value> {
    if let Some(complaint) = complaint(state, request) {
        return error("invalid_request", Some(complaint));
    }
    // OIDC Core §3.1.2.6: no page may be shown for prompt=none.
    if request.param("prompt") == Some("none") && !state.signed_in {
        return error("login_required", Some("the person is not signed in"));
    }
    if let Outcome::Refuse { error: code, description } = &state.outcome {
        return error(code, description.as_deref());
    }
    state.signed_in = true;
    let code = unique("upstream-code");
    let text = |name| request.param(name).map(ToOwned::to_owned);
    let grant = Grant {
        client_id: text("client_id").unwrap_or_default(),
        redirect_uri: text("redirect_uri").unwrap_or_default(),
        nonce: text("nonce"),
        challenge: text("code_challenge"),
        person: state.person.clone(),
        used: false,
        jkt: None,
    };
    state.grants.insert(code.clone(), grant);
    Map::from_iter([("code".to_owned(), json!(code))])
}

/// What is wrong with the request. This provider wants PKCE with S256 from everybody.
fn complaint(state: &State, request: &Recorded) -> Option<&'static str> {
    let scope = request.param("scope").unwrap_or_default();
    if request.param("response_type") != Some("code") {
        return Some("response_type must be code");
    }
    if !state.plain && !scope.split(' ').any(|word| word == "openid") {
        return Some("scope must contain openid");
    }
    if request.param("code_challenge").is_none() {
        return Some("code_challenge is missing");
    }
    if request.param("code_challenge_method") != Some("S256") {
        return Some("code_challenge_method must be S256");
    }
    None
}

fn error(code: &str, description: Option<&str>) -> Map<String, Value> {
    let mut response = Map::new();
    response.insert("error".into(), json!(code));
    if let Some(description) = description {
        response.insert("error_description".into(), json!(description));
    }
    response
}

/// The page whose form the browser posts by itself (OAuth 2.0 Form Post Response Mode).
fn form_post(action: &Url, parameters: &Map<String, Value>) -> String {
    let escaped = |text: &str| text.replace('&', "&amp;").replace('"', "&quot;");
    let field = |(name, value): (&String, &Value)| {
        let value = escaped(value.as_str().unwrap_or_default());
        format!("<input type=\"hidden\" name=\"{name}\" value=\"{value}\">")
    };
    let fields: String = parameters.iter().map(field).collect();
    format!("<form method=\"post\" action=\"{}\">{fields}</form>", escaped(action.as_str()))
}

fn with_query(mut uri: Url, parameters: &Map<String, Value>) -> Url {
    let mut query = uri.query_pairs_mut();
    for (name, value) in parameters {
        match value {
            Value::String(text) => query.append_pair(name, text),
            other => query.append_pair(name, &other.to_string()),
        };
    }
    drop(query);
    uri
}
