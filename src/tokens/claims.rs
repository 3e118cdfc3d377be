//! Claims about a person, by scope (OIDC Core §5.1, §5.4).

use serde_json::{Map, Value, json};

use crate::{
    protocol::scope::{EMAIL, GROUPS, PROFILE, Scope},
    store::users::Person,
};

/// What `scope` lets an app know about a person; `sub` is not among it.
pub fn about(person: &Person, scope: &Scope) -> Map<String, Value> {
    let mut claims = Map::new();
    let mut put = |name: &str, value: Value| {
        claims.insert(name.to_owned(), value);
    };
    let user = &person.user;
    if scope.contains(PROFILE) {
        put("preferred_username", json!(user.username));
        put("name", json!(user.name.as_deref().unwrap_or(&user.username)));
        if let Some(picture) = &user.picture {
            put("picture", json!(picture));
        }
        put("updated_at", json!(user.updated_at));
    }
    if scope.contains(EMAIL)
        && let Some(email) = &user.email
    {
        put("email", json!(email));
        // OIDC Core §5.1 wants a boolean: what nobody has verified is not verified.
        put("email_verified", json!(user.email_verified == Some(true)));
    }
    if scope.contains(GROUPS) {
        put("groups", json!(person.groups()));
    }
    claims
}
