//! What every call begins with: strict JSON, and a client that may use the API and is who it says it is.

use std::{net::IpAddr, sync::Arc};

use axum::{
    extract::{FromRequest, Request},
    http::{HeaderMap, StatusCode, header},
};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::cross_origin;
use crate::{
    app::App,
    audit::Event,
    clients::Client,
    foundation::{
        clock::Timestamp,
        ids::{TraceId, UserId},
        opaque::{Opaque, OpaqueKind},
        secret::Secret,
        strict_json,
    },
    protocol::scope::{OPENID, Scope},
    web::{address, browser_app, client_auth, params, problem::Problem},
};

/// A call of a client.
pub(super) struct Call<T> {
    pub(super) client: Arc<Client>,
    pub(super) body: T,
    pub(super) headers: HeaderMap,
    pub(super) from: IpAddr,
    pub(super) trace: TraceId,
    pub(super) now: Timestamp,
}

/// A body that says which client calls.
pub(super) trait OfClient: DeserializeOwned + Send + Sync {
    fn client_id(&self) -> Option<&str>;
}

macro_rules! of_client {
    ($($body:ty),+ $(,)?) => {$(
        impl $crate::endpoints::api::call::OfClient for $body {
            fn client_id(&self) -> Option<&str> {
                self.client_id.as_deref()
            }
        }
    )+};
}
pub(super) use of_client;

impl<T: OfClient> FromRequest<App> for Call<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &App) -> Result<Self, Problem> {
        let from = address::of(app, request.extensions(), request.headers());
        let (headers, body): (_, T) = read(request).await?;
        let client = client_auth::prove(app, &headers, (body.client_id(), None), from).await?;
        check(&client, &headers)?;
        check_page(&client, &headers)?;
        let trace = TraceId::generate(app.random());
        Ok(Self { client, body, headers, from, trace, now: app.now() })
    }
}

impl<T> Call<T> {
    /// An event of this call.
    pub(super) fn event(&self, event: Event) -> Event {
        event.trace(&self.trace).client(self.client.id()).address(self.from.to_string())
    }

    /// A refusal that is kept.
    pub(super) fn refuse(
        &self,
        problem: Problem,
        (action, reason): (&'static str, &'static str),
        user: Option<&UserId>,
    ) -> Problem {
        let event = self.event(Event::refused(action, reason));
        problem.event(match user {
            Some(user) => event.user(user),
            None => event,
        })
    }

    /// Names the story and the client in the event of a refusal from elsewhere.
    pub(super) fn told(&self, refusal: impl Into<Problem>) -> Problem {
        let mut problem = refusal.into();
        problem.event = problem.event.map(|event| self.event(event));
        problem
    }

    /// The refresh token that is presented: as a cookie by an app whose pages see none, else in the body.
    /// None, if it is no such token.
    pub(super) fn held(
        &self,
        app: &App,
        in_body: Option<&Secret>,
    ) -> Result<Option<Opaque>, Problem> {
        match (self.client.settings.session_token, in_body) {
            (true, None) => Ok(browser_app::refresh_token(app, &self.client, &self.headers)),
            (true, Some(_)) => {
                let detail = "the refresh token is the cookie; the body names none";
                Err(unfit("invalid_request", detail))
            }
            (false, Some(text)) => Ok(Opaque::parse(OpaqueKind::RefreshToken, text.expose())),
            (false, None) => Err(unfit("invalid_request", "refresh_token is missing")),
        }
    }

    /// What is asked, as far as the client may have it; that somebody signs in, when nothing is asked.
    pub(super) fn scope(&self, asked: Option<&str>) -> Result<Scope, Problem> {
        let asked = Scope::parse(asked.unwrap_or(OPENID)).ok_or_else(|| {
            unfit("invalid_scope", "scope is too long or cannot be read (RFC 6749 §3.3)")
        })?;
        Ok(asked.limited_to(&self.client.scope))
    }
}

/// The client may use the API, and a page that calls is its own.
pub(super) fn check(client: &Client, headers: &HeaderMap) -> Result<(), Problem> {
    let refuse = |code, detail: &str, reason| {
        let event = Event::refused("api", reason).client(client.id());
        Err(Problem::new(StatusCode::FORBIDDEN, code, detail).event(event))
    };
    if !client.settings.api {
        let detail = "this client may not draw its own forms: use the code flow, or set api = true";
        return refuse("unauthorized_client", detail, "api_off");
    }
    let mut origins = headers.get_all(header::ORIGIN).iter();
    if !origins.all(|origin| cross_origin::is_of(client, origin)) {
        let detail = "the page that calls is at no origin of this client's redirect_uris";
        return refuse("origin_not_allowed", detail, "origin_not_allowed");
    }
    Ok(())
}

/// A page whose refresh token is a cookie has to be the app's own, whatever it asks for.
pub(super) fn check_page(client: &Client, headers: &HeaderMap) -> Result<(), Problem> {
    if client.settings.session_token {
        browser_app::check(client, headers)?;
    }
    Ok(())
}

/// Reads a body: JSON and nothing else, no member twice, none that is unknown (AD-02, IJ-10).
pub(super) async fn read<T: DeserializeOwned>(request: Request) -> Result<(HeaderMap, T), Problem> {
    let headers = request.headers().clone();
    if request.uri().query().is_some_and(|query| !query.is_empty()) {
        return Err(unfit("invalid_request", "parameters belong in the body, not in the query"));
    }
    if headers.contains_key(header::CONTENT_ENCODING) || !is_json(&headers) {
        let (status, detail) = (StatusCode::UNSUPPORTED_MEDIA_TYPE, "send application/json");
        return Err(Problem::new(status, "unsupported_media_type", detail));
    }
    let body = params::body(request).await.map_err(|status| {
        Problem::new(status, "unreadable", "the body is too large, or did not arrive in time")
    })?;
    let object = strict_json::object(&body).ok_or_else(|| {
        let detail = "the body is no JSON object, or a member stands in it twice";
        unfit("invalid_json", detail)
    })?;
    let body = serde_json::from_value(Value::Object(object)).map_err(|_unfit| {
        // What stands there is not repeated: it may be a password.
        unfit("invalid_request", "a member is missing, unknown, or of another type")
    })?;
    Ok((headers, body))
}

fn is_json(headers: &HeaderMap) -> bool {
    let mut lines = headers.get_all(header::CONTENT_TYPE).iter();
    let line =
        lines.next().and_then(|value| value.to_str().ok()).filter(|_| lines.next().is_none());
    let essence = line.map(|value| value.split(';').next().unwrap_or_default().trim());
    essence.is_some_and(|essence| essence.eq_ignore_ascii_case("application/json"))
}

/// What was sent cannot be used as it is.
pub(super) fn unfit(code: &'static str, detail: &str) -> Problem {
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, code, detail)
}

/// A secret as it stands in a body.
pub(super) fn secret<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Secret, D::Error> {
    serde::Deserialize::deserialize(from).map(|text: String| Secret::new(text))
}

/// The same where it may be left out.
pub(super) fn maybe_secret<'de, D: serde::Deserializer<'de>>(
    from: D,
) -> Result<Option<Secret>, D::Error> {
    let text: Option<String> = serde::Deserialize::deserialize(from)?;
    Ok(text.map(Secret::new))
}
