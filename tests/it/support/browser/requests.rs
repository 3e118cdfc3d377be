//! What a browser sends with a navigation: method, `Origin`, Fetch Metadata, cookies.

use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Request};
use bytes::Bytes;
use url::{Url, form_urlencoded};

use super::cookies::{CookieJar, SiteRelation};

/// Who starts a navigation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Initiator {
    /// The person, in the address bar.
    Person,
    /// A page of this address.
    Page(Url),
}

/// A top-level navigation, before it is sent.
#[derive(Clone, Debug)]
pub(crate) struct Navigation {
    pub(crate) method: Method,
    pub(crate) url: Url,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) initiator: Initiator,
    /// The addresses that redirected here.
    chain: Vec<Url>,
}

impl Navigation {
    /// A GET by the person.
    pub(crate) fn get(url: Url) -> Self {
        Self {
            method: Method::GET,
            url,
            headers: HeaderMap::new(),
            body: Bytes::new(),
            initiator: Initiator::Person,
            chain: Vec::new(),
        }
    }

    /// A POST of a form.
    pub(crate) fn post(url: Url, fields: &[(&str, &str)]) -> Self {
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let mut navigation = Self::get(url);
        navigation.method = Method::POST;
        navigation.body = body.into();
        navigation.header("content-type", "application/x-www-form-urlencoded")
    }

    /// Started by a page of this address, for instance an attacker's.
    pub(crate) fn started_by(mut self, page: &Url) -> Self {
        self.initiator = Initiator::Page(page.clone());
        self
    }

    /// Sends a header; it replaces what the browser would send under that name.
    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        insert(&mut self.headers, name, value);
        self
    }

    /// The navigation that a redirect of this one leads to. Fetch standard: 307 and 308 keep method
    /// and body, 303 makes a GET, and so do 301 and 302 after a POST.
    pub(super) fn redirected(&self, status: u16, url: Url) -> Self {
        let mut next = self.clone();
        next.chain.push(std::mem::replace(&mut next.url, url));
        if !matches!(status, 307 | 308) {
            next.method = Method::GET;
            next.body = Bytes::new();
            next.headers.remove("content-type");
        }
        next
    }

    pub(super) fn to_request(&self, defaults: &HeaderMap, jar: &CookieJar) -> Request<Bytes> {
        let relation = self.relation();
        let mut headers = HeaderMap::new();
        insert(&mut headers, "accept", "text/html,application/xhtml+xml,*/*;q=0.8");
        insert(&mut headers, "sec-fetch-site", relation.name());
        insert(&mut headers, "sec-fetch-mode", "navigate");
        insert(&mut headers, "sec-fetch-dest", "document");
        insert(&mut headers, "sec-fetch-user", "?1");
        if self.method != Method::GET {
            insert(&mut headers, "origin", &self.origin());
        }
        if let Some(cookies) = jar.header_for(&self.url, &self.method, relation) {
            insert(&mut headers, "cookie", &cookies);
        }
        for (name, value) in defaults.iter().chain(&self.headers) {
            headers.insert(name, value.clone());
        }
        let mut url = self.url.clone();
        url.set_fragment(None);
        let mut request = Request::new(self.body.clone());
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = url.as_str().parse().expect("an address");
        *request.headers_mut() = headers;
        request
    }

    /// How the target relates to the initiator and to every redirect on the way. A way over another
    /// site counts as cross-site even when the person began it: at a real provider the person acts
    /// on a page of that site.
    fn relation(&self) -> SiteRelation {
        let initiator = match &self.initiator {
            Initiator::Page(page) => Some(page),
            Initiator::Person => None,
        };
        let hops = initiator.into_iter().chain(&self.chain);
        let nearest =
            if initiator.is_some() { SiteRelation::SameOrigin } else { SiteRelation::None };
        hops.map(|hop| SiteRelation::between(hop, &self.url))
            .filter(|relation| initiator.is_some() || *relation == SiteRelation::CrossSite)
            .fold(nearest, SiteRelation::max)
    }

    /// `null` once a redirect came from a foreign origin and left it (Fetch standard).
    fn origin(&self) -> String {
        let Initiator::Page(page) = &self.initiator else { return "null".into() };
        let urls: Vec<&Url> = self.chain.iter().chain([&self.url]).collect();
        let tainted = urls
            .windows(2)
            .any(|pair| pair[0].origin() != pair[1].origin() && pair[0].origin() != page.origin());
        if tainted { "null".into() } else { page.origin().ascii_serialization() }
    }
}

pub(super) fn insert(headers: &mut HeaderMap, name: &str, value: &str) {
    let name = HeaderName::try_from(name).expect("a header name");
    headers.insert(name, HeaderValue::from_str(value).expect("a header value"));
}
