//! Style, script and icons: inside the binary, under names that hold their hash, so that browsers
//! keep them for ever and never keep an old one.

use std::sync::LazyLock;

use axum::{
    extract::Path,
    http::{HeaderValue, header},
    response::{IntoResponse as _, Response},
};
use base64::Engine as _;
use rust_embed::RustEmbed;

use super::error::PageError;
use crate::{foundation::digest::base64url, urls::path};

#[derive(RustEmbed)]
#[folder = "static/"]
struct Files;

/// The addresses of the assets that pages name.
#[derive(Debug)]
pub struct Hrefs {
    /// The style of all pages.
    pub css: String,
    /// The script of all pages.
    pub script: String,
    /// The script of the one page that posts itself.
    pub form_post: String,
    /// The icon, as a `data:` address: one request less for every page.
    pub favicon: String,
}

/// The addresses, computed once.
pub static HREFS: LazyLock<Hrefs> = LazyLock::new(|| Hrefs {
    css: href("app.css"),
    script: href("app.js"),
    form_post: href("form-post.js"),
    favicon: favicon(),
});

fn href(name: &str) -> String {
    path::ASSET.replace("{name}", &hashed_name(name))
}

fn hashed_name(name: &str) -> String {
    let hash = Files::get(name).map(|file| base64url(&file.metadata.sha256_hash()));
    let hash: String = hash.unwrap_or_default().chars().take(12).collect();
    format!("{hash}-{name}")
}

fn favicon() -> String {
    let svg = Files::get("favicon.svg").map(|file| file.data).unwrap_or_default();
    let base64 = base64::engine::general_purpose::STANDARD.encode(svg);
    format!("data:image/svg+xml;base64,{base64}")
}

/// `GET /assets/{name}`.
pub async fn get(Path(name): Path<String>) -> Result<Response, PageError> {
    // The hash may hold hyphens; the name of the file comes after twelve characters of it.
    let file = name.get(13..).filter(|file| hashed_name(file) == name);
    let found = file.and_then(|file| Files::get(file).map(|found| (file, found)));
    let Some((file, found)) = found else {
        return Err(PageError::not_found());
    };
    let kind = match file.rsplit_once('.').map(|(_, ending)| ending) {
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("svg") => "image/svg+xml",
        _ => "application/octet-stream",
    };
    let mut response = found.data.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    let immutable = HeaderValue::from_static("public, max-age=31536000, immutable");
    headers.insert(header::CACHE_CONTROL, immutable);
    Ok(response)
}
