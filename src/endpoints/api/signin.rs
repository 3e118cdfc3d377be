//! `POST /api/v1/signin`: a password that was typed on an app's own form. One answer and one timing for
//! every failure.

use axum::{extract::State, http::StatusCode, response::Response};
use serde::Deserialize;
use utoipa::ToSchema;

use super::{
    call::{Call, of_client, secret},
    document::Refusal,
    entering::{Entered, Tokens},
};
use crate::{
    app::App,
    config::PasswordLogin,
    dispatcher::{
        self, direct,
        password::{self, Tried},
        second_factor::{self, Remaining},
    },
    foundation::{clock::Span, ids::UserId, secret::Secret},
    interactions::Interaction,
    protocol::acr::Level,
    store::{StoreResult, users, users::User},
    urls::path,
    web::{
        problem::Problem,
        throttle::{self, Brake},
    },
};

/// For how long whoever comes too often from one network is told to wait.
const A_MINUTE: Span = Span::from_minutes(1);

/// Who signs in, and by what.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SignIn {
    /// The app, unless it says so by HTTP Basic.
    client_id: Option<String>,
    /// The username, or a verified address.
    username: String,
    /// The password.
    #[serde(deserialize_with = "secret")]
    #[schema(value_type = String, format = Password)]
    password: Secret,
    /// What is asked for; `openid` if nothing is. `offline_access` brings a refresh token.
    scope: Option<String>,
}
of_client!(SignIn);

/// Signs somebody in.
#[utoipa::path(
    post,
    operation_id = "signIn",
    path = "/api/v1/signin",
    request_body = SignIn,
    security(("client" = []), ()),
    responses(
        (status = 200, description = "Signed in", body = Tokens),
        (status = 401, description = "`invalid_credentials`, `invalid_client`", body = Refusal),
        (status = 403, description = "`second_factor_required` with a `continuation`, `enrolment_required`, `passkey_required` or `password_change_required` with a `page`, `access_denied`, `account_waits`, `password_login_off`, `upstream_not_allowed`, `unauthorized_client`, `origin_not_allowed`", body = Refusal),
        (status = 415, description = "Not JSON", body = Refusal),
        (status = 422, description = "`invalid_json`, `invalid_request`, `invalid_scope`", body = Refusal),
        (status = 429, description = "`too_many_tries`, with `Retry-After`", body = Refusal),
    )
)]
pub(super) async fn sign_in(
    State(app): State<App>,
    call: Call<SignIn>,
) -> Result<Response, Problem> {
    let scope = call.scope(call.body.scope.as_deref())?;
    let mut interaction = direct::begin(&app, &call.client, scope.clone(), &call.trace);
    refuse_closed(&app, &call, &interaction)?;
    let place = password::enter(&app).map_err(|page| call.told(page))?;
    if throttle::password_attempt(&app, call.from).await == Brake::On {
        return Err(call.too_many(&app, A_MINUTE, None));
    }
    let name = password::name_typed(&call.body.username);
    let attempt = call.attempt(&app);
    let tried = attempt.sign_in(place, (&name, &call.body.password), |_| None).await;
    let (user, hash) = match tried.map_err(|page| call.told(page))? {
        Tried::Right(user, hash) => (*user, hash),
        Tried::Waiting(user) => return Err(call.waits(&app, &user)),
        Tried::Wrong(who) => return Err(call.wrong(&app, who.as_ref())),
        Tried::TooMany(wait, who) => return Err(call.too_many(&app, wait, who.as_ref())),
    };
    if user.password_temporary {
        return Err(call.must_choose_another(&app, &user.id));
    }
    interaction.note(call.now, format!("{} gave a right password to the app", user.username));
    match call.begin(&app, &interaction, &user, &hash).await? {
        Entered::Begun(session) => call.tokens(&app, &session, &scope).await,
        Entered::Half(remaining) => {
            let proved = (user.id, hash);
            Err(call.ask_for_more(&app, interaction, proved, remaining).await?)
        }
        Entered::TurnedAway(reason) => Err(call.turned_away(reason, &user.id)),
        Entered::Void => Err(call.wrong(&app, Some(&user.id))),
    }
}

impl Call<SignIn> {
    /// Begins the session, if nothing else is to be proved. What ends all sessions ends those that are
    /// about to begin.
    async fn begin(
        &self,
        app: &App,
        interaction: &Interaction,
        user: &User,
        hash: &str,
    ) -> StoreResult<Entered> {
        let mut connection = app.connection().await?;
        connection
            .transaction(async |conn| {
                let held = users::hold(conn, &user.id).await?;
                if !held.is_some_and(|user| password::has_password(&user, hash)) {
                    return Ok(Entered::Void);
                }
                let remaining =
                    second_factor::after_password(app, conn, interaction, &user.id, |_| false);
                let remaining = remaining.await?;
                if remaining != Remaining::Nothing {
                    return Ok(Entered::Half(remaining));
                }
                let proved = (["pwd"].as_slice(), Level::SingleFactor);
                self.enter(app, conn, interaction, &user.id, proved).await
            })
            .await
    }

    fn wrong(&self, app: &App, user: Option<&UserId>) -> Problem {
        let detail = "that username or password is not right";
        let problem = Problem::new(StatusCode::UNAUTHORIZED, "invalid_credentials", detail);
        app.metrics.count_refused_sign_in("password", "wrong_password");
        self.refuse(problem, ("sign_in", "wrong_password"), user)
    }

    /// Somebody else knows the password: another one is chosen on a page of ours (PW-19).
    fn must_choose_another(&self, app: &App, user: &UserId) -> Problem {
        let problem = password_change_required(app);
        app.metrics.count_refused_sign_in("password", "password_temporary");
        self.refuse(problem, ("sign_in", "password_temporary"), Some(user))
    }

    fn waits(&self, app: &App, user: &UserId) -> Problem {
        let detail = "an administrator has to approve the account before it can be used";
        let problem = Problem::new(StatusCode::FORBIDDEN, "account_waits", detail);
        app.metrics.count_refused_sign_in("password", "account_waits");
        self.refuse(problem, ("sign_in", "account_waits"), Some(user))
    }
}

impl<T> Call<T> {
    /// Too many were wrong before.
    pub(super) fn too_many(&self, app: &App, wait: Span, user: Option<&UserId>) -> Problem {
        let detail = "too many tries: wait and try again";
        let problem = Problem::new(StatusCode::TOO_MANY_REQUESTS, "too_many_tries", detail);
        app.metrics.count_refused_sign_in("password", "too_many_tries");
        self.refuse(problem.retry_after(wait), ("sign_in", "too_many_tries"), user)
    }
}

/// The password is an administrator's word, and proves nothing yet.
pub(super) fn password_change_required(app: &App) -> Problem {
    let detail = "an administrator has set this password: another one has to be chosen first";
    let problem = Problem::new(StatusCode::FORBIDDEN, "password_change_required", detail);
    problem.with("page", app.urls.absolute(path::ACCOUNT))
}

/// Passwords are taken here, and the app lets in who has an account of our own (UP-22).
fn refuse_closed(app: &App, call: &Call<SignIn>, interaction: &Interaction) -> Result<(), Problem> {
    let (code, detail) = if app.config.passwords.login == PasswordLogin::Off {
        ("password_login_off", "signing in with a password is switched off")
    } else if !dispatcher::accepts(app, interaction, None) {
        ("upstream_not_allowed", "the app lets nobody in with an account of this service")
    } else {
        return Ok(());
    };
    let problem = Problem::new(StatusCode::FORBIDDEN, code, detail);
    Err(call.refuse(problem, ("sign_in", code), None))
}
