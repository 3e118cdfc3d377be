//! Cookies as browsers treat them (RFC 6265bis): host, path, `Secure`, `SameSite`, name prefixes.

use axum::http::{HeaderMap, Method, header};
use chrono::DateTime;
use url::{Host, Url};

/// How a request's target relates to whoever started the request, nearest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum SiteRelation {
    None,
    SameOrigin,
    SameSite,
    CrossSite,
}

impl SiteRelation {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::SameOrigin => "same-origin",
            Self::SameSite => "same-site",
            Self::CrossSite => "cross-site",
        }
    }

    pub(super) fn between(from: &Url, to: &Url) -> Self {
        if from.origin() == to.origin() {
            Self::SameOrigin
        } else if from.scheme() == to.scheme() && site(from) == site(to) {
            Self::SameSite
        } else {
            Self::CrossSite
        }
    }
}

/// The registrable domain: two labels, which is right for every name the tests use.
fn site(url: &Url) -> String {
    match url.host() {
        Some(Host::Domain(name)) => {
            let labels: Vec<&str> = name.rsplit('.').take(2).collect();
            labels.join(".")
        }
        Some(address) => address.to_string(),
        None => String::new(),
    }
}

/// A stored cookie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cookie {
    pub(crate) name: String,
    pub(crate) value: String,
    /// The host it belongs to.
    pub(crate) host: String,
    /// Whether subdomains get it too, because it came with `Domain`.
    pub(crate) for_subdomains: bool,
    pub(crate) path: String,
    pub(crate) secure: bool,
    pub(crate) http_only: bool,
    pub(crate) same_site: Option<String>,
    pub(crate) max_age: Option<i64>,
    pub(crate) expires: Option<String>,
}

/// A `Set-Cookie` header as it arrived, with what the browser made of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SetCookie {
    pub(crate) url: Url,
    pub(crate) raw: String,
    pub(crate) cookie: Cookie,
    /// Why the browser did not keep it.
    pub(crate) refused: Option<&'static str>,
}

/// All cookies of one browser, and every `Set-Cookie` it ever saw.
#[derive(Clone, Debug, Default)]
pub(crate) struct CookieJar {
    cookies: Vec<Cookie>,
    log: Vec<SetCookie>,
}

impl CookieJar {
    /// The stored cookies.
    pub(crate) fn all(&self) -> &[Cookie] {
        &self.cookies
    }

    /// The stored cookie of that name.
    pub(crate) fn get(&self, name: &str) -> Option<&Cookie> {
        self.cookies.iter().find(|cookie| cookie.name == name)
    }

    /// Removes and returns the cookie of that name.
    pub(crate) fn remove(&mut self, name: &str) -> Option<Cookie> {
        let at = self.cookies.iter().position(|cookie| cookie.name == name)?;
        Some(self.cookies.remove(at))
    }

    /// Stores a cookie as it is, for instance a stolen or a forged one.
    pub(crate) fn plant(&mut self, cookie: Cookie) {
        self.cookies.retain(|other| !same_slot(other, &cookie));
        self.cookies.push(cookie);
    }

    /// Changes the value of a stored cookie, as an attacker at the keyboard would.
    pub(crate) fn overwrite(&mut self, name: &str, value: &str) {
        let cookie = self.cookies.iter_mut().find(|cookie| cookie.name == name);
        cookie.unwrap_or_else(|| panic!("no cookie {name}")).value = value.into();
    }

    /// Removes all cookies.
    pub(crate) fn clear(&mut self) {
        self.cookies.clear();
    }

    /// Closes the browser: cookies without `Max-Age` and `Expires` are gone.
    pub(crate) fn close_browser(&mut self) {
        self.cookies.retain(|cookie| cookie.max_age.is_some() || cookie.expires.is_some());
    }

    /// Every `Set-Cookie` header so far, also refused ones and deletions.
    pub(crate) fn log(&self) -> &[SetCookie] {
        &self.log
    }

    /// The `Cookie` header for a top-level navigation.
    pub(super) fn header_for(
        &self,
        url: &Url,
        method: &Method,
        relation: SiteRelation,
    ) -> Option<String> {
        let fits = |cookie: &&Cookie| cookie.fits(url) && cookie.same_site_allows(method, relation);
        let mut cookies: Vec<&Cookie> = self.cookies.iter().filter(fits).collect();
        cookies.sort_by_key(|cookie| std::cmp::Reverse(cookie.path.len()));
        let pairs = cookies.iter().map(|cookie| format!("{}={}", cookie.name, cookie.value));
        let pairs: Vec<String> = pairs.collect();
        (!pairs.is_empty()).then(|| pairs.join("; "))
    }

    pub(super) fn store(&mut self, url: &Url, headers: &HeaderMap) {
        for value in headers.get_all(header::SET_COOKIE) {
            let raw = String::from_utf8_lossy(value.as_bytes()).into_owned();
            let cookie = Cookie::parse(&raw, url);
            let refused = cookie.refusal(&raw, url);
            if refused.is_none() {
                self.cookies.retain(|other| !same_slot(other, &cookie));
                if !cookie.is_deletion() {
                    self.cookies.push(cookie.clone());
                }
            }
            self.log.push(SetCookie { url: url.clone(), raw, cookie, refused });
        }
    }
}

fn same_slot(one: &Cookie, other: &Cookie) -> bool {
    (&one.name, &one.host, &one.path) == (&other.name, &other.host, &other.path)
}

impl Cookie {
    fn parse(raw: &str, url: &Url) -> Self {
        let mut parts = raw.split(';').map(str::trim);
        let pair = parts.next().unwrap_or_default();
        let (name, value) = pair.split_once('=').unwrap_or(("", pair));
        let mut cookie = Self {
            name: name.trim().into(),
            value: value.trim().into(),
            host: url.host_str().unwrap_or_default().into(),
            for_subdomains: false,
            path: default_path(url),
            secure: false,
            http_only: false,
            same_site: None,
            max_age: None,
            expires: None,
        };
        for part in parts {
            let (key, value) = part.split_once('=').unwrap_or((part, ""));
            cookie.set_attribute(&key.to_ascii_lowercase(), value.trim());
        }
        cookie
    }

    fn set_attribute(&mut self, key: &str, value: &str) {
        match key {
            "secure" => self.secure = true,
            "httponly" => self.http_only = true,
            "samesite" => self.same_site = Some(value.to_ascii_lowercase()),
            "path" if value.starts_with('/') => self.path = value.into(),
            "max-age" => self.max_age = value.parse().ok(),
            "expires" => self.expires = Some(value.into()),
            "domain" if !value.is_empty() => {
                self.host = value.trim_start_matches('.').to_ascii_lowercase();
                self.for_subdomains = true;
            }
            _ => {}
        }
    }

    /// Why a browser would drop this cookie. Unlike some, this one wants TLS for `Secure` on
    /// loopback too, because Safari does.
    fn refusal(&self, raw: &str, url: &Url) -> Option<&'static str> {
        let secure_origin = url.scheme() == "https";
        let host_prefixed = self.name.starts_with("__Host-");
        let rules = [
            (self.name.is_empty(), "it has no name"),
            (raw.len() > 4096, "it is longer than 4096 bytes"),
            (raw.bytes().any(|byte| byte < b' '), "it contains control characters"),
            (!self.reaches_host(url), "its Domain is another host"),
            (self.secure && !secure_origin, "Secure, but not over https"),
            (self.name.starts_with("__Secure-") && !self.secure, "__Secure- without Secure"),
            (host_prefixed && !self.secure, "__Host- without Secure"),
            (host_prefixed && self.for_subdomains, "__Host- with Domain"),
            (host_prefixed && self.path != "/", "__Host- without Path=/"),
            (
                self.same_site.as_deref() == Some("none") && !self.secure,
                "SameSite=None, not Secure",
            ),
        ];
        rules.into_iter().find(|(broken, _)| *broken).map(|(_, reason)| reason)
    }

    /// A deletion has no time left. Other expiry is not simulated: the tests' clock is frozen.
    pub(crate) fn is_deletion(&self) -> bool {
        match (self.max_age, &self.expires) {
            (Some(seconds), _) => seconds <= 0,
            (None, Some(date)) => {
                DateTime::parse_from_rfc2822(date).is_ok_and(|date| date.timestamp() <= 0)
            }
            (None, None) => false,
        }
    }

    fn reaches_host(&self, url: &Url) -> bool {
        let host = url.host_str().unwrap_or_default();
        let is_name = matches!(url.host(), Some(Host::Domain(_)));
        let below = host.strip_suffix(&self.host).is_some_and(|front| front.ends_with('.'));
        host == self.host || (self.for_subdomains && is_name && below)
    }

    fn fits(&self, url: &Url) -> bool {
        let path = url.path();
        let below = path.strip_prefix(&self.path).is_some_and(|rest| {
            rest.is_empty() || self.path.ends_with('/') || rest.starts_with('/')
        });
        self.reaches_host(url) && below && (!self.secure || url.scheme() == "https")
    }

    /// Without the attribute, browsers assume `Lax`.
    fn same_site_allows(&self, method: &Method, relation: SiteRelation) -> bool {
        match self.same_site.as_deref() {
            _ if relation != SiteRelation::CrossSite => true,
            Some("none") => true,
            Some("strict") => false,
            _ => method.is_safe(),
        }
    }
}

/// RFC 6265 §5.1.4: the directory of the address.
fn default_path(url: &Url) -> String {
    match url.path().rsplit_once('/') {
        Some((directory, _)) if !directory.is_empty() => directory.into(),
        _ => "/".into(),
    }
}
