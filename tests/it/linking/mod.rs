//! More than one way into an account: linking upstreams, taking links away, and whom nobody links.

mod address;
mod asked;
mod back;
mod by_code;
mod unlinked;
mod ways;

use keywright::{
    foundation::ids::UserId,
    store::{
        audit_events::AuditEvent,
        identities::{self, Identity},
    },
};
use serde_json::json;
use url::Url;

use crate::{
    sessions::sign_in,
    support::{
        app::{Builder, TestApp},
        browser::{Browser, Page},
        fake_upstream::FakeUpstream,
    },
    upstream::{Witness, is_refusal_page, user},
};

/// Two upstreams, at which somebody of subject 7 and of subject 8 is signed in, and the local people
/// bob and mallory.
struct House {
    app: TestApp,
    kc: FakeUpstream,
    other: FakeUpstream,
}

impl House {
    async fn build() -> Self {
        Self::with(|builder| builder, "").await
    }

    /// With more configuration, and more settings of `kc`.
    async fn with(configure: impl FnOnce(Builder) -> Builder, settings: &str) -> Self {
        Self::with_both(configure, [settings, ""]).await
    }

    /// With more settings of both upstreams.
    async fn with_both(configure: impl FnOnce(Builder) -> Builder, settings: [&str; 2]) -> Self {
        let (kc, other) = (FakeUpstream::start().await, FakeUpstream::start().await);
        kc.set_person(json!({"sub": "7", "preferred_username": "seven"}));
        other.set_person(json!({"sub": "8", "preferred_username": "eight"}));
        let builder = TestApp::builder().upstream("kc", &kc, settings[0]).upstream(
            "other",
            &other,
            settings[1],
        );
        let app = configure(builder).start().await;
        for name in ["bob", "mallory"] {
            app.add_user(name, &[]).await;
        }
        Self { app, kc, other }
    }

    /// A browser at which this local person has just signed in.
    async fn signed_in(&self, username: &str) -> Browser {
        let mut browser = self.browser();
        sign_in(&mut browser, username).await;
        browser
    }

    /// A browser that stops when it comes back from an upstream.
    fn browser(&self) -> Browser {
        let mut browser = self.app.browser();
        for slug in ["kc", "other"] {
            browser.stop_at(&format!("https://id.test/upstream/{slug}/callback"));
        }
        browser
    }

    /// A browser that goes through everything.
    fn passing(&self) -> Browser {
        self.app.browser()
    }

    /// Links an upstream to who is signed in at this browser.
    async fn link(&self, browser: &mut Browser, slug: &str) {
        let back = depart(browser, slug).await;
        let page = browser.get(back.as_str()).await;
        assert_eq!(page.header("location"), Some("/account"), "{}", page.text());
    }

    /// The identities of a username.
    async fn identities(&self, username: &str) -> Vec<Identity> {
        let id = user(&self.app, username).await.id;
        self.identities_of(&id).await
    }

    async fn identities_of(&self, id: &UserId) -> Vec<Identity> {
        let mut connection = self.app.app.connection().await.unwrap();
        identities::list_of_user(&mut connection, id).await.unwrap()
    }

    /// What was done under this name.
    async fn done(&self, action: &str) -> Vec<AuditEvent> {
        let mut events = self.app.events().await;
        events.retain(|event| event.action == action && event.reason.is_none());
        events
    }
}

/// Chooses "Connect" on the account page, and answers what comes.
async fn connect(browser: &mut Browser, slug: &str) -> Page {
    let page = browser.get("/account").await;
    let forms = page.forms().into_iter().filter(|form| form.action.path() == "/account/link");
    let form = forms.into_iter().find(|form| form.value("upstream") == Some(slug));
    let form = form.unwrap_or_else(|| panic!("{slug} cannot be connected: {}", page.text()));
    browser.submit(&page, &form).await
}

/// Chooses "Connect" and signs in there; the address that leads back.
async fn depart(browser: &mut Browser, slug: &str) -> Url {
    let page = connect(browser, slug).await;
    browser.follow(page).await.landing().clone()
}

/// The handles of the links that the account page offers to remove.
fn handles(page: &Page) -> Vec<String> {
    let forms = page.forms().into_iter().filter(|form| form.action.path() == "/account/unlink");
    forms.map(|form| form.value("handle").unwrap().to_owned()).collect()
}

/// Asserts a refusal: the page, the one event, and that no row came or went.
async fn assert_refused(witness: &Witness<'_>, page: &Page, status: u16, what: (&str, &str)) {
    let event = witness.only_refusal().await.unwrap();
    let reason = event.reason.as_deref().unwrap();
    assert_eq!((event.action.as_str(), reason), what, "{}", page.text());
    is_refusal_page(page, status, &event).unwrap();
    assert!(page.text().contains(&format!("code: {reason}\n")), "{}", page.text());
    assert!(page.set_cookies().is_empty(), "{:?}", page.set_cookies());
}
