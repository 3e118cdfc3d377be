//! How often each flow asks the stores, to the number. A flow that asks once more fails here, and
//! whoever meant it changes the number.

use keywright::app::App;

use crate::{
    sessions::{form_token, sign_in},
    support::{
        app::{Builder, TestApp},
        browser::{Browser, Page},
        fake_upstream::FakeUpstream,
        journey::{authorize_path, code_by_session, code_for, redeem, refresh},
    },
};

/// How often the database and the short-lived state were asked: statements (those that begin and end
/// transactions too, those that travel together once), and commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Asked {
    statements: u64,
    commands: u64,
}

const fn asked(statements: u64, commands: u64) -> Asked {
    Asked { statements, commands }
}

/// Counts from its making.
struct Counter<'a> {
    app: &'a App,
    begin: Asked,
}

impl<'a> Counter<'a> {
    async fn begin(app: &'a TestApp) -> Self {
        // Refusals of before are written beside requests, and must not be counted here.
        app.app.audit.flush().await;
        Self { app: &app.app, begin: now(&app.app) }
    }

    fn assert(&self, what: &str, expected: Asked) {
        let now = now(self.app);
        let statements = now.statements - self.begin.statements;
        let commands = now.commands - self.begin.commands;
        assert_eq!(asked(statements, commands), expected, "{what}");
    }
}

fn now(app: &App) -> Asked {
    asked(app.store.statements(), app.state.commands())
}

/// With the general limit, which nobody reaches.
fn limited() -> Builder {
    let much = "[rate_limits]\nrequests_per_minute = 100000";
    TestApp::builder().with_the_general_limit().config(much)
}

/// The general limit takes requests of a network out of the common number, many at a time; each test
/// begins when that is done for its minute.
async fn start(app: TestApp) -> TestApp {
    begin_minute(&app).await;
    app
}

async fn begin_minute(app: &TestApp) {
    let before = app.app.state.commands();
    for _ in 0..3 {
        assert_eq!(app.get("/nowhere", None).await.status, 404);
    }
    let asked = app.app.state.commands() - before;
    assert_eq!(asked, u64::from(app.app.memory.is_none()), "nothing, where nobody shares it");
}

/// Loads one address and counts.
async fn step(app: &TestApp, browser: &mut Browser, url: &str, expected: Asked) -> Page {
    let counter = Counter::begin(app).await;
    let page = browser.get(url).await;
    counter.assert(&format!("{url} -> {}", page.status), expected);
    page
}

fn target(page: &Page) -> String {
    page.location().unwrap_or_else(|| panic!("no redirect: {}", page.text())).into()
}

/// Documents and tokens of a client for itself need no store.
#[tokio::test(flavor = "multi_thread")]
async fn machines_ask_no_store() {
    let app = start(limited().start().await).await;
    let counter = Counter::begin(&app).await;
    for path in ["/.well-known/jwks.json", "/.well-known/openid-configuration"] {
        assert_eq!(app.get(path, None).await.status, 200);
    }
    let form = [("grant_type", "client_credentials")];
    assert_eq!(app.post_as("m2m", "/token", &form).await.status, 200);
    assert_eq!(app.get("/nowhere", None).await.status, 404);
    counter.assert("documents, client credentials, nothing", asked(0, 0));
}

/// A sign-in with a local password, hop by hop.
#[tokio::test(flavor = "multi_thread")]
async fn a_password_sign_in() {
    let app = start(limited().start().await).await;
    app.add_user("bob", &[]).await;
    let mut browser = app.browser();
    // Are there local accounts? And the sign-in kept.
    let page = step(&app, &mut browser, &authorize_path("web", &[]), asked(1, 1)).await;
    // The sign-in read, and what a passkey would have to sign.
    let page = step(&app, &mut browser, &target(&page), asked(0, 2)).await;
    let form = page.form_to("/login").fill("username", "bob").fill("password", "bob-password");
    let counter = Counter::begin(&app).await;
    let page = browser.submit(&page, &form).await;
    // The account; the wrong passwords before; begin, account held, second factors, session with its
    // event, commit.
    // The sign-in read, the try counted, the sign-in taken, the code written. Wrong passwords are
    // read in the database, because their count must survive a restart.
    counter.assert("the password", asked(7, 4));
    assert!(page.location_param("code").is_some());
}

/// A sign-in at an upstream, hop by hop: the first one of a person, and one of a person who is known.
#[tokio::test(flavor = "multi_thread")]
async fn a_federated_sign_in() {
    let upstream = FakeUpstream::start().await;
    let app = limited().upstream("kc", &upstream, "groups = { claim = \"groups\" }").start().await;
    let app = start(app).await;
    // The way back taken, the code written. The first time: the account and its link are made, and
    // whoever said without proof that they have its address loses it.
    let returns = [asked(7, 2), asked(4, 2)];
    for (people, back_from_upstream) in returns.into_iter().enumerate() {
        let mut browser = app.browser();
        // Are there local accounts? Once a second, whoever comes.
        let looks = u64::from(people == 0);
        // The person's way back written, with the sign-in.
        let page = step(&app, &mut browser, &authorize_path("web", &[]), asked(looks, 1)).await;
        let page = step(&app, &mut browser, &target(&page), asked(0, 0)).await;
        let page = step(&app, &mut browser, &target(&page), back_from_upstream).await;
        assert!(page.location_param("code").is_some());
    }
    assert_eq!(app.count("users").await, 1);
}

/// A person who is signed in already.
#[tokio::test(flavor = "multi_thread")]
async fn a_silent_sign_in() {
    let app = start(limited().start().await).await;
    app.add_user("bob", &[]).await;
    let mut browser = app.browser();
    sign_in(&mut browser, "bob").await;
    let page = step(&app, &mut browser, &authorize_path("web", &[]), asked(1, 1)).await;
    assert!(target(&page).contains("code="));
    // Once a minute the use of the session is noted.
    app.clock.advance(60);
    begin_minute(&app).await;
    step(&app, &mut browser, &authorize_path("web", &[]), asked(2, 1)).await;
    step(&app, &mut browser, &authorize_path("web", &[]), asked(1, 1)).await;
}

/// A code for tokens, and what apps do with them.
#[tokio::test(flavor = "multi_thread")]
async fn tokens() {
    let app = start(limited().start().await).await;
    app.add_user("bob", &[]).await;
    let mut browser = app.browser();
    let code = code_for(&mut browser, "web", "bob", &[]).await;
    let counter = Counter::begin(&app).await;
    let tokens = redeem(&app, "web", &code).await;
    assert_eq!(tokens.status, 200);
    // The session with its person; begin, grant, refresh token, commit.
    counter.assert("a code with a refresh token", asked(5, 1));
    let code = code_by_session(&mut browser, "web", &[("scope", "openid")]).await;
    let counter = Counter::begin(&app).await;
    assert_eq!(redeem(&app, "web", &code).await.status, 200);
    // The session with its person; the grant.
    counter.assert("a code without one", asked(2, 1));

    let (access_token, refresh_token) = (tokens.text("access_token"), tokens.text("refresh_token"));
    let counter = Counter::begin(&app).await;
    let bearer = format!("Bearer {access_token}");
    assert_eq!(app.get("/userinfo", Some(&bearer)).await.status, 200);
    counter.assert("UserInfo", asked(1, 0));
    for (what, token) in [("an access token", &access_token), ("a refresh token", &refresh_token)] {
        let counter = Counter::begin(&app).await;
        let answer = app.post_as("web", "/introspect", &[("token", token)]).await;
        assert_eq!(answer.json()["active"], true);
        counter.assert(what, asked(1, 0));
    }
    let counter = Counter::begin(&app).await;
    assert_eq!(refresh(&app, "web", &refresh_token).await.status, 200);
    // The token with grant and person; begin, consumed, successor, commit.
    counter.assert("a refresh", asked(5, 0));
}

/// Strangers' nonsense costs nothing: no store is asked before the cheap checks are done.
#[tokio::test(flavor = "multi_thread")]
async fn nonsense_asks_no_store() {
    let app = start(limited().start().await).await;
    let mut browser = app.browser();
    let counter = Counter::begin(&app).await;
    let nonsense = [("grant_type", "refresh_token"), ("refresh_token", "kw_rt_nonsense")];
    app.post_as("web", "/token", &nonsense).await.assert_error(400, "invalid_grant");
    let nonsense = [("grant_type", "authorization_code"), ("code", "kw_ac_nonsense")];
    app.post_as("web", "/token", &nonsense).await.assert_error(400, "invalid_grant");
    let form = [("token", "e.y.J")];
    assert_eq!(app.post_as("web", "/introspect", &form).await.json()["active"], false);
    assert_eq!(app.get("/userinfo", Some("Bearer nonsense")).await.status, 401);
    assert_eq!(counter.app.state.commands(), counter.begin.commands);
    let page = browser.get("/authorize?client_id=nobody").await;
    assert_eq!(page.status, 400);
    let page = browser.get("/upstream/none/callback?state=kw_us_nonsense&code=x").await;
    assert_eq!(page.status, 404);
    assert_eq!(counter.app.state.commands(), counter.begin.commands);
    // Four refusals are kept, all of them in one transaction or each in its own.
    app.app.audit.flush().await;
    let kept = counter.app.store.statements() - counter.begin.statements;
    assert_eq!(app.events().await.len(), 4);
    assert!((4 + 2..=4 * 3).contains(&kept), "{kept}: more than the events");
}

/// The person's own pages.
#[tokio::test(flavor = "multi_thread")]
async fn own_pages() {
    let app = start(limited().start().await).await;
    app.add_user("bob", &[]).await;
    let mut browser = app.browser();
    sign_in(&mut browser, "bob").await;
    // The session with its person; their links; their sessions.
    step(&app, &mut browser, "/account", asked(3, 0)).await;
    step(&app, &mut browser, "/logout", asked(1, 0)).await;
    let token = form_token(&mut browser).await;
    let counter = Counter::begin(&app).await;
    let page = browser.post_form("/logout", &[("csrf", &token), ("confirm", "yes")]).await;
    assert_eq!(page.status, 200);
    // The session; begin, session and families ended, event, commit.
    counter.assert("signing out", asked(6, 0));
}
