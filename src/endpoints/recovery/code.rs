//! The code that was mailed, typed in the browser that asked for it (RC-15).

use askama::Template;
use axum::{
    extract::{Request, State},
    http::{HeaderMap, StatusCode},
    response::Response,
};

use super::{ACTION, ASKED, refuse_closed};
use crate::{
    accounts::one_time_links::{OpenedLink, Typed},
    app::App,
    audit::Event,
    urls::path,
    web::{
        browser::BrowserMark,
        csrf,
        error::PageError,
        opened_link,
        pages::{PageFrame, page, see_other},
        params::{self, Params},
    },
};

#[derive(Template)]
#[template(path = "recovery/code.html")]
struct CodePage {
    page: PageFrame,
    csrf: String,
    asked: String,
    fault: Option<&'static str>,
}

/// The page after the wish: the same for everybody.
pub(super) async fn show(
    app: &App,
    headers: &HeaderMap,
    params: &Params,
) -> Result<Response, PageError> {
    let (_, name, mark) = find(app, headers, params).await?;
    Ok(code_page(app, &mark, name, None))
}

fn code_page(app: &App, mark: &BrowserMark, name: &str, fault: Option<&'static str>) -> Response {
    let status = if fault.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    let (page_frame, csrf) = (PageFrame::new(app), csrf::token(app, mark));
    page(status, &CodePage { page: page_frame, csrf, asked: name.to_owned(), fault })
}

/// `POST /recovery/code`.
pub async fn post(State(app): State<App>, request: Request) -> Result<Response, PageError> {
    let (headers, params) = params::of_page(request).await?;
    if !csrf::is_own(&app, &headers, params.get(csrf::FIELD)) {
        return Err(PageError::forged_form().event(Event::refused(ACTION, "form_not_ours")));
    }
    refuse_closed(&app)?;
    let (asked, name, mark) = find(&app, &headers, &params).await?;
    let typed: String =
        params.get("code").unwrap_or_default().chars().filter(char::is_ascii_digit).collect();
    match asked.type_code(&app.state, (name, &typed), app.random()).await? {
        Typed::Right(link) => {
            Ok(see_other(&format!("{}?{}={link}", path::RECOVERY, opened_link::LINK)))
        }
        Typed::Wrong => {
            app.audit.note(Event::refused(ACTION, "wrong_code"));
            let fault = "That code is not right. Look at the newest mail, and type it again.";
            Ok(code_page(&app, &mark, name, Some(fault)))
        }
        Typed::Over => Err(over("too_many_codes")),
    }
}

/// What this browser has asked for.
async fn find<'a>(
    app: &App,
    headers: &HeaderMap,
    params: &'a Params,
) -> Result<(OpenedLink, &'a str, BrowserMark), PageError> {
    let (Some(name), Some(mark)) = (params.get(ASKED), BrowserMark::find(app, headers)) else {
        return Err(over("nothing_asked"));
    };
    match OpenedLink::find(&app.state, name, &mark.digest()).await? {
        Some(asked) => Ok((asked, name, mark)),
        None => Err(over("nothing_asked")),
    }
}

fn over(reason: &'static str) -> PageError {
    PageError::new(
        "code_over",
        "This code does not work any more",
        "It was typed wrong too often, too much time has passed, or it was asked for elsewhere.",
    )
    .status(StatusCode::GONE)
    .next_step("The link in the mail may still work. Or ask for a new mail.")
    .action(path::RECOVERY, "Ask for a new mail")
    .event(Event::refused(ACTION, reason))
}
