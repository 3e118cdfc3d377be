//! What one is called.

use crate::{
    sessions::{sign_in, username_on},
    support::{
        app::TestApp,
        browser::{Browser, Page},
        journey::{authorize_path, code_by_session, redeem},
    },
};

async fn rename(browser: &mut Browser, username: &str, name: &str) -> Page {
    let page = browser.get("/account/profile").await;
    assert_eq!(page.status, 200, "{}", page.text());
    let form = page.form_to("/account/profile").fill("username", username).fill("name", name);
    browser.submit(&page, &form).await
}

async fn gets_in(app: &TestApp, username: &str) -> bool {
    let mut browser = app.browser();
    let page = browser.visit(&authorize_path("web", &[])).await.last().clone();
    let form = page.form_to("/login").fill("username", username).fill("password", "bob-password");
    browser.submit(&page, &form).await.location_param("code").is_some()
}

/// Heritage: another name counts everywhere at once: at the sign-in, in tokens, for whoever wants it.
#[tokio::test(flavor = "multi_thread")]
async fn a_new_name_counts_everywhere() {
    let app = TestApp::start().await;
    app.add_user("bob", &[]).await;
    let mut browser = app.browser();
    sign_in(&mut browser, "bob").await;
    let answer = rename(&mut browser, "Robert", "Robert Example").await;
    let page = browser.follow(answer).await.last().clone();
    assert_eq!(username_on(&page.text()), "Robert");
    let code = code_by_session(&mut browser, "web", &[]).await;
    let token = redeem(&app, "web", &code).await.text("id_token");
    let claims = keywright::keys::parse_unverified(&token).unwrap().1;
    assert_eq!(claims["preferred_username"], "Robert");
    assert_eq!(claims["name"], "Robert Example");
    assert!(gets_in(&app, "robert").await && !gets_in(&app, "bob").await);
    // The former one is free again.
    app.add_user("bob", &[]).await;
    let events = app.events().await;
    let event = events.iter().find(|event| event.action == "profile_change").unwrap();
    assert!(event.detail.contains("\"former\":\"bob\""), "{}", event.detail);
}

/// LK-15: names that cannot be, or are somebody's, are refused, and nothing changes.
#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_a_name_is_refused() {
    let app = TestApp::start().await;
    app.add_user("bob", &[]).await;
    app.add_user("alice", &[]).await;
    let mut browser = app.browser();
    sign_in(&mut browser, "bob").await;
    for (username, reason) in [
        ("", "username_unfit"),
        ("admin", "username_unfit"),
        ("a b", "username_unfit"),
        ("\u{430}dmin", "username_unfit"),
        ("ALICE", "username_taken"),
        ("alice@corp.test", "username_unfit"),
    ] {
        let page = rename(&mut browser, username, "x").await;
        assert_eq!(page.status, 422, "{username:?}: {}", page.text());
        assert_eq!(app.refusals("profile_change").await.last().unwrap(), reason, "{username:?}");
    }
    assert!(gets_in(&app, "bob").await);
    assert_eq!(app.count("users WHERE name = 'bob Example'").await, 1);
}

/// SS-18: a session that was left open renames nobody; whose name an upstream says keeps it.
#[tokio::test(flavor = "multi_thread")]
async fn some_names_stay() {
    let app = TestApp::start().await;
    app.add_user("bob", &[]).await;
    let mut browser = app.browser();
    sign_in(&mut browser, "bob").await;
    let sql = "UPDATE users SET email_issuer = 'https://kc.test' WHERE username = 'bob'";
    crate::refresh::outside::execute(&app, sql).await;
    assert_eq!(rename(&mut browser, "bob", "Another").await.status, 303);
    assert_eq!(app.count("users WHERE name = 'bob Example'").await, 1);
    let page = browser.get("/account/profile").await;
    let form = page.form_to("/account/profile").fill("username", "robert");
    app.clock.advance(5 * 60 + 1);
    let page = browser.submit(&page, &form).await;
    assert_eq!(page.status, 403, "{}", page.text());
    assert_eq!(app.count("users WHERE username = 'robert'").await, 0);
}
