//! `prompt` and `max_age`: when a session is enough, and when the person has to prove anew.

use url::Url;

use super::{assert_all_sent_back, browser_of, start_with_people};
use crate::support::{
    app::TestApp,
    browser::{Browser, Journey},
    clock::START,
    fake_upstream::Endpoint,
    journey::{authorize_path, code_by_session, code_for, redeem, sign_in_on_page},
};

fn query(url: &Url, name: &str) -> Option<String> {
    url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}

/// The flow of the sign-in page on which a journey ended.
fn flow_of(journey: &Journey) -> String {
    let page = journey.last();
    assert_eq!((page.status, page.url.path()), (200, "/login"), "{:?}", journey.hops());
    query(&page.url, "flow").unwrap()
}

/// The claims of the ID token that a code gives.
async fn claims_of(
    app: &TestApp,
    client: &str,
    code: &str,
) -> serde_json::Map<String, serde_json::Value> {
    let answer = redeem(app, client, code).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    keywright::keys::parse_unverified(&answer.text("id_token")).unwrap().1
}

/// Every later address of the flow, without what was asked: none of them lets anybody through.
async fn assert_cannot_be_skipped(browser: &mut Browser, flow: &str) {
    for path in [
        format!("/login?flow={flow}"),
        format!("/login?flow={flow}&prompt=none&max_age=100000"),
        format!("/login?flow={flow}&same=yes"),
        format!("/login?flow={flow}&prompt=select_account&same=yes"),
    ] {
        let journey = browser.visit(&path).await;
        assert_eq!(flow_of(&journey), flow, "{path}");
        assert!(journey.last().links().iter().all(|link| query(link, "same").is_none()));
    }
}

/// AZ-25: a session that is too old, or any session under `prompt=login`, is not enough, and
/// nothing but a new proof gets past the page.
#[tokio::test(flavor = "multi_thread")]
async fn a_new_proof_is_asked_for_and_cannot_be_skipped() {
    for asked in [("max_age", "1"), ("max_age", "0"), ("prompt", "login"), ("max_age", "599")] {
        let app = start_with_people("").await;
        let mut browser = browser_of(&app, "alice").await;
        app.clock.advance(600);
        let journey = browser.visit(&authorize_path("web", &[asked])).await;
        let flow = flow_of(&journey);
        assert_cannot_be_skipped(&mut browser, &flow).await;
        // A wrong password is no proof either.
        let form = journey.last().form_to("/login").fill("username", "alice").fill("password", "x");
        let page = browser.submit(journey.last(), &form).await;
        assert_eq!((page.status, page.url.path()), (400, "/login"));
        assert_cannot_be_skipped(&mut browser, &flow).await;

        let journey = sign_in_on_page(&mut browser, &journey, "alice").await;
        let claims = claims_of(&app, "web", &journey.param("code").unwrap()).await;
        assert_eq!(claims["auth_time"], START + 600, "{asked:?}");
        assert_eq!(app.refusals("sign_in").await, ["wrong_password"]);
    }
}

/// AZ-25: a session that is young enough is enough, and `auth_time` stays what it was.
#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_is_young_enough_is_not_asked_again() {
    let app = start_with_people("").await;
    let mut browser = browser_of(&app, "alice").await;
    app.clock.advance(600);
    for asked in [("max_age", "600"), ("max_age", "4294967295"), ("prompt", "none")] {
        let code = code_by_session(&mut browser, "web", &[asked]).await;
        assert_eq!(claims_of(&app, "web", &code).await["auth_time"], START, "{asked:?}");
    }
    assert_eq!(app.count("sessions").await, 1);
}

/// OIDC Core §3.1.2.1: `prompt=none` never shows a page.
#[tokio::test(flavor = "multi_thread")]
async fn a_silent_request_that_needs_a_person_is_sent_back() {
    let app = start_with_people("").await;
    let silent = [authorize_path("web", &[("prompt", "none")])];
    assert_all_sent_back(&app, &mut app.browser(), &silent, "login_required").await;
    let mut browser = browser_of(&app, "alice").await;
    app.clock.advance(600);
    let stale = [authorize_path("web", &[("prompt", "none"), ("max_age", "1")])];
    assert_all_sent_back(&app, &mut browser, &stale, "login_required").await;
    code_by_session(&mut browser, "web", &[("prompt", "none")]).await;
    // Nobody is signed in any more once the session has ended by itself.
    app.clock.advance(400 * 86_400);
    assert_all_sent_back(&app, &mut browser, &silent, "login_required").await;
}

/// OIDC Core §3.1.2.1: what is no prompt or no age is refused, not ignored.
#[tokio::test(flavor = "multi_thread")]
async fn prompts_and_ages_that_make_no_sense_are_refused() {
    let app = start_with_people("").await;
    let mut browser = browser_of(&app, "alice").await;
    let wrong = [
        ("prompt", "none login"),
        ("prompt", "login none"),
        ("prompt", "NONE"),
        ("prompt", "login\u{0}"),
        ("max_age", "-1"),
        ("max_age", "x"),
        ("max_age", "1.5"),
        ("max_age", " 1"),
        ("max_age", "4294967296"),
        ("max_age", "99999999999999999999"),
    ];
    let paths = wrong.map(|change| authorize_path("web", &[change]));
    assert_all_sent_back(&app, &mut browser, &paths, "invalid_request").await;
}

/// `prompt=select_account`: the person may go on as themselves without a new proof.
#[tokio::test(flavor = "multi_thread")]
async fn choosing_the_account_that_is_signed_in_needs_no_password() {
    let app = start_with_people("").await;
    let mut browser = browser_of(&app, "alice").await;
    app.clock.advance(600);
    let journey = browser.visit(&authorize_path("web", &[("prompt", "select_account")])).await;
    flow_of(&journey);
    let page = journey.last();
    let links = page.links();
    let same = links.iter().find(|link| query(link, "same").is_some()).unwrap();
    let answer = browser.click(page, same.as_str()).await;
    let journey = browser.follow(answer).await;
    let claims = claims_of(&app, "web", &journey.param("code").unwrap()).await;
    assert_eq!(claims["auth_time"], START);
    // With `login` beside it a new proof is needed all the same.
    for more in [("prompt", "select_account login"), ("max_age", "1")] {
        let asked = [("prompt", "select_account"), more];
        let journey = browser.visit(&authorize_path("web", &asked)).await;
        assert_cannot_be_skipped(&mut browser, &flow_of(&journey)).await;
    }
}

/// Whoever signs in last is who the app gets; the former person's session here has ended.
#[tokio::test(flavor = "multi_thread")]
async fn another_person_may_sign_in_when_asked_again() {
    let app = start_with_people("").await;
    let mut browser = app.browser();
    let code = code_for(&mut browser, "web", "alice", &[]).await;
    let alice = claims_of(&app, "web", &code).await;
    let pending = code_by_session(&mut browser, "web", &[]).await;
    let code = code_for(&mut browser, "web", "bob", &[("prompt", "login")]).await;
    let bob = claims_of(&app, "web", &code).await;
    assert_ne!(alice["sub"], bob["sub"]);
    assert_ne!(alice["sid"], bob["sid"]);
    // What alice's session had not redeemed yet ended with it (CD-13).
    redeem(&app, "web", &pending).await.assert_error(400, "invalid_grant");
}

/// The wish for a new proof is passed on, or an upstream's own session would answer it.
#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_is_told_that_a_new_proof_is_wanted() {
    let (app, upstream) = TestApp::with_upstream().await;
    let mut browser = app.browser();
    let first = browser.visit(&authorize_path("web", &[])).await;
    assert!(first.param("code").is_some(), "{:?}", first.hops());
    upstream.clear_requests();
    let asked = [("prompt", "login"), ("login_hint", "alice@corp.test")];
    let journey = browser.visit(&authorize_path("web", &asked)).await;
    assert!(journey.param("code").is_some(), "{:?}", journey.hops());
    let sent = upstream.requests_to(Endpoint::Authorize);
    assert_eq!(sent[0].param("prompt"), Some("login"));
    assert_eq!(sent[0].param("login_hint"), Some("alice@corp.test"));
    upstream.clear_requests();
    app.clock.advance(60);
    let journey = browser.visit(&authorize_path("web", &[("max_age", "30")])).await;
    assert!(journey.stopped_at.is_some(), "{:?}", journey.hops());
    assert_eq!(upstream.requests_to(Endpoint::Authorize)[0].param("max_age"), Some("30"));
}
