//! `POST /account/export`: everything that is kept about somebody, for themselves, as JSON.
//!
//! No secret and no digest of one is in it (PW-20): each part is written out by name, so that a new
//! column is never told by accident.

use axum::{
    extract::{Request, State},
    http::{HeaderValue, StatusCode, header},
    response::Response,
};
use serde_json::{Map, Value, json};

use super::own;
use crate::{
    accounts::recorded,
    app::App,
    audit::Event,
    foundation::{clock::Timestamp, ids::UserId},
    sessions::LiveSession,
    store::{
        Connection, StoreError, StoreResult,
        audit_events::{self, AuditEvent},
        consents, grants, identities, mail_outbox, personal_access_tokens,
        sessions::{self as session_rows, Session},
        user_attributes,
        users::Person,
    },
    tokens::personal,
    urls,
    web::{address, error::PageError, error::json as answer, pages::see_other, params},
};

/// The most events that are told: more than one person leads to in the time for which they are kept.
const EVENTS: i64 = 20_000;

/// `POST /account/export`.
pub async fn export(State(app): State<App>, request: Request) -> Result<Response, PageError> {
    let now = app.now();
    let from = address::of(&app, request.extensions(), request.headers());
    let (headers, params) = params::of_page(request).await?;
    let Some(session) = own::proved(&app, "export", &headers, &params, now).await? else {
        return Ok(see_other(urls::path::ACCOUNT));
    };
    let user = &session.person.user.id;
    let mut connection = app.connection().await?;
    let event = Event::done("export").user(user).address(from.to_string());
    let event = event.row(now, app.random());
    audit_events::insert(&mut connection, &event).await.map_err(StoreError::from)?;
    let everything = everything(&app, &mut connection, &session, now).await?;
    drop(connection);
    let mut response = answer(StatusCode::OK, &everything);
    let as_file = HeaderValue::from_static("attachment; filename=\"account.json\"");
    response.headers_mut().insert(header::CONTENT_DISPOSITION, as_file);
    Ok(response)
}

async fn everything(
    app: &App,
    conn: &mut Connection,
    session: &LiveSession,
    now: Timestamp,
) -> StoreResult<Value> {
    let person = &session.person;
    let user = &person.user.id;
    let events = audit_events::list_of_user(conn, user, (0, EVENTS)).await?;
    Ok(json!({
        "issuer": app.urls.issuer(),
        "exported_at": now.rfc3339(),
        "account": account(person),
        "attributes": attributes(app, conn, user).await?,
        "linked_sign_ins": linked(app, conn, user).await?,
        "sessions": sessions(conn, user).await?,
        "apps": apps(conn, user, now).await?,
        "consents": agreed(conn, user).await?,
        "personal_access_tokens": tokens(app, conn, user).await?,
        "mails": mails(conn, person).await?,
        "activity": events.iter().map(event).collect::<Vec<_>>(),
    }))
}

fn account(person: &Person) -> Value {
    let user = &person.user;
    json!({
        "id": user.id, "username": user.username, "name": user.name, "email": user.email,
        "email_verified": user.email_verified, "email_said_by": user.email_issuer,
        "locale": user.locale, "picture": user.shown_picture(), "groups": person.groups(),
        "has_password": user.password_hash.is_some(),
        "created_at": user.created_at.rfc3339(), "updated_at": user.updated_at.rfc3339(),
    })
}

/// What the person may see; what is internal, or was configured once, is not told (AD-09).
async fn attributes(app: &App, conn: &mut Connection, user: &UserId) -> StoreResult<Value> {
    let shown = |name: &String| {
        let mut all = app.config.attributes.iter();
        all.any(|attribute| attribute.name == *name && attribute.is_shown())
    };
    let mut said = user_attributes::list_of_user(conn, user).await?;
    said.retain(|(name, _)| shown(name));
    Ok(Value::Object(said.into_iter().collect()))
}

/// With the claims of the last sign-in, as they were kept.
async fn linked(app: &App, conn: &mut Connection, user: &UserId) -> StoreResult<Vec<Value>> {
    let kept = identities::list_recorded_of_user(conn, user).await?;
    let told = |one: &identities::Identity| {
        let row = kept.iter().find(|row| row.id == one.id);
        json!({
            "upstream": one.upstream, "issuer": one.issuer, "subject": one.subject,
            "groups": one.groups.to_vec(), "linked_by": one.linked_by,
            "linked_at": one.linked_at.rfc3339(), "last_confirmed_at": one.confirmed_at.rfc3339(),
            "last_claims": row.and_then(|row| recorded::open(&app.rows_ring, row)),
        })
    };
    Ok(identities::list_of_user(conn, user).await?.iter().map(told).collect())
}

/// What the person has agreed that apps may know and do.
async fn agreed(conn: &mut Connection, user: &UserId) -> StoreResult<Vec<Value>> {
    let rows = consents::list_of_user(conn, user).await?;
    let told = rows.iter().map(|row| {
        json!({
            "client_id": row.client_id, "scope": row.scope,
            "given_at": row.given_at.rfc3339(), "updated_at": row.updated_at.rfc3339(),
        })
    });
    Ok(told.collect())
}

/// Those that have ended too, as long as they are kept.
async fn sessions(conn: &mut Connection, user: &UserId) -> StoreResult<Vec<Value>> {
    let told = |row: &Session| {
        json!({
            "id": row.id, "upstream": row.upstream, "signed_in_at": row.auth_time.rfc3339(),
            "methods": row.amr.to_vec(), "level": row.acr,
            "began_at": row.created_at.rfc3339(), "last_seen_at": row.last_seen_at.rfc3339(),
            "ends_at": row.expires_at.rfc3339(), "ended_at": row.ended_at.map(Timestamp::rfc3339),
            "address": row.address, "user_agent": row.user_agent,
        })
    };
    Ok(session_rows::list_of_user(conn, user).await?.iter().map(told).collect())
}

async fn apps(conn: &mut Connection, user: &UserId, now: Timestamp) -> StoreResult<Vec<Value>> {
    let living = grants::list_live_of_user(conn, user, now).await?;
    let told = |grant: &grants::Grant| {
        json!({
            "client_id": grant.client_id, "scope": grant.scope, "session": grant.session_id,
            "since": grant.created_at.rfc3339(), "ends_at": grant.expires_at.rfc3339(),
        })
    };
    Ok(living.iter().map(told).collect())
}

async fn tokens(app: &App, conn: &mut Connection, user: &UserId) -> StoreResult<Vec<Value>> {
    let living = personal_access_tokens::list_of_user(conn, user).await?;
    let told = |token: &personal_access_tokens::PersonalAccessToken| {
        let end = personal::ends_at(token, &app.config.tokens);
        json!({
            "id": token.id, "name": token.name, "scope": token.scope,
            "created_at": token.created_at.rfc3339(), "ends_at": end.map(Timestamp::rfc3339),
            "last_used_at": token.last_used_at.map(Timestamp::rfc3339),
            "last_client": token.last_client, "last_address": token.last_address,
            "last_user_agent": token.last_user_agent, "networks": token.networks.to_vec(),
        })
    };
    Ok(living.iter().map(told).collect())
}

/// That there were mails, not what they said: that is sealed, and gone once they have left. Only an
/// address that is theirs tells whose they were.
async fn mails(conn: &mut Connection, person: &Person) -> StoreResult<Vec<Value>> {
    let user = &person.user;
    let own = user.email_key.as_deref().filter(|_| user.email_verified == Some(true));
    let Some(key) = own else {
        return Ok(Vec::new());
    };
    let told = |mail: &mail_outbox::OutgoingMail| {
        json!({
            "kind": mail.kind, "to": mail.recipient, "written_at": mail.created_at.rfc3339(),
            "sent_at": mail.sent_at.map(Timestamp::rfc3339),
        })
    };
    Ok(mail_outbox::list_to(conn, key).await?.iter().map(told).collect())
}

fn event(event: &AuditEvent) -> Value {
    let detail: Map<String, Value> = serde_json::from_str(&event.detail).unwrap_or_default();
    json!({
        "at": event.at.rfc3339(), "action": event.action, "outcome": event.outcome,
        "reason": event.reason, "client_id": event.client_id, "upstream": event.upstream,
        "address": event.address, "trace_id": event.trace_id, "detail": detail,
    })
}
