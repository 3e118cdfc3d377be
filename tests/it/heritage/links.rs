//! Mailed links, and what stands in addresses.

use axum::http::{Request, header};
use bytes::Bytes;

use super::gets_in;
use crate::support::{
    inbox::{Inbox, link_in},
    journey::authorize_path,
};

/// Trap 11. Links lead to the configured address, whatever `Host` a request brings: no other way says
/// so but the configuration.
#[tokio::test(flavor = "multi_thread")]
async fn mailed_links_do_not_follow_the_host_of_a_request() {
    let inbox = Inbox::open();
    let app = inbox.builder("[signup]\nlocal = \"open\"").start().await;
    app.add_user("bob", &[]).await;
    let mut mallory = app.browser();
    for name in ["host", "x-forwarded-host", "x-original-host"] {
        mallory.set_header(name, "evil.test");
    }
    let page = mallory.get("/recovery").await;
    let form = page.form_to("/recovery").fill("username", "bob");
    mallory.submit(&page, &form).await;
    let page = mallory.visit("/signup").await.last().clone();
    let form = page.form_to("/signup").fill("username", "anna").fill("email", "anna@corp.test");
    mallory.submit(&page, &form.fill("password", super::NEW)).await;
    for address in ["bob@corp.test", "anna@corp.test"] {
        let mail = inbox.newest(&app, address).await;
        assert!(!mail.data.contains("evil.test") && !mail.html().contains("evil.test"));
        assert!(link_in(&mail).starts_with('/'), "below the issuer: {}", mail.text());
    }
}

/// Trap 11. Whoever only looks at a link has not used it: not with GET, not with HEAD.
#[tokio::test(flavor = "multi_thread")]
async fn looking_at_a_link_uses_nothing_up() {
    let inbox = Inbox::open();
    let app = inbox.builder("[signup]\nlocal = \"open\"").start().await;
    app.add_user("bob", &[]).await;
    let mut browser = app.browser();
    let page = browser.visit("/signup").await.last().clone();
    let form = page.form_to("/signup").fill("username", "anna").fill("email", "anna@corp.test");
    browser.submit(&page, &form.fill("password", super::NEW)).await;
    let page = browser.get("/recovery").await;
    let form = page.form_to("/recovery").fill("username", "bob");
    browser.submit(&page, &form).await;
    let verification = link_in(&inbox.newest(&app, "anna@corp.test").await);
    let reset = link_in(&inbox.newest(&app, "bob@corp.test").await);
    for link in [&verification, &reset] {
        for method in ["GET", "HEAD", "GET"] {
            let request = Request::builder().method(method).uri(format!("https://id.test{link}"));
            let answer = app.send(request.body(Bytes::new()).unwrap()).await;
            assert!(answer.status.as_u16() < 400, "{link}: {answer:?}");
            app.browser().visit(link).await;
        }
    }
    let proved = "users WHERE username = 'anna' AND email_verified IS NOT NULL AND \
                  CAST(email_verified AS INTEGER) = 1";
    assert_eq!(app.count(proved).await, 0);
    assert!(gets_in(&app, "bob", "bob-password").await);

    let page = browser.visit(&verification).await.last().clone();
    browser.submit(&page, &page.form_to("/verify-email")).await;
    assert_eq!(app.count(proved).await, 1);
    let page = browser.visit(&reset).await.last().clone();
    let form = page.form_to("/recovery/password").fill("password", super::NEW);
    assert_eq!(browser.submit(&page, &form).await.status, 200);
}

const HOSTILE: &str = "'\"></script><script>alert(1)</script>\\u003c";

/// Trap 12. What stands in an address never gets into a script: there is none in a page, and the
/// policy allows none.
#[tokio::test(flavor = "multi_thread")]
async fn parameters_never_reach_a_script() {
    let inbox = Inbox::open();
    let app = inbox.builder("[signup]\nlocal = \"open\"").start().await;
    let encoded: String = url::form_urlencoded::byte_serialize(HOSTILE.as_bytes()).collect();
    let mut browser = app.browser();
    let mut paths = vec![authorize_path("web", &[("login_hint", HOSTILE), ("state", HOSTILE)])];
    for path in [
        "/login?flow=",
        "/signup?flow=",
        "/recovery?flow=",
        "/recovery?token=",
        "/verify-email?token=",
        "/invitation?token=",
        "/account/keep?token=",
        "/logout?state=",
        "/upstream/kc/callback?error=",
        "/authorize?client_id=",
    ] {
        paths.push(format!("{path}{encoded}"));
    }
    for path in paths {
        let page = browser.visit(&path).await.last().clone();
        let text = page.text();
        assert!(!text.contains("<script>") && !text.contains("alert(1)</script"), "{path}: {text}");
        for tag in text.split("<script").skip(1) {
            let (attributes, rest) = tag.split_once('>').unwrap();
            assert!(attributes.contains(" src=\"/assets/"), "{path}: {attributes}");
            assert!(rest.starts_with("</script>"), "{path}: an inline script");
        }
        let policy = page.headers[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
        assert!(!policy.contains("unsafe"), "{path}: {policy}");
    }
}

/// Trap 12. Secrets of addresses are told to nobody: every line that any test logs is judged (LG-01),
/// here is what stands in them. Neither events nor referrers tell them either.
#[tokio::test(flavor = "multi_thread")]
async fn secrets_of_addresses_stay_out_of_events_and_referrers() {
    let inbox = Inbox::open();
    let app = inbox.builder("").start().await;
    app.add_user("bob", &[]).await;
    let mut browser = app.browser();
    let page = browser.get("/recovery").await;
    let form = page.form_to("/recovery").fill("username", "bob");
    browser.submit(&page, &form).await;
    let link = link_in(&inbox.newest(&app, "bob@corp.test").await);
    let secret = link.split_once("token=").unwrap().1.to_owned();
    let journey = browser.visit(&link).await;
    for page in &journey.pages {
        assert_eq!(page.header("referrer-policy"), Some("no-referrer"));
    }
    assert!(!journey.last().url.as_str().contains(&secret), "it has left the address bar");
    assert!(!journey.last().text().contains(&secret));
    for wrong in [format!("{link}x"), format!("{link}&flow=x")] {
        browser.visit(&wrong).await;
    }
    browser.get(&format!("/nowhere?token={secret}")).await;
    browser.get(&format!("/authorize?client_id=web&token={secret}&code={secret}")).await;
    for event in app.events().await {
        assert!(!format!("{event:?}").contains(&secret), "{event:?}");
    }
    assert!(!app.app.metrics.render().unwrap().contains(&secret));
}
