//! A shut account is shut at every door (PW-16).

use serde_json::json;

use super::{FAST, NEW, recovery_link};
use crate::{
    personal_access_tokens::{ask_for, secret_on},
    refresh::{
        family::{Tokens, sign_in_with},
        outside::user_verb,
    },
    second_factor::{
        device::{Device, options_on},
        passkeys,
    },
    sessions::{SESSION, person_of, sign_in},
    support::{
        app::TestApp,
        browser::{Browser, Form, Page},
        fake_upstream::FakeUpstream,
        inbox::{Inbox, link_in},
        journey::{authorize_path, code_by_session, redeem},
    },
    upstream::sign_in_at,
};

const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const EXCHANGER: &str = r#"
[[clients]]
id = "notes"
name = "Notes"
secret = "notes-secret-0123456789"
redirect_uris = ["https://web.test/cb"]
grant_types = ["authorization_code", "urn:ietf:params:oauth:grant-type:token-exchange"]
"#;

/// Everything with which bob gets in, or goes on, before anybody shuts his account.
struct Keys {
    browser: Browser,
    session: String,
    tokens: Tokens,
    code: String,
    personal: String,
    device: Device,
    recovery: String,
    address: String,
    waiting: (Browser, Page, Form),
}

impl Keys {
    async fn cut(app: &TestApp, inbox: &Inbox) -> Self {
        let device = passkeys::bobs_device(app).await;
        let mut browser = app.browser();
        let session = sign_in(&mut browser, "bob").await;
        let page = browser.get("/account").await;
        let answer = browser.submit(&page, &page.form_to("/account/link")).await;
        assert_eq!(browser.follow(answer).await.last().url.path(), "/account");
        let fields = [("name", "backup"), ("lifetime", "30d"), ("scope.openid", "yes")];
        let personal = secret_on(&ask_for(&mut browser, &fields).await);
        super::send(&mut browser, "/account/email", &[("email", "robert@corp.test")]).await;
        let address = link_in(&inbox.newest(app, "robert@corp.test").await);
        let recovery = recovery_link(app, inbox, "bob").await;
        let tokens = sign_in_with(app, &mut app.browser(), "web", "bob").await;
        let code = code_by_session(&mut browser, "web", &[]).await;
        let mut other = app.browser();
        let page = other.visit(&authorize_path("web", &[])).await.last().clone();
        let form = page.form_to("/login").fill("username", "bob").fill("password", "bob-password");
        let waiting = (other, page, form);
        Self { browser, session, tokens, code, personal, device, recovery, address, waiting }
    }

    /// Tries all of them: which, and whether it opens something.
    async fn try_all(mut self, app: &TestApp) -> Vec<(&'static str, bool)> {
        let silent = authorize_path("web", &[("prompt", "none")]);
        let mut opened = vec![
            ("session", person_of(app, &self.session).await.is_some()),
            ("silent sign-in", self.browser.visit(&silent).await.param("code").is_some()),
            ("access token", self.opens_userinfo(app).await),
            ("code", redeem(app, "web", &self.code).await.status == 200),
            ("refresh token", self.tokens.try_refresh(app).await.status == 200),
            ("introspection", is_active(app, &self.personal).await),
            ("token exchange", self.exchanges(app).await),
        ];
        let (browser, page, form) = &mut self.waiting;
        opened
            .push(("password", browser.submit(page, form).await.location_param("code").is_some()));
        opened.push(("passkey", self.presents(app).await));
        let journey = sign_in_at(&mut app.browser(), "kc").await;
        opened.push(("upstream", journey.stopped_at.is_some()));
        opened.push(("new token", self.makes_token().await));
        let journey = app.browser().visit(&self.address).await;
        opened.push(("link to a new address", journey.last().status == 200));
        opened.push(("recovery link", self.recovers(app).await));
        opened
    }

    async fn opens_userinfo(&self, app: &TestApp) -> bool {
        app.get("/userinfo", Some(&self.tokens.bearer())).await.status == 200
    }

    async fn exchanges(&self, app: &TestApp) -> bool {
        let form = [
            ("grant_type", EXCHANGE),
            ("subject_token", self.personal.as_str()),
            ("subject_token_type", "urn:ietf:params:oauth:token-type:access_token"),
        ];
        app.post_as("notes", "/token", &form).await.status == 200
    }

    async fn presents(&mut self, app: &TestApp) -> bool {
        let mut browser = app.browser();
        let page = passkeys::asked(&mut browser, &[]).await;
        let answer = self.device.get(&options_on(&page));
        let page = passkeys::present(&mut browser, &page, &answer).await;
        page.status == 303 && browser.cookies().get(SESSION).is_some()
    }

    async fn makes_token(&mut self) -> bool {
        let page = self.browser.get("/account").await;
        let Some(form) = page.forms().into_iter().find(|form| form.value("csrf").is_some()) else {
            return false;
        };
        let csrf = form.value("csrf").unwrap().to_owned();
        let fields = [
            ("csrf", csrf.as_str()),
            ("name", "another"),
            ("lifetime", "30d"),
            ("scope.openid", "yes"),
        ];
        let page = self.browser.post_form("/account/tokens", &fields).await;
        page.status == 200 && page.text().contains("<pre id=\"token\"")
    }

    async fn recovers(&self, app: &TestApp) -> bool {
        let mut browser = app.browser();
        let page = browser.visit(&self.recovery).await.last().clone();
        if page.status != 200 {
            return false;
        }
        let form = page.form_to("/recovery/password").fill("password", NEW);
        browser.submit(&page, &form).await.status == 200
    }
}

async fn is_active(app: &TestApp, token: &str) -> bool {
    app.post_as("notes", "/introspect", &[("token", token)]).await.json()["active"] == true
}

async fn house(inbox: &Inbox, upstream: &FakeUpstream) -> TestApp {
    let app = inbox.builder(&format!("{FAST}{EXCHANGER}")).upstream("kc", upstream, "");
    let app = app.start().await;
    app.add_user("bob", &[]).await;
    let person = json!({
        "sub": "b", "preferred_username": "bob", "email": "bob@corp.test", "email_verified": true,
    });
    upstream.set_person(person);
    app
}

/// PW-16: what opens something of an open account opens nothing of a shut one.
#[tokio::test(flavor = "multi_thread")]
async fn a_shut_account_is_shut_at_every_door() {
    for shut in [false, true] {
        let (inbox, upstream) = (Inbox::open(), FakeUpstream::start().await);
        let app = house(&inbox, &upstream).await;
        let keys = Keys::cut(&app, &inbox).await;
        if shut {
            user_verb(&app, &["disable", "bob"], "").await;
        }
        let sessions = app.count("sessions").await;
        let opened = keys.try_all(&app).await;
        let wrong: Vec<_> = opened.iter().filter(|(_, opens)| *opens == shut).collect();
        assert!(wrong.is_empty(), "shut: {shut}, and yet: {wrong:?}");
        if shut {
            assert_eq!(app.count("sessions").await, sessions);
            assert_eq!(app.count("sessions WHERE ended_at IS NULL").await, 0);
            assert_eq!(app.count("grants WHERE revoked_at IS NULL").await, 0);
            let actions: Vec<String> =
                app.events().await.into_iter().filter_map(|event| event.reason).collect();
            assert!(actions.iter().any(|reason| reason == "user_disabled"), "{actions:?}");
        }
    }
}

/// PW-16: the mail that was asked for before does not come after, and none that is asked for later.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_mailed_a_way_into_a_shut_account() {
    let inbox = Inbox::open();
    let app = super::house(&inbox).await;
    let ask = async || {
        let mut browser = app.browser();
        let page = browser.get("/recovery").await;
        browser.submit(&page, &page.form_to("/recovery").fill("username", "bob")).await.status
    };
    assert_eq!(ask().await, 303);
    user_verb(&app, &["disable", "bob"], "").await;
    assert_eq!(ask().await, 303, "nobody outside is told");
    let mails = inbox.of(&app, "bob@corp.test").await;
    assert!(mails.iter().all(|mail| !mail.text().contains("?token=")), "{}", mails.len());
    assert_eq!(app.refusals("recovery").await, ["user_disabled"; 2]);
}
