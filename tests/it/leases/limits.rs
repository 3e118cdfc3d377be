//! Whose limit counts: the upstream's, an app's, and none where there is no upstream.

use keywright::leases;

use super::{Scene, TEN_MINUTES};
use crate::support::{
    app::TestApp,
    fake_upstream::{Endpoint, FakeUpstream, Fault, Placement, Refreshes},
    journey::{authorize_path, code_by_session, code_for, redeem, refresh},
};

pub(super) const PICKY: &str = "[[clients]]\nid = \"picky\"\nname = \"Picky\"\n\
                     secret = \"picky-secret-0123456789\"\nmax_staleness = \"2m\"\n\
                     redirect_uris = [\"https://picky.test/cb\"]\n";

/// An app may want fresher word than the others; its own tokens alone suffer when there is none.
#[tokio::test(flavor = "multi_thread")]
async fn an_app_may_want_fresher_word() {
    let mut scene = Scene::with(Refreshes::None, TEN_MINUTES, PICKY).await;
    // UserInfo can be asked as long as the upstream's access token lives: five minutes.
    scene.browser.stop_at("https://picky.test/");
    let code = code_by_session(&mut scene.browser, "picky", &[]).await;
    let picky = redeem(&scene.app, "picky", &code).await;
    assert_eq!(picky.json()["expires_in"], 120);
    scene.app.clock.advance(60);
    let picky = refresh(&scene.app, "picky", &picky.text("refresh_token")).await;
    assert_eq!(picky.json()["expires_in"], 120, "renewed by UserInfo: {picky:?}");
    scene.app.clock.advance(300);
    let answer = refresh(&scene.app, "picky", &picky.text("refresh_token")).await;
    answer.assert_error(400, "invalid_grant");
    assert_eq!(scene.app.refusals("token").await, ["lease_too_old"]);
    scene.refresh().await;
    assert_eq!(scene.app.refusals("lease").await, Vec::<String>::new());
    // The person is sent to the upstream again, and comes back by themselves.
    let code = code_by_session(&mut scene.browser, "picky", &[]).await;
    assert_eq!(redeem(&scene.app, "picky", &code).await.json()["expires_in"], 120);
}

/// A silent sign-in confirms too: whoever is signed in, and of whom their upstream has to speak anew, is
/// sent to that upstream without being asked how they want to sign in, and the session goes on.
#[tokio::test(flavor = "multi_thread")]
async fn a_silent_sign_in_renews_the_session() {
    let (kc, other) = (FakeUpstream::start().await, FakeUpstream::start().await);
    kc.set_refreshes(Refreshes::None);
    let app = TestApp::builder().config(PICKY).upstream("kc", &kc, "userinfo = false");
    let app = app.upstream("other", &other, "").start().await;
    let mut browser = app.browser();
    browser.stop_at("https://picky.test/");
    crate::upstream::sign_in_at(&mut browser, "kc").await;
    let code = code_by_session(&mut browser, "web", &[]).await;
    let before = redeem(&app, "web", &code).await;
    app.clock.advance(300);
    let away = browser.get(&authorize_path("picky", &[])).await;
    assert!(away.location().unwrap().as_str().starts_with(&kc.origin()), "{:?}", away.location());
    let code = browser.follow(away).await.param("code").unwrap();
    let after = redeem(&app, "picky", &code).await;
    let sid = |answer: &crate::support::app::Answer| {
        let claims = keywright::keys::parse_unverified(&answer.text("id_token")).unwrap().1;
        claims["sid"].as_str().unwrap().to_owned()
    };
    assert_eq!((after.json()["expires_in"].as_i64(), sid(&after)), (Some(120), sid(&before)));
    assert_eq!(refresh(&app, "web", &before.text("refresh_token")).await.status, 200);
    // Who wants to choose, or has signed out, is asked.
    app.clock.advance(300);
    let choice = browser.get(&authorize_path("picky", &[("prompt", "select_account")])).await;
    assert!(choice.location().unwrap().path().starts_with("/login"));
    assert!(other.requests().is_empty());
}

/// Where an upstream gives no refresh token, UserInfo tells; its groups count as those of the ID
/// token do.
#[tokio::test(flavor = "multi_thread")]
async fn userinfo_confirms_where_there_is_no_refresh_token() {
    let settings = "max_staleness = \"3m\"\ngroups = { claim = \"groups\" }";
    let mut scene = Scene::with(Refreshes::None, settings, "").await;
    scene.app.clock.advance(90);
    scene.refresh().await;
    assert_eq!((scene.life(), scene.asked()), (180, 0));
    assert_eq!(scene.claims()["groups"], serde_json::json!(["staff"]));
    scene.upstream.expel();
    scene.app.clock.advance(90);
    scene.assert_gone("upstream_userinfo_denied").await;
}

/// An access token that may simply have expired proves nothing when it is refused; and where UserInfo
/// is switched off, it is not asked.
#[tokio::test(flavor = "multi_thread")]
async fn an_old_access_token_proves_nothing() {
    let mut scene = Scene::with(Refreshes::None, TEN_MINUTES, "").await;
    scene.upstream.expel();
    scene.app.clock.advance(300);
    scene.refresh().await;
    assert_eq!(scene.life(), 300);
    let settings = "userinfo = false\nmax_staleness = \"2m\"";
    let mut scene = Scene::with(Refreshes::None, settings, "").await;
    scene.app.clock.advance(60);
    scene.refresh().await;
    assert_eq!((scene.life(), scene.upstream.count(Endpoint::Userinfo)), (60, 0));
}

/// UP-21: an upstream that has gone from the configuration can stand by nobody any more.
#[tokio::test(flavor = "multi_thread")]
async fn a_lease_of_an_upstream_that_is_gone_is_over() {
    let scene = Scene::set(Refreshes::Rotating).await;
    let Scene { app, upstream: _upstream, browser, tokens } = scene;
    drop(browser);
    let app = crate::sessions::stop(app).await.start().await;
    app.clock.advance(1);
    let answer = refresh(&app, "web", &tokens.text("refresh_token")).await;
    answer.assert_error(400, "invalid_grant");
    assert_eq!(app.refusals("lease").await, ["lease_run_out"]);
}

/// A UserInfo that tells less than the ID token did takes nothing away.
#[tokio::test(flavor = "multi_thread")]
async fn a_lean_userinfo_confirms_without_changing_anybody() {
    let settings = "max_staleness = \"4m\"\ngroups = { claim = \"groups\" }";
    let mut scene = Scene::with(Refreshes::None, settings, "").await;
    scene.upstream.place_claims(Placement::IdTokenOnly);
    scene.app.clock.advance(120);
    scene.refresh().await;
    assert_eq!(scene.claims()["groups"], serde_json::json!(["staff"]));
    assert_eq!(scene.life(), 240);
}

/// Without any means to ask, the session ends when the time is over: not before, and not later.
#[tokio::test(flavor = "multi_thread")]
async fn without_means_the_session_is_bounded() {
    let mut scene = Scene::set(Refreshes::None).await;
    scene.app.clock.advance(599);
    scene.refresh().await;
    assert_eq!(scene.life(), 1);
    leases::tend(&scene.app.app).await.unwrap();
    scene.app.clock.advance(1);
    leases::tend(&scene.app.app).await.unwrap();
    scene.assert_ended("lease_run_out").await;
    // The upstream still knows the person: a redirect there and back, and they are in again.
    let code = code_by_session(&mut scene.browser, "web", &[]).await;
    assert_eq!(redeem(&scene.app, "web", &code).await.status, 200);
}

/// A local account has no upstream that could take anything back.
#[tokio::test(flavor = "multi_thread")]
async fn a_local_account_has_no_lease() {
    let app = TestApp::builder().config(PICKY).start().await;
    app.add_user("bob", &[]).await;
    let mut browser = app.browser();
    browser.stop_at("https://picky.test/");
    let code = code_for(&mut browser, "picky", "bob", &[]).await;
    let tokens = redeem(&app, "picky", &code).await;
    assert_eq!(tokens.json()["expires_in"], 900);
    app.clock.advance(3_600);
    app.app.keys.refresh(&app.app.store, app.app.now()).await.unwrap();
    let again = refresh(&app, "picky", &tokens.text("refresh_token")).await;
    assert_eq!(again.json()["expires_in"], 900, "{again:?}");
}

/// UP-21: the word of an upstream that is switched off counts until its time is over.
#[tokio::test(flavor = "multi_thread")]
async fn a_lease_of_an_upstream_that_is_switched_off_runs_out() {
    let scene = Scene::set(Refreshes::Rotating).await;
    let Scene { app, upstream, browser, tokens } = scene;
    drop(browser);
    let settings = format!("enabled = false\n{TEN_MINUTES}");
    let next = crate::sessions::stop(app).await.upstream("kc", &upstream, &settings);
    let app = next.start().await;
    app.clock.advance(599);
    let tokens = refresh(&app, "web", &tokens.text("refresh_token")).await;
    assert_eq!(tokens.json()["expires_in"], 1, "{tokens:?}");
    app.clock.advance(1);
    let answer = refresh(&app, "web", &tokens.text("refresh_token")).await;
    answer.assert_error(400, "invalid_grant");
    assert_eq!(app.refusals("lease").await, ["lease_run_out"]);
}

/// An upstream without ID tokens is asked like any other: its refresh token, and then the address that
/// tells who a token belongs to. A no with a new access token is one.
#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_without_id_tokens_is_asked_too() {
    for (refused, reason) in
        [(None, "upstream_refresh_refused"), (Some(401), "upstream_userinfo_denied")]
    {
        let upstream = FakeUpstream::start().await;
        upstream.speak_plain_oauth();
        upstream.set_refreshes(Refreshes::Rotating);
        upstream.set_person(super::person(&["staff"]));
        let address = |endpoint| upstream.url(endpoint);
        let settings = format!(
            "{TEN_MINUTES}\nprotocol = \"oauth2\"\nauthorization_endpoint = {:?}\n\
             token_endpoint = {:?}\nuserinfo_endpoint = {:?}",
            address(Endpoint::Authorize),
            address(Endpoint::Token),
            address(Endpoint::Userinfo),
        );
        let app = TestApp::builder().upstream("kc", &upstream, &settings).start().await;
        let mut browser = app.browser();
        let code = code_by_session(&mut browser, "web", &[]).await;
        let tokens = redeem(&app, "web", &code).await;
        upstream.clear_requests();
        let mut scene = Scene { app, upstream, browser, tokens };
        scene.upstream.set_person(super::person(&["guests"]));
        scene.app.clock.advance(300);
        scene.refresh().await;
        assert_eq!((scene.life(), scene.asked()), (600, 1));
        assert_eq!(scene.claims()["groups"], serde_json::json!(["guests"]));
        match refused {
            None => scene.upstream.expel(),
            Some(status) => scene
                .upstream
                .misbehave(|lies| lies.fault(Endpoint::Userinfo, Fault::Status(status))),
        }
        scene.app.clock.advance(300);
        scene.assert_gone(reason).await;
    }
}
