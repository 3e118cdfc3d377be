//! Getting back into an account whose password is lost.

mod codes;
mod links;
mod refusals;
mod secrecy;

use crate::support::{
    app::TestApp,
    browser::{Browser, Page},
    inbox::{Inbox, link_in},
    journey::authorize_path,
};

const NEW: &str = "eleven quiet Otters 93";

async fn start(inbox: &Inbox) -> TestApp {
    inbox.builder("").start().await
}

/// Asks for a mail, by name; answers the page after it.
async fn ask(browser: &mut Browser, name: &str) -> Page {
    let page = browser.get("/recovery").await;
    let form = page.form_to("/recovery").fill("username", name);
    let answer = browser.submit(&page, &form).await;
    browser.follow(answer).await.last().clone()
}

/// Opens a link and chooses a password.
async fn choose(browser: &mut Browser, link: &str, password: &str) -> Page {
    let page = browser.visit(link).await.last().clone();
    assert_eq!(page.status, 200, "{}", page.text());
    let form = page.form_to("/recovery/password").fill("password", password);
    browser.submit(&page, &form).await
}

/// Whether somebody gets in with a password.
async fn gets_in(app: &TestApp, username: &str, password: &str) -> bool {
    let mut browser = app.browser();
    let page = browser.visit(&authorize_path("web", &[])).await.last().clone();
    let form = page.form_to("/login").fill("username", username).fill("password", password);
    let page = browser.submit(&page, &form).await;
    page.status == 303 && page.location_param("code").is_some()
}

/// The link of the newest mail to `name`'s address, after asking for it.
async fn mailed_link(app: &TestApp, inbox: &Inbox, name: &str) -> String {
    ask(&mut app.browser(), name).await;
    link_in(&inbox.newest(app, &format!("{name}@corp.test")).await)
}
