//! The token endpoint: who may ask, how, and what the tokens say.

mod app_claims;
mod clients;
mod contents;
mod crowd;
mod grants;
mod origins;
mod requests;
mod without_state;

use axum::http::{Method, Request, header};
use bytes::Bytes;

use crate::support::app::{Answer, ISSUER, TestApp};

pub(crate) const FORM: &str = "application/x-www-form-urlencoded";

/// Posts a body as it is, of any kind, with or without credentials.
pub(crate) async fn post_raw(
    app: &TestApp,
    path: &str,
    content_type: Option<&str>,
    authorization: Option<&[u8]>,
    body: &str,
) -> Answer {
    let mut request = Request::builder().method(Method::POST).uri(format!("{ISSUER}{path}"));
    if let Some(value) = content_type {
        request = request.header(header::CONTENT_TYPE, value);
    }
    if let Some(value) = authorization {
        request = request.header(header::AUTHORIZATION, value);
    }
    app.send(request.body(Bytes::from(body.to_owned())).unwrap()).await
}
