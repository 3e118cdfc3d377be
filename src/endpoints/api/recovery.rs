//! `/api/v1/recovery`: getting back into an account whose password is lost, in three steps.
//!
//! As on the pages, whoever asks is told the same in the same time (PW-09), and a password is chosen
//! only where what was mailed has been presented (RC-07). What is bound to a browser there is bound here
//! to the app that asked, under a name that nobody can guess.

use axum::{extract::State, http::StatusCode, response::Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    call::{Call, of_client, secret, unfit},
    document::Refusal,
    session::nothing,
};
use crate::{
    accounts::{
        one_time_links::{OpenedLink, Typed},
        passwords::{Known, NotTaken},
        recovery,
        signup::Faults,
    },
    app::{App, Whence},
    audit::Event,
    config::PasswordLogin,
    dispatcher::direct,
    foundation::{
        clock::Span,
        digest::TokenDigest,
        ids::{RecoveryId, UserId},
        secret::Secret,
    },
    store::{
        StoreError, StoreResult, audit_events,
        recovery_requests::{self, RecoveryRequest},
        users::User,
    },
    web::{
        error::json,
        problem::Problem,
        throttle::{self, Brake},
    },
};

const ACTION: &str = "recovery";
/// The longest name that is looked for.
const MAX_NAME: usize = 320;
const AN_HOUR: Span = Span::from_hours(1);

/// Who wants to get back in.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Wish {
    /// The app, unless it says so by HTTP Basic.
    client_id: Option<String>,
    /// The username; or else the address.
    username: Option<String>,
    /// The address; or else the username.
    email: Option<String>,
}

/// The wish is written down.
#[derive(Serialize, ToSchema)]
pub(super) struct Asked {
    /// What the code is typed with.
    request: String,
}

/// The code that was mailed.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct TypedCode {
    /// The app, unless it says so by HTTP Basic.
    client_id: Option<String>,
    /// What the first step has answered. It is good for half an hour and five tries.
    request: String,
    /// Six digits.
    #[serde(deserialize_with = "secret")]
    #[schema(value_type = String)]
    code: Secret,
}

/// The code was right.
#[derive(Serialize, ToSchema)]
pub(super) struct Opened {
    /// What the password is chosen with.
    continuation: String,
}

/// The new password.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewPassword {
    /// The app, unless it says so by HTTP Basic.
    client_id: Option<String>,
    /// What the second step has answered.
    continuation: String,
    /// The password.
    #[serde(deserialize_with = "secret")]
    #[schema(value_type = String, format = Password)]
    password: Secret,
}
of_client!(Wish, TypedCode, NewPassword);

/// Asks for a mail with a code. The answer is the same whether there is such an account or not.
#[utoipa::path(
    post,
    operation_id = "recover",
    path = "/api/v1/recovery",
    request_body = Wish,
    security(("client" = []), ()),
    responses(
        (status = 202, description = "If there is such an account, a mail is on its way", body = Asked),
        (status = 401, description = "`invalid_client`", body = Refusal),
        (status = 403, description = "`recovery_off`, `unauthorized_client`, `origin_not_allowed`", body = Refusal),
        (status = 415, description = "Not JSON", body = Refusal),
        (status = 422, description = "`name_unfit`, `invalid_json`, `invalid_request`", body = Refusal),
        (status = 429, description = "`too_many_recoveries`, with `Retry-After`", body = Refusal),
    )
)]
pub(super) async fn ask(State(app): State<App>, call: Call<Wish>) -> Result<Response, Problem> {
    refuse_closed(&app, &call)?;
    let Some(name) = call.name() else {
        let problem = unfit("name_unfit", "say one of username and email");
        return Err(call.refuse(problem, (ACTION, "name_unfit"), None));
    };
    if throttle::recovery(&app, call.from).await == Brake::On {
        let (code, detail) =
            ("too_many_recoveries", "too many asked from this network: wait an hour");
        let problem = Problem::new(StatusCode::TOO_MANY_REQUESTS, code, detail);
        return Err(call.refuse(problem.retry_after(AN_HOUR), (ACTION, code), None));
    }
    let asked = OpenedLink::asked(&direct::mark_of(&call.client), None);
    let request = asked.keep(&app.state, app.random()).await?;
    let wish = RecoveryRequest {
        id: RecoveryId::generate(app.random(), call.now),
        name,
        opened: request.clone(),
        address: call.from.to_string(),
        asked_at: call.now,
    };
    let mut connection = app.connection().await?;
    let written = recovery_requests::insert(&mut connection, &wish).await;
    written.map_err(StoreError::from)?;
    Ok(json(StatusCode::ACCEPTED, &Asked { request }))
}

impl Call<Wish> {
    fn name(&self) -> Option<String> {
        let name = match (&self.body.username, &self.body.email) {
            (Some(name), None) | (None, Some(name)) => name.trim(),
            _ => return None,
        };
        let fits = !name.is_empty()
            && name.chars().count() <= MAX_NAME
            && !name.chars().any(char::is_control);
        fits.then(|| name.to_owned())
    }
}

/// Types the code.
#[utoipa::path(
    post,
    operation_id = "typeRecoveryCode",
    path = "/api/v1/recovery/code",
    request_body = TypedCode,
    security(("client" = []), ()),
    responses(
        (status = 200, description = "The code is right", body = Opened),
        (status = 401, description = "`invalid_code`, `invalid_client`", body = Refusal),
        (status = 403, description = "`recovery_off`, `unauthorized_client`, `origin_not_allowed`", body = Refusal),
        (status = 410, description = "`code_over`: ask for a new mail", body = Refusal),
        (status = 415, description = "Not JSON", body = Refusal),
        (status = 422, description = "`invalid_json`, `invalid_request`", body = Refusal),
    )
)]
pub(super) async fn type_code(
    State(app): State<App>,
    call: Call<TypedCode>,
) -> Result<Response, Problem> {
    refuse_closed(&app, &call)?;
    let over = |reason| {
        let detail = "typed wrong too often, too old, or asked for by another app";
        let problem = Problem::new(StatusCode::GONE, "code_over", detail);
        call.refuse(problem, (ACTION, reason), None)
    };
    let (name, own) = (call.body.request.as_str(), direct::mark_of(&call.client));
    let Some(asked) = OpenedLink::find(&app.state, name, &own).await? else {
        return Err(over("nothing_asked"));
    };
    let code: String = call.body.code.expose().chars().filter(char::is_ascii_digit).collect();
    match asked.type_code(&app.state, (name, &code), app.random()).await? {
        Typed::Right(continuation) => Ok(json(StatusCode::OK, &Opened { continuation })),
        Typed::Wrong => {
            let detail = "that code is not right: take that of the newest mail";
            let problem = Problem::new(StatusCode::UNAUTHORIZED, "invalid_code", detail);
            Err(call.refuse(problem, (ACTION, "wrong_code"), None))
        }
        Typed::Over => Err(over("too_many_codes")),
    }
}

/// Chooses the new password. Every session and every refresh token ends.
#[utoipa::path(
    post,
    operation_id = "chooseRecoveredPassword",
    path = "/api/v1/recovery/password",
    request_body = NewPassword,
    security(("client" = []), ()),
    responses(
        (status = 204, description = "The password is changed; sign in with it"),
        (status = 401, description = "`invalid_client`", body = Refusal),
        (status = 403, description = "`unauthorized_client`, `origin_not_allowed`", body = Refusal),
        (status = 410, description = "`link_gone`: ask for a new mail", body = Refusal),
        (status = 415, description = "Not JSON", body = Refusal),
        (status = 422, description = "`password_unfit`, with what is wrong in `fields`; `invalid_json`, `invalid_request`", body = Refusal),
    )
)]
pub(super) async fn choose_password(
    State(app): State<App>,
    call: Call<NewPassword>,
) -> Result<Response, Problem> {
    let (digest, user) = call.look(&app).await?;
    let (username, email) = (user.username.clone(), user.email.clone());
    let known = Known { username, email, name: user.name.clone() };
    let hash = match app.passwords.take(&call.body.password, &known).await {
        Ok(hash) => hash,
        Err(NotTaken::Refused(faults)) => {
            return Err(call.password_unfit(ACTION, &Faults::of_password(&faults), &user.id));
        }
        Err(NotTaken::Hashing(fault)) => return Err(call.busy(ACTION, fault)),
    };
    if call.reset(&app, &digest, &hash).await? {
        Ok(nothing())
    } else {
        Err(call.gone("link_gone"))
    }
}

impl Call<NewPassword> {
    /// The account of a link that this app has opened and that is still good.
    async fn look(&self, app: &App) -> Result<(TokenDigest, User), Problem> {
        if app.config.passwords.login == PasswordLogin::Off {
            return Err(self.gone("password_login_off"));
        }
        let own = direct::mark_of(&self.client);
        let opened = OpenedLink::find(&app.state, &self.body.continuation, &own).await?;
        let digest = opened.and_then(|opened| opened.digest());
        let digest = digest.ok_or_else(|| self.gone("link_not_opened"))?;
        let mut connection = app.connection().await?;
        let found = recovery::look(&mut connection, &digest, self.now).await?;
        let (_, user) = found.ok_or_else(|| self.gone("link_gone"))?;
        Ok((digest, user))
    }

    async fn reset(&self, app: &App, digest: &TokenDigest, hash: &str) -> StoreResult<bool> {
        let mut connection = app.connection().await?;
        connection
            .transaction(async |conn| {
                let done = recovery::reset(conn, digest, hash, &app.clients, self.now).await?;
                let Some(user) = done else {
                    return Ok(false);
                };
                let event = self.event(Event::done(ACTION)).user(&user.id);
                audit_events::insert(conn, &event.row(self.now, app.random())).await?;
                let what = "the password was replaced by way of a mail";
                let whence = Whence { address: &self.from.to_string(), at: self.now };
                app.queue_notice(conn, &user, what, whence).await?;
                Ok(true)
            })
            .await
    }

    fn gone(&self, reason: &'static str) -> Problem {
        let detail = "used, replaced by a newer mail, or too old: ask for a new mail";
        let problem = Problem::new(StatusCode::GONE, "link_gone", detail);
        self.refuse(problem, (ACTION, reason), None)
    }
}

impl<T> Call<T> {
    /// The new password is none that is taken.
    pub(super) fn password_unfit(
        &self,
        action: &'static str,
        faults: &Faults,
        user: &UserId,
    ) -> Problem {
        let fields = serde_json::json!({ "password": faults.password });
        let problem = unfit("password_unfit", "what is wrong stands in fields");
        self.refuse(problem.with("fields", fields), (action, "password_unfit"), Some(user))
    }
}

/// Without passwords or without mail there is no way back here.
fn refuse_closed<T>(app: &App, call: &Call<T>) -> Result<(), Problem> {
    if app.recovery_is_open() {
        return Ok(());
    }
    let detail = "this service sends no mail, or does not sign people in with passwords";
    let problem = Problem::new(StatusCode::FORBIDDEN, "recovery_off", detail);
    Err(call.refuse(problem, (ACTION, "recovery_off"), None))
}
