//! Whose an address is: proof of it, another one, and the one before.

mod changes;
mod proof;

use crate::support::{
    app::TestApp,
    browser::{Browser, Page},
    inbox::Inbox,
};

const PASSWORD: &str = "seven purple Herons 41";

async fn open(inbox: &Inbox) -> TestApp {
    inbox.builder("[signup]\nlocal = \"open\"").start().await
}

/// Makes an account with an address.
async fn sign_up(app: &TestApp, username: &str, email: &str) -> Browser {
    let mut browser = app.browser();
    let page = browser.visit("/signup").await.last().clone();
    let form = page.form_to("/signup").fill("username", username).fill("password", PASSWORD);
    let answer = browser.submit(&page, &form.fill("email", email)).await;
    let page = browser.follow(answer).await.last().clone();
    assert_eq!(page.url.path(), "/account", "{}", page.text());
    browser
}

/// Opens a link and says yes.
async fn confirm(browser: &mut Browser, link: &str) -> Page {
    let page = browser.visit(link).await.last().clone();
    if page.status != 200 {
        return page;
    }
    let form = page.form_to("/verify-email");
    browser.submit(&page, &form).await
}

/// Whether the account's address counts as its own.
async fn is_verified(app: &TestApp, username: &str, email: &str) -> bool {
    let rows = format!(
        "users WHERE username = '{username}' AND email = '{email}' AND email_verified = {}",
        if app.database.url.starts_with("sqlite:") { "1" } else { "TRUE" }
    );
    app.count(&rows).await == 1
}
