//! What is refused on the way back.

use super::{NEW, ask, gets_in, mailed_link, start};
use crate::support::{app::TestApp, inbox::Inbox};

/// Without mail or without passwords there is no way back, neither by page nor by form, and the
/// sign-in page does not offer one.
#[tokio::test(flavor = "multi_thread")]
async fn there_is_no_way_back_where_it_cannot_work() {
    let inbox = Inbox::open();
    let without_mail = TestApp::start().await;
    without_mail.add_user("bob", &[]).await;
    let page = without_mail.browser().visit("/account").await.last().clone();
    assert!(page.links().iter().all(|link| link.path() != "/recovery"), "{}", page.text());
    let without_passwords = inbox.builder("[passwords]\nlogin = \"off\"").start().await;
    for app in [without_mail, without_passwords] {
        let page = app.browser().get("/recovery").await;
        assert_eq!(page.status, 403, "{}", page.text());
        assert!(page.text().contains("code: recovery_off"), "{}", page.text());
        assert_eq!(app.refusals("recovery").await, ["recovery_off"]);
        assert_eq!(app.count("recovery_requests").await, 0);
    }
}

/// PW-21: a link that was sent before passwords were switched off sets none.
#[tokio::test(flavor = "multi_thread")]
async fn a_link_sets_no_password_once_they_are_switched_off() {
    let inbox = Inbox::open();
    let app = start(&inbox).await;
    app.add_user("bob", &[]).await;
    let link = mailed_link(&app, &inbox, "bob").await;
    let next = crate::sessions::stop(app).await;
    let app = next.config("[passwords]\nlogin = \"off\"").start().await;
    let page = app.browser().visit(&link).await.last().clone();
    assert_eq!(page.status, 410, "{}", page.text());
    assert_eq!(app.refusals("recovery").await, ["password_login_off"]);
}

/// RL: so many wishes from one network within an hour.
#[tokio::test(flavor = "multi_thread")]
async fn one_network_asks_so_often() {
    let inbox = Inbox::open();
    let app = inbox.builder("[rate_limits]\nrecovery_per_hour = 2").start().await;
    let mut browser = app.browser();
    for _ in 0..2 {
        assert_eq!(ask(&mut browser, "nobody").await.status, 200);
    }
    let page = ask(&mut browser, "nobody").await;
    assert_eq!((page.status, page.header("retry-after")), (429, Some("3600")));
    assert_eq!(app.refusals("recovery").await, ["too_many_recoveries"]);
    assert_eq!(app.count("recovery_requests").await, 2);
}

/// RC-02: names that are no name, or two at once, are refused; a list of addresses is nobody's.
#[tokio::test(flavor = "multi_thread")]
async fn a_wish_is_for_one_account() {
    let inbox = Inbox::open();
    let app = start(&inbox).await;
    app.add_user("alice", &[]).await;
    let long = "a".repeat(321);
    for name in ["", "   ", "alice@corp.test\nBcc: m@evil.test", "alice@corp.test\0", &long] {
        let page = ask(&mut app.browser(), name).await;
        assert_eq!(page.status, 422, "{name:?}: {}", page.text());
    }
    for name in ["alice@corp.test,mallory@evil.test", "alice@corp.test mallory@evil.test"] {
        assert_eq!(ask(&mut app.browser(), name).await.status, 200);
    }
    let mut browser = app.browser();
    let page = browser.get("/recovery").await;
    let form = page.form_to("/recovery").fill("username", "alice").add("username", "mallory");
    assert_eq!(browser.submit(&page, &form).await.status, 400);
    assert!(inbox.all(&app).await.is_empty());
}

/// RC-07: a password is chosen where what was mailed was presented, and nowhere else.
#[tokio::test(flavor = "multi_thread")]
async fn no_step_can_be_left_out() {
    let inbox = Inbox::open();
    let app = start(&inbox).await;
    app.add_user("bob", &[]).await;
    let mut browser = app.browser();
    let page = ask(&mut browser, "bob").await;
    inbox.all(&app).await;
    let form = page.form_to("/recovery/code");
    let (csrf, asked) = (form.value("csrf").unwrap(), form.value("asked").unwrap());
    // The name of what was asked is not the name of an open link, before and after the mail.
    let page = browser.get(&format!("/recovery?link={asked}")).await;
    assert_eq!(page.status, 410, "{}", page.text());
    for link in [asked, "", "AAAAAAAAAAAAAAAAAAAAAAAA"] {
        let fields = [("csrf", csrf), ("link", link), ("password", NEW)];
        let page = browser.post_form("/recovery/password", &fields).await;
        assert_eq!(page.status, 410, "{}", page.text());
    }
    // Nor is somebody else's open link.
    let link = mailed_link(&app, &inbox, "bob").await;
    let opened = app.browser().get(&link).await.location().unwrap();
    let page = browser.get(opened.as_str()).await;
    assert_eq!(page.status, 410, "{}", page.text());
    for text in ["kw_ol_", "kw_ol_AAAA", "x"] {
        let page = browser.get(&format!("/recovery?token={text}")).await;
        assert_eq!(page.status, 410, "{}", page.text());
    }
    assert!(gets_in(&app, "bob", "bob-password").await);
}

/// RC-01: wherever a request says that it goes, the link is below the issuer.
#[tokio::test(flavor = "multi_thread")]
async fn links_follow_no_header() {
    let inbox = Inbox::open();
    let app = start(&inbox).await;
    app.add_user("bob", &[]).await;
    let mut browser = app.browser();
    let lines = ["x-forwarded-host", "x-forwarded-proto", "forwarded", "x-original-host"];
    for name in lines {
        browser.set_header(name, "host=evil.test");
    }
    ask(&mut browser, "bob").await;
    let mail = inbox.newest(&app, "bob@corp.test").await;
    assert!(!mail.data.contains("evil.test"), "{}", mail.data);
    assert!(mail.text().contains("https://id.test/recovery?token="), "{}", mail.text());
}
