//! `/account/keep`: taking the deletion of an account back, by the link in the mail about it.

use askama::Template;
use axum::{
    extract::{Request, State},
    http::StatusCode,
    response::Response,
};

use crate::{
    accounts::deletion,
    app::App,
    audit::Event,
    foundation::digest::TokenDigest,
    store::{StoreError, audit_events, users::User},
    urls::path,
    web::{
        address, csrf,
        error::{Link, PageError},
        opened_link,
        pages::{self, PageFrame, page},
        params,
    },
};

const ACTION: &str = "account_kept";

#[derive(Template)]
#[template(path = "account/keep.html")]
struct KeepPage {
    page: PageFrame,
    csrf: String,
    link: String,
    username: String,
}

/// `GET /account/keep`.
pub async fn show(State(app): State<App>, request: Request) -> Result<Response, PageError> {
    let now = app.now();
    let from = address::of(&app, request.extensions(), request.headers());
    let (headers, params) = params::of_page(request).await?;
    if let Some(token) = params.get(opened_link::TOKEN) {
        let here = (path::KEEP_MY_ACCOUNT, ACTION);
        return opened_link::open(&app, (&headers, from), token, here).await;
    }
    let (opened, name, mark) = opened_link::find(&app, &headers, &params, ACTION).await?;
    let digest = opened.digest().ok_or_else(gone)?;
    let user = deletion::look(&mut app.connection().await?, &digest, now).await?;
    let user = user.ok_or_else(gone)?;
    let template = KeepPage {
        page: PageFrame::new(&app),
        csrf: csrf::token(&app, &mark),
        link: name.to_owned(),
        username: user.username,
    };
    Ok(page(StatusCode::OK, &template))
}

/// `POST /account/keep`.
pub async fn post(State(app): State<App>, request: Request) -> Result<Response, PageError> {
    let from = address::of(&app, request.extensions(), request.headers()).to_string();
    let (headers, params) = params::of_page(request).await?;
    if !csrf::is_own(&app, &headers, params.get(csrf::FIELD)) {
        return Err(PageError::forged_form().event(Event::refused(ACTION, "form_not_ours")));
    }
    let (opened, ..) = opened_link::find(&app, &headers, &params, ACTION).await?;
    let digest = opened.digest().ok_or_else(gone)?;
    let user = keep(&app, &digest, &from).await?.ok_or_else(gone)?;
    let text = format!("The account {} is open again. Sign in to it.", user.username);
    let action = Link { href: path::ACCOUNT.to_owned(), label: "Sign in".to_owned() };
    Ok(pages::done(&app, "Your account is kept", text, action))
}

async fn keep(app: &App, digest: &TokenDigest, from: &str) -> Result<Option<User>, StoreError> {
    let now = app.now();
    let mut connection = app.connection().await?;
    connection
        .transaction(async |conn| {
            let kept = deletion::keep(conn, digest, now).await?;
            if let Some(user) = &kept {
                let event = Event::done(ACTION).user(&user.id).address(from);
                audit_events::insert(conn, &event.row(now, app.random())).await?;
            }
            Ok(kept)
        })
        .await
}

fn gone() -> PageError {
    opened_link::gone(ACTION, "link_gone")
}
