//! Claims about a person: by scope (OIDC Core §5.1, §5.4), and those that one app gets beyond.

use serde_json::{Map, Value, json};

use crate::{
    clients::Client,
    config::{ClientClaim, LOCAL, PersonClaim},
    foundation::ids::UpstreamSlug,
    protocol::scope::{EMAIL, GROUPS, PROFILE, Scope},
    store::{Connection, StoreResult, user_attributes, users::Person},
};

/// What an app gets to know under `scope` about a person who came by this upstream; `sub` is not among
/// it.
pub fn for_app(
    client: &Client,
    upstream: Option<&UpstreamSlug>,
    person: &Person,
    scope: &Scope,
) -> Map<String, Value> {
    let mut claims = about(person, scope);
    for claim in &client.settings.claims {
        if let Some(value) = own(claim, upstream, person) {
            claims.insert(claim.name.clone(), value);
        }
    }
    claims
}

/// The person as this app is told of them: with what is said beyond what every account says, where the
/// app gets any of it. The configuration gives apps what is public, and nothing else.
pub async fn complete(
    conn: &mut Connection,
    client: &Client,
    mut person: Person,
) -> StoreResult<Person> {
    if client.settings.claims.iter().any(|claim| claim.attribute.is_some()) {
        person.attributes = user_attributes::list_of_user(conn, &person.user.id).await?;
    }
    Ok(person)
}

/// A claim of the app's own. The administrator has given it to the app, whatever scopes it asks for.
fn own(claim: &ClientClaim, upstream: Option<&UpstreamSlug>, person: &Person) -> Option<Value> {
    if let Some(name) = &claim.attribute {
        let said = person.attributes.iter().find(|(own, _)| own == name);
        return said.map(|(_, value)| value.clone());
    }
    if let Some(from) = claim.from {
        return repeated(from, upstream, person);
    }
    let fixed = claim.value.as_ref().map(|value| value.0.clone());
    if claim.groups.is_empty() {
        return fixed;
    }
    let groups = person.groups();
    let fitting = claim.groups.iter().filter(|map| groups.contains(&map.group));
    let mut values = fitting.map(|map| map.value.0.clone());
    if claim.many {
        let mut values: Vec<Value> = values.collect();
        if values.is_empty() {
            values.extend(fixed);
        }
        return Some(Value::Array(values));
    }
    values.next().or(fixed)
}

fn repeated(claim: PersonClaim, upstream: Option<&UpstreamSlug>, person: &Person) -> Option<Value> {
    let user = &person.user;
    match claim {
        PersonClaim::Sub => Some(json!(user.id)),
        PersonClaim::PreferredUsername => Some(json!(user.username)),
        PersonClaim::Name => Some(json!(user.name.as_deref().unwrap_or(&user.username))),
        PersonClaim::Locale => user.locale.as_ref().map(|locale| json!(locale)),
        PersonClaim::Picture => user.shown_picture().map(|picture| json!(picture)),
        // Under another name no flag stands beside it, and apps may take it for who somebody is.
        PersonClaim::Email if user.email_verified != Some(true) => None,
        PersonClaim::Email => user.email.as_ref().map(|email| json!(email)),
        PersonClaim::Groups => Some(json!(person.groups())),
        PersonClaim::Roles => Some(json!(person.roles())),
        PersonClaim::Upstream => Some(json!(upstream.map_or(LOCAL, UpstreamSlug::as_str))),
    }
}

/// What `scope` lets everybody know; `sub` is not among it.
pub fn about(person: &Person, scope: &Scope) -> Map<String, Value> {
    let mut claims = Map::new();
    let mut put = |name: &str, value: Value| {
        claims.insert(name.to_owned(), value);
    };
    let user = &person.user;
    if scope.contains(PROFILE) {
        put("preferred_username", json!(user.username));
        put("name", json!(user.name.as_deref().unwrap_or(&user.username)));
        if let Some(picture) = user.shown_picture() {
            put("picture", json!(picture));
        }
        if let Some(locale) = &user.locale {
            put("locale", json!(locale));
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
        // Few people hold one, and apps that know none should not have to wonder.
        let roles = person.roles();
        if !roles.is_empty() {
            put("roles", json!(roles));
        }
    }
    claims
}
