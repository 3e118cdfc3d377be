//! `POST /login`: a local password. One answer and one timing for every failure.

mod arriving;
pub(super) mod known;

use std::net::IpAddr;

use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::Response,
};

use self::arriving::Arriving;
use super::{choose, name::NameStep, not_accepted};
use crate::{
    accounts::passwords::{
        HashingFault, Verdict,
        guessing::{Account, Admission, Pending, Try},
    },
    app::App,
    audit::Event,
    config::PasswordLogin,
    dispatcher,
    foundation::ids::UserId,
    foundation::names::{email_key, username_key},
    foundation::{
        clock::{Span, Timestamp},
        secret::Secret,
    },
    interactions::Interaction,
    store::{Connection, StoreError, StoreResult, users, users::User},
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
    let (mut interaction, mark) = flow::find(&app, &headers, &params).await?;
    if params.get("step") == Some("name") {
        let typed = name_in(&params);
        let step = NameStep { app: &app, headers: &headers, mark: &mark, from, now };
        return step.take(interaction, typed).await;
    }
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
    let (user, hash) = match attempt.check(&interaction, &form).await.map_err(told)? {
        Checked::Right(user, hash) => (*user, hash),
        Checked::Refused(refused) => return refuse(&interaction, refused).await,
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
    let name = params.get("username").unwrap_or_default().trim();
    name.chars().filter(|c| !c.is_control()).take(320).collect()
}

/// What came of a try.
enum Checked {
    /// The account and its hash, as it is now.
    Right(Box<User>, String),
    Refused(Refused),
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
    /// Checks a password, unless too many were wrong before. Everything takes as long when there is
    /// no such account.
    async fn check(&self, interaction: &Interaction, form: &Form) -> Result<Checked, PageError> {
        if self.app.passwords.is_full() {
            // Turned away before the database is asked anything, which others need meanwhile (PW-03).
            return Err(hashing_fault(HashingFault::Busy));
        }
        // The connection goes back before the hash is made: hashing is slow.
        let user = find_user(&mut self.app.connection().await?, &form.username).await?;
        let who = user.as_ref().map(|user| user.id.clone());
        let pending = match self.admit(interaction, form, user.as_ref()).await? {
            Admission::Free(pending) => pending,
            Admission::Wait(wait) => return Ok(Checked::Refused(Refused::too_many(wait, who))),
            Admission::Busy => return Err(hashing_fault(HashingFault::Busy)),
        };
        let Some((user, hash)) = verify(self.app, form, user).await? else {
            self.count(interaction, *pending).await?;
            return Ok(Checked::Refused(Refused::wrong(who)));
        };
        pending.succeeded(&self.app.store).await?;
        Ok(Checked::Right(Box::new(user), hash))
    }

    async fn admit(
        &self,
        interaction: &Interaction,
        form: &Form,
        user: Option<&User>,
    ) -> StoreResult<Admission> {
        let Self { app, headers, mark, from, now } = *self;
        let is_known = user.is_some_and(|user| known::is_known(app, headers, mark, &user.id, now));
        let canonical = username_key(&form.username);
        let a_try = Try {
            account: user.map_or(Account::Nobody(&canonical), |user| Account::Of(&user.id)),
            network: &address::network(from),
            known_browser: is_known.then(|| mark.bits().as_slice()),
            client: interaction.request().map(|request| &request.client_id),
        };
        app.guesses.admit(&app.store, a_try, now).await
    }

    async fn count(&self, interaction: &Interaction, pending: Pending) -> StoreResult<()> {
        if let Some(accounts) = pending.failed(&self.app.store, self.now).await? {
            tracing::warn!(accounts, "passwords are being guessed");
            let event = Event::refused("sign_in", "guessing").trace(&interaction.trace_id);
            let event = event.detail("accounts", accounts);
            self.app.audit.note(match interaction.request() {
                Some(request) => event.client(&request.client_id),
                None => event,
            });
        }
        Ok(())
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

/// The account and its hash, if the password is its own.
async fn verify(
    app: &App,
    form: &Form,
    user: Option<User>,
) -> Result<Option<(User, String)>, PageError> {
    let stored = user.as_ref().and_then(|user| user.password_hash.as_deref());
    let verdict = app.passwords.verify(&form.password, stored).await.map_err(hashing_fault)?;
    let Some(user) = user else {
        return Ok(None);
    };
    if verdict == Verdict::Unusable {
        tracing::error!(user = %user.id, "a stored password hash cannot be used");
    }
    if user.disabled_at.is_some() {
        return Ok(None);
    }
    match verdict {
        Verdict::Wrong | Verdict::Unusable => Ok(None),
        Verdict::Right => {
            let hash = user.password_hash.clone().unwrap_or_default();
            Ok(Some((user, hash)))
        }
        Verdict::RightAndRehashed(better) => {
            let old = user.password_hash.clone().unwrap_or_default();
            let mut connection = app.connection().await?;
            let rehashed = users::rehash_password(&mut connection, &user.id, &old, &better).await;
            rehashed.map_err(StoreError::from)?;
            Ok(Some((user, better)))
        }
    }
}

/// The account of a username, or of a verified address that is one account's alone.
async fn find_user(conn: &mut Connection, name: &str) -> StoreResult<Option<User>> {
    if let Some(user) = users::find_by_username(conn, &username_key(name)).await? {
        return Ok(Some(user));
    }
    if !name.contains('@') {
        return Ok(None);
    }
    let mut found = users::find_by_verified_email(conn, &email_key(name)).await?;
    Ok(if found.len() == 1 { found.pop() } else { None })
}

fn hashing_fault(fault: HashingFault) -> PageError {
    PageError::unavailable(fault).event(Event::refused("sign_in", "too_many_sign_ins"))
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
