//! A sign-in without pages, for an app that draws its own forms.
//!
//! It is an interaction like every other, so that every rule of a sign-in holds for it; only that it
//! belongs to an app and not to a browser, and that nobody is sent anywhere.

use crate::{
    app::App,
    clients::Client,
    foundation::{
        digest::TokenDigest,
        ids::{TraceId, UserId},
    },
    interactions::{AuthorizationRequest, Interaction, Purpose},
    protocol::{acr::Level, scope::Scope, words::ResponseMode},
    store::{Connection, StoreResult, users},
};

/// Begins one.
pub fn begin(app: &App, client: &Client, scope: Scope, trace: &TraceId) -> Interaction {
    let request = AuthorizationRequest {
        client_id: client.id().clone(),
        redirect_uri: String::new(),
        response_mode: ResponseMode::Query,
        scope,
        state: None,
        nonce: None,
        code_challenge: None,
        dpop_jkt: None,
        prompt: Vec::new(),
        max_age: None,
        login_hint: None,
        upstream_hint: None,
        level: client.settings.require_acr,
        expected_user: None,
        pushed: None,
    };
    let purpose = Purpose::Authorize(Box::new(request));
    Interaction::begin(purpose, trace.clone(), &mark_of(client), app.random())
}

/// What stands in the place of a browser's mark. No browser has one like it.
pub fn mark_of(client: &Client) -> TokenDigest {
    TokenDigest::of("app with forms of its own", client.id().as_str().as_bytes())
}

/// Why the app does not let in whoever has proved themselves here at this level, if it does not.
pub async fn turned_away(
    conn: &mut Connection,
    client: &Client,
    user: &UserId,
    level: Level,
) -> StoreResult<Option<&'static str>> {
    let person = users::find_person(conn, user).await?;
    let Some(person) = person else {
        return Ok(Some("user_disabled"));
    };
    Ok(client.turns_away(&person, None, Some(level)))
}
