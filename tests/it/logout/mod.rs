//! Signing out: RP-Initiated Logout 1.0 and the button on our own page.

mod backchannel;
mod by_apps;
mod by_people;
mod queues;

use axum::http::header;
use keywright::store::audit_events::AuditEvent;
use url::form_urlencoded;

use crate::support::{
    app::{Answer, TestApp},
    browser::Browser,
    journey::{code_for, redeem},
};

/// A local person, signed in at the app `web`, with the app's tokens.
struct Scene {
    app: TestApp,
    browser: Browser,
    tokens: Answer,
    secret: String,
}

impl Scene {
    async fn set() -> Self {
        Self::with(TestApp::start().await).await
    }

    async fn with(app: TestApp) -> Self {
        app.add_user("bob", &[]).await;
        let mut browser = app.browser();
        let code = code_for(&mut browser, "web", "bob", &[]).await;
        let tokens = redeem(&app, "web", &code).await;
        assert_eq!(tokens.status, 200, "{tokens:?}");
        let secret = crate::sessions::cookie(&browser, crate::sessions::SESSION);
        Self { app, browser, tokens, secret }
    }

    async fn is_signed_in(&self) -> bool {
        crate::sessions::person_of(&self.app, &self.secret).await.as_deref() == Some("bob")
    }

    /// The session is alive, at the browser and here, and so are the tokens.
    async fn assert_nothing_happened(&self, what: &str) {
        assert!(self.is_signed_in().await, "{what}");
        let kept = self.browser.cookies().get(crate::sessions::SESSION);
        assert_eq!(kept.map(|cookie| &cookie.value), Some(&self.secret), "{what}");
        let token = self.tokens.text("refresh_token");
        assert!(crate::support::journey::is_active(&self.app, "web", &token).await, "{what}");
        let events = self.app.events().await;
        let done = |event: &AuditEvent| event.action == "sign_out" && event.reason.is_none();
        assert!(!events.iter().any(done), "{what}");
    }
}

/// The address of a sign-out.
fn logout_path(params: &[(&str, &str)]) -> String {
    let query: String =
        form_urlencoded::Serializer::new(String::new()).extend_pairs(params).finish();
    format!("/logout?{query}")
}

/// Asserts a page of our own that asks whether to sign out, and sends nobody anywhere.
fn assert_asks(page: &crate::support::browser::Page, what: &str) {
    assert_eq!(page.status, 200, "{what}: {}", page.text());
    assert!(!page.headers.contains_key(header::LOCATION), "{what}");
    assert!(page.text().contains("<h1>Sign out?</h1>"), "{what}: {}", page.text());
    assert!(page.set_cookies().is_empty(), "{what}: {:?}", page.set_cookies());
}

/// Asserts our own page that says that it is done.
fn assert_done(page: &crate::support::browser::Page, what: &str) {
    assert_eq!(page.status, 200, "{what}: {}", page.text());
    assert!(!page.headers.contains_key(header::LOCATION), "{what}");
    assert!(page.text().contains("<h1>You are signed out</h1>"), "{what}: {}", page.text());
}
