//! Introspection of access tokens (RFC 7662).

use axum::response::Response;
use serde_json::{Map, Value, json};

use super::requests::Recorded;
use super::server::answer;
use super::state::State;
use super::token::authenticate;

/// Answers the introspection endpoint.
pub(super) fn serve(state: &State, request: &Recorded) -> Response {
    let client_id = match authenticate(state, request) {
        Ok(client_id) => client_id,
        Err(refusal) => return refusal.answer(),
    };
    let token = request.param("token").unwrap_or_default();
    let access = state.accesses.get(token).filter(|access| access.client_id == client_id);
    let mut claims = Map::from_iter([("active".to_owned(), json!(access.is_some()))]);
    if let Some(access) = access {
        claims.insert("client_id".to_owned(), json!(client_id));
        claims.extend(access.person.get("sub").map(|sub| ("sub".to_owned(), sub.clone())));
    }
    state.lies.introspection.apply(&mut claims, state.now());
    answer::json(200, &Value::Object(claims))
}
