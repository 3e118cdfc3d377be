//! Revocation (RFC 7009): a client gives back its own token. A refresh token takes its whole family
//! with it; an access token goes alone.

use axum::{
    extract::State,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
};

use crate::{
    app::App,
    audit::Event,
    clients::Client,
    foundation::{
        clock::Timestamp,
        opaque::{Opaque, OpaqueKind},
    },
    store::{
        StoreError, StoreResult, audit_events,
        grants::{self, RevokedBecause},
        refresh_tokens::{self, Found},
        revoked_access_tokens,
    },
    tokens::access::VerifiedAccessToken,
    web::{client_request::ClientRequest, error::WireError},
};

/// `POST /revoke`. What is unknown is as good as revoked (RFC 7009 §2.2).
pub async fn revoke(State(app): State<App>, request: ClientRequest) -> Result<Response, WireError> {
    let now = app.now();
    let (client, token) = (&request.client, request.token()?);
    match Opaque::parse(OpaqueKind::RefreshToken, token) {
        Some(opaque) => refresh_token(&app, client, &opaque, now).await?,
        None => access_token(&app, client, token, now).await?,
    }
    let no_store = [(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))];
    Ok((StatusCode::OK, no_store).into_response())
}

async fn refresh_token(
    app: &App,
    client: &Client,
    opaque: &Opaque,
    now: Timestamp,
) -> StoreResult<()> {
    let mut connection = app.connection().await?;
    let found = refresh_tokens::find(&mut connection, &opaque.digest()).await;
    let Some(Found { grant, .. }) = found.map_err(StoreError::from)? else {
        return Ok(());
    };
    if grant.client_id != *client.id() {
        foreign(app, client);
        return Ok(());
    }
    let event = Event::done("revoke").client(client.id()).user(&grant.user_id);
    let event = event.trace(&grant.trace_id).row(now, app.random());
    connection
        .transaction(async |conn| {
            let because = RevokedBecause::RevokedByClient;
            if grants::revoke(conn, &grant.id, because, now).await? {
                audit_events::insert(conn, &event).await?;
            }
            Ok(())
        })
        .await
}

async fn access_token(app: &App, client: &Client, token: &str, now: Timestamp) -> StoreResult<()> {
    let Some(token) = VerifiedAccessToken::verify(&app.keys, app.urls.issuer(), token, now) else {
        return Ok(());
    };
    if token.client_id() != *client.id() {
        foreign(app, client);
        return Ok(());
    }
    let mut connection = app.connection().await?;
    let expires_at = token.expires_at().unwrap_or(now);
    let event = Event::done("revoke").client(client.id()).row(now, app.random());
    connection
        .transaction(async |conn| {
            if revoked_access_tokens::insert(conn, token.jti(), expires_at).await? == 1 {
                audit_events::insert(conn, &event).await?;
            }
            Ok(())
        })
        .await
}

/// Another client's token stays as it is, and the attempt is kept (IN-04).
fn foreign(app: &App, client: &Client) {
    app.audit.note(Event::refused("revoke", "token_of_another_client").client(client.id()));
}
