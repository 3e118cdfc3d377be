//! The way to an upstream and back: once, in one browser, with one upstream.

use tokio::task::JoinSet;

use super::{
    Away, SESSION_COOKIE, Witness, claims_for_app, gets_in, is_refusal_page, no_session_cookie,
    sign_in_at, start_at,
};
use crate::support::{
    app::TestApp,
    fake_upstream::{Endpoint, FakeUpstream},
    journey::{authorize_path, code_by_session},
};

/// UP-01: no state, an unknown one, one that was cut or padded.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_without_a_known_state_signs_nobody_in() {
    let (app, upstream) = TestApp::with_upstream().await;
    let away = Away::at(&app, "kc").await;
    let state = away.callback.query_pairs().find(|(name, _)| name == "state").unwrap().1;
    upstream.clear_requests();
    let of_code = "kw_ac_".to_owned() + state.rsplit('_').next().unwrap();
    let long = "x".repeat(8_000);
    for wrong in ["", "unknown", &state[..state.len() - 1], &format!("{state}x"), &of_code, &long] {
        let witness = Witness::of(&app).await;
        let mut browser = away.browser.clone();
        let mut url = away.callback.clone();
        url.query_pairs_mut().clear().extend_pairs([
            ("code", "c"),
            ("iss", &upstream.issuer()),
            ("state", wrong),
        ]);
        let page = browser.get(url.as_str()).await;
        let event = witness.only_refusal().await.unwrap();
        is_refusal_page(&page, 400, &event).unwrap();
        assert_eq!(event.reason.as_deref(), Some("state_unknown"), "{wrong}");
        no_session_cookie(&browser).unwrap();
    }
    assert_eq!(upstream.requests().len(), 0, "nobody was asked anything");
}

/// UP-01: a state lives ten minutes by our clock.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_comes_too_late_signs_nobody_in() {
    let upstream = FakeUpstream::start().await;
    let builder = TestApp::builder().upstream("kc", &upstream, "").state_url("memory:");
    let app = builder.start().await;
    let mut in_time = Away::at(&app, "kc").await;
    let mut late = Away::at(&app, "kc").await;
    app.clock.advance(599);
    assert_eq!(in_time.come_back().await.status, 303);
    app.clock.advance(2);
    upstream.clear_requests();
    let witness = Witness::of(&app).await;
    let page = late.come_back().await;
    is_refusal_page(&page, 400, &witness.only_refusal().await.unwrap()).unwrap();
    assert_eq!(upstream.count(Endpoint::Token), 0);
}

/// UP-02: mallory's own answer, opened in alice's browser or in one without cookies. Alice stays
/// who she was, and mallory cannot use the answer any more.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_counts_only_in_the_browser_that_asked() {
    let (app, upstream) = TestApp::with_upstream().await;
    let mut alice = app.browser();
    let claims = claims_for_app(&app, &sign_in_at(&mut alice, "kc").await).await;
    let cookie = alice.cookies().get(SESSION_COOKIE).unwrap().clone();
    upstream.set_person(serde_json::json!({"sub": "mallory", "preferred_username": "mallory"}));
    for victim in [&mut alice, &mut app.browser()] {
        let mut mallory = Away::at(&app, "kc").await;
        upstream.clear_requests();
        let witness = Witness::of(&app).await;
        let page = victim.get(mallory.callback.as_str()).await;
        let event = witness.only_refusal().await.unwrap();
        is_refusal_page(&page, 400, &event).unwrap();
        assert_eq!(event.reason.as_deref(), Some("state_of_another_browser"));
        assert!(page.set_cookies().iter().all(|set| !set.contains("kw-session")));
        assert_eq!(mallory.come_back().await.status, 400, "the state is used up");
        assert_eq!(upstream.count(Endpoint::Token), 0);
    }
    assert_eq!(alice.cookies().get(SESSION_COOKIE).unwrap().value, cookie.value);
    let journey = alice.visit(&authorize_path("web", &[("prompt", "none")])).await;
    assert_eq!(claims_for_app(&app, &journey).await["sub"], claims["sub"]);
}

/// UP-07: the address of the upstream that mallory was sent to, opened by alice.
#[tokio::test(flavor = "multi_thread")]
async fn a_sign_in_that_somebody_else_began_ends_with_nothing() {
    let (app, upstream) = TestApp::with_upstream().await;
    let mut mallory = app.browser();
    let lure = start_at(&mut mallory, "kc").await.location().unwrap();
    let witness = Witness::of(&app).await;
    let mut alice = app.browser();
    let journey = alice.visit(lure.as_str()).await;
    let event = witness.only_refusal().await.unwrap();
    is_refusal_page(journey.last(), 400, &event).unwrap();
    no_session_cookie(&alice).unwrap();
    assert_eq!(upstream.count(Endpoint::Token), 0);
    assert_eq!(mallory.get(journey.last().url.as_str()).await.status, 400);
    no_session_cookie(&mallory).unwrap();
    // There is nothing to link, so nothing can be linked to mallory.
    assert_eq!(app.get("/account/link/kc", None).await.status, 404);
}

/// UP-03, RX-01: of twenty equal answers at once exactly one is redeemed.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_counts_once_however_many_bring_it() {
    let (app, upstream) = TestApp::with_upstream().await;
    let away = Away::at(&app, "kc").await;
    let mut racers = JoinSet::new();
    for _ in 0..20 {
        let (mut browser, url) = (away.browser.clone(), away.callback.to_string());
        racers.spawn(async move {
            let page = browser.get(&url).await;
            (page.status, no_session_cookie(&browser).is_err())
        });
    }
    let outcomes = racers.join_all().await;
    let won = outcomes.iter().filter(|outcome| **outcome == (303, true)).count();
    let lost = outcomes.iter().filter(|outcome| **outcome == (400, false)).count();
    assert_eq!((won, lost), (1, 19), "{outcomes:?}");
    assert_eq!(upstream.count(Endpoint::Token), 1);
    assert_eq!(app.refusals("sign_in").await, vec!["state_unknown"; 19]);
    assert_eq!((app.count("sessions").await, app.count("users").await), (1, 1));
}

/// UP-24: no way round the upstream.
#[tokio::test(flavor = "multi_thread")]
async fn the_step_at_the_upstream_cannot_be_left_out() {
    let (app, upstream) = TestApp::with_upstream().await;
    let mut browser = app.browser();
    let page = browser.get(&authorize_path("web", &[("prompt", "select_account")])).await;
    let flow = page.location_param("flow").unwrap();
    for path in ["/upstream/kc/callback", "/upstream/kc/start"] {
        let page = browser.post_form(&format!("{path}?flow={flow}"), &[]).await;
        assert!(matches!(page.status, 400 | 403 | 404 | 405), "{path}: {}", page.status);
    }
    let posted = browser.post_form(&format!("/login?flow={flow}"), &[]).await;
    assert!(matches!(posted.status, 400 | 403), "{}", posted.status);
    let page = browser.get(&format!("/login?flow={flow}&same=yes")).await;
    assert_eq!((page.status, page.location()), (200, None), "still not signed in");
    for _ in 0..2 {
        // Starting again is no success either.
        let page = browser.get(&format!("/upstream/kc/start?flow={flow}")).await;
        assert!(page.location().unwrap().as_str().starts_with(&upstream.origin()));
    }
    no_session_cookie(&browser).unwrap();
    assert_eq!((app.count("sessions").await, upstream.count(Endpoint::Token)), (0, 0));
}

/// UP-24: the end of one sign-in is not the end of another.
#[tokio::test(flavor = "multi_thread")]
async fn a_finished_sign_in_cannot_be_finished_again() {
    let (app, _upstream) = TestApp::with_upstream().await;
    let mut browser = app.browser();
    let journey = sign_in_at(&mut browser, "kc").await;
    let callback = journey.hop("/upstream/kc/callback").url.clone();
    for mut visitor in [browser.clone(), app.browser()] {
        let page = visitor.get(callback.as_str()).await;
        assert_eq!((page.status, page.location()), (400, None));
    }
    gets_in(&app, "kc").await.unwrap();
    code_by_session(&mut browser, "web", &[]).await;
}
