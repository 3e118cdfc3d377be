//! Our cookies: their names, how they are written, and how strictly they are read.
//!
//! With an `https` issuer every name has the `__Host-` prefix. Browsers share cookies between the
//! ports of one host, so on loopback, where several parties live side by side, the name ends with
//! a piece of the issuer's hash instead.

use axum::http::{HeaderMap, HeaderValue, header};

use crate::{
    foundation::{clock::Span, digest::sha256, ids::ClientId},
    urls::Urls,
};

/// A cookie of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cookie {
    /// The secret of the browser session.
    Session,
    /// The mark of the browser, to which flows and forms are bound.
    Browser,
    /// The slug of the upstream that was last used here.
    LastUpstream,
    /// Somebody has signed out here a short while ago.
    SignedOut,
    /// That a right password was given at this browser.
    Known,
    /// That a second factor was given at this browser, and need not be given again for a while.
    Device,
    /// The refresh token of the browser app with this mark.
    RefreshToken([u8; 8]),
}

impl Cookie {
    /// The one for the refresh token of a browser app. Apps on one site share our cookies, so each has
    /// a name of its own.
    pub fn refresh_token_of(client: &ClientId) -> Self {
        let digest = sha256(client.as_str().as_bytes());
        let mut mark = [0; 8];
        for (own, byte) in mark.iter_mut().zip(digest) {
            *own = byte;
        }
        Self::RefreshToken(mark)
    }

    fn name(self, urls: &Urls) -> String {
        let refresh_token;
        let name = match self {
            Self::Session => "kw-session",
            Self::Browser => "kw-browser",
            Self::LastUpstream => "kw-last",
            Self::SignedOut => "kw-signed-out",
            Self::Known => "kw-known",
            Self::Device => "kw-device",
            Self::RefreshToken(mark) => {
                refresh_token = format!("kw-refresh-{:016x}", u64::from_be_bytes(mark));
                &refresh_token
            }
        };
        if urls.is_https() {
            return format!("__Host-{name}");
        }
        let [a, b, c, ..] = sha256(urls.issuer().as_bytes());
        format!("{name}-{a:02x}{b:02x}{c:02x}")
    }
}

impl Cookie {
    /// People come to our pages from elsewhere, and are signed in then; a refresh token is only ever
    /// sent by the pages of its own app, on our own site.
    const fn same_site(self) -> &'static str {
        match self {
            Self::RefreshToken(_) => "Strict",
            _ => "Lax",
        }
    }
}

/// The value of a cookie. Two of the same name are somebody's trick, and count as none (SS-02).
pub fn read<'h>(headers: &'h HeaderMap, cookie: Cookie, urls: &Urls) -> Option<&'h str> {
    let name = cookie.name(urls);
    // Bytes, because a neighbour's cookie on the same line may hold anything.
    let lines = headers.get_all(header::COOKIE).iter();
    let pairs = lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b';'));
    let mut values = pairs.filter_map(|pair| {
        let rest = pair.trim_ascii_start().strip_prefix(name.as_bytes())?;
        let value = rest.strip_prefix(b"=")?;
        Some(std::str::from_utf8(value.trim_ascii_end()).unwrap_or_default())
    });
    match (values.next(), values.next()) {
        (Some(only), None) => Some(only),
        _ => None,
    }
}

/// A `Set-Cookie` that keeps a value for so long.
pub fn set(cookie: Cookie, value: &str, life: Span, urls: &Urls) -> Option<HeaderValue> {
    let secure = if urls.is_https() { "; Secure" } else { "" };
    let text = format!(
        "{}={value}; Path=/; Max-Age={}; HttpOnly; SameSite={}{secure}",
        cookie.name(urls),
        life.seconds(),
        cookie.same_site(),
    );
    HeaderValue::try_from(text).ok()
}

/// A `Set-Cookie` that removes the cookie.
pub fn clear(cookie: Cookie, urls: &Urls) -> Option<HeaderValue> {
    set(cookie, "", Span::ZERO, urls)
}

/// Adds a `Set-Cookie` to an answer.
pub fn add(headers: &mut HeaderMap, cookie: Option<HeaderValue>) {
    if let Some(cookie) = cookie {
        headers.append(header::SET_COOKIE, cookie);
    }
}
