//! `DELETE /api/v1/me`: the end of one's own account.

use axum::{
    extract::{Request, State},
    http::StatusCode,
    response::Response,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::proved::{Change, Proved};
use crate::{
    accounts::{
        administrators,
        deletion::{self, Deleting},
    },
    app::{App, Whence},
    audit::Event,
    endpoints::api::{call::maybe_secret, document::Refusal},
    foundation::secret::Secret,
    store::{StoreResult, audit_events, users},
    web::{error::json, problem::Problem},
};

/// Who deletes an account.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Goodbye {
    /// The live refresh token of the family of the access token, unless it is a cookie.
    #[serde(default, deserialize_with = "maybe_secret")]
    #[schema(value_type = Option<String>)]
    refresh_token: Option<Secret>,
    /// The secret of the app, if it has one.
    #[serde(default, deserialize_with = "maybe_secret")]
    #[schema(value_type = Option<String>)]
    client_secret: Option<Secret>,
    /// The present password.
    #[serde(default, deserialize_with = "maybe_secret")]
    #[schema(value_type = Option<String>, format = Password)]
    current_password: Option<Secret>,
}

impl Change for Goodbye {
    const ACTION: &'static str = "account_deletion";

    fn refresh_token(&self) -> Option<&Secret> {
        self.refresh_token.as_ref()
    }

    fn client_secret(&self) -> Option<&Secret> {
        self.client_secret.as_ref()
    }
}

/// The account is shut.
#[derive(Serialize, ToSchema)]
struct Deleted {
    /// When it is erased; until then its owner can take that back by mail.
    #[serde(skip_serializing_if = "Option::is_none")]
    erased_at: Option<String>,
}

/// Deletes the account. Every session and every token is over at once.
#[utoipa::path(
    delete,
    operation_id = "deleteMe",
    path = "/api/v1/me",
    request_body = Goodbye,
    security(("token" = [])),
    responses(
        (status = 200, description = "Nobody can sign in to it any more", body = Deleted),
        (status = 401, description = "`invalid_token`, `invalid_grant`, `invalid_client`", body = Refusal),
        (status = 403, description = "`deletion_off`, `refresh_token_required`, `reauthentication_required`, `current_password_required`, `wrong_password`, `no_password` and `password_change_required` with a `page`, `insufficient_scope`, `unauthorized_client`, `origin_not_allowed`", body = Refusal),
        (status = 409, description = "`last_administrator`", body = Refusal),
        (status = 415, description = "Not JSON", body = Refusal),
        (status = 422, description = "`invalid_json`, `invalid_request`", body = Refusal),
        (status = 429, description = "`too_many_tries`, with `Retry-After`", body = Refusal),
    )
)]
pub(in crate::endpoints::api) async fn delete(
    State(app): State<App>,
    request: Request,
) -> Result<Response, Problem> {
    let leaving = Proved::<Goodbye>::read(&app, request).await?;
    if !app.config.accounts.self_deletion {
        let detail = "accounts of this service are deleted by the people who run it";
        return Err(leaving.forbid("deletion_off", detail));
    }
    leaving.confirm(&app, leaving.call.body.current_password.as_ref()).await?;
    if leaving.is_last_administrator(&app).await? {
        return Err(leaving.last_administrator());
    }
    leaving.rotate(&app).await?;
    let erased_at = match leaving.delete(&app).await? {
        Deleting::Done(_, due) => Some(due.rfc3339()),
        Deleting::Shut => None,
        Deleting::LastAdministrator => return Err(leaving.last_administrator()),
    };
    Ok(json(StatusCode::OK, &Deleted { erased_at }))
}

impl Proved<Goodbye> {
    async fn is_last_administrator(&self, app: &App) -> StoreResult<bool> {
        let mut connection = app.connection().await?;
        let Some(person) = users::find_person(&mut connection, &self.user.id).await? else {
            return Ok(false);
        };
        Ok(!administrators::remain_besides(&mut connection, &person).await?)
    }

    async fn delete(&self, app: &App) -> StoreResult<Deleting> {
        let (now, grace) = (self.call.now, app.config.accounts.deletion_grace);
        let whence = Whence { address: &self.call.from.to_string(), at: now };
        let mut connection = app.connection().await?;
        connection
            .transaction(async |conn| {
                let own = &self.user.id;
                let deleted = deletion::delete(conn, own, &app.clients, grace, now).await?;
                if let Deleting::Done(user, due) = &deleted {
                    let event = self.event(Event::done(Goodbye::ACTION));
                    let event = event.detail("username", user.username.as_str());
                    let event = event.detail("due", due.rfc3339()).row(now, app.random());
                    audit_events::insert(conn, &event).await?;
                    app.queue_deleted(conn, user, *due, whence).await?;
                }
                Ok(deleted)
            })
            .await
    }

    /// Nobody else would administer this place (AD-06).
    fn last_administrator(&self) -> Problem {
        let detail =
            "nobody else administers this place: make somebody else an administrator first";
        let problem = Problem::new(StatusCode::CONFLICT, "last_administrator", detail);
        self.call.refuse(problem, (Goodbye::ACTION, "last_administrator"), Some(&self.user.id))
    }
}
