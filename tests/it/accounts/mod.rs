//! Accounts under pressure: shut ones, two people at one browser, everything at once, and long walks.

mod creation;
mod disabled;
mod input;
mod once;
mod secrets;
mod shared_browser;
mod signed_out;
mod sources;
mod walk;

use crate::support::{
    app::TestApp,
    browser::{Browser, Page},
    inbox::{Inbox, link_in},
};

/// A new password that the house takes.
const NEW: &str = "eleven quiet Otters 93";
/// Many tries are made here, and the brakes are not what these tests are about.
const FAST: &str = "[rate_limits]\nsign_in_per_minute = 100000\nsign_up_per_hour = 100000\n\
                    recovery_per_hour = 100000\n";

/// A house with bob in it, and his mailbox.
async fn house(inbox: &Inbox) -> TestApp {
    let app = inbox.builder(FAST).start().await;
    app.add_user("bob", &[]).await;
    app
}

/// The link that gets somebody back into their account.
async fn recovery_link(app: &TestApp, inbox: &Inbox, name: &str) -> String {
    let mut browser = app.browser();
    let page = browser.get("/recovery").await;
    let form = page.form_to("/recovery").fill("username", name);
    browser.submit(&page, &form).await;
    link_in(&inbox.newest(app, &format!("{name}@corp.test")).await)
}

/// Opens a page of the person's own and sends its form, with these fields filled in.
async fn send(browser: &mut Browser, path: &str, fields: &[(&str, &str)]) -> Page {
    let page = browser.get(path).await;
    assert_eq!(page.status, 200, "{path}: {}", page.text());
    let form = page.form_to(path);
    let form = fields.iter().fold(form, |form, (name, value)| form.fill(name, value));
    browser.submit(&page, &form).await
}
