//! The end of an account, and how it is taken back.

use keywright::jobs::erase_deleted;

use crate::{
    sessions::{SESSION, person_of, sign_in},
    support::{
        app::TestApp,
        browser::{Browser, Page},
        inbox::{Inbox, link_in},
        journey::{authorize_path, code_for, redeem, refresh},
    },
};

async fn delete(browser: &mut Browser, typed: &str) -> Page {
    let page = browser.get("/account/delete").await;
    assert_eq!(page.status, 200, "{}", page.text());
    let form = page.form_to("/account/delete").fill("username", typed);
    browser.submit(&page, &form).await
}

async fn gets_in(app: &TestApp) -> bool {
    let mut browser = app.browser();
    let page = browser.visit(&authorize_path("web", &[])).await.last().clone();
    let form = page.form_to("/login").fill("username", "bob").fill("password", "bob-password");
    browser.submit(&page, &form).await.location_param("code").is_some()
}

/// Shut at once, erased when it is due, and nothing is left then (LK-19).
#[tokio::test(flavor = "multi_thread")]
async fn an_account_ends() {
    let inbox = Inbox::open();
    let app = inbox.builder("").start().await;
    app.add_user("bob", &[]).await;
    let code = code_for(&mut app.browser(), "web", "bob", &[]).await;
    let token = redeem(&app, "web", &code).await.text("refresh_token");
    let mut browser = app.browser();
    let secret = sign_in(&mut browser, "bob").await;
    let page = delete(&mut browser, "BOB").await;
    assert!(page.text().contains("Your account is deleted"), "{}", page.text());
    assert!(browser.cookies().get(SESSION).is_none());
    assert_eq!(person_of(&app, &secret).await, None);
    refresh(&app, "web", &token).await.assert_error(400, "invalid_grant");
    assert!(!gets_in(&app).await);
    let mail = inbox.newest(&app, "bob@corp.test").await;
    assert_eq!(mail.header("Subject"), "Your account at Keywright is deleted");

    app.clock.advance(14 * 86_400 - 1);
    erase_deleted(&app.app).await.unwrap();
    assert_eq!(app.count("users").await, 1);
    app.clock.advance(1);
    erase_deleted(&app.app).await.unwrap();
    for table in ["users", "sessions", "grants", "refresh_tokens", "one_time_links", "deletions"] {
        assert_eq!(app.count(table).await, 0, "{table}");
    }
    let page = app.browser().visit(&link_in(&mail)).await.last().clone();
    assert_eq!(page.status, 410, "{}", page.text());
    let actions: Vec<String> = app.events().await.into_iter().map(|event| event.action).collect();
    for action in ["account_deletion", "account_erased"] {
        assert_eq!(actions.iter().filter(|own| *own == action).count(), 1, "{actions:?}");
    }
}

/// Until then the mailed link takes it back, once; looking at it changes nothing (RC-06).
#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_is_taken_back() {
    let inbox = Inbox::open();
    let app = inbox.builder("").start().await;
    app.add_user("bob", &[]).await;
    let mut browser = app.browser();
    sign_in(&mut browser, "bob").await;
    delete(&mut browser, "bob").await;
    let link = link_in(&inbox.newest(&app, "bob@corp.test").await);
    app.clock.advance(13 * 86_400);
    let mut other = app.browser();
    let page = other.visit(&link).await.last().clone();
    assert!(!gets_in(&app).await);
    let form = page.form_to("/account/keep");
    let page = other.submit(&page, &form).await;
    assert!(page.text().contains("Your account is kept"), "{}", page.text());
    app.clock.advance(30 * 86_400);
    erase_deleted(&app.app).await.unwrap();
    assert!(gets_in(&app).await);
    assert_eq!(app.browser().visit(&link).await.last().status, 410);
}

/// A link that was sent does not open what an administrator has shut or opened since.
#[tokio::test(flavor = "multi_thread")]
async fn an_administrator_has_the_last_word() {
    let inbox = Inbox::open();
    let app = inbox.builder("").start().await;
    app.add_user("bob", &[]).await;
    let mut browser = app.browser();
    sign_in(&mut browser, "bob").await;
    delete(&mut browser, "bob").await;
    let link = link_in(&inbox.newest(&app, "bob@corp.test").await);
    crate::refresh::outside::execute(&app, "DELETE FROM deletions").await;
    let mut other = app.browser();
    let page = other.visit(&link).await.last().clone();
    let form = page.form_to("/account/keep");
    assert_eq!(other.submit(&page, &form).await.status, 410);
    assert!(!gets_in(&app).await);
    app.clock.advance(30 * 86_400);
    erase_deleted(&app.app).await.unwrap();
    assert_eq!(app.count("users").await, 1);
}

/// SS-18: not without the username, not by an old session, not where it is switched off.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_deletes_an_account_by_mistake() {
    let app = TestApp::start().await;
    app.add_user("bob", &[]).await;
    let mut browser = app.browser();
    sign_in(&mut browser, "bob").await;
    for typed in ["", "alice", "yes"] {
        let page = delete(&mut browser, typed).await;
        assert_eq!(page.status, 422, "{typed}: {}", page.text());
    }
    let page = browser.get("/account/delete").await;
    let form = page.form_to("/account/delete").fill("username", "bob");
    app.clock.advance(5 * 60 + 1);
    assert_eq!(browser.submit(&page, &form).await.status, 403);
    let refusals = app.refusals("account_deletion").await;
    assert_eq!(
        crate::sessions::sorted(refusals),
        ["not_confirmed", "not_confirmed", "not_confirmed", "reauth_required"]
    );
    assert!(gets_in(&app).await);

    let app = TestApp::builder().config("[accounts]\nself_deletion = false").start().await;
    app.add_user("bob", &[]).await;
    let mut browser = app.browser();
    sign_in(&mut browser, "bob").await;
    let page = browser.get("/account").await;
    assert!(!page.text().contains("/account/delete"));
    assert_eq!(browser.get("/account/delete").await.status, 403);
    assert_eq!(app.refusals("account_deletion").await, ["deletion_off"]);
}

/// AD-06: the last administrator stays.
#[tokio::test(flavor = "multi_thread")]
async fn the_last_administrator_stays() {
    let app = TestApp::start().await;
    app.add_user("bob", &[]).await;
    app.add_user("alice", &[]).await;
    let promote =
        |name: &str| format!("UPDATE users SET roles = '[\"admin\"]' WHERE username = '{name}'");
    crate::refresh::outside::execute(&app, &promote("bob")).await;
    let mut browser = app.browser();
    sign_in(&mut browser, "bob").await;
    let page = delete(&mut browser, "bob").await;
    assert_eq!(page.status, 409, "{}", page.text());
    assert_eq!(app.refusals("account_deletion").await, ["last_administrator"]);
    assert!(gets_in(&app).await);
    crate::refresh::outside::execute(&app, &promote("alice")).await;
    assert_eq!(delete(&mut browser, "bob").await.status, 200);
}
