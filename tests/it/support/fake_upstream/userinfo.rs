//! The userinfo endpoint (OIDC Core §5.3).

use axum::response::Response;
use serde_json::{Map, Value, json};

use super::misbehaviour::UserinfoShape;
use super::requests::Recorded;
use super::server::answer;
use super::state::{Placement, State};
use super::{bound, id_token};

/// Answers the userinfo endpoint.
pub(super) fn serve(state: &mut State, request: &Recorded) -> Response {
    let (scheme, token) =
        request.header("authorization").unwrap_or_default().split_once(' ').unwrap_or_default();
    let Some(access) = state.accesses.get(token).cloned() else {
        return answer::unauthorized();
    };
    if let Err(answer) = bound::check_access(state, request, &access, (scheme, token)) {
        return answer;
    }
    let mut claims: Map<String, Value> = match state.placement {
        Placement::Both | Placement::UserinfoOnly => access.person,
        Placement::IdTokenOnly => {
            access.person.into_iter().filter(|(name, _)| name == "sub").collect()
        }
    };
    state.lies.userinfo.apply(&mut claims, state.now());
    match state.lies.userinfo_shape {
        UserinfoShape::Object => answer::json(200, &Value::Object(claims)),
        UserinfoShape::Array => answer::json(200, &json!([claims])),
        UserinfoShape::Jwt | UserinfoShape::ForeignJwt => {
            claims.insert("iss".into(), json!(state.issuer()));
            claims.insert("aud".into(), json!(access.client_id));
            answer::text(200, "application/jwt", signed(state, claims))
        }
    }
}

/// Answers what else a token opens; lists come page by page.
pub(super) fn serve_document(state: &State, request: &Recorded) -> Response {
    let Some(pages) = state.documents.get(request.uri.path()) else {
        return answer::page(404, "nothing here");
    };
    let bearer = request.header("authorization").and_then(|value| value.strip_prefix("Bearer "));
    if bearer.is_none_or(|token| !state.accesses.contains_key(token)) {
        return answer::unauthorized();
    }
    let page: usize = request.param("page").map_or(1, |page| page.parse().expect("a number"));
    let beyond = json!([]);
    answer::json(200, pages.get(page - 1).unwrap_or(&beyond))
}

fn signed(state: &mut State, claims: Map<String, Value>) -> String {
    let kid = state.keys.current().kid().to_owned();
    let key = match state.lies.userinfo_shape {
        UserinfoShape::ForeignJwt => state.keys.attacker(),
        _ => state.keys.current(),
    };
    let header = json!({"alg": key.algorithm().name(), "kid": kid, "typ": "JWT"});
    id_token::compact(&header.to_string(), &Value::Object(claims).to_string(), |input| {
        key.sign(input)
    })
}
