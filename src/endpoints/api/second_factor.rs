//! `POST /api/v1/signin/second-factor`: the second half of a sign-in. Whoever comes here has proved one
//! thing, and is nobody yet (MF-01).

use axum::{extract::State, http::StatusCode, response::Response};
use serde::Deserialize;
use utoipa::ToSchema;

use super::{
    call::{Call, of_client, secret},
    document::Refusal,
    entering::{Entered, Tokens},
};
use crate::{
    accounts::factors::{Given, METHODS, Match},
    app::{App, Whence},
    audit::Event,
    dispatcher::{
        direct,
        factor::{self, FactorTried},
        password::has_password_of,
        second_factor::{Remaining, half_of, of_half},
    },
    ephemeral::{Key, KeyKind},
    foundation::{ids::UserId, secret::Secret},
    interactions::{self, Half, HalfBy, Interaction},
    protocol::acr::Level,
    store::{StoreResult, users},
    web::problem::Problem,
};

/// So many wrong codes end the sign-in.
const MAX_WRONG_CODES: u64 = 5;
/// The digits of an authenticator app; recovery codes are longer.
const DIGITS: usize = 6;

/// What is given.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SecondFactor {
    /// The app, unless it says so by HTTP Basic.
    client_id: Option<String>,
    /// What the first half has answered. It is good for ten minutes and five tries.
    continuation: String,
    /// The code of an authenticator app, or a recovery code.
    #[serde(deserialize_with = "secret")]
    #[schema(value_type = String)]
    code: Secret,
}
of_client!(SecondFactor);

/// What came of a right code.
enum Done {
    Entered(Entered),
    /// The code has counted meanwhile.
    Spent,
}

/// Gives the second factor of a sign-in.
#[utoipa::path(
    post,
    operation_id = "giveSecondFactor",
    path = "/api/v1/signin/second-factor",
    request_body = SecondFactor,
    security(("client" = []), ()),
    responses(
        (status = 200, description = "Signed in", body = Tokens),
        (status = 401, description = "`invalid_code`, `invalid_client`", body = Refusal),
        (status = 403, description = "`access_denied`, `unauthorized_client`, `origin_not_allowed`", body = Refusal),
        (status = 410, description = "`continuation_over`: sign in again", body = Refusal),
        (status = 415, description = "Not JSON", body = Refusal),
        (status = 422, description = "`invalid_json`, `invalid_request`", body = Refusal),
        (status = 429, description = "`too_many_tries`, with `Retry-After`", body = Refusal),
    )
)]
pub(super) async fn give(
    State(app): State<App>,
    mut call: Call<SecondFactor>,
) -> Result<Response, Problem> {
    let (mut interaction, half) = call.find(&app).await?;
    call.trace = interaction.trace_id.clone();
    let call = &call;
    let user = half.user_id.clone();
    let typed = call.body.code.expose();
    let digits: String = typed.chars().filter(|c| !c.is_whitespace()).collect();
    let is_code = digits.len() == DIGITS && digits.bytes().all(|byte| byte.is_ascii_digit());
    let given = if is_code { Given::Code(&digits) } else { Given::Recovery(typed) };
    let event = |event: Event| call.event(event).user(&user);
    let attempt = call.attempt(&app);
    let tried = attempt.factor(&user, given, None, &event).await;
    let right = match tried.map_err(|page| call.told(page))? {
        FactorTried::Right(right) => *right,
        FactorTried::Wrong => return Err(call.wrong_code(&app, &user)),
        FactorTried::TooMany(wait) => return Err(call.too_many(&app, wait, Some(&user))),
    };
    if !interactions::claim(&app.state, &mut interaction).await? {
        return Err(call.over(Some(&user)));
    }
    interaction.note(call.now, "a second factor was given");
    let spent = match call.spend(&app, &interaction, &half, &right.matched).await {
        Ok(spent) => spent,
        Err(error) => {
            // Nothing has counted: the continuation goes on.
            interactions::put(&app.state, &mut interaction).await?;
            return Err(error.into());
        }
    };
    match spent {
        Done::Entered(Entered::Begun(session)) => {
            right.pending.succeeded(&app.store).await?;
            let scope = interaction.request().map(|request| request.scope.clone());
            call.tokens(&app, &session, &scope.unwrap_or_default()).await
        }
        Done::Entered(Entered::TurnedAway(reason)) => Err(call.turned_away(reason, &user)),
        Done::Entered(Entered::Void | Entered::Half(_)) => Err(call.over(Some(&user))),
        Done::Spent => {
            interactions::put(&app.state, &mut interaction).await?;
            attempt.wrong_factor(*right.pending, &event).await?;
            Err(call.wrong_code(&app, &user))
        }
    }
}

impl Call<SecondFactor> {
    /// The sign-in of this app that has come half the way. The try is counted before anything is
    /// looked at, so that tries at once are no more tries.
    async fn find(&self, app: &App) -> Result<(Interaction, Half), Problem> {
        let name = &self.body.continuation;
        let found = interactions::find(&app.state, name).await?;
        let own = direct::mark_of(&self.client);
        let Some(mut interaction) = found.filter(|found| found.belongs_to(&own)) else {
            return Err(self.over(None));
        };
        let Some(half) = half_of(&interaction, self.now).cloned() else {
            return Err(self.over(None));
        };
        let tries = app.state.increment(&Key::of_text(KeyKind::FactorTries, name)).await?;
        if tries > MAX_WRONG_CODES {
            let _ = interactions::claim(&app.state, &mut interaction).await?;
            return Err(self.over(Some(&half.user_id)));
        }
        let mut connection = app.connection().await?;
        match of_half(app, &mut connection, &interaction, &half).await? {
            Remaining::Factor => Ok((interaction, half)),
            Remaining::Nothing | Remaining::Enrolment => Err(self.over(Some(&half.user_id))),
        }
    }

    /// Lets the code count, and begins the session with it.
    async fn spend(
        &self,
        app: &App,
        interaction: &Interaction,
        half: &Half,
        matched: &Match,
    ) -> StoreResult<Done> {
        let stands = |digest: &str, user: &users::User| has_password_of(user, digest);
        let mut connection = app.connection().await?;
        connection
            .transaction(async |conn| {
                let user = users::hold(conn, &half.user_id).await?;
                let user = user.filter(|user| match &half.by {
                    HalfBy::Password(digest) => stands(digest, user),
                    HalfBy::Session(_) => false,
                });
                let Some(user) = user else {
                    return Ok(Done::Entered(Entered::Void));
                };
                if !matched.spend(conn, &user.id, self.now).await? {
                    return Ok(Done::Spent);
                }
                if matches!(matched, Match::Recovery(_)) {
                    let whence = Whence { address: &self.from.to_string(), at: self.now };
                    let own = |event: Event| self.event(event).user(&user.id);
                    factor::tell_of_recovery(app, conn, &user, &own, whence).await?;
                }
                let amr: Vec<&str> = std::iter::once("pwd").chain(METHODS).collect();
                let proved = (amr.as_slice(), Level::MultiFactor);
                self.enter(app, conn, interaction, &user.id, proved).await.map(Done::Entered)
            })
            .await
    }

    fn wrong_code(&self, app: &App, user: &UserId) -> Problem {
        let detail = "that code is not right, or was used before";
        let problem = Problem::new(StatusCode::UNAUTHORIZED, "invalid_code", detail);
        app.metrics.count_refused_sign_in("second_factor", "wrong_code");
        self.refuse(problem, ("sign_in", "wrong_code"), Some(user))
    }

    fn over(&self, user: Option<&UserId>) -> Problem {
        let detail = "there is no first half of a sign-in that still counts: sign in again";
        let problem = Problem::new(StatusCode::GONE, "continuation_over", detail);
        self.refuse(problem, ("sign_in", "second_factor_expired"), user)
    }
}
