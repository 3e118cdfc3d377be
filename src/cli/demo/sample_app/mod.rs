//! The sample app: an OpenID Connect client like any other, which shows what it was told.

mod checks;
mod journey;
mod pages;
mod sessions;

use std::sync::Arc;

use axum::{
    Router,
    extract::Request,
    http::{HeaderName, HeaderValue, StatusCode, header},
    middleware::{Next, from_fn},
    response::Response,
    routing::{get, post},
};

use self::sessions::Sessions;
use super::people::SamplePerson;
use crate::{
    federation::client_view::ClientView,
    foundation::{
        clock::{Clock as _, SystemClock, Timestamp},
        digest::base64url,
        random::{self, OsRandom},
    },
    urls::path,
    web::assets,
};

const SIGN_IN: &str = "/sign-in";
const CALLBACK: &str = "/callback";
const REFRESH: &str = "/refresh";
const SIGN_OUT: &str = "/sign-out";
const SIGNED_OUT: &str = "/signed-out";

/// Where the provider sends people back to after they have signed in.
pub(super) fn redirect_uri(origin: &str) -> String {
    format!("{origin}{CALLBACK}")
}

/// Where the provider sends people back to after they have signed out.
pub(super) fn signed_out_uri(origin: &str) -> String {
    format!("{origin}{SIGNED_OUT}")
}

/// The sample app.
#[derive(Debug)]
pub(super) struct SampleApp {
    provider: ClientView,
    origin: String,
    /// Keywright, for the page that says who takes part.
    issuer: String,
    /// Keywright's own provider, for the same page.
    upstream: String,
    people: Arc<Vec<SamplePerson>>,
    sessions: Sessions,
}

impl SampleApp {
    /// The app at `origin`; `origins` are Keywright's and its provider's.
    pub(super) fn new(
        provider: ClientView,
        origin: &str,
        (issuer, upstream): (&str, &str),
        people: Arc<Vec<SamplePerson>>,
    ) -> Arc<Self> {
        Arc::new(Self {
            provider,
            sessions: Sessions::new(origin),
            origin: origin.to_owned(),
            issuer: issuer.to_owned(),
            upstream: upstream.to_owned(),
            people,
        })
    }

    /// Reads what the provider says about itself, so that nobody is sent to a closed door.
    pub(super) async fn look_at_provider(&self) -> anyhow::Result<()> {
        let marks = journey::fresh_marks();
        self.provider.begin(&marks, None, now()).await?;
        Ok(())
    }
}

/// Every route of the sample app.
pub(super) fn router(app: &Arc<SampleApp>) -> Router {
    Router::new()
        .route("/", get(pages::front))
        .route(SIGN_IN, get(journey::sign_in))
        .route(CALLBACK, get(journey::callback))
        .route(REFRESH, post(journey::refresh))
        .route(SIGN_OUT, post(journey::sign_out))
        .route(SIGNED_OUT, get(pages::signed_out))
        .route(path::ASSET, get(assets::get))
        .fallback(async || (StatusCode::NOT_FOUND, "There is nothing at this address."))
        .layer(from_fn(careful_headers))
        .with_state(Arc::clone(app))
}

/// Addresses with codes in them are nobody else's business, and pages with tokens no other page's.
async fn careful_headers(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let careful = [
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    ];
    for (name, value) in careful {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

fn now() -> Timestamp {
    SystemClock.now()
}

/// A text that nobody can guess.
fn chance() -> String {
    base64url(&random::bytes::<32>(&OsRandom))
}
