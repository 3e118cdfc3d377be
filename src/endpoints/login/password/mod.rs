//! `POST /login`: a local password. One answer and one timing for every failure.

mod arriving;
pub(super) mod known;
mod temporary;

use std::net::IpAddr;

use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::Response,
};

use self::arriving::Arriving;
use super::{choose, name::NameStep, not_accepted, still_waits, waits};
use crate::{
    accounts::passwords::Place,
    app::App,
    audit::Event,
    config::PasswordLogin,
    dispatcher::{
        self,
        password::{self, Tried},
    },
    foundation::{
        clock::{Span, Timestamp},
        ids::UserId,
        secret::Secret,
    },
    interactions::Interaction,
    store::users::User,
    web::{
        address,
        browser::BrowserMark,
        csrf,
        error::PageError,
        flow,
        pages::page,
        params::{self, Params},
        throttle::{self, Brake},
    },
};

const WRONG: &str = "That username or password is not right. Check for caps lock and try again.";
/// For how long whoever comes too often from one network is told to wait.
const A_MINUTE: Span = Span::from_minutes(1);

/// `POST /login`.
pub async fn post(State(app): State<App>, request: Request) -> Result<Response, PageError> {
    let now = app.now();
    let from = address::of(&app, request.extensions(), request.headers());
    let (headers, params) = params::of_page(request).await?;
    if !csrf::is_own(&app, &headers, params.get(csrf::FIELD)) {
        return Err(PageError::forged_form().event(Event::refused("sign_in", "form_not_ours")));
    }
    if params.get("step") == Some("name") {
        let (interaction, mark) = flow::find(&app, &headers, &params).await?;
        let typed = name_in(&params);
        let step = NameStep { app: &app, headers: &headers, mark: &mark, from, now };
        return step.take(interaction, typed).await;
    }
    let place = password::enter(&app)?;
    let (mut interaction, mark) = flow::find(&app, &headers, &params).await?;
    let form = Form::read(&params);
    let trace = interaction.trace_id.clone();
    let told = |error: PageError| error.trace(&trace);
    if app.config.passwords.login == PasswordLogin::Off {
        return Err(switched_off(&interaction));
    }
    if !dispatcher::accepts(&app, &interaction, None) {
        let event = Event::refused("sign_in", "upstream_not_allowed");
        return Err(not_accepted(&interaction, "a password", event));
    }
    let attempt = Attempt { app: &app, headers: &headers, mark: &mark, from, now };
    let refuse = async |interaction: &Interaction, refused| {
        attempt.refuse(interaction, &form, refused).await.map_err(told)
    };
    if throttle::password_attempt(&app, from).await == Brake::On {
        return refuse(&interaction, Refused::too_many(A_MINUTE, None)).await;
    }
    let (user, hash) = match attempt.check(place, &interaction, &form).await.map_err(told)? {
        Tried::Right(user, hash) => (*user, hash),
        Tried::Waiting(user) => {
            app.metrics.count_refused_sign_in("password", "account_waits");
            return Err(waits(&interaction).event(still_waits(&interaction, &user)));
        }
        Tried::Wrong(who) => return refuse(&interaction, Refused::wrong(who)).await,
        Tried::TooMany(wait, who) => {
            return refuse(&interaction, Refused::too_many(wait, who)).await;
        }
    };
    let arriving = Arriving { app: &app, headers: &headers, mark: &mark, hash: &hash, from, now };
    let who = user.id.clone();
    match arriving.arrive(&mut interaction, user).await.map_err(told)? {
        Some(response) => Ok(response),
        None => refuse(&interaction, Refused::wrong(Some(who))).await,
    }
}

struct Form {
    username: String,
    password: Secret,
}

impl Form {
    fn read(params: &Params) -> Self {
        Self {
            username: name_in(params),
            password: Secret::new(params.get("password").unwrap_or_default()),
        }
    }
}

/// The name that was typed, as far as it is one.
fn name_in(params: &Params) -> String {
    password::name_typed(params.get("username").unwrap_or_default())
}

/// A try, by whom it is made.
struct Attempt<'a> {
    app: &'a App,
    headers: &'a HeaderMap,
    mark: &'a BrowserMark,
    from: IpAddr,
    now: Timestamp,
}

impl Attempt<'_> {
    async fn check(
        &self,
        place: Place<'_>,
        interaction: &Interaction,
        form: &Form,
    ) -> Result<Tried, PageError> {
        let Self { app, headers, mark, from, now } = *self;
        let client = interaction.request().map(|request| &request.client_id);
        let trace = &interaction.trace_id;
        let known = |user: &User| {
            known::is_known(app, headers, mark, &user.id, now).then(|| mark.bits().as_slice())
        };
        let attempt = password::Attempt { app, from, client, trace, now };
        attempt.sign_in(place, (&form.username, &form.password), known).await
    }

    /// The page again. The event names the account that was meant; what was typed where there is none
    /// it does not hold, because that may be a password (LG-01).
    async fn refuse(
        &self,
        interaction: &Interaction,
        form: &Form,
        refused: Refused,
    ) -> Result<Response, PageError> {
        let Self { app, headers, mark, from, .. } = *self;
        let (reason, text, status) = match refused.why {
            Why::Wrong => ("wrong_password", WRONG.to_owned(), StatusCode::BAD_REQUEST),
            Why::TooMany(wait) => ("too_many_tries", too_many(wait), StatusCode::TOO_MANY_REQUESTS),
        };
        app.metrics.count_refused_sign_in("password", reason);
        let mut event = Event::refused("sign_in", reason).trace(&interaction.trace_id);
        if let Some(user) = &refused.user {
            event = event.user(user);
        }
        if let Some(request) = interaction.request() {
            event = event.client(&request.client_id);
        }
        app.audit.note(event.address(from.to_string()));
        let (username, error) = (form.username.clone(), Some(text));
        let attempt = choose::Attempt { username, error, rename: false };
        let template = choose::build(app, headers, interaction, mark, attempt).await?;
        let mut response = page(status, &template);
        if let Why::TooMany(wait) = refused.why {
            let seconds = HeaderValue::from(wait.seconds());
            response.headers_mut().insert(header::RETRY_AFTER, seconds);
        }
        Ok(response)
    }
}

/// A try that was refused, and the account that was meant, if there is one.
struct Refused {
    why: Why,
    user: Option<UserId>,
}

#[derive(Clone, Copy)]
enum Why {
    Wrong,
    /// Not before so long.
    TooMany(Span),
}

impl Refused {
    const fn wrong(user: Option<UserId>) -> Self {
        Self { why: Why::Wrong, user }
    }

    const fn too_many(wait: Span, user: Option<UserId>) -> Self {
        Self { why: Why::TooMany(wait), user }
    }
}

pub(super) fn too_many(wait: Span) -> String {
    let wait = match wait.seconds() {
        1 => "a second".to_owned(),
        60 => "a minute".to_owned(),
        seconds if seconds < 60 => format!("{seconds} seconds"),
        seconds => format!("{} minutes", (seconds + 59) / 60),
    };
    format!("Too many tries. Wait {wait} and try again.")
}

fn switched_off(interaction: &Interaction) -> PageError {
    PageError::new(
        "password_login_off",
        "Passwords are not accepted here",
        "Signing in with a password is switched off.",
    )
    .status(StatusCode::FORBIDDEN)
    .action(crate::urls::login(&interaction.flow), "Choose another way")
    .trace(&interaction.trace_id)
    .event(Event::refused("sign_in", "password_login_off"))
}
