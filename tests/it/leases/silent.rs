//! Signing in without a page (`prompt=none`) when the upstream has to speak anew: it is asked without
//! a page as well, and whatever comes of it, the app hears of it and nobody sees a page.

use keywright::{keys::parse_unverified, store::sessions};

use super::{Scene, TEN_MINUTES, limits::PICKY};
use crate::support::{
    browser::Page,
    fake_upstream::{Endpoint, FakeUpstream, Fault, Outcome, Refreshes},
    journey::{authorize_path, redeem},
};

/// The upstream's word was given five minutes ago, nothing confirms it again, and `picky` wants it to be
/// two minutes old at most.
async fn scene() -> Scene {
    let settings = format!("{TEN_MINUTES}\nuserinfo = false");
    let mut scene = Scene::with(Refreshes::None, &settings, PICKY).await;
    scene.browser.stop_at("https://picky.test/");
    scene.app.clock.advance(300);
    scene.upstream.clear_requests();
    scene
}

impl Scene {
    /// Asks for `picky` without a page, and follows where that leads.
    async fn ask_silently(&mut self, changes: &[(&str, &str)]) -> Page {
        let changes = [&[("prompt", "none")], changes].concat();
        let journey = self.browser.visit(&authorize_path("picky", &changes)).await;
        let pages = &journey.pages;
        assert!(pages.iter().all(|page| page.status == 303), "a page was shown: {pages:?}");
        journey.pages.into_iter().next_back().unwrap()
    }

    async fn session_row(&self) -> sessions::Session {
        let mut connection = self.app.app.connection().await.unwrap();
        let found = sessions::find(&mut connection, &self.session()).await.unwrap();
        found.unwrap().0
    }

    async fn live_sessions(&self) -> i64 {
        self.app.count("sessions WHERE ended_at IS NULL").await
    }

    /// How often the person was sent to the upstream, and with which `prompt`.
    fn prompts(&self) -> Vec<Option<String>> {
        let sent = self.upstream.requests_to(Endpoint::Authorize);
        sent.iter().map(|request| request.param("prompt").map(str::to_owned)).collect()
    }

    /// The app hears this error, and nothing has changed.
    async fn assert_refused(&mut self, changes: &[(&str, &str)], error: &str) {
        let (people, confirmed_at) = (self.app.count("users").await, self.confirmed_at().await);
        let page = self.ask_silently(changes).await;
        assert_eq!(page.location_param("error").as_deref(), Some(error), "{:?}", page.location());
        assert_eq!(page.location_param("code"), None);
        assert_eq!(self.app.count("users").await, people);
        assert_eq!(self.app.count("sessions").await, 1);
        assert_eq!(self.confirmed_at().await, confirmed_at);
    }
}

/// Who is signed in at the upstream still is in the app again, in the same session.
#[tokio::test(flavor = "multi_thread")]
async fn the_upstream_is_asked_without_a_page() {
    let mut scene = scene().await;
    let page = scene.ask_silently(&[]).await;
    let code = page.location_param("code").unwrap();
    let tokens = redeem(&scene.app, "picky", &code).await;
    assert_eq!(tokens.json()["expires_in"], 120, "{tokens:?}");
    let claims = parse_unverified(&tokens.text("id_token")).unwrap().1;
    assert_eq!(claims["sid"], scene.session().as_str());
    assert_eq!(scene.prompts(), [Some("none".to_owned())]);
    assert_eq!(scene.confirmed_at().await, scene.app.app.now().unix());
}

/// Who is signed in there no more is not signed in, and no page says so; asked with a page they
/// sign in there.
#[tokio::test(flavor = "multi_thread")]
async fn who_is_gone_there_has_to_sign_in() {
    let mut scene = scene().await;
    scene.upstream.set_signed_in(false);
    scene.assert_refused(&[], "login_required").await;
    assert_eq!(scene.prompts(), [Some("none".to_owned())]);
    assert_eq!(scene.app.refusals("sign_in").await, ["upstream_refused"]);
    assert_eq!(scene.app.refusals("authorize").await, ["login_required"]);
    for error in ["interaction_required", "consent_required", "account_selection_required"] {
        scene.upstream.set_signed_in(true);
        let outcome = Outcome::Refuse { error: error.to_owned(), description: None };
        scene.upstream.set_outcome(outcome);
        scene.assert_refused(&[], "login_required").await;
    }
    scene.upstream.set_outcome(Outcome::SignIn);
    let journey = scene.browser.visit(&authorize_path("picky", &[])).await;
    assert!(journey.stopped_at.is_some(), "{:?}", journey.hops());
}

/// Without a page nobody is exchanged for somebody else, and nobody gets an account.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_exchanged() {
    let mut scene = scene().await;
    let stranger = serde_json::json!({ "sub": "stranger", "preferred_username": "stranger" });
    scene.upstream.set_person(stranger);
    scene.assert_refused(&[], "login_required").await;
    assert_eq!(scene.app.refusals("sign_in").await, ["another_person"]);
}

/// Nobody has proved anything anew: neither the time of the proof nor the end of the session moves, and
/// the browser keeps its secret; unless the upstream tells of a later proof.
#[tokio::test(flavor = "multi_thread")]
async fn a_confirmation_is_no_proof() {
    let mut scene = scene().await;
    let before = scene.session_row().await;
    for (lies, moves) in [(true, false), (false, true)] {
        scene.upstream.behave();
        if lies {
            scene.upstream.misbehave(|lies| {
                lies.claims.remove("auth_time");
            });
        }
        scene.app.clock.advance(130);
        let page = scene.ask_silently(&[]).await;
        assert!(page.location_param("code").is_some(), "{:?}", page.location());
        assert!(!page.set_cookies().iter().any(|cookie| cookie.contains("session")), "{page:?}");
        let after = scene.session_row().await;
        assert_eq!(after.auth_time != before.auth_time, moves);
        assert_eq!((after.id, after.digest), (before.id.clone(), before.digest.clone()));
        assert_eq!(after.expires_at, before.expires_at);
        assert_eq!(after.confirmed_at, scene.app.app.now());
    }
}

/// LO-09: an answer that was on its way when the person signed out, or when somebody else signed in,
/// signs nobody in.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_comes_too_late_counts_for_nothing() {
    for somebody_else in [false, true] {
        let mut scene = scene().await;
        let silent = authorize_path("picky", &[("prompt", "none")]);
        let away = scene.browser.get(&silent).await;
        let account = scene.browser.get("/account").await;
        let account = if account.status == 303 {
            scene.browser.follow(account).await.last().clone()
        } else {
            account
        };
        let form = account.form_to("/logout");
        scene.browser.submit(&account, &form).await;
        if somebody_else {
            scene.app.add_user("bob", &[]).await;
            scene.app.clock.advance(1);
            crate::sessions::sign_in(&mut scene.browser, "bob").await;
        }
        let live = scene.live_sessions().await;
        let journey = scene.browser.follow(away).await;
        assert_eq!(
            journey.param("error").as_deref(),
            Some("login_required"),
            "{:?}",
            journey.hops()
        );
        assert_eq!(scene.app.refusals("sign_in").await, ["session_over"]);
        assert_eq!(scene.live_sessions().await, live);
    }
}

/// LO-06: two tabs at once have one session, which the browser still knows.
#[tokio::test(flavor = "multi_thread")]
async fn two_tabs_at_once_share_the_session() {
    let mut scene = scene().await;
    let silent = authorize_path("picky", &[("prompt", "none")]);
    let tabs = [scene.browser.get(&silent).await, scene.browser.get(&silent).await];
    for tab in tabs {
        let journey = scene.browser.follow(tab).await;
        assert!(journey.param("code").is_some(), "{:?}", journey.hops());
    }
    assert_eq!(scene.app.count("sessions").await, 1);
    assert_eq!(scene.browser.get("/account").await.status, 200);
}

/// An upstream that says that it always shows a page is not asked.
#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_that_always_shows_a_page_is_not_asked() {
    let settings = format!("{TEN_MINUTES}\nuserinfo = false");
    let prepare = |upstream: &FakeUpstream| {
        upstream.misbehave(|lies| {
            lies.metadata.set("prompt_values_supported", serde_json::json!(["login", "consent"]));
        });
    };
    let mut scene = Scene::prepared(Refreshes::None, &settings, PICKY, prepare).await;
    scene.browser.stop_at("https://picky.test/");
    scene.app.clock.advance(300);
    scene.upstream.clear_requests();
    scene.assert_refused(&[], "login_required").await;
    assert_eq!(scene.prompts(), []);
    assert_eq!(scene.app.refusals("sign_in").await, ["upstream_not_silent"]);
}

/// Where the app expects somebody else, nobody is asked.
#[tokio::test(flavor = "multi_thread")]
async fn who_is_not_expected_is_not_asked() {
    let mut scene = scene().await;
    scene.app.add_user("bob", &[]).await;
    let mut other = scene.app.browser();
    other.stop_at("https://picky.test/");
    let code = crate::support::journey::code_for(&mut other, "picky", "bob", &[]).await;
    let hint = redeem(&scene.app, "picky", &code).await.text("id_token");
    let changes = [("prompt", "none"), ("id_token_hint", &hint)];
    let page = scene.browser.get(&authorize_path("picky", &changes)).await;
    assert_eq!(page.location_param("error").as_deref(), Some("login_required"));
    assert_eq!(scene.prompts(), []);
}

/// Nobody who has no session is signed in because they are signed in somewhere else; and least of
/// all who has just signed out.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_signed_in_out_of_the_blue() {
    let mut scene = scene().await;
    let mut stranger = scene.app.browser();
    let silent = authorize_path("picky", &[("prompt", "none")]);
    let page = stranger.get(&silent).await;
    assert_eq!(page.location_param("error").as_deref(), Some("login_required"));
    let account = scene.browser.get("/account").await;
    let form = account.form_to("/logout");
    scene.browser.submit(&account, &form).await;
    let page = scene.browser.get(&silent).await;
    assert_eq!(page.location_param("error").as_deref(), Some("login_required"));
    assert_eq!(scene.prompts(), []);
}

/// An upstream that fails on the way fails without a page.
#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_that_fails_shows_no_page() {
    let mut scene = scene().await;
    scene.upstream.misbehave(|lies| lies.fault(Endpoint::Token, Fault::Status(500)));
    scene.assert_refused(&[], "login_required").await;
    scene.upstream.behave();
    scene.upstream.misbehave(|lies| {
        lies.claims.set("nonce", "of-another-sign-in");
    });
    scene.assert_refused(&[], "login_required").await;
    scene.upstream.behave();
    // Away, as is known: nobody is sent there any more.
    scene.upstream.misbehave(|lies| {
        for endpoint in [Endpoint::Discovery, Endpoint::Jwks, Endpoint::Token] {
            lies.fault(endpoint, Fault::Drop);
        }
    });
    scene.app.clock.advance(60);
    for _ in 0..3 {
        keywright::jobs::look_after_upstreams(&scene.app.app).await.unwrap();
        scene.app.clock.advance(5);
    }
    assert!(scene.app.app.upstreams.find("kc").unwrap().is_away());
    scene.upstream.clear_requests();
    scene.assert_refused(&[], "login_required").await;
    assert_eq!(scene.prompts(), []);
}
