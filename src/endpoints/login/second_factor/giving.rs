//! Giving a second factor.

use askama::Template;
use axum::{
    http::{HeaderValue, StatusCode, header},
    response::Response,
};

use super::{Device, Visit};
use crate::{
    accounts::factors::{Given, Match},
    app::Whence,
    audit::Event,
    dispatcher::{
        self,
        factor::{self, FactorTried, RightFactor},
        password::Attempt,
        second_factor::is_required,
        welcome,
    },
    endpoints::login::password::{known, too_many},
    foundation::{clock::Span, ids::UserId, secret::Secret},
    interactions::{self, HalfBy},
    store::{StoreError, StoreResult, sessions::Session, totp_factors::TotpFactor, users},
    urls,
    web::{
        cookies, csrf,
        error::PageError,
        pages::{PageFrame, page},
        params::Params,
    },
};

const WRONG: &str =
    "That code is not right, or was used before. Wait for the next one and try again.";
const WRONG_RECOVERY: &str = "That is no recovery code of yours, or it was used before.";

#[derive(Template)]
#[template(path = "login/second_factor.html")]
struct FactorPage {
    page: PageFrame,
    app_name: Option<String>,
    flow: String,
    csrf: String,
    /// Whether a recovery code is asked for.
    recovery: bool,
    /// The other of the two.
    other: String,
    error: Option<String>,
    /// For how many days this browser can be spared, if it can.
    remember_days: Option<i64>,
    /// Whether a passkey would do instead.
    passkeys: bool,
}

/// Why somebody did not get in.
enum Refused {
    Wrong,
    /// Not before so long.
    TooMany(Span),
}

/// What came of a right code.
enum Done {
    Begun(Box<(Session, Secret)>),
    /// The first half counts no longer.
    Void,
    /// The code has counted meanwhile.
    Spent,
}

impl Visit<'_> {
    /// The form.
    pub(super) async fn ask(
        &self,
        params: &Params,
        error: Option<String>,
        status: StatusCode,
    ) -> Result<Response, PageError> {
        let app = self.app;
        let recovery = is_recovery(params);
        let own = urls::second_factor(&self.interaction.flow);
        let other = if recovery { own } else { format!("{own}&with=recovery") };
        let request = self.interaction.request();
        let client = request.and_then(|request| app.clients.find(request.client_id.as_str()));
        let spares = self.may_be_remembered().await?;
        let days = app.config.second_factors.remember_for.seconds() / 86_400;
        let template = FactorPage {
            page: PageFrame::new(app),
            app_name: client.map(|client| client.settings.name.clone()),
            flow: self.interaction.flow.clone(),
            csrf: csrf::token(app, &self.mark),
            recovery,
            other,
            error,
            remember_days: (spares && !recovery).then_some(days.max(1)),
            passkeys: app.passkeys.is_some() && dispatcher::accepts(app, &self.interaction, None),
        };
        Ok(page(status, &template))
    }

    /// Whether this browser could be spared from now on.
    async fn may_be_remembered(&self) -> StoreResult<bool> {
        let app = self.app;
        let off = app.config.second_factors.remember_for == Span::ZERO;
        if off || matches!(self.half.by, HalfBy::Session(_)) {
            return Ok(false);
        }
        let mut connection = app.connection().await?;
        let user = &self.half.user_id;
        Ok(!is_required(app, &mut connection, &self.interaction, user).await?)
    }

    /// Takes what somebody gives.
    pub(super) async fn give(&mut self, params: &Params) -> Result<Response, PageError> {
        let (app, now) = (self.app, self.now);
        let user = self.half.user_id.clone();
        let right = match self.try_factor(&user, given(params)).await? {
            FactorTried::Right(right) => *right,
            FactorTried::Wrong => return self.refuse(params, Refused::Wrong).await,
            FactorTried::TooMany(wait) => {
                return self.refuse(params, Refused::TooMany(wait)).await;
            }
        };
        let RightFactor { matched, apps, pending } = right;
        dispatcher::claim(app, &mut self.interaction).await?;
        self.interaction.note(now, "a second factor was given");
        match self.spend(&matched).await {
            Ok(Done::Begun(begun)) => {
                pending.succeeded(&app.store).await?;
                self.arrive(params, *begun, &apps).await
            }
            Ok(Done::Void) => {
                self.interaction.half = None;
                interactions::put(&app.state, &mut self.interaction).await?;
                Err(self.begin_again())
            }
            Ok(Done::Spent) => {
                interactions::put(&app.state, &mut self.interaction).await?;
                self.attempt().wrong_factor(*pending, &|event| self.event(event)).await?;
                self.refuse(params, Refused::Wrong).await
            }
            Err(error) => Err(dispatcher::stay(app, &mut self.interaction, error.into()).await),
        }
    }

    async fn try_factor(&self, user: &UserId, given: Given<'_>) -> Result<FactorTried, PageError> {
        let is_known = known::is_known(self.app, self.headers, &self.mark, user, self.now);
        let known_browser = is_known.then(|| self.mark.bits().as_slice());
        self.attempt().factor(user, given, known_browser, &|event| self.event(event)).await
    }

    fn attempt(&self) -> Attempt<'_> {
        Attempt {
            app: self.app,
            from: self.from,
            client: self.interaction.request().map(|request| &request.client_id),
            trace: &self.interaction.trace_id,
            now: self.now,
        }
    }

    /// Lets the code count, and begins or raises the session with it.
    async fn spend(&self, matched: &Match) -> StoreResult<Done> {
        let Self { app, now, .. } = *self;
        let mut connection = app.connection().await?;
        connection
            .transaction(async |conn| {
                let user = users::hold(conn, &self.half.user_id).await?;
                let Some(user) = user.filter(|user| self.stands(user)) else {
                    return Ok(Done::Void);
                };
                if !matched.spend(conn, &user.id, now).await? {
                    return Ok(Done::Spent);
                }
                if matches!(matched, Match::Recovery(_)) {
                    let whence = Whence { address: &self.from.to_string(), at: now };
                    let own = |event| self.event(event);
                    factor::tell_of_recovery(app, conn, &user, &own, whence).await?;
                }
                let begun = self.begin(conn).await?;
                Ok::<_, StoreError>(begun.map_or(Done::Void, |begun| Done::Begun(Box::new(begun))))
            })
            .await
    }

    async fn arrive(
        &self,
        params: &Params,
        begun: (Session, Secret),
        apps: &[TotpFactor],
    ) -> Result<Response, PageError> {
        let Self { app, headers, now, .. } = *self;
        let user = &self.half.user_id;
        let by_password = matches!(self.half.by, HalfBy::Password(_));
        let remember = params.get("remember").is_some() && self.may_be_remembered().await?;
        let mut response = welcome(app, headers, &self.interaction, begun, now).await;
        if by_password {
            app.metrics.count_sign_in("password");
            let cookie = known::cookie(app, &self.mark, user, now);
            cookies::add(response.headers_mut(), cookie);
        }
        if remember && let Some(hash) = self.hash().await? {
            let device = Device { app, mark: &self.mark, user, hash: &hash };
            cookies::add(response.headers_mut(), device.cookie(apps, now));
        }
        Ok(response)
    }

    /// The hash of the password that was right, if it is the same still.
    async fn hash(&self) -> StoreResult<Option<String>> {
        let mut connection = self.app.connection().await?;
        let user = users::find(&mut connection, &self.half.user_id).await?;
        Ok(user.filter(|user| self.stands(user)).and_then(|user| user.password_hash))
    }

    async fn refuse(&self, params: &Params, refused: Refused) -> Result<Response, PageError> {
        let wrong = if is_recovery(params) { WRONG_RECOVERY } else { WRONG };
        let (reason, text, status) = match refused {
            Refused::Wrong => ("wrong_code", wrong.to_owned(), StatusCode::BAD_REQUEST),
            Refused::TooMany(wait) => {
                ("too_many_tries", too_many(wait), StatusCode::TOO_MANY_REQUESTS)
            }
        };
        self.app.metrics.count_refused_sign_in("second_factor", reason);
        self.app.audit.note(self.event(Event::refused(self.action(), reason)));
        let mut response = self.ask(params, Some(text), status).await?;
        if let Refused::TooMany(wait) = refused {
            let seconds = HeaderValue::from(wait.seconds());
            response.headers_mut().insert(header::RETRY_AFTER, seconds);
        }
        Ok(response)
    }
}

fn is_recovery(params: &Params) -> bool {
    params.get("with") == Some("recovery")
}

fn given(params: &Params) -> Given<'_> {
    let code = params.get("code").unwrap_or_default();
    if is_recovery(params) { Given::Recovery(code) } else { Given::Code(code) }
}
