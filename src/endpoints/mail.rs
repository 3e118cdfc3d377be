//! The page on which mail is shown instead of being sent (`mail.sink = "page"`).
//!
//! It is on the management listener, for an issuer on this computer, and shows links that open
//! accounts: a page of elsewhere, which has made its name lead here, is not answered.

use askama::Template;
use axum::{
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse as _, Response},
};

use crate::{
    app::App,
    mail::Shown,
    protocol::redirect_uri::is_loopback,
    web::{
        edge::add_security_headers,
        pages::{PageFrame, page},
    },
};

#[derive(Template)]
#[template(path = "mail/page.html")]
struct MailPage {
    page: PageFrame,
    mails: Vec<Shown>,
}

/// `GET /mail`: the last mails, the newest first.
pub async fn show(State(app): State<App>, headers: HeaderMap) -> Response {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let address = url::Url::parse(&format!("http://{host}"));
    let mut response = if !address.is_ok_and(|address| is_loopback(&address)) {
        let fix = "This page is for this computer: open it as http://localhost.\n";
        (StatusCode::MISDIRECTED_REQUEST, fix).into_response()
    } else if let Some(mails) = app.mail.carrier().shown() {
        page(StatusCode::OK, &MailPage { page: PageFrame::new(&app), mails })
    } else {
        StatusCode::NOT_FOUND.into_response()
    };
    add_security_headers(&app, response.headers_mut());
    response
}
