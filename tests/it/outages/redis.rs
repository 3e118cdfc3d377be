//! Redis is gone: refused or silent. Where `redis-server` is not installed, the tests with a server
//! of their own have nothing to stop and pass.

use std::time::Duration;

use super::{
    assert_apps_work, assert_come_back, assert_documents_work, assert_sign_in_is_not_possible,
};
use crate::{
    sessions::{SESSION, stop},
    support::{
        app::{Answer, TestApp},
        browser::Browser,
        journey::{
            authorize_path, code_by_session, code_for, is_active, redeem, refresh, sign_in_on_page,
        },
        redis_server::RedisServer,
    },
};

/// Nothing listens there.
const NOWHERE: &str = "redis://127.0.0.1:1";

/// FT-01, FT-02: without Redis apps go on, and the start does not depend on it.
#[tokio::test(flavor = "multi_thread")]
async fn without_redis_apps_go_on_and_nobody_new_signs_in() {
    let app = TestApp::builder().state_url("memory:").start().await;
    app.add_user("bob", &[]).await;
    let mut browser = app.browser();
    let code = code_for(&mut browser, "web", "bob", &[]).await;
    let tokens = redeem(&app, "web", &code).await;
    let jar = browser.cookies().clone();
    drop(browser);

    let app = stop(app).await.state_url(NOWHERE).start().await;
    assert_apps_work(&app, &tokens.text("access_token"), &tokens.text("refresh_token")).await;
    let mut stranger = app.browser();
    assert_sign_in_is_not_possible(&stranger.get(&authorize_path("web", &[])).await);
    assert_sign_in_is_not_possible(&stranger.get("/account").await);
    assert_sign_in_is_not_possible(&stranger.get("/login?flow=x").await);
    let callback = "/upstream/none/callback?state=x";
    assert_eq!(stranger.get(callback).await.status, 404);
    // Who is signed in stays so, and sees so; a code cannot be given out.
    let mut browser = app.browser();
    *browser.cookies_mut() = jar;
    assert_eq!(browser.get("/account").await.status, 200);
    assert_sign_in_is_not_possible(&browser.get(&authorize_path("web", &[])).await);
    let page = browser.get("/logout").await;
    let page = browser.submit(&page, &page.form()).await;
    assert_eq!(page.status, 200, "signing out needs the database alone: {}", page.text());
    assert!(browser.cookies().get(SESSION).is_none());
    assert!(!is_active(&app, "web", &tokens.text("access_token")).await);
}

/// FT-02: wrong credentials of clients are still refused, whether or not they can be counted.
#[tokio::test(flavor = "multi_thread")]
async fn without_redis_credentials_are_checked_as_before() {
    let app = TestApp::builder().state_url(NOWHERE).start().await;
    let form = [("grant_type", "client_credentials"), ("client_id", "m2m")];
    let mut wrong = form.to_vec();
    wrong.push(("client_secret", "wrong"));
    for _ in 0..3 {
        app.post("/token", &wrong, &[]).await.assert_error(401, "invalid_client");
    }
    assert_documents_work(&app).await;
    assert_eq!(app.refusals("client_authentication").await, ["invalid_client"; 3]);
}

/// A refusal of a sign-in tells its whole story under the trace id on the page.
#[tokio::test(flavor = "multi_thread")]
async fn without_redis_the_refusal_is_kept_with_its_cause() {
    let app = TestApp::builder().state_url(NOWHERE).start().await;
    let page = app.browser().get(&authorize_path("web", &[])).await;
    assert_sign_in_is_not_possible(&page);
    let text = page.text();
    let trace = text.split_once("trace: ").unwrap().1.split(['\n', '<']).next().unwrap().to_owned();
    let events = app.events().await;
    let event = events.iter().find(|e| e.trace_id.as_ref().is_some_and(|id| id.as_str() == trace));
    let event = event.expect("an event under the trace id of the page");
    assert!(event.detail.contains("short-lived state"), "{}", event.detail);
}

/// A person signed in, a code not yet redeemed, a sign-in in progress at the password form.
pub(super) struct Scene {
    app: TestApp,
    server: RedisServer,
    browser: Browser,
    tokens: Answer,
    pending: String,
}

impl Scene {
    async fn set() -> Option<Self> {
        let server = RedisServer::start()?;
        let url = server.url();
        Some(Self::at(server, &url).await)
    }

    /// The same with a server that is reached by this address.
    pub(super) async fn at(server: RedisServer, url: &str) -> Self {
        let app = TestApp::builder().state_url(url).start().await;
        app.add_user("bob", &[]).await;
        let mut browser = app.browser();
        let code = code_for(&mut browser, "web", "bob", &[]).await;
        let tokens = redeem(&app, "web", &code).await;
        assert_eq!(tokens.status, 200, "{tokens:?}");
        let pending = code_by_session(&mut browser, "web", &[]).await;
        Self { app, server, browser, tokens, pending }
    }

    /// Tells the server something.
    fn tell(&self, command: &str) {
        assert_eq!(self.server.say(command).as_deref(), Some("+OK\r\n"), "{command}");
    }

    /// Everything that is promised while Redis is away. Answers the living refresh token.
    pub(super) async fn assert_as_promised(&mut self) -> String {
        let app = &self.app;
        let grants = app.count("grants").await;
        let access_token = self.tokens.text("access_token");
        let refresh_token =
            assert_apps_work(app, &access_token, &self.tokens.text("refresh_token")).await;
        assert_sign_in_is_not_possible(&app.browser().get(&authorize_path("web", &[])).await);
        assert_sign_in_is_not_possible(&self.browser.get(&authorize_path("web", &[])).await);
        assert_come_back(&redeem(app, "web", &self.pending).await);
        assert_eq!(app.count("grants").await, grants);
        assert_eq!(self.browser.get("/account").await.status, 200);
        refresh_token
    }

    /// Everything works again, in the same process.
    async fn assert_back(&mut self) {
        let app = &self.app;
        let mut stranger = app.browser();
        let code = code_for(&mut stranger, "web", "bob", &[]).await;
        assert_eq!(redeem(app, "web", &code).await.status, 200);
        let code = code_by_session(&mut self.browser, "web", &[]).await;
        assert_eq!(redeem(app, "web", &code).await.status, 200);
    }

    /// The same, as soon as Redis is asked again, and all set as it was.
    pub(super) async fn begin_again(&mut self, refresh_token: &str) {
        for _ in 0..40 {
            if self.app.browser().get(&authorize_path("web", &[])).await.status != 503 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        self.assert_back().await;
        let next = refresh(&self.app, "web", refresh_token).await;
        assert_eq!(next.status, 200, "{next:?}");
        self.tokens = next;
        self.pending = code_by_session(&mut self.browser, "web", &[]).await;
    }
}

/// FT-02: Redis dies under us and comes back empty.
#[tokio::test(flavor = "multi_thread")]
async fn redis_dies_and_comes_back() {
    let Some(mut scene) = Scene::set().await else { return };
    for _ in 0..2 {
        scene.server.kill();
        let refresh_token = scene.assert_as_promised().await;
        scene.server.start_again();
        scene.assert_back().await;
        scene.begin_again(&refresh_token).await;
    }
}

/// FT-09: a Redis at which our user may do nothing any more is one that is away.
#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_refuses_is_away() {
    let Some(mut scene) = Scene::set().await else { return };
    scene.tell("ACL SETUSER default -@all +acl +ping");
    let refresh_token = scene.assert_as_promised().await;
    scene.tell("ACL SETUSER default +@all");
    scene.begin_again(&refresh_token).await;
}

/// FT-07, FT-08: a Redis that is full, or has become a replica, takes nothing new, and forgets nothing on
/// request. Sign-ins cannot begin; apps go on, and a code that it holds is redeemed, once.
#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_takes_nothing_new_is_good_for_what_it_has() {
    let Some(mut scene) = Scene::set().await else { return };
    for (refusing, willing) in [
        ("CONFIG SET maxmemory 1", "CONFIG SET maxmemory 0"),
        ("REPLICAOF 127.0.0.1 1", "REPLICAOF NO ONE"),
    ] {
        scene.tell(refusing);
        let access_token = scene.tokens.text("access_token");
        let refresh_token = scene.tokens.text("refresh_token");
        let refresh_token = assert_apps_work(&scene.app, &access_token, &refresh_token).await;
        let path = authorize_path("web", &[]);
        assert_sign_in_is_not_possible(&scene.app.browser().get(&path).await);
        assert_sign_in_is_not_possible(&scene.browser.get(&path).await);
        let redeemed = redeem(&scene.app, "web", &scene.pending).await;
        assert_eq!(redeemed.status, 200, "{refusing}: {redeemed:?}");
        let again = redeem(&scene.app, "web", &scene.pending).await;
        again.assert_error(400, "invalid_grant");
        assert!(!is_active(&scene.app, "web", &redeemed.text("access_token")).await);
        scene.tell(willing);
        scene.begin_again(&refresh_token).await;
    }
}

/// FT-03: Redis accepts connections and never answers; afterwards what it held is still good.
#[tokio::test(flavor = "multi_thread")]
async fn redis_hangs_and_goes_on() {
    let Some(mut scene) = Scene::set().await else { return };
    let mut waiting = scene.app.browser();
    let page = waiting.visit(&authorize_path("web", &[])).await;
    scene.server.hang();
    scene.assert_as_promised().await;
    scene.server.wake();
    scene.assert_back().await;
    let answer = redeem(&scene.app, "web", &scene.pending).await;
    assert_eq!(answer.status, 200, "the code was not burnt: {answer:?}");
    let journey = sign_in_on_page(&mut waiting, &page, "bob").await;
    assert!(journey.param("code").is_some(), "{:?}", journey.hops());
}

/// FT-04: what Redis held is lost with it: the person is told, and the second try works.
#[tokio::test(flavor = "multi_thread")]
async fn a_sign_in_that_redis_has_lost_is_begun_again() {
    let Some(mut scene) = Scene::set().await else { return };
    let mut waiting = scene.app.browser();
    let page = waiting.visit(&authorize_path("web", &[])).await;
    scene.server.kill();
    scene.server.start_again();
    let sessions = scene.app.count("sessions").await;
    let lost = sign_in_on_page(&mut waiting, &page, "bob").await;
    assert_eq!(lost.last().status, 400, "{}", lost.last().text());
    assert!(lost.last().text().contains("code: flow_expired"));
    assert!(waiting.cookies().get(SESSION).is_none());
    assert_eq!(scene.app.count("sessions").await, sessions);
    redeem(&scene.app, "web", &scene.pending).await.assert_error(400, "invalid_grant");
    let code = code_for(&mut waiting, "web", "bob", &[]).await;
    assert_eq!(redeem(&scene.app, "web", &code).await.status, 200);
    scene.assert_back().await;
}
