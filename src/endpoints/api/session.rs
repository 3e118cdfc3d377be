//! `POST /api/v1/refresh` and `/api/v1/logout`: going on, and going.

use axum::{
    extract::State,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use serde::Deserialize;
use utoipa::ToSchema;

use super::{
    call::{Call, maybe_secret, of_client},
    document::Refusal,
    entering::Tokens,
};
use crate::{
    app::App,
    audit::Event,
    foundation::{
        clock::{Span, Timestamp},
        opaque::{Opaque, OpaqueKind},
        secret::Secret,
    },
    grant_types::{Exchange, direct, refresh_token},
    protocol::words::GrantType,
    store::{
        StoreError, StoreResult, audit_events,
        grants::{Grant, RevokedBecause},
        refresh_tokens, sessions,
    },
    tokens::access::VerifiedAccessToken,
    web::{
        bearer::{self, Bearer},
        browser_app,
        params::Params,
        problem::Problem,
    },
};

/// A refresh token.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Held {
    /// The app, unless it says so by HTTP Basic.
    client_id: Option<String>,
    /// The refresh token of the newest answer, unless it is a cookie.
    #[serde(default, deserialize_with = "maybe_secret")]
    #[schema(value_type = Option<String>)]
    refresh_token: Option<Secret>,
}
of_client!(Held);

/// What shows which sign-in is to end.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Leaving {
    /// The app, unless it says so by HTTP Basic.
    client_id: Option<String>,
    /// The refresh token of the newest answer, unless it is a cookie.
    #[serde(default, deserialize_with = "maybe_secret")]
    #[schema(value_type = Option<String>)]
    refresh_token: Option<Secret>,
    /// The access token, of a sign-in that brought no refresh token.
    #[serde(default, deserialize_with = "maybe_secret")]
    #[schema(value_type = Option<String>)]
    access_token: Option<Secret>,
}
of_client!(Leaving);

/// New tokens for a refresh token, which then is used.
#[utoipa::path(
    post,
    operation_id = "refresh",
    path = "/api/v1/refresh",
    request_body = Held,
    security(("client" = []), ()),
    responses(
        (status = 200, description = "The next tokens", body = Tokens),
        (status = 401, description = "`invalid_grant`: sign in again; `invalid_client`", body = Refusal),
        (status = 403, description = "`unauthorized_client`, `origin_not_allowed`", body = Refusal),
        (status = 415, description = "Not JSON", body = Refusal),
        (status = 422, description = "`invalid_json`, `invalid_request`", body = Refusal),
        (status = 429, description = "`refresh_loop`, with `Retry-After`", body = Refusal),
    )
)]
pub(super) async fn refresh(State(app): State<App>, call: Call<Held>) -> Result<Response, Problem> {
    let held = call.held(&app, call.body.refresh_token.as_ref())?;
    if let Some(held) = &held {
        let mut connection = app.connection().await?;
        if refresh_token::runs_in_a_circle(&mut connection, held, call.now).await? {
            let detail = "the app refreshes over and over: wait a minute";
            let problem = Problem::new(StatusCode::TOO_MANY_REQUESTS, "refresh_loop", detail);
            let problem = problem.retry_after(Span::from_minutes(1));
            return Err(call.refuse(problem, ("token", "refresh_loop"), None));
        }
    }
    let tokens = rotate(&app, &call, held).await?;
    touch(&app, &call, &tokens).await?;
    Ok(call.answer(&app, tokens))
}

/// Uses a refresh token of the client's.
pub(super) async fn rotate<T>(
    app: &App,
    call: &Call<T>,
    held: Option<Opaque>,
) -> Result<Tokens, Problem> {
    if !call.client.may_use(GrantType::RefreshToken) {
        let detail = "the client may not use refresh tokens (grant_types)";
        let problem = Problem::new(StatusCode::FORBIDDEN, "unauthorized_client", detail);
        return Err(call.refuse(problem, ("token", "unauthorized_client"), None));
    }
    app.keys.catch_up(&app.store, call.now).await;
    let params = Params::default();
    let exchange = Exchange {
        app,
        client: &call.client,
        params: &params,
        proof: None,
        certificate: None,
        now: call.now,
    };
    let Some(held) = held else {
        let detail = "that is no refresh token";
        let problem = Problem::new(StatusCode::UNAUTHORIZED, "invalid_grant", detail);
        return Err(call.refuse(problem, ("token", "refresh_token_malformed"), None));
    };
    let response = refresh_token::go_on(&exchange, &held).await?;
    app.metrics.count_tokens(GrantType::RefreshToken.as_str(), call.client.id().as_str());
    Ok(response.into())
}

/// The session goes on with the app that is its only one, and stays in its owner's list.
async fn touch(app: &App, call: &Call<Held>, tokens: &Tokens) -> Result<(), Problem> {
    let text = tokens.refresh_token.as_deref().unwrap_or_default();
    let next = Opaque::parse(OpaqueKind::RefreshToken, text);
    let Some(grant) = find(app, next).await? else {
        return Ok(());
    };
    if direct::is_direct(&grant) {
        let mut connection = app.connection().await?;
        let touched = sessions::touch(&mut connection, &grant.session_id, call.now).await;
        touched.map_err(StoreError::from)?;
    }
    Ok(())
}

async fn find(app: &App, held: Option<Opaque>) -> StoreResult<Option<Grant>> {
    let Some(opaque) = held else {
        return Ok(None);
    };
    let mut connection = app.connection().await?;
    let found = refresh_tokens::find(&mut connection, &opaque.digest()).await?;
    Ok(found.map(|found| found.grant))
}

/// Ends the family of a token, and with it the session that the app has begun. What is unknown is as good
/// as over.
#[utoipa::path(
    post,
    operation_id = "logOut",
    path = "/api/v1/logout",
    request_body = Leaving,
    security(("client" = []), ()),
    responses(
        (status = 204, description = "Signed out, now or before"),
        (status = 401, description = "`invalid_client`", body = Refusal),
        (status = 403, description = "`unauthorized_client`, `origin_not_allowed`", body = Refusal),
        (status = 415, description = "Not JSON", body = Refusal),
        (status = 422, description = "`invalid_json`, `invalid_request`", body = Refusal),
    )
)]
pub(super) async fn log_out(
    State(app): State<App>,
    call: Call<Leaving>,
) -> Result<Response, Problem> {
    let grant = match (&call.body.access_token, &call.body.refresh_token) {
        (Some(token), None) => of_access_token(&app, token, call.now).await?,
        (_, refresh_token) => find(&app, call.held(&app, refresh_token.as_ref())?).await?,
    };
    if let Some(grant) = grant {
        if grant.client_id == *call.client.id() {
            call.end(&app, &grant).await?;
        } else {
            // Another client's stays as it is, and the attempt is kept (IN-04).
            let event = Event::refused("sign_out", "token_of_another_client");
            app.audit.note(call.event(event));
        }
    }
    let mut response = nothing();
    if call.client.settings.session_token {
        browser_app::keep(&app, &call.client, None, response.headers_mut());
    }
    Ok(response)
}

/// The sign-in of an access token that is good.
async fn of_access_token(app: &App, token: &Secret, now: Timestamp) -> StoreResult<Option<Grant>> {
    let issuer = app.urls.issuer();
    let Some(verified) = VerifiedAccessToken::verify(&app.keys, issuer, token.expose(), now) else {
        return Ok(None);
    };
    Ok(match bearer::find_standing(app, &verified, now).await? {
        Some(Bearer::Person(standing)) => Some(standing.0),
        _ => None,
    })
}

/// Nothing to say.
pub(super) fn nothing() -> Response {
    let no_store = [(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))];
    (StatusCode::NO_CONTENT, no_store).into_response()
}

impl Call<Leaving> {
    async fn end(&self, app: &App, grant: &Grant) -> StoreResult<()> {
        let event = self.event(Event::done("sign_out")).trace(&grant.trace_id);
        let event = event.user(&grant.user_id).row(self.now, app.random());
        let mut connection = app.connection().await?;
        connection
            .transaction(async |conn| {
                let because = RevokedBecause::SignedOut;
                if refresh_token::end(conn, grant, &app.clients, because, self.now).await? {
                    audit_events::insert(conn, &event).await?;
                }
                Ok(())
            })
            .await
    }
}
