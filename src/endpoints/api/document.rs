//! `GET /api/v1/openapi.json`: what there is to call, generated from the handlers themselves.

use axum::{
    Extension,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use bytes::Bytes;
use utoipa::{
    Modify, OpenApi, ToSchema,
    openapi::{
        self, Server,
        security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
    },
};

use crate::app::App;

/// A refusal (RFC 9457). Its media type is `application/problem+json`.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it is written elsewhere, and described here")]
pub(super) struct Refusal {
    /// An address that stands for `code`.
    r#type: String,
    /// What the status is called.
    title: String,
    /// The status.
    status: u16,
    /// What happened, for the developer of the app.
    detail: String,
    /// What happened, in one word, by which apps go.
    code: String,
    /// The name of the story, by which administrators find what is kept about it.
    trace_id: String,
    /// With `second_factor_required`: what the code is given with.
    continuation: Option<String>,
    /// With `second_factor_required`: what would do.
    methods: Option<Vec<String>>,
    /// Where the person can go on, on a page of ours.
    page: Option<String>,
    /// What is wrong with what was sent, by its name.
    fields: Option<std::collections::BTreeMap<String, String>>,
    /// With `access_denied`: why.
    reason: Option<String>,
}

/// What the document says of the whole.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Keywright",
        description = "Sign-up, sign-in and account for apps that draw their own forms."
    ),
    modifiers(&Schemes)
)]
struct About;

struct Schemes;

impl Modify for Schemes {
    fn modify(&self, document: &mut openapi::OpenApi) {
        let components = document.components.get_or_insert_default();
        let basic = HttpBuilder::new().scheme(HttpAuthScheme::Basic);
        let basic = basic.description(Some("A confidential client: its id and its secret."));
        let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer);
        let bearer = bearer.description(Some("An access token of the app, with the scope openid."));
        components.add_security_scheme("client", SecurityScheme::Http(basic.build()));
        components.add_security_scheme("token", SecurityScheme::Http(bearer.build()));
    }
}

/// The document without its paths.
pub(super) fn about() -> openapi::OpenApi {
    About::openapi()
}

/// The document as it is served.
#[derive(Clone)]
pub(super) struct Written(Bytes);

impl Written {
    /// Writes it down, with our own address.
    pub(super) fn of(app: &App, mut document: openapi::OpenApi) -> Self {
        document.servers = Some(vec![Server::new(app.urls.issuer())]);
        Self(Bytes::from(serde_json::to_vec(&document).unwrap_or_default()))
    }
}

/// Describes what there is to call.
#[utoipa::path(
    get,
    operation_id = "describe",
    path = "/api/v1/openapi.json",
    security(()),
    responses((status = 200, description = "This document (OpenAPI 3.1)", body = Object))
)]
pub(super) async fn show(Extension(document): Extension<Written>) -> Response {
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=300")),
    ];
    (StatusCode::OK, headers, document.0).into_response()
}
