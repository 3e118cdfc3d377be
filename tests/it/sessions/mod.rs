//! Browser sessions: their cookies, their ends, and the forms that only our own pages can post.

mod account_page;
mod cookies;
mod csrf;
mod fixation;
mod foreign_stores;
mod headers;
mod lifetimes;

use axum::http::{HeaderValue, Request, header};
use bytes::Bytes;

use crate::support::{
    app::{Answer, Builder, ISSUER, TestApp},
    browser::Browser,
    journey::sign_in_on_page,
};

/// The cookie with the secret of the session.
pub(crate) const SESSION: &str = "__Host-kw-session";
/// The cookie with the mark of the browser.
pub(crate) const BROWSER: &str = "__Host-kw-browser";

/// Signs a local person in at their own account page, and answers the secret of the session.
pub(crate) async fn sign_in(browser: &mut Browser, username: &str) -> String {
    let journey = browser.visit("/account").await;
    let journey = sign_in_on_page(browser, &journey, username).await;
    let last = journey.last();
    assert_eq!((last.status, last.url.path()), (200, "/account"), "{:?}", journey.hops());
    cookie(browser, SESSION)
}

/// The value of a cookie of ours.
pub(crate) fn cookie(browser: &Browser, name: &str) -> String {
    let cookie = browser.cookies().get(name);
    cookie.unwrap_or_else(|| panic!("no cookie {name}")).value.clone()
}

/// The `Cookie` line of a browser that is signed in.
pub(crate) fn cookie_line(browser: &Browser) -> String {
    let pair = |name| format!("{name}={}", cookie(browser, name));
    format!("{}; {}", pair(SESSION), pair(BROWSER))
}

/// Gets a page with exactly these `Cookie` lines.
pub(crate) async fn get_with_cookies(app: &TestApp, path: &str, lines: &[&[u8]]) -> Answer {
    let mut request = Request::builder().uri(format!("{ISSUER}{path}"));
    for line in lines {
        request = request.header(header::COOKIE, HeaderValue::from_bytes(line).unwrap());
    }
    app.send(request.body(Bytes::new()).unwrap()).await
}

/// Whom the house sees behind these `Cookie` lines: a username, or nobody.
pub(crate) async fn person_behind(app: &TestApp, lines: &[&[u8]]) -> Option<String> {
    let answer = get_with_cookies(app, "/account", lines).await;
    if answer.status == 303 {
        let to = answer.headers[header::LOCATION].to_str().unwrap();
        // To our page, or to the only upstream.
        let upstream = app.app.upstreams.iter().next().map(|only| only.settings.issuer.to_string());
        let there = upstream.is_some_and(|issuer| to.starts_with(&issuer));
        assert!(there || to.starts_with("/login?flow="), "{to}");
        return None;
    }
    assert_eq!(answer.status, 200, "{answer:?}");
    Some(username_on(&String::from_utf8_lossy(&answer.body)))
}

/// Whom the house sees behind this secret of a session.
pub(crate) async fn person_of(app: &TestApp, secret: &str) -> Option<String> {
    person_behind(app, &[format!("{SESSION}={secret}").as_bytes()]).await
}

/// The username that an account page names.
pub(crate) fn username_on(page: &str) -> String {
    let (_, rest) = page.split_once("<dt>Username</dt><dd><bdi>").expect("an account page");
    rest.split_once('<').unwrap().0.to_owned()
}

/// The form token of the browser's pages, while it is signed in.
pub(crate) async fn form_token(browser: &mut Browser) -> String {
    let page = browser.get("/account").await;
    page.form_to("/logout").value("csrf").unwrap().to_owned()
}

/// Reasons in the order of their names: events of one second have no order among themselves.
pub(crate) fn sorted(mut reasons: Vec<String>) -> Vec<String> {
    reasons.sort();
    reasons
}

/// Stops an instance as the end of its process would, and begins building one in its place.
pub(crate) async fn stop(app: TestApp) -> Builder {
    let next = TestApp::builder().beside(&app);
    let tasks = app.app.tasks.clone();
    drop(app);
    tasks.close();
    tasks.wait().await;
    next
}
