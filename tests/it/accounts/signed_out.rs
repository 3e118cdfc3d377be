//! What is left in a browser after signing out is worth nothing (SS-14).

use super::{FAST, NEW};
use crate::{
    sessions::{SESSION, sign_in},
    support::{
        app::TestApp,
        browser::{Form, Page},
        inbox::Inbox,
    },
    upstream::user,
};

/// The pages of a person's own that show something of theirs.
const OWN: [&str; 12] = [
    "/account",
    "/account/activity",
    "/account/apps",
    "/account/delete",
    "/account/email",
    "/account/everywhere",
    "/account/passkeys",
    "/account/password",
    "/account/profile",
    "/account/prove",
    "/account/tokens",
    "/account/two-step",
];

/// SS-14: a page that a browser shows again from its memory was never to be kept; and whatever is sent
/// from such a page after the sign-out does nothing.
#[tokio::test(flavor = "multi_thread")]
async fn pages_of_a_session_do_nothing_after_it() {
    let inbox = Inbox::open();
    let app = inbox.builder(FAST).start().await;
    app.add_user("bob", &[]).await;
    let mut browser = app.browser();
    sign_in(&mut browser, "bob").await;
    let mut kept: Vec<(Page, Form)> = Vec::new();
    let mut shown = 0;
    for path in OWN {
        let page = browser.get(path).await;
        let no_store = page.header("cache-control").is_some_and(|value| value.contains("no-store"));
        assert!(no_store, "{path}: {:?}", page.header("cache-control"));
        shown += usize::from(page.status == 200);
        for form in page.forms() {
            if form.action.path() != "/logout" {
                kept.push((page.clone(), form));
            }
        }
    }
    assert!(shown >= 10 && kept.len() >= 8, "{shown} pages, {} forms", kept.len());
    let page = browser.get("/account").await;
    let out = browser.submit(&page, &page.form_to("/logout")).await;
    assert_eq!(out.status, 200, "{}", out.text());
    assert!(browser.cookies().get(SESSION).is_none());
    assert!(out.header("cache-control").unwrap().contains("no-store"));

    let before = (user(&app, "bob").await, app.events().await.len());
    for path in OWN {
        let page = browser.get(path).await;
        assert!(page.status == 303 || page.status >= 400, "{path}: {}", page.text());
        assert!(!page.text().contains("bob"), "{path}");
    }
    for (page, form) in &kept {
        let form =
            ["current", "password", "username", "email"].iter().fold(form.clone(), |form, name| {
                match *name {
                    name if form.value(name).is_none() => form,
                    "email" => form.fill("email", "new@corp.test"),
                    "password" => form.fill("password", NEW),
                    "current" => form.fill("current", "bob-password"),
                    _ => form.fill("username", "bob"),
                }
            });
        let answer = browser.submit(page, &form).await;
        let path = form.action.path();
        let nowhere = answer.status >= 400 || answer.status == 303;
        assert!(nowhere, "{path}: {} {}", answer.status, answer.text());
        assert!(browser.cookies().get(SESSION).is_none(), "{path}");
    }
    let after = user(&app, "bob").await;
    assert_eq!(format!("{after:?}"), format!("{:?}", before.0), "nothing of bob's has changed");
    for table in ["one_time_links", "personal_access_tokens", "passkeys", "totp_factors"] {
        assert_eq!(app.count(table).await, 0, "{table}");
    }
    let done = app.events().await.into_iter().skip(before.1).filter(|event| event.reason.is_none());
    assert_eq!(done.count(), 0, "nothing was done");
    assert_eq!(app.count("sessions WHERE ended_at IS NULL").await, 0);
}

/// SS-14: a cookie that somebody has kept of it is worth as little.
#[tokio::test(flavor = "multi_thread")]
async fn a_cookie_that_was_kept_is_nobodys() {
    let app = TestApp::start().await;
    app.add_user("bob", &[]).await;
    let mut browser = app.browser();
    let secret = sign_in(&mut browser, "bob").await;
    let mut copy = browser.clone();
    let page = browser.get("/account").await;
    browser.submit(&page, &page.form_to("/logout")).await;
    assert_eq!(crate::sessions::person_of(&app, &secret).await, None);
    for path in OWN {
        let page = copy.get(path).await;
        assert!(page.status == 303 || page.status >= 400, "{path}: {}", page.text());
        assert!(!page.text().contains("bob"), "{path}");
    }
}
