//! Signing in with a local password.

mod alike;
mod answers;
mod brakes;
mod callers;
mod guesses;
mod hashes;
mod own;
mod temporary;

use crate::support::{
    app::TestApp,
    browser::{Browser, Form, Page},
    journey::authorize_path,
};

/// A sign-in in progress that waits for a password.
struct Attempt {
    browser: Browser,
    page: Page,
    form: Form,
}

impl Attempt {
    /// Begins one in a new browser.
    async fn begin(app: &TestApp) -> Self {
        let mut browser = app.browser();
        let path = authorize_path("web", &[("prompt", "select_account")]);
        let page = browser.visit(&path).await.last().clone();
        let form = page.form_to("/login");
        Self { browser, page, form }
    }

    /// Tries a username and a password.
    async fn try_with(&mut self, username: &str, password: &str) -> Page {
        let form = self.form.clone().fill("username", username).fill("password", password);
        self.browser.submit(&self.page, &form).await
    }

    /// Whether a username and a password sign in at the app.
    async fn succeeds(&mut self, username: &str, password: &str) -> bool {
        let page = self.try_with(username, password).await;
        if page.status != 303 {
            assert_eq!(page.status, 400, "{}", page.text());
            return false;
        }
        let journey = self.browser.follow(page).await;
        assert!(journey.param("code").is_some(), "{:?}", journey.hops());
        true
    }
}

const WRONG: &str = "That username or password is not right.";
