//! `/account/profile`: what one is called, and what else one says of oneself. Apps hear it with the next
//! token.

use askama::Template;
use axum::{
    extract::{Request, State},
    http::StatusCode,
    response::Response,
};
use serde_json::Value;

use super::own;
use crate::{
    accounts::attributes::{self, Answers, Field},
    app::{App, Whence},
    audit::Event,
    foundation::{
        language_tag::language_tag,
        names::{username_fault, username_key},
    },
    store::{StoreError, StoreResult, audit_events, user_attributes, users, users::User},
    urls::path,
    web::{
        address,
        browser::BrowserMark,
        cookies, csrf,
        error::PageError,
        pages::{PageFrame, page, see_other},
        params::{self, Params},
    },
};

const ACTION: &str = "profile_change";
/// The longest name of a person.
const MAX_NAME: usize = 100;
const TAKEN: &str = "Somebody has this username already. Choose another one.";
const NO_LANGUAGE: &str = "Enter a language tag such as de, pt-BR or zh-Hant.";

#[derive(Template)]
#[template(path = "account/profile.html")]
struct ProfilePage {
    page: PageFrame,
    csrf: String,
    username: String,
    name: String,
    locale: String,
    /// The name is an upstream's word, and changes there.
    is_name_fixed: bool,
    faults: Faults,
    fields: Vec<Field>,
    /// The address of the uploaded one.
    picture: Option<String>,
}

/// What is wrong, but for attributes.
#[derive(Default)]
struct Faults {
    username: Option<String>,
    locale: Option<String>,
}

impl ProfilePage {
    fn is_at_fault(&self) -> bool {
        self.faults.username.is_some()
            || self.faults.locale.is_some()
            || self.fields.iter().any(|field| field.fault.is_some())
    }
}

/// What was typed.
struct Typed {
    username: String,
    name: String,
    locale: String,
}

impl Typed {
    fn of(user: &User) -> Self {
        Self {
            username: user.username.clone(),
            name: user.name.clone().unwrap_or_default(),
            locale: user.locale.clone().unwrap_or_default(),
        }
    }

    fn read(params: &Params, user: &User) -> Self {
        let name = if is_name_fixed(user) {
            user.name.clone().unwrap_or_default()
        } else {
            text(params, "name", MAX_NAME)
        };
        Self { username: text(params, "username", 320), name, locale: text(params, "locale", 100) }
    }

    /// What is wrong, as far as can be said without other accounts, and why in one word.
    fn faults(&self, user: &User) -> (Faults, Option<&'static str>) {
        // What somebody is called already they may stay, whatever the rule says by now.
        let same = self.username == user.username;
        let fault = username_fault(&self.username).filter(|_| !same);
        let is_language = self.locale.is_empty() || language_tag(&self.locale).is_some();
        let faults = Faults {
            username: fault.map(|fault| format!("This username {fault}.")),
            locale: (!is_language).then(|| NO_LANGUAGE.to_owned()),
        };
        let reason = match &faults {
            Faults { username: Some(_), .. } => Some("username_unfit"),
            Faults { locale: Some(_), .. } => Some("locale_unfit"),
            _ => None,
        };
        (faults, reason)
    }
}

fn text(params: &Params, name: &str, most: usize) -> String {
    let typed = params.get(name).unwrap_or_default().trim();
    typed.chars().filter(|c| !c.is_control()).take(most).collect()
}

fn is_name_fixed(user: &User) -> bool {
    user.email_issuer.is_some()
}

/// The fields of attributes as they stand. Where none is configured, nothing is asked for.
async fn fields(app: &App, user: &User) -> StoreResult<Vec<Field>> {
    let all = &app.config.attributes;
    if all.is_empty() {
        return Ok(Vec::new());
    }
    let mut connection = app.connection().await?;
    let said = user_attributes::list_of_user(&mut connection, &user.id).await?;
    Ok(attributes::fields(all, &said))
}

/// `GET /account/profile`.
pub async fn show(State(app): State<App>, request: Request) -> Result<Response, PageError> {
    let now = app.now();
    let headers = request.headers();
    let session = match own::fresh(&app, headers, path::MY_PROFILE, now).await? {
        Ok(session) => session,
        Err(elsewhere) => return Ok(elsewhere),
    };
    let mark = BrowserMark::find_or_make(&app, headers);
    let user = &session.person.user;
    let fields = fields(&app, user).await?;
    let mut response = form(&app, &mark, user, (Typed::of(user), fields), Faults::default());
    cookies::add(response.headers_mut(), mark.cookie(&app));
    Ok(response)
}

fn form(
    app: &App,
    mark: &BrowserMark,
    user: &User,
    (typed, fields): (Typed, Vec<Field>),
    faults: Faults,
) -> Response {
    let template = ProfilePage {
        page: PageFrame::new(app),
        csrf: csrf::token(app, mark),
        username: typed.username,
        name: typed.name,
        locale: typed.locale,
        is_name_fixed: is_name_fixed(user),
        faults,
        fields,
        picture: user.own_picture.clone(),
    };
    let wrong = template.is_at_fault();
    page(if wrong { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK }, &template)
}

/// `POST /account/profile`.
pub async fn change(State(app): State<App>, request: Request) -> Result<Response, PageError> {
    let now = app.now();
    let from = address::of(&app, request.extensions(), request.headers()).to_string();
    let (headers, params) = params::of_page(request).await?;
    let Some(session) = own::proved(&app, ACTION, &headers, &params, now).await? else {
        return Ok(see_other(path::ACCOUNT));
    };
    let user = &session.person.user;
    let typed = Typed::read(&params, user);
    let shown = fields(&app, user).await?;
    let Answers { fields, values } = attributes::read(&app.config.attributes, shown, |name| {
        params.get(name).unwrap_or_default().trim().to_owned()
    });
    let (faults, reason) = typed.faults(user);
    let at_fault = fields.iter().any(|field| field.fault.is_some());
    let refuse = |typed: Typed, fields: Vec<Field>, faults: Faults, reason: &'static str| {
        app.audit.note(Event::refused(ACTION, reason).user(&user.id).address(from.as_str()));
        let mark = BrowserMark::find_or_make(&app, &headers);
        form(&app, &mark, user, (typed, fields), faults)
    };
    if let Some(reason) = reason.or(at_fault.then_some("attribute_unfit")) {
        return Ok(refuse(typed, fields, faults, reason));
    }
    let whence = Whence { address: &from, at: now };
    if !keep(&app, user, (&typed, &values), whence).await? {
        let taken = Faults { username: Some(TAKEN.to_owned()), ..Faults::default() };
        return Ok(refuse(typed, fields, taken, "username_taken"));
    }
    Ok(see_other(path::ACCOUNT))
}

/// Keeps what was typed; `false` if the username is somebody else's.
async fn keep(
    app: &App,
    user: &User,
    (typed, values): (&Typed, &[(String, Option<Value>)]),
    whence: Whence<'_>,
) -> StoreResult<bool> {
    let key = username_key(&typed.username);
    let name = Some(typed.name.as_str()).filter(|name| !name.is_empty());
    let locale = language_tag(&typed.locale);
    let event = Event::done(ACTION).user(&user.id).address(whence.address);
    let event = event.detail("former", user.username.as_str());
    let event = event.detail("username", typed.username.as_str());
    let mut connection = app.connection().await?;
    connection
        .transaction(async |conn| {
            let called = (typed.username.as_str(), key.as_str());
            if !users::rename(conn, &user.id, called, name, whence.at).await? {
                return Ok(false);
            }
            if locale != user.locale {
                users::set_locale(conn, &user.id, locale.as_deref(), whence.at).await?;
            }
            let changed = attributes::keep(conn, &user.id, values, whence.at).await?;
            // What was said may be private: the event tells what it is about.
            let event = if changed.is_empty() {
                event
            } else {
                event.detail("attributes", changed.join(", "))
            };
            audit_events::insert(conn, &event.row(whence.at, app.random())).await?;
            if typed.username != user.username {
                app.queue_notice(conn, user, "the username was changed", whence).await?;
            }
            Ok::<_, StoreError>(true)
        })
        .await
}
