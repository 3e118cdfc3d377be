//! Revocation (RFC 7009): a client gives back its own token. A refresh token takes its whole family
//! with it; an access token goes alone.

use axum::{
    body::Bytes,
    extract::{State, rejection::BytesRejection},
    http::{Extensions, HeaderMap, HeaderValue, StatusCode, Uri, header},
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
    protocol::error::OAuthError,
    store::{
        StoreError, StoreResult,
        grants::{self, RevokedBecause},
        refresh_tokens, revoked_access_tokens,
    },
    tokens::access::VerifiedAccessToken,
    web::{address, client_auth, error::WireError, params},
};

/// `POST /revoke`. What is unknown is as good as revoked (RFC 7009 §2.2).
pub async fn revoke(
    State(app): State<App>,
    uri: Uri,
    headers: HeaderMap,
    extensions: Extensions,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, WireError> {
    let now = app.now();
    let params = params::of_form(&uri, &headers, body)?;
    let from = address::of(&app, &extensions, &headers);
    let client = client_auth::authenticate(&app, &headers, &params, from).await?;
    let token =
        params.get("token").ok_or_else(|| OAuthError::invalid_request("token is missing"))?;
    match Opaque::parse(OpaqueKind::RefreshToken, token) {
        Some(opaque) => refresh_token(&app, &client, &opaque, now).await?,
        None => access_token(&app, &client, token, now).await?,
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
    let Some((_, grant, _)) = found.map_err(StoreError::from)? else {
        return Ok(());
    };
    if grant.client_id != *client.id() {
        foreign(app, client);
        return Ok(());
    }
    let because = RevokedBecause::RevokedByClient;
    grants::revoke(&mut connection, &grant.id, because, now).await?;
    let event = Event::done("revoke").client(client.id()).user(&grant.user_id);
    app.audit.note(event.trace(&grant.trace_id));
    Ok(())
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
    revoked_access_tokens::insert(&mut connection, token.jti(), expires_at).await?;
    app.audit.note(Event::done("revoke").client(client.id()));
    Ok(())
}

/// Another client's token stays as it is, and the attempt is kept (IN-04).
fn foreign(app: &App, client: &Client) {
    app.audit.note(Event::refused("revoke", "token_of_another_client").client(client.id()));
}
