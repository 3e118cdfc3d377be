//! The authorization endpoint: what it refuses, how it answers, and what it never does.

mod flows;
mod form_post;
mod freshness;
mod hints;
mod pages;
mod parameters;
mod pkce;
mod pushed;
mod redirect_uris;
mod responses;
mod signed_responses;

use crate::support::{
    app::{ISSUER, TestApp},
    browser::{Browser, Page},
    journey::{STATE, code_for, redirect_uri},
};

/// Keywright with alice, who is staff, and bob, who is not.
pub(super) async fn start_with_people(config: &str) -> TestApp {
    let app = TestApp::builder().config(config).start().await;
    app.add_user("alice", &["staff"]).await;
    app.add_user("bob", &[]).await;
    app
}

/// A browser at which this person is signed in.
pub(super) async fn browser_of(app: &TestApp, username: &str) -> Browser {
    let mut browser = app.browser();
    code_for(&mut browser, "web", username, &[]).await;
    browser
}

/// What must be the same after a request that was refused.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Traces {
    /// Commands to the short-lived state: without one, no code and no flow was kept.
    pub(super) commands: u64,
    pub(super) rows: [i64; 4],
}

/// Counts what a request could leave behind.
pub(super) async fn traces(app: &TestApp) -> Traces {
    let commands = app.app.state.commands();
    let rows = [
        app.count("grants").await,
        app.count("refresh_tokens").await,
        app.count("sessions").await,
        app.count("users").await,
    ];
    Traces { commands, rows }
}

/// How often an action was refused for a reason.
pub(super) async fn refusals(app: &TestApp, action: &str, reason: &str) -> usize {
    app.refusals(action).await.iter().filter(|own| *own == reason).count()
}

/// A page of our own, on which a person reads that nothing was done. It leads nowhere by itself.
pub(crate) fn assert_refusal_page(page: &Page, status: u16, reason: &str) {
    assert_eq!(page.status, status, "{}\n{}", page.url, page.text());
    assert_eq!(page.header("location"), None);
    assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
    assert_eq!(page.header("cache-control"), Some("no-store"));
    assert!(page.text().contains(&format!("code: {reason}\n")), "{reason}: {}", page.text());
    assert!(page.forms().is_empty(), "{}", page.text());
    assert!(page.set_cookies().is_empty(), "{:?}", page.set_cookies());
}

/// An error that the client is told at its registered address, as RFC 6749 §4.1.2.1 and RFC 9207
/// want it.
pub(super) fn assert_sent_back(page: &Page, client: &str, error: &str) {
    assert_eq!(page.status, 303, "{} {}", page.url, page.text());
    let location = page.header("location").unwrap();
    assert!(location.starts_with(&format!("{}?", redirect_uri(client))), "{location}");
    let param = |name| page.location_param(name);
    assert_eq!(param("error").as_deref(), Some(error), "{location}");
    assert_eq!(param("state").as_deref(), Some(STATE), "{location}");
    assert_eq!(param("iss").as_deref(), Some(ISSUER), "{location}");
    assert_eq!((param("code"), page.location().unwrap().fragment()), (None, None), "{location}");
    assert_eq!(page.header("cache-control"), Some("no-store"));
    assert_eq!(page.headers.get_all("location").iter().count(), 1);
}

/// Sends requests that the client is told about, and asserts that nothing came of any of them but
/// one event each.
pub(super) async fn assert_all_sent_back(
    app: &TestApp,
    browser: &mut Browser,
    paths: &[String],
    error: &str,
) {
    let (before, events) = (traces(app).await, refusals(app, "authorize", error).await);
    for path in paths {
        let page = browser.get(path).await;
        assert_sent_back(&page, "web", error);
    }
    assert_eq!(traces(app).await, before);
    assert_eq!(refusals(app, "authorize", error).await, events + paths.len());
}

/// Sends requests of which nobody but the person may learn, and asserts the same.
pub(super) async fn assert_all_shown(
    app: &TestApp,
    browser: &mut Browser,
    paths: &[String],
    reason: &str,
) {
    // What cannot be read is no request to anything in particular yet.
    let action = if reason == "invalid_request" { "request" } else { "authorize" };
    let (before, events) = (traces(app).await, refusals(app, action, reason).await);
    for path in paths {
        assert_refusal_page(&browser.get(path).await, 400, reason);
    }
    assert_eq!(traces(app).await, before);
    assert_eq!(refusals(app, action, reason).await, events + paths.len());
}
