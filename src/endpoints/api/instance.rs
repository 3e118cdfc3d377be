//! `GET /api/v1/instance`: what an app can offer here, so that its forms show what there is.

use axum::{
    extract::{RawQuery, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::Response,
};
use serde::Serialize;
use std::sync::Arc;
use url::form_urlencoded;
use utoipa::ToSchema;

use super::{
    call::{check, unfit},
    document::Refusal,
};
use crate::{
    accounts::{passwords::MAX_LENGTH, toggles::Door},
    app::App,
    clients::Client,
    config::PasswordLogin,
    urls::path,
    web::{error::json, params::Params, problem::Problem},
};

/// What there is.
#[derive(Serialize, ToSchema)]
struct Instance {
    /// What this place is called.
    name: String,
    /// Its issuer (OIDC Discovery §3).
    issuer: String,
    sign_in: SignInWays,
    sign_up: SignUpDoor,
    /// Whether a lost password is replaced by mail.
    recovery: bool,
    password: PasswordRule,
}

/// How people sign in.
#[derive(Serialize, ToSchema)]
struct SignInWays {
    /// By a password.
    password: bool,
    /// By a passkey, on our own pages.
    passkey: bool,
    /// By an upstream, on our own pages.
    upstreams: Vec<UpstreamWay>,
}

/// An upstream.
#[derive(Serialize, ToSchema)]
struct UpstreamWay {
    /// Its short name.
    slug: String,
    /// What its button says.
    name: String,
    /// The authorization request that leads straight there, without what the app adds: its
    /// `redirect_uri`, `response_type`, `scope`, `state` and `code_challenge`.
    start: String,
}

/// How people get an account.
#[derive(Serialize, ToSchema)]
struct SignUpDoor {
    /// `open`, `invite` or `closed`.
    mode: &'static str,
    /// Whether an address is taken: `off`, `optional` or `required`.
    email: &'static str,
    /// Whether an administrator has to approve a new account.
    approval: bool,
}

/// What a password must be.
#[derive(Serialize, ToSchema)]
struct PasswordRule {
    /// The fewest characters.
    min_length: u32,
    /// The most.
    max_length: usize,
}

/// Says what an app can offer.
#[utoipa::path(
    get,
    operation_id = "instance",
    path = "/api/v1/instance",
    params(("client_id" = Option<String>, Query, description = "The app, for what it accepts")),
    security(()),
    responses(
        (status = 200, description = "What there is", body = Instance),
        (status = 403, description = "`unauthorized_client`, `origin_not_allowed`", body = Refusal),
        (status = 422, description = "`invalid_request`: a parameter stands twice, or no such client", body = Refusal),
    )
)]
pub(super) async fn instance(
    State(app): State<App>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let client = client(&app, query.as_deref().unwrap_or_default())?;
    if let Some(client) = &client {
        check(client, &headers)?;
    }
    let accepts_local = client.as_ref().is_none_or(|client| client.accepts(None));
    let on = accepts_local && app.config.passwords.login == PasswordLogin::On;
    let instance = Instance {
        name: app.config.branding.name.clone(),
        issuer: app.urls.issuer().to_owned(),
        sign_in: SignInWays {
            password: on && app.has_local_accounts(app.now()).await?,
            passkey: accepts_local && app.passkeys.is_some(),
            upstreams: upstreams(&app, client.as_deref()),
        },
        sign_up: SignUpDoor {
            mode: if on { app.door(Door::Local).mode.as_str() } else { "closed" },
            email: app.config.signup.email.as_str(),
            approval: app.rules.approval().needed,
        },
        recovery: app.recovery_is_open(),
        password: PasswordRule {
            min_length: app.config.passwords.min_length,
            max_length: MAX_LENGTH,
        },
    };
    let mut response = json(StatusCode::OK, &instance);
    let shortly = HeaderValue::from_static("public, max-age=60");
    response.headers_mut().insert(header::CACHE_CONTROL, shortly);
    Ok(response)
}

fn client(app: &App, query: &str) -> Result<Option<Arc<Client>>, Problem> {
    let params = Params::read(query.as_bytes());
    let params = params.map_err(|_twice| unfit("invalid_request", "a parameter stands twice"))?;
    let Some(id) = params.get("client_id") else {
        return Ok(None);
    };
    let client = app.clients.find(id);
    client.map(Some).ok_or_else(|| unfit("invalid_request", "there is no such client"))
}

fn upstreams(app: &App, client: Option<&Client>) -> Vec<UpstreamWay> {
    let accepted = app
        .upstreams
        .iter()
        .filter(|upstream| client.is_none_or(|client| client.accepts(Some(upstream.slug()))));
    let way = |upstream: &Arc<crate::federation::Upstream>| {
        let mut query = form_urlencoded::Serializer::new(String::new());
        if let Some(client) = client {
            query.append_pair("client_id", client.id().as_str());
        }
        query.append_pair("idp_hint", upstream.slug().as_str());
        let start = format!("{}?{}", app.urls.absolute(path::AUTHORIZE), query.finish());
        let (slug, name) = (upstream.slug().as_str().to_owned(), upstream.settings.name.clone());
        UpstreamWay { slug, name, start }
    };
    accepted.map(way).collect()
}
