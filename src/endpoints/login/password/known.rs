//! Browsers that an account knows: a right password was given there within the last 90 days.
//!
//! The browser keeps the proof, bound to its mark and to the account. It opens nothing; it only says
//! that strangers' failures are not this browser's (PW-14).

use axum::http::{HeaderMap, HeaderValue};

use crate::{
    app::App,
    foundation::{
        clock::{Span, Timestamp},
        digest::{base64url, constant_time_eq},
        ids::UserId,
    },
    web::{
        browser::BrowserMark,
        cookies::{self, Cookie},
    },
};

const KNOWN_FOR: Span = Span::from_days(90);

/// Whether this browser is known to this account.
pub(in crate::endpoints::login) fn is_known(
    app: &App,
    headers: &HeaderMap,
    mark: &BrowserMark,
    user: &UserId,
    now: Timestamp,
) -> bool {
    let cookie = cookies::read(headers, Cookie::Known, &app.urls);
    let Some((since, proof)) = cookie.and_then(|cookie| cookie.split_once('.')) else {
        return false;
    };
    let Some(at) = since.parse().ok().map(Timestamp::from_unix) else {
        return false;
    };
    let parts = parts(mark, user, since);
    let mut proofs = app.guesses.ring().macs(&parts).map(|mac| base64url(&mac));
    at <= now
        && now < at.plus(KNOWN_FOR)
        && proofs.any(|own| constant_time_eq(own.as_bytes(), proof.as_bytes()))
}

/// What makes a browser known.
pub(in crate::endpoints::login) fn cookie(
    app: &App,
    mark: &BrowserMark,
    user: &UserId,
    now: Timestamp,
) -> Option<HeaderValue> {
    let since = now.unix().to_string();
    let proof = base64url(&app.guesses.ring().mac(&parts(mark, user, &since)));
    cookies::set(Cookie::Known, &format!("{since}.{proof}"), KNOWN_FOR, &app.urls)
}

fn parts<'a>(mark: &'a BrowserMark, user: &'a UserId, since: &'a str) -> [&'a [u8]; 4] {
    [b"known browser", user.as_str().as_bytes(), mark.bits(), since.as_bytes()]
}
