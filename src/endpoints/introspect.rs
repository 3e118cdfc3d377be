//! Introspection (RFC 7662): whether a token is alive, for those it concerns.
//!
//! A client may ask about tokens that were issued to it or are meant for it; every other answer is
//! the same as for an unknown token, to the byte.

use axum::{extract::State, http::StatusCode, response::Response};
use serde_json::{Map, Value, json};

use crate::{
    app::App,
    clients::Client,
    foundation::{
        clock::Timestamp,
        opaque::{Opaque, OpaqueKind},
    },
    leases::{self, Held, Standing},
    protocol::{
        error::OAuthError,
        scope::{GROUPS, Scope},
    },
    store::{
        StoreError, StoreResult,
        refresh_tokens::{self, Found},
        users::Person,
    },
    tokens::{access::VerifiedAccessToken, personal},
    web::{
        bearer,
        client_request::ClientRequest,
        error::{WireError, json},
        personal_access_token::{self, Showing},
    },
};

/// `POST /introspect`.
pub async fn introspect(
    State(app): State<App>,
    request: ClientRequest,
) -> Result<Response, WireError> {
    let now = app.now();
    let client = &request.client;
    if client.is_public() {
        // RFC 7662 §2.1: whoever asks has to prove who they are.
        let fault = "only clients that prove who they are may introspect";
        return Err(OAuthError::invalid_client(fault).into());
    }
    let token = request.token()?;
    let found = if let Some(opaque) = Opaque::parse(OpaqueKind::RefreshToken, token) {
        refresh_token(&app, client, &opaque, now).await?
    } else if let Some(opaque) = Opaque::parse(OpaqueKind::PersonalAccessToken, token) {
        personal_access_token(&app, &request, &opaque, now).await?
    } else {
        access_token(&app, client, token, now).await?
    };
    let answer = found.map_or_else(|| json!({ "active": false }), Value::Object);
    Ok(json(StatusCode::OK, &answer))
}

async fn access_token(
    app: &App,
    caller: &Client,
    token: &str,
    now: Timestamp,
) -> StoreResult<Option<Map<String, Value>>> {
    let Some(token) = VerifiedAccessToken::verify(&app.keys, app.urls.issuer(), token, now) else {
        return Ok(None);
    };
    let concerns = token.client_id() == *caller.id()
        || token.audience() == caller.id().as_str()
        || token.audience() == caller.audience();
    if !concerns {
        return Ok(None);
    }
    let Some(bearer) = bearer::find_standing(app, &token, now).await? else {
        return Ok(None);
    };
    let mut answer = Map::new();
    answer.insert("active".to_owned(), json!(true));
    answer.insert("token_type".to_owned(), json!(token.token_type()));
    answer.extend(token.claims().clone());
    if let Some(person) = bearer.person().filter(|_| token.claims().contains_key(GROUPS)) {
        tell_rights(&mut answer, person);
    }
    Ok(Some(answer))
}

/// Groups and roles as they are, and not as they were when the token was issued.
fn tell_rights(answer: &mut Map<String, Value>, person: &Person) {
    answer.insert(GROUPS.to_owned(), json!(person.groups()));
    let roles = person.roles();
    if roles.is_empty() {
        answer.remove("roles");
    } else {
        answer.insert("roles".to_owned(), json!(roles));
    }
}

/// A personal access token is for every app at which it is of use. It was issued to none, so there is
/// no `client_id` (RFC 7662 §2.2).
async fn personal_access_token(
    app: &App,
    request: &ClientRequest,
    secret: &Opaque,
    now: Timestamp,
) -> StoreResult<Option<Map<String, Value>>> {
    let Ok(good) = personal_access_token::find(app, secret, now).await? else {
        return Ok(None);
    };
    let Ok(scope) = good.scope_at(&request.client, now) else {
        return Ok(None);
    };
    personal_access_token::note_use(app, &good.token, Showing::to_client(request), now).await;
    let user = &good.person.user;
    let answer = json!({
        "active": true,
        "iss": app.urls.issuer(),
        "sub": user.id,
        "username": user.username,
        "scope": scope.to_string(),
        "iat": good.token.created_at,
        "jti": good.token.id,
        "token_type": "Bearer",
    });
    let mut answer = answer.as_object().cloned().unwrap_or_default();
    if let Some(end) = personal::ends_at(&good.token, &app.config.tokens) {
        answer.insert("exp".to_owned(), json!(end));
    }
    if scope.contains(GROUPS) {
        tell_rights(&mut answer, &good.person);
    }
    Ok(Some(answer))
}

async fn refresh_token(
    app: &App,
    caller: &Client,
    opaque: &Opaque,
    now: Timestamp,
) -> Result<Option<Map<String, Value>>, WireError> {
    let Some(found) = find_alive(app, caller, opaque, now).await? else {
        return Ok(None);
    };
    // What a refresh would do now: a token that its upstream has taken back is dead (RFC 7662 §2.2).
    let Some(confirmed_at) = found.confirmed_at else {
        return Ok(None);
    };
    let standing = Standing {
        session: found.grant.session_id.clone(),
        upstream: found.upstream.clone(),
        confirmed_at,
    };
    let found = match leases::hold(app, &standing, caller.settings.max_staleness, now).await? {
        Held::Free | Held::Until(_) => Some(found),
        Held::Asked(_) => find_alive(app, caller, opaque, now).await?,
        Held::TooOld | Held::Lost => None,
        Held::Pending => {
            let busy = "the upstream is being asked about the person; try again";
            return Err(OAuthError::temporarily_unavailable(busy).into());
        }
    };
    let Some(Found { token: row, grant, .. }) = found else {
        return Ok(None);
    };
    let answer = json!({
        "active": true,
        "iss": app.urls.issuer(),
        "sub": grant.user_id,
        "client_id": grant.client_id,
        "scope": grant.scope,
        "iat": row.issued_at,
        "exp": row.expires_at,
        "token_type": "refresh_token",
    });
    Ok(answer.as_object().cloned())
}

/// The refresh token, if it is this client's, and everything but its upstream stands by it.
async fn find_alive(
    app: &App,
    caller: &Client,
    opaque: &Opaque,
    now: Timestamp,
) -> StoreResult<Option<Found>> {
    let mut connection = app.connection().await?;
    let found = refresh_tokens::find(&mut connection, &opaque.digest()).await;
    let Some(found) = found.map_err(StoreError::from)? else {
        return Ok(None);
    };
    let Found { token: row, grant, person, .. } = &found;
    let ways = [grant.upstream.as_ref(), found.upstream.as_ref()];
    let alive = row.consumed_at.is_none()
        && row.expires_at > now
        && grant.revoked_at.is_none()
        && grant.expires_at > now
        && ways.into_iter().all(|way| caller.turns_away(person, way, grant.acr).is_none())
        && Scope::from(grant.scope.clone()).is_within(&caller.scope);
    let own = grant.client_id == *caller.id();
    Ok((alive && own).then_some(found))
}
