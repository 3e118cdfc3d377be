//! `/recovery`: getting back into an account whose password is lost.
//!
//! Whoever asks is told the same in the same time, whether there is such an account or not (PW-09):
//! the wish is written down, and somebody looks later. The mail holds a link, for any browser, and a
//! code, for the browser that asked. A new password is chosen where one of both was presented, and
//! nowhere else (RC-07).

pub mod code;
pub mod password;

use askama::Template;
use axum::{
    extract::{Request, State},
    http::{HeaderValue, StatusCode, header},
    response::Response,
};

use crate::{
    accounts::one_time_links::OpenedLink,
    app::App,
    audit::Event,
    foundation::{clock::Timestamp, ids::RecoveryId},
    store::{
        StoreError,
        recovery_requests::{self, RecoveryRequest},
    },
    urls::{self, path},
    web::{
        address,
        browser::BrowserMark,
        cookies, csrf,
        error::PageError,
        flow, opened_link,
        pages::{PageFrame, page, see_other},
        params::{self, Params},
        throttle::{self, Brake},
    },
};

const ACTION: &str = "recovery";
/// The parameter that names what was asked in this browser.
const ASKED: &str = "asked";
/// The longest name that is looked for.
const MAX_NAME: usize = 320;
const TOO_MANY: &str = "Too many people asked for this where you are. Wait an hour and try again.";

#[derive(Template)]
#[template(path = "recovery/ask.html")]
struct AskPage {
    page: PageFrame,
    csrf: String,
    flow: String,
    sign_in: String,
    username: String,
    fault: Option<&'static str>,
}

/// `GET /recovery`: whatever of it the address names.
pub async fn show(State(app): State<App>, request: Request) -> Result<Response, PageError> {
    let now = app.now();
    let from = address::of(&app, request.extensions(), request.headers());
    let (headers, params) = params::of_page(request).await?;
    if let Some(token) = params.get(opened_link::TOKEN) {
        let here = (path::RECOVERY, ACTION);
        return opened_link::open(&app, (&headers, from), token, here).await;
    }
    if params.get(opened_link::LINK).is_some() {
        return password::show(&app, &headers, &params, now).await;
    }
    refuse_closed(&app)?;
    if params.get(ASKED).is_some() {
        return code::show(&app, &headers, &params).await;
    }
    let mark = BrowserMark::find_or_make(&app, &headers);
    let mut response = ask_page(&app, &mark, &params, String::new(), None);
    cookies::add(response.headers_mut(), mark.cookie(&app));
    Ok(response)
}

fn ask_page(
    app: &App,
    mark: &BrowserMark,
    params: &Params,
    username: String,
    fault: Option<&'static str>,
) -> Response {
    let flow = params.get(flow::FLOW).unwrap_or_default().to_owned();
    let status = if fault.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    let (page_frame, csrf) = (PageFrame::new(app), csrf::token(app, mark));
    let sign_in = sign_in_href(Some(&flow));
    page(status, &AskPage { page: page_frame, csrf, flow, sign_in, username, fault })
}

/// `POST /recovery`.
pub async fn ask(State(app): State<App>, request: Request) -> Result<Response, PageError> {
    let now = app.now();
    let from = address::of(&app, request.extensions(), request.headers());
    let (headers, params) = params::of_page(request).await?;
    if !csrf::is_own(&app, &headers, params.get(csrf::FIELD)) {
        return Err(PageError::forged_form().event(Event::refused(ACTION, "form_not_ours")));
    }
    refuse_closed(&app)?;
    let mark = BrowserMark::find_or_make(&app, &headers);
    let name = params.get("username").unwrap_or_default().trim().to_owned();
    if name.is_empty() || name.chars().count() > MAX_NAME || name.chars().any(char::is_control) {
        let fault = Some("Enter your username or your email address.");
        app.audit.note(Event::refused(ACTION, "name_unfit").address(from.to_string()));
        return Ok(ask_page(&app, &mark, &params, String::new(), fault));
    }
    if throttle::recovery(&app, from).await == Brake::On {
        app.audit.note(Event::refused(ACTION, "too_many_recoveries").address(from.to_string()));
        let mut response = ask_page(&app, &mark, &params, name, Some(TOO_MANY));
        *response.status_mut() = StatusCode::TOO_MANY_REQUESTS;
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("3600"));
        return Ok(response);
    }
    let asked = OpenedLink::asked(&mark.digest(), params.get(flow::FLOW));
    let opened = asked.keep(&app.state, app.random()).await?;
    write_down(&app, name, &opened, from.to_string(), now).await?;
    Ok(see_other(&format!("{}?{ASKED}={opened}", path::RECOVERY)))
}

async fn write_down(
    app: &App,
    name: String,
    opened: &str,
    address: String,
    now: Timestamp,
) -> Result<(), StoreError> {
    let id = RecoveryId::generate(app.random(), now);
    let request = RecoveryRequest { id, name, opened: opened.to_owned(), address, asked_at: now };
    let mut connection = app.connection().await?;
    recovery_requests::insert(&mut connection, &request).await?;
    Ok(())
}

/// Without passwords or without mail there is no way back here.
fn refuse_closed(app: &App) -> Result<(), PageError> {
    if app.recovery_is_open() {
        return Ok(());
    }
    Err(PageError::new(
        "recovery_off",
        "Passwords are not reset here",
        "This service sends no mail, or does not sign people in with passwords.",
    )
    .status(StatusCode::FORBIDDEN)
    .next_step("Ask your administrator for a way back into your account.")
    .action(path::ACCOUNT, "Sign in")
    .event(Event::refused(ACTION, "recovery_off")))
}

/// Where the person signs in afterwards: to the app that waits, if one does.
fn sign_in_href(flow: Option<&str>) -> String {
    match flow.filter(|flow| !flow.is_empty()) {
        Some(flow) => {
            let flow: String = url::form_urlencoded::byte_serialize(flow.as_bytes()).collect();
            urls::login(&flow)
        }
        None => path::ACCOUNT.to_owned(),
    }
}
