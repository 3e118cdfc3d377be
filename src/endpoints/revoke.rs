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
    grant_types::refresh_token,
    store::{StoreResult, audit_events, grants::RevokedBecause, revoked_access_tokens},
    tokens::access::VerifiedAccessToken,
    web::{client_request::ClientRequest, error::WireError},
};

/// `POST /revoke`. What is unknown is as good as revoked (RFC 7009 §2.2).
pub async fn revoke(State(app): State<App>, request: ClientRequest) -> Result<Response, WireError> {
    let now = app.now();
    let (client, token) = (&request.client, request.token()?);
    match Opaque::parse(OpaqueKind::RefreshToken, token) {
        Some(opaque) => {
            let because = RevokedBecause::RevokedByClient;
            refresh_token::give_back(&app, client, &opaque, because, now).await?;
        }
        None => access_token(&app, client, token, now).await?,
    }
    let no_store = [(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))];
    Ok((StatusCode::OK, no_store).into_response())
}

async fn access_token(app: &App, client: &Client, token: &str, now: Timestamp) -> StoreResult<()> {
    let Some(token) = VerifiedAccessToken::verify(&app.keys, app.urls.issuer(), token, now) else {
        return Ok(());
    };
    if token.client_id() != *client.id() {
        refresh_token::note_foreign(app, client);
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
