//! The way by the code, in the browser that asked.

use super::{NEW, ask, gets_in, start};
use crate::support::{
    app::TestApp,
    browser::{Browser, Page},
    inbox::{Inbox, code_in},
    journey::authorize_path,
};

async fn type_code(browser: &mut Browser, page: &Page, code: &str) -> Page {
    let form = page.form_to("/recovery/code").fill("code", code);
    let answer = browser.submit(page, &form).await;
    browser.follow(answer).await.last().clone()
}

fn another(code: &str) -> String {
    let number: u32 = code.parse().unwrap();
    format!("{:06}", (number + 1) % 1_000_000)
}

/// therappai's way: address, code, new password, and on to the app that waits.
#[tokio::test(flavor = "multi_thread")]
async fn a_code_is_as_good_as_the_link_in_the_browser_that_asked() {
    let inbox = Inbox::open();
    let app = start(&inbox).await;
    app.add_user("bob", &[]).await;
    let mut browser = app.browser();
    let page = browser.visit(&authorize_path("web", &[])).await.last().clone();
    let link = page.links().into_iter().find(|link| link.path() == "/recovery").unwrap();
    let page = browser.get(link.as_str()).await;
    let form = page.form_to("/recovery").fill("username", "bob@corp.test");
    let answer = browser.submit(&page, &form).await;
    let page = browser.follow(answer).await.last().clone();
    let code = code_in(&inbox.newest(&app, "bob@corp.test").await);
    // As people type it.
    let page = type_code(&mut browser, &page, &format!(" {} {} ", &code[..3], &code[3..])).await;
    let form = page.form_to("/recovery/password").fill("password", NEW);
    let page = browser.submit(&page, &form).await;
    let sign_in = page.links().into_iter().find(|link| link.path() == "/login").unwrap();
    let page = browser.get(sign_in.as_str()).await;
    let form = page.form_to("/login").fill("username", "bob").fill("password", NEW);
    let page = browser.submit(&page, &form).await;
    assert!(page.location_param("code").is_some(), "{}", page.text());
}

/// RC-15: five tries, counted before they are looked at; then the code is dead, and the link lives.
#[tokio::test(flavor = "multi_thread")]
async fn a_code_cannot_be_guessed() {
    let inbox = Inbox::open();
    let app = start(&inbox).await;
    app.add_user("bob", &[]).await;
    let mut browser = app.browser();
    let page = ask(&mut browser, "bob").await;
    let code = code_in(&inbox.newest(&app, "bob@corp.test").await);
    for _ in 0..5 {
        let answer = type_code(&mut browser, &page, &another(&code)).await;
        assert_eq!(answer.status, 422, "{}", answer.text());
    }
    for _ in 0..2 {
        let answer = type_code(&mut browser, &page, &code).await;
        assert_eq!(answer.status, 410, "{}", answer.text());
    }
    let refusals = app.refusals("recovery").await;
    assert_eq!(refusals.iter().filter(|reason| *reason == "wrong_code").count(), 5, "{refusals:?}");
    assert!(gets_in(&app, "bob", "bob-password").await);
}

/// RC-15: many tries at once are no more tries.
#[tokio::test(flavor = "multi_thread")]
async fn codes_typed_at_once_count_together() {
    let inbox = Inbox::open();
    let app = start(&inbox).await;
    app.add_user("bob", &[]).await;
    let mut browser = app.browser();
    let page = ask(&mut browser, "bob").await;
    let code = code_in(&inbox.newest(&app, "bob@corp.test").await);
    let cookies = format!(
        "{}={}",
        crate::sessions::BROWSER,
        crate::sessions::cookie(&browser, crate::sessions::BROWSER)
    );
    let form = page.form_to("/recovery/code");
    let (csrf, asked) = (form.value("csrf").unwrap(), form.value("asked").unwrap());
    let wrong = another(&code);
    let tries = (0..60).map(|_| {
        let fields = [("csrf", csrf), ("asked", asked), ("code", wrong.as_str())];
        let headers = [("cookie", cookies.as_str()), ("sec-fetch-site", "same-origin")];
        let app = &app;
        async move { app.post("/recovery/code", &fields, &headers).await.status.as_u16() }
    });
    let statuses = futures_util::future::join_all(tries).await;
    let looked_at = statuses.iter().filter(|status| **status == 422).count();
    assert!(looked_at <= 5, "{statuses:?}");
    assert!(statuses.iter().all(|status| [422, 410].contains(status)), "{statuses:?}");
}

/// RC-15: a code is worth nothing in another browser, and nothing of it is in the page.
#[tokio::test(flavor = "multi_thread")]
async fn a_code_belongs_to_the_browser_that_asked() {
    let inbox = Inbox::open();
    let app = start(&inbox).await;
    app.add_user("bob", &[]).await;
    let page = ask(&mut app.browser(), "bob").await;
    let code = code_in(&inbox.newest(&app, "bob@corp.test").await);
    assert!(!page.text().contains(&code));
    let asked = page.form_to("/recovery/code").value("asked").unwrap().to_owned();
    let mut other = app.browser();
    let own = ask(&mut other, "nobody").await;
    let form = own.form_to("/recovery/code").fill("asked", &asked).fill("code", &code);
    let answer = other.submit(&own, &form).await;
    assert_eq!(answer.status, 410, "{}", answer.text());
    // And one's own code does not open what another has asked for.
    let answer = type_code(&mut other, &own, &code).await;
    assert_eq!(answer.status, 422, "{}", answer.text());
}

/// RC-15: there are ten codes a day for one address; after that there are links.
#[tokio::test(flavor = "multi_thread")]
async fn an_address_gets_so_many_codes_a_day() {
    let inbox = Inbox::open();
    let app = inbox.builder("[rate_limits]\nrecovery_per_hour = 100").start().await;
    app.add_user("bob", &[]).await;
    for number in 1..=11 {
        ask(&mut app.browser(), "bob").await;
        let mail = inbox.newest(&app, "bob@corp.test").await;
        assert_eq!(
            mail.text().contains("Or type this code"),
            number <= 10,
            "{number}: {}",
            mail.text()
        );
        assert!(mail.text().contains("?token="));
        app.clock.advance(16 * 60);
    }
    assert_still_links(&app, &inbox).await;
}

async fn assert_still_links(app: &TestApp, inbox: &Inbox) {
    let link = super::mailed_link(app, inbox, "bob").await;
    assert_eq!(super::choose(&mut app.browser(), &link, NEW).await.status, 200);
}
