//! What every page says to browsers, caches and frames.

use super::{browser_of, start_with_people};
use crate::support::{
    app::{ISSUER, TestApp},
    browser::Page,
    fake_upstream::FakeUpstream,
    journey::authorize_path,
};

/// One page of each kind that a person can meet.
async fn all_pages(app: &TestApp) -> Vec<Page> {
    let mut stranger = app.browser();
    let journey = stranger.visit(&authorize_path("web", &[])).await;
    let login = journey.last().clone();
    let wrong = login.form_to("/login").fill("username", "alice").fill("password", "x");
    let forged = login.form_to("/login").without("csrf");
    let mut pages =
        vec![stranger.submit(&login, &wrong).await, stranger.submit(&login, &forged).await];
    pages.push(login);
    let mut browser = browser_of(app, "alice").await;
    for path in [
        authorize_path("web", &[("redirect_uri", "https://evil.test/cb")]),
        authorize_path("nobody", &[]),
        authorize_path("web", &[("response_mode", "form_post")]),
        "/login?flow=x".to_owned(),
        "/nothing/here".to_owned(),
        "/upstream/none/start?flow=x".to_owned(),
        "/upstream/kc/callback?state=x".to_owned(),
        "/account".to_owned(),
        "/logout".to_owned(),
    ] {
        pages.push(browser.get(&path).await);
    }
    pages.push(stranger.get("/logout").await);
    pages
}

/// The values of an attribute anywhere on the page.
fn attributes<'p>(text: &'p str, name: &str) -> Vec<&'p str> {
    let before = format!(" {name}=\"");
    let quoted = text.split(before.as_str()).skip(1);
    quoted.filter_map(|after| after.split('"').next()).collect()
}

/// AZ-31, AZ-32: no cache keeps a page, no frame shows it, no other site learns of it, and nothing
/// on it comes from elsewhere or stands inline.
#[tokio::test(flavor = "multi_thread")]
async fn every_page_is_kept_to_itself() {
    let upstream = FakeUpstream::start().await;
    let app = TestApp::builder().upstream("kc", &upstream, "").start().await;
    app.add_user("alice", &["staff"]).await;
    let pages = all_pages(&app).await;
    assert_eq!(pages.len(), 13);
    for page in &pages {
        let what = format!("{} {}", page.status, page.url);
        assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"), "{what}");
        assert_eq!(page.header("cache-control"), Some("no-store"), "{what}");
        assert_eq!(page.header("referrer-policy"), Some("no-referrer"), "{what}");
        assert_eq!(page.header("x-frame-options"), Some("DENY"), "{what}");
        assert_eq!(page.header("x-content-type-options"), Some("nosniff"), "{what}");
        assert!(page.header("strict-transport-security").is_some(), "{what}");
        let policy = page.header("content-security-policy").unwrap();
        for directive in ["default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'"] {
            assert!(policy.contains(directive), "{what}: {policy}");
        }
        assert!(!policy.contains("unsafe-"), "{what}: {policy}");
        let text = page.text();
        let loaded = text.split("<link ").skip(1).filter_map(|tag| tag.split('>').next());
        let loaded = loaded.flat_map(|tag| attributes(tag, "href"));
        for address in loaded.chain(attributes(&text, "src")) {
            let own = address.starts_with('/') && !address.starts_with("//");
            assert!(own || address.starts_with("data:image/svg+xml;"), "{what}: {address}");
        }
        assert!(!text.contains("<style") && !text.contains(" style=") && !text.contains("<iframe"));
        assert_eq!(
            text.matches("<script").count(),
            text.matches("<script type=\"module\" src=").count()
        );
    }
    let statuses: Vec<u16> = pages.iter().map(|page| page.status).collect();
    for status in [200, 400, 403, 404] {
        assert!(statuses.contains(&status), "{status} in {statuses:?}");
    }
}

/// AZ-31: redirects that carry codes are not kept either.
#[tokio::test(flavor = "multi_thread")]
async fn redirects_with_codes_are_kept_by_no_cache_and_no_referrer() {
    let app = start_with_people("").await;
    let mut browser = browser_of(&app, "alice").await;
    for changes in [&[][..], &[("prompt", "login")][..], &[("scope", "none")][..]] {
        let page = browser.get(&authorize_path("web", changes)).await;
        assert_eq!(page.status, 303);
        assert_eq!(page.header("cache-control"), Some("no-store"));
        assert_eq!(page.header("referrer-policy"), Some("no-referrer"));
        assert!(page.body.is_empty(), "{}", page.text());
    }
    let token = app.post_as("web", "/token", &[("grant_type", "x")]).await;
    assert_eq!(token.headers["cache-control"], "no-store");
    assert_eq!(browser.get("/").await.location().unwrap().as_str(), format!("{ISSUER}/account"));
}
