//! A browser for tests: it keeps cookies as browsers do and takes every redirect by hand, so that
//! each hop can be asserted. Scripts and sub-resources are not its business.
//!
//! Cloning it copies the cookies; [`Browser::stranger`] is another person at the same network.

mod checks;
mod cookies;
mod html;
mod page;
mod requests;

use std::net::SocketAddr;

use axum::Router;
use axum::http::{HeaderMap, Method};
use url::Url;

pub(crate) use cookies::CookieJar;
pub(crate) use html::Form;
pub(crate) use page::{Journey, Page};
pub(crate) use requests::Navigation;

use crate::support::http::Network;

/// More hops than any sign-in needs; browsers give up at 20 too.
const MAX_HOPS: usize = 20;

/// One person's browser.
#[derive(Clone)]
pub(crate) struct Browser {
    network: Network,
    issuer: Url,
    jar: CookieJar,
    headers: HeaderMap,
    stops: Vec<String>,
}

impl Browser {
    /// A browser that reaches the issuer's origin in process and all others over TCP.
    pub(crate) fn new(router: Router, issuer: &str) -> Self {
        let mut browser = Self::over_network(issuer);
        browser.network.mount(&browser.issuer, router);
        browser
    }

    /// A browser that reaches the issuer over TCP too.
    pub(crate) fn over_network(issuer: &str) -> Self {
        Self {
            network: Network::new(),
            issuer: Url::parse(issuer).expect("an issuer URL"),
            jar: CookieJar::default(),
            headers: HeaderMap::new(),
            stops: Vec::new(),
        }
    }

    /// The same network and settings without any cookie.
    pub(crate) fn stranger(&self) -> Self {
        Self { jar: CookieJar::default(), ..self.clone() }
    }

    /// Answers one more origin in process, or an origin by another router.
    pub(crate) fn mount(&mut self, origin: &str, router: Router) {
        self.network.mount(&Url::parse(origin).expect("an origin"), router);
    }

    /// Does not load redirect targets that start with this text, usually a client's redirect URI.
    pub(crate) fn stop_at(&mut self, prefix: &str) {
        self.stops.push(prefix.into());
    }

    /// Sets the address that in-process requests come from.
    pub(crate) fn set_peer(&mut self, peer: SocketAddr) {
        self.network.set_peer(peer);
    }

    /// Sends a header with every request, for instance `user-agent` or `accept-language`.
    pub(crate) fn set_header(&mut self, name: &str, value: &str) {
        requests::insert(&mut self.headers, name, value);
    }

    /// The cookies.
    pub(crate) fn cookies(&self) -> &CookieJar {
        &self.jar
    }

    /// The cookies, to remove or plant some.
    pub(crate) fn cookies_mut(&mut self) -> &mut CookieJar {
        &mut self.jar
    }

    /// Loads an address as if typed by the person. A path is relative to the issuer.
    pub(crate) async fn get(&mut self, url: &str) -> Page {
        let url = self.resolve(url);
        self.send(Navigation::get(url)).await
    }

    /// Loads an address as if typed, then follows its redirects.
    pub(crate) async fn visit(&mut self, url: &str) -> Journey {
        let page = self.get(url).await;
        self.follow(page).await
    }

    /// Follows a link of a page.
    pub(crate) async fn click(&mut self, page: &Page, href: &str) -> Page {
        let url = page.url.join(href).expect("a link");
        self.send(Navigation::get(url).started_by(&page.url)).await
    }

    /// Posts a form as a page of the issuer would.
    pub(crate) async fn post_form(&mut self, url: &str, fields: &[(&str, &str)]) -> Page {
        let url = self.resolve(url);
        let issuer = self.issuer.clone();
        self.send(Navigation::post(url, fields).started_by(&issuer)).await
    }

    /// Sends a form of a page.
    pub(crate) async fn submit(&mut self, page: &Page, form: &Form) -> Page {
        let fields: Vec<(&str, &str)> =
            form.fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let navigation = if form.method == Method::POST {
            Navigation::post(form.action.clone(), &fields)
        } else {
            let mut url = form.action.clone();
            url.query_pairs_mut().clear().extend_pairs(fields);
            Navigation::get(url)
        };
        self.send(navigation.started_by(&page.url)).await
    }

    /// Sends any navigation and stores the cookies of its answer. Redirects are not followed.
    pub(crate) async fn send(&mut self, navigation: Navigation) -> Page {
        let request = navigation.to_request(&self.headers, &self.jar);
        let (parts, body) = self.network.send(request).await.into_parts();
        self.jar.store(&navigation.url, &parts.headers);
        Page {
            url: navigation.url.clone(),
            status: parts.status.as_u16(),
            headers: parts.headers,
            body,
            navigation,
        }
    }

    /// Follows redirects until a page that is none, or until a target of the stop list.
    pub(crate) async fn follow(&mut self, page: Page) -> Journey {
        let mut pages = vec![page];
        loop {
            let last = pages.last().expect("at least one page");
            let Some(target) = last.redirect_target() else {
                return Journey { pages, stopped_at: None };
            };
            if self.stops.iter().any(|prefix| target.as_str().starts_with(prefix)) {
                return Journey { pages, stopped_at: Some(target) };
            }
            let urls = || pages.iter().map(|page| page.url.as_str()).collect::<Vec<_>>();
            assert!(pages.len() < MAX_HOPS, "redirected too often: {:#?}", urls());
            let next = last.navigation.redirected(last.status, target);
            let page = self.send(next).await;
            pages.push(page);
        }
    }

    fn resolve(&self, url: &str) -> Url {
        self.issuer.join(url).expect("an address")
    }
}
