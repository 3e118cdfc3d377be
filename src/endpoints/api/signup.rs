//! `POST /api/v1/signup`: a local account, by an app's own form. Nobody is signed in by it: that is the
//! next call, in which every rule of a sign-in holds. Whether the address belongs to somebody is told to
//! nobody but its owner (PW-09).

use std::collections::BTreeMap;

use axum::{extract::State, http::StatusCode, response::Response};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::{
    call::{Call, of_client, secret, unfit},
    document::Refusal,
};
use crate::{
    accounts::{
        approval,
        attributes::{self, Answers, Field},
        passwords::{HashingFault, NotTaken},
        signup::{Application, Faults},
    },
    app::App,
    audit::Event,
    config::SignupEmail,
    dispatcher::password::name_typed,
    foundation::{clock::Span, secret::Secret},
    store::{StoreResult, audit_events, users, users::User},
    web::{
        error,
        problem::Problem,
        throttle::{self, Brake},
    },
};

const ACTION: &str = "sign_up";
/// The longest name of a person.
const MAX_NAME: usize = 100;
const AN_HOUR: Span = Span::from_hours(1);

/// Who wants an account.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SignUp {
    /// The app, unless it says so by HTTP Basic.
    client_id: Option<String>,
    /// What they want to be called.
    username: String,
    /// Their password; `GET /api/v1/instance` says what it must be.
    #[serde(deserialize_with = "secret")]
    #[schema(value_type = String, format = Password)]
    password: Secret,
    /// Their address, where one is taken.
    email: Option<String>,
    /// Their name.
    name: Option<String>,
    /// What else has to be known of people here, by the names of the configuration.
    attributes: Option<BTreeMap<String, String>>,
}
of_client!(SignUp);

/// A new account.
#[derive(Serialize, ToSchema)]
pub(super) struct Made {
    /// Its id: the `sub` of every token.
    sub: String,
    /// What it is called.
    username: String,
    /// Whether an administrator has to approve it before it can be used.
    waits: bool,
}

/// Makes an account.
#[utoipa::path(
    post,
    operation_id = "signUp",
    path = "/api/v1/signup",
    request_body = SignUp,
    security(("client" = []), ()),
    responses(
        (status = 201, description = "The account is made; sign in to it", body = Made),
        (status = 401, description = "`invalid_client`", body = Refusal),
        (status = 403, description = "`signup_disabled`, `upstream_not_allowed`, `unauthorized_client`, `origin_not_allowed`", body = Refusal),
        (status = 415, description = "Not JSON", body = Refusal),
        (status = 422, description = "`username_unfit`, `username_taken`, `email_unfit`, `password_unfit`, `attribute_unfit`, with what is wrong in `fields`; `invalid_json`, `invalid_request`", body = Refusal),
        (status = 429, description = "`too_many_sign_ups`, with `Retry-After`", body = Refusal),
    )
)]
pub(super) async fn sign_up(
    State(app): State<App>,
    call: Call<SignUp>,
) -> Result<Response, Problem> {
    refuse_closed(&app, &call)?;
    let email = app.config.signup.email;
    let application = call.application(email);
    let faults = application.faults(email);
    if let Some(reason) = faults.reason() {
        return Err(call.unfit(reason, faults));
    }
    let answers = call.answers(&app)?;
    // Before anything is hashed: hashing is what a stranger could wear the house out with.
    if throttle::sign_up(&app, call.from).await == Brake::On {
        let detail = "too many accounts were made from this network: wait an hour";
        let problem = Problem::new(StatusCode::TOO_MANY_REQUESTS, "too_many_sign_ups", detail);
        return Err(call.refuse(problem.retry_after(AN_HOUR), (ACTION, "too_many_sign_ups"), None));
    }
    let hash = match app.passwords.take(&application.password, &application.known()).await {
        Ok(hash) => hash,
        Err(NotTaken::Refused(faults)) => {
            return Err(call.unfit("password_unfit", Faults::of_password(&faults)));
        }
        Err(NotTaken::Hashing(fault)) => return Err(call.busy(ACTION, fault)),
    };
    let mut user = application.into_user(hash, app.random(), call.now);
    if app.rules.approval().needed {
        approval::shut(&mut user);
    }
    if !call.store(&app, &user, &answers).await? {
        let taken = Some("Somebody has this username already. Choose another one.".to_owned());
        return Err(call.unfit("username_taken", Faults { username: taken, ..Faults::default() }));
    }
    let (sub, waits) = (user.id.as_str().to_owned(), user.disabled_at.is_some());
    Ok(error::json(StatusCode::CREATED, &Made { sub, username: user.username, waits }))
}

impl Call<SignUp> {
    fn application(&self, email: SignupEmail) -> Application {
        let typed = |text: &Option<String>, most: usize| -> String {
            let text = name_typed(text.as_deref().unwrap_or_default());
            text.chars().take(most).collect()
        };
        let body = &self.body;
        let asked = email != SignupEmail::Off;
        Application {
            username: name_typed(&body.username),
            email: if asked { typed(&body.email, usize::MAX) } else { String::new() },
            name: typed(&body.name, MAX_NAME),
            password: body.password.clone(),
        }
    }

    /// What is said in the attributes that have to be known; nothing else may be said (AD-02).
    fn answers(&self, app: &App) -> Result<Answers, Problem> {
        let (all, said) = (&app.config.attributes, self.body.attributes.as_ref());
        let of = |parameter: &str| {
            let text = said?.get(Field::name_of(parameter)?)?;
            Some(text.trim().to_owned())
        };
        let read =
            attributes::read(all, attributes::required(all), |name| of(name).unwrap_or_default());
        let known =
            |name: &String| read.fields.iter().any(|field| !field.fixed && field.name == *name);
        let beyond = said.is_some_and(|said| !said.keys().all(known));
        if !beyond && !read.are_at_fault() {
            return Ok(read);
        }
        let faults = read.fields.iter().filter_map(|field| {
            Some((format!("attributes.{}", field.name), json!(field.fault.as_ref()?)))
        });
        let detail = "what is wrong stands in fields; only what is required can be said here";
        let problem = unfit("attribute_unfit", detail);
        let problem = problem.with("fields", Value::Object(faults.collect()));
        Err(self.refuse(problem, (ACTION, "attribute_unfit"), None))
    }

    /// The account with its event, in one transaction; `false` if the username is taken.
    async fn store(&self, app: &App, user: &User, answers: &Answers) -> StoreResult<bool> {
        let event = self.event(Event::done(ACTION)).user(&user.id);
        let event = event.detail("username", user.username.as_str());
        let waits = user.disabled_at.is_some();
        let event = if waits { event.detail("waits", true) } else { event };
        let event = event.row(self.now, app.random());
        let mut connection = app.connection().await?;
        connection
            .transaction(async |conn| {
                if !users::insert(conn, user).await? {
                    return Ok(false);
                }
                audit_events::insert(conn, &event).await?;
                attributes::keep(conn, &user.id, &answers.values, self.now).await?;
                if waits {
                    approval::wait(conn, &user.id, self.now).await?;
                    // Before the address of the newcomer is held, which may be an administrator's.
                    app.queue_waiting(conn, user, self.now).await?;
                }
                app.queue_welcome(conn, user, self.now).await?;
                Ok(true)
            })
            .await
    }

    fn unfit(&self, reason: &'static str, faults: Faults) -> Problem {
        let Faults { username, email, password } = faults;
        let all = [("username", username), ("email", email), ("password", password)];
        let told = all.into_iter().filter_map(|(name, text)| Some((name.to_owned(), json!(text?))));
        let fields = Value::Object(told.collect());
        let problem = unfit(reason, "what is wrong stands in fields").with("fields", fields);
        // What was typed as a name may be a password (LG-01).
        self.refuse(problem, (ACTION, reason), None)
    }
}

impl<T> Call<T> {
    /// Too many passwords wait to be hashed.
    pub(super) fn busy(&self, action: &'static str, fault: HashingFault) -> Problem {
        let detail = "too many sign-ins at once: try again";
        let problem =
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "temporarily_unavailable", detail);
        let problem = Problem { source: Some(fault.into()), ..problem };
        self.refuse(problem, (action, "too_many_sign_ins"), None)
    }
}

/// Nobody may make an account (LK-11), or the app lets nobody in with one of ours (UP-22).
fn refuse_closed(app: &App, call: &Call<SignUp>) -> Result<(), Problem> {
    let (code, detail) = if !app.signup_is_open(None) {
        ("signup_disabled", "accounts are made by the people who run this service")
    } else if !call.client.accepts(None) {
        ("upstream_not_allowed", "the app lets nobody in with an account of this service")
    } else {
        return Ok(());
    };
    let problem = Problem::new(StatusCode::FORBIDDEN, code, detail);
    Err(call.refuse(problem, (ACTION, code), None))
}
