//! Forms that only our own pages can post.
//!
//! Two proofs, both needed: the browser says that the request is of our own origin, and the form
//! carries a token that is made from the browser's mark under a key of ours.

use axum::http::{HeaderMap, header};

use super::browser::BrowserMark;
use crate::{
    app::App,
    foundation::digest::{base64url, constant_time_eq},
};

/// The name of the hidden field.
pub const FIELD: &str = "csrf";

/// The token for forms of this browser.
pub fn token(app: &App, mark: &BrowserMark) -> String {
    base64url(&app.csrf_ring.mac(&[mark.bits()]))
}

/// Whether a posted form comes from our own page in this very browser.
pub fn is_own(app: &App, headers: &HeaderMap, token: Option<&str>) -> bool {
    let Some((mark, token)) = BrowserMark::find(app, headers).zip(token) else {
        return false;
    };
    let mut good =
        app.csrf_ring.macs(&[mark.bits()]).map(|mac| base64url(&mac)).collect::<Vec<_>>();
    good.retain(|own| constant_time_eq(own.as_bytes(), token.as_bytes()));
    !good.is_empty() && is_same_origin(app, headers)
}

/// Whether the browser says that the request is of our own origin. `Sec-Fetch-Site` decides where
/// there is one; our own pages send `Origin: null`, because they send no referrer.
fn is_same_origin(app: &App, headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).map(|value: &axum::http::HeaderValue| value.as_bytes());
    match text(header::HeaderName::from_static("sec-fetch-site")) {
        Some(site) => site == b"same-origin",
        None => text(header::ORIGIN) == Some(app.urls.issuer().as_bytes()),
    }
}
