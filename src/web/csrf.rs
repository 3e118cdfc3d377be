//! Forms that only our own pages can post.
//!
//! Two proofs, both needed: the browser says that the request is of our own origin, and the form
//! carries a token that is made from the browser's mark under a key of ours. Where somebody is signed
//! in, the token has a second part, which is made from their session too: a form that one person left
//! open does nothing to another who has signed in at the same browser since (SS-13).

use axum::http::{HeaderMap, header};

use super::browser::BrowserMark;
use crate::{
    app::App,
    foundation::digest::{base64url, constant_time_eq},
};

/// The name of the hidden field.
pub const FIELD: &str = "csrf";
/// Between the parts of a token; base64url has no such character.
const PARTED: char = '.';

/// The token for forms of this browser.
pub fn token(app: &App, mark: &BrowserMark) -> String {
    let own = base64url(&app.csrf_ring.mac(&[mark.bits()]));
    match mark.session() {
        Some(session) => {
            let of_session = app.csrf_ring.mac(&[mark.bits(), session.to_text().as_bytes()]);
            format!("{own}{PARTED}{}", base64url(&of_session))
        }
        None => own,
    }
}

/// Whether a posted form comes from our own page in this very browser.
pub fn is_own(app: &App, headers: &HeaderMap, token: Option<&str>) -> bool {
    let Some((mark, token)) = BrowserMark::find(app, headers).zip(token) else {
        return false;
    };
    let own = token.split(PARTED).next().unwrap_or_default();
    is_mac_of(app, &[mark.bits()], own) && is_same_origin(app, headers)
}

/// Whether a form of ours was made for the session in which it is posted.
pub fn is_of_session(app: &App, headers: &HeaderMap, token: Option<&str>) -> bool {
    let of_session = token.and_then(|token| token.split_once(PARTED)).map(|(_, part)| part);
    let Some((mark, part)) = BrowserMark::find(app, headers).zip(of_session) else {
        return false;
    };
    mark.session()
        .is_some_and(|session| is_mac_of(app, &[mark.bits(), session.to_text().as_bytes()], part))
}

/// Whether a text is the MAC of these under a key of ours.
fn is_mac_of(app: &App, parts: &[&[u8]], text: &str) -> bool {
    let mut good = app.csrf_ring.macs(parts).map(|mac| base64url(&mac)).collect::<Vec<_>>();
    good.retain(|own| constant_time_eq(own.as_bytes(), text.as_bytes()));
    !good.is_empty()
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
