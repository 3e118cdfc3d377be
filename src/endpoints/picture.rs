//! `GET /picture/{name}`: the picture of somebody, for whoever was told its name.
//!
//! It is of our own drawing, and is served as what it is and nothing else (IJ-05).

use axum::{
    extract::{Path, State},
    http::{HeaderValue, header},
    response::{IntoResponse as _, Response},
};

use crate::{
    app::App,
    store::{StoreError, pictures},
    web::error::PageError,
};

/// A name has so many characters: 32 bytes of chance.
const NAME: usize = 43;
/// Apps show it on pages of their own.
const ANYWHERE: &str = "cross-origin";

/// `GET /picture/{name}`.
pub async fn show(State(app): State<App>, Path(name): Path<String>) -> Result<Response, PageError> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    if name.len() != NAME || !name.bytes().all(fits) {
        return Err(PageError::not_found());
    }
    let found = pictures::find(&mut app.connection().await?, &name).await;
    let Some(content) = found.map_err(StoreError::from)? else {
        return Err(PageError::not_found());
    };
    let mut response = content.into_response();
    let headers = response.headers_mut();
    let mut put = |name, value| headers.insert(name, HeaderValue::from_static(value));
    put(header::CONTENT_TYPE, "image/webp");
    put(header::CONTENT_SECURITY_POLICY, "default-src 'none'; sandbox");
    put(header::CACHE_CONTROL, "public, max-age=86400");
    put(header::HeaderName::from_static("cross-origin-resource-policy"), ANYWHERE);
    Ok(response)
}
