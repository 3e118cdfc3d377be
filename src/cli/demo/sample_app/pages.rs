//! The two pages of the sample app.

use std::sync::Arc;

use askama::Template;
use axum::{
    extract::State,
    http::{HeaderMap, StatusCode},
    response::Response,
};
use serde_json::{Map, Value};

use super::{
    REFRESH, SIGN_IN, SIGN_OUT, SampleApp, checks,
    sessions::{Session, SignedIn},
};
use crate::{
    federation::client_view::OpenToken,
    web::pages::{Detail, PageFrame, page},
};

/// The query of a sign-in that asks who it is even where that is known already.
pub(super) const SOMEBODY_ELSE: &str = "as=somebody-else";

#[derive(Template)]
#[template(path = "demo/home.html")]
struct HomePage<'a> {
    page: PageFrame,
    error: Option<String>,
    signed_out: bool,
    sign_in_href: &'static str,
    somebody_else_href: String,
    issuer: &'a str,
    upstream: &'a str,
    people: Vec<PersonView<'a>>,
}

struct PersonView<'a> {
    name: &'a str,
    username: &'a str,
    password: &'a str,
    groups: String,
}

#[derive(Template)]
#[template(path = "demo/tokens.html")]
struct TokensPage<'a> {
    page: PageFrame,
    name: &'a str,
    refresh_action: Option<&'static str>,
    sign_out_action: &'static str,
    checks: &'a [Detail],
    id_token: TokenView<'a>,
    access_token: TokenView<'a>,
    userinfo_json: String,
}

struct TokenView<'a> {
    title: &'static str,
    signature_note: String,
    header_json: String,
    payload_json: String,
    raw: &'a str,
}

/// `GET /`: the tokens, or how to get some.
pub(super) async fn front(State(app): State<Arc<SampleApp>>, headers: HeaderMap) -> Response {
    match app.sessions.find(&headers) {
        Some(Session::SignedIn(signed_in)) => page(StatusCode::OK, &tokens(&signed_in)),
        _ => page(StatusCode::OK, &home(&app, None, false)),
    }
}

/// `GET /signed-out`: Keywright has sent the browser back.
pub(super) async fn signed_out(State(app): State<Arc<SampleApp>>) -> Response {
    page(StatusCode::OK, &home(&app, None, true))
}

/// What went wrong, and how to try again.
pub(super) fn trouble(app: &SampleApp, error: &anyhow::Error) -> Response {
    page(StatusCode::BAD_REQUEST, &home(app, Some(format!("{error:#}")), false))
}

fn home(app: &SampleApp, error: Option<String>, signed_out: bool) -> HomePage<'_> {
    let people = app.people.iter().map(|person| PersonView {
        name: person.name,
        username: person.username,
        password: &person.password,
        groups: person.groups.join(", "),
    });
    HomePage {
        page: frame(),
        error,
        signed_out,
        sign_in_href: SIGN_IN,
        somebody_else_href: format!("{SIGN_IN}?{SOMEBODY_ELSE}"),
        issuer: &app.issuer,
        upstream: &app.upstream,
        people: people.collect(),
    }
}

fn tokens(signed_in: &SignedIn) -> TokensPage<'_> {
    let received = &signed_in.received;
    let id = &received.id_token;
    let name = ["name", "preferred_username", "sub"].into_iter().find_map(|claim| id.text(claim));
    TokensPage {
        page: frame(),
        name: name.unwrap_or_default(),
        refresh_action: received.refresh_token.as_ref().map(|_| REFRESH),
        sign_out_action: SIGN_OUT,
        checks: &signed_in.checks,
        id_token: token("ID token", id),
        access_token: token("Access token", &received.access_token),
        userinfo_json: pretty(&received.userinfo),
    }
}

fn token<'a>(title: &'static str, token: &'a OpenToken) -> TokenView<'a> {
    TokenView {
        title,
        signature_note: format!("Signature verified: {}", checks::signature(token)),
        header_json: pretty(&token.header),
        payload_json: pretty(&token.payload),
        raw: &token.raw,
    }
}

fn frame() -> PageFrame {
    PageFrame::branded("Sample app".to_owned())
}

fn pretty(object: &Map<String, Value>) -> String {
    serde_json::to_string_pretty(object).unwrap_or_default()
}
