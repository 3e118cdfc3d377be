//! Traps that earlier sign-in systems have fallen into, walked as those systems would meet them.

mod documents;
mod links;
mod passwords;
mod rights;
mod settings;
mod upstreams;

use crate::support::{app::TestApp, browser::Page, journey::authorize_path};

/// A new password that the house takes.
const NEW: &str = "eleven quiet Otters 93";

/// What comes of a name and a password at the sign-in form.
async fn try_password(app: &TestApp, name: &str, password: &str) -> Page {
    let mut browser = app.browser();
    let page = browser.visit(&authorize_path("web", &[])).await.last().clone();
    let form = page.form_to("/login").fill("username", name).fill("password", password);
    browser.submit(&page, &form).await
}

/// Whether a name and a password lead into the app.
async fn gets_in(app: &TestApp, name: &str, password: &str) -> bool {
    try_password(app, name, password).await.location_param("code").is_some()
}
