//! Pushed authorization requests (RFC 9126).

use axum::response::Response;
use serde_json::{Map, Value, json};

use super::requests::Recorded;
use super::server::answer;
use super::state::{Pushing, State, unique};
use super::token::{Refusal, authenticate};

const SECRETS: [&str; 3] = ["client_secret", "client_assertion", "client_assertion_type"];

/// Answers the endpoint for pushed requests.
pub(super) fn serve(state: &mut State, request: &Recorded) -> Response {
    let client_id = match authenticate(state, request) {
        Ok(client_id) => client_id,
        Err(refusal) => return refusal.answer(),
    };
    // RFC 9126 §2.1: no name within a request, and nothing in the address.
    if request.param("request_uri").is_some() || !request.query.is_empty() {
        return Refusal(400, "invalid_request", "a form without request_uri").answer();
    }
    let mut parameters = request.form.clone();
    parameters.retain(|(name, _)| !SECRETS.contains(&name.as_str()));
    let name = format!("urn:ietf:params:oauth:request_uri:{}", unique("pushed"));
    state.pushed.insert(name.clone(), (client_id, parameters));
    let mut response = Map::from_iter([
        ("request_uri".to_owned(), json!(name)),
        ("expires_in".to_owned(), 60.into()),
    ]);
    state.lies.pushed_request.apply(&mut response, state.now());
    answer::json(201, &Value::Object(response))
}

/// The request that is meant: the pushed one where it is named, once.
pub(super) fn resolve(state: &mut State, request: &Recorded) -> Result<Recorded, &'static str> {
    let Some(name) = request.param("request_uri") else {
        let refused = state.offers.pushing == Pushing::Required;
        return if refused { Err("requests have to be pushed") } else { Ok(request.clone()) };
    };
    let (client_id, parameters) = state.pushed.remove(name).ok_or("no such pushed request")?;
    if request.param("client_id") != Some(&client_id) {
        return Err("the request was pushed by another client");
    }
    Ok(Recorded { query: parameters, ..request.clone() })
}
