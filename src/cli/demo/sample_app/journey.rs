//! Signing in, getting new tokens, signing out.

use std::sync::Arc;

use anyhow::{Context as _, bail};
use axum::{
    extract::{RawQuery, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
};

use super::{
    SampleApp, chance, checks, now, pages,
    sessions::{Session, SignedIn},
    signed_out_uri,
};
use crate::{
    federation::client_view::Marks,
    foundation::digest::constant_time_eq,
    web::{pages::see_other, params::Params},
};

/// Marks that no other sign-in has.
pub(super) fn fresh_marks() -> Marks {
    Marks { state: chance(), nonce: chance(), verifier: chance() }
}

/// `GET /sign-in`: sends the browser to Keywright. `?as=somebody-else` asks who it is even where
/// that is known already.
pub(super) async fn sign_in(
    State(app): State<Arc<SampleApp>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let marks = fresh_marks();
    let prompt = query.is_some_and(|query| query == pages::SOMEBODY_ELSE).then_some("login");
    match app.provider.begin(&marks, prompt, now()).await {
        Ok(address) => {
            let cookie = app.sessions.replace(&headers, Session::SigningIn(marks));
            with_cookie(see_other(&address), cookie)
        }
        Err(fault) => pages::trouble(&app, &fault.into()),
    }
}

/// `GET /callback`: the browser is back with an answer.
pub(super) async fn callback(
    State(app): State<Arc<SampleApp>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    match complete(&app, &headers, query.as_deref().unwrap_or_default()).await {
        Ok(signed_in) => {
            let session = Session::SignedIn(Arc::new(signed_in));
            with_cookie(see_other("/"), app.sessions.replace(&headers, session))
        }
        Err(error) => pages::trouble(&app, &error),
    }
}

async fn complete(app: &SampleApp, headers: &HeaderMap, query: &str) -> anyhow::Result<SignedIn> {
    let now = now();
    let Ok(params) = Params::read(query.as_bytes()) else {
        bail!("The answer cannot be read.");
    };
    let Some(Session::SigningIn(marks)) = app.sessions.find(headers) else {
        bail!("This browser has no sign-in under way. Please start again from here.");
    };
    let state = params.get("state").unwrap_or_default();
    if !constant_time_eq(state.as_bytes(), marks.state.as_bytes()) {
        bail!("This answer belongs to another sign-in. Please start again from here.");
    }
    // Whatever comes of it, an answer counts once.
    app.sessions.forget(headers);
    let answered_by = app.provider.check_issuer_of_answer(params.get("iss"), now).await?;
    if let Some(error) = params.get("error") {
        let description = params.get("error_description").unwrap_or("without a reason");
        bail!("The provider refused: {error} ({description})");
    }
    let code = params.get("code").context("The answer has no code.")?;
    let received = app.provider.complete(code, &marks, now).await?;
    let mut rows = vec![checks::row("Answer", format!("from {answered_by}, with our state"))];
    rows.extend(checks::of_tokens(&app.issuer, &received, now)?);
    rows.push(checks::nonce(&received, &marks.nonce)?);
    Ok(SignedIn { received, checks: rows })
}

/// `POST /refresh`: new tokens for the same sign-in.
pub(super) async fn refresh(State(app): State<Arc<SampleApp>>, headers: HeaderMap) -> Response {
    if !is_own_form(&app, &headers) {
        return foreign_form();
    }
    let Some(Session::SignedIn(before)) = app.sessions.find(&headers) else {
        return see_other("/");
    };
    let refreshed = async {
        let now = now();
        let received = app.provider.refresh(&before.received, now).await?;
        let mut rows = checks::of_tokens(&app.issuer, &received, now)?;
        rows.push(checks::row("Refreshed", now.rfc3339()));
        anyhow::Ok(SignedIn { received, checks: rows })
    };
    match refreshed.await {
        Ok(signed_in) => {
            let session = Session::SignedIn(Arc::new(signed_in));
            with_cookie(see_other("/"), app.sessions.replace(&headers, session))
        }
        Err(error) => {
            app.sessions.forget(&headers);
            pages::trouble(&app, &error)
        }
    }
}

/// `POST /sign-out`: forgets everything here, then signs out at Keywright.
pub(super) async fn sign_out(State(app): State<Arc<SampleApp>>, headers: HeaderMap) -> Response {
    if !is_own_form(&app, &headers) {
        return foreign_form();
    }
    let Some(Session::SignedIn(session)) = app.sessions.find(&headers) else {
        return see_other("/");
    };
    app.sessions.forget(&headers);
    let come_back_to = signed_out_uri(&app.origin);
    match app.provider.sign_out_url(&session.received.id_token, &come_back_to).await {
        Ok(address) => see_other(address.as_deref().unwrap_or("/")),
        Err(fault) => pages::trouble(&app, &fault.into()),
    }
}

/// Whether a form was sent from our own page: other ports of this host send our cookie too.
fn is_own_form(app: &SampleApp, headers: &HeaderMap) -> bool {
    let text = |name: &str| headers.get(name).map(HeaderValue::as_bytes);
    match text("sec-fetch-site") {
        Some(site) => site == b"same-origin",
        None => text("origin") == Some(app.origin.as_bytes()),
    }
}

fn foreign_form() -> Response {
    (StatusCode::FORBIDDEN, "This form was not sent from our own page.").into_response()
}

fn with_cookie(mut response: Response, cookie: Option<HeaderValue>) -> Response {
    if let Some(cookie) = cookie {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    response
}
