//! HT-09: handlers that panic, and clients that go away in the middle.

use std::{future::poll_fn, sync::Arc, task::Poll};

use axum::{Router, body::Body, http::Request, middleware::from_fn_with_state, routing::get};
use http_body_util::BodyExt as _;
use keywright::{
    store::{sessions, users},
    web::edge::edge,
};
use tokio::sync::Semaphore;
use tower::ServiceExt as _;

use crate::support::{
    app::TestApp,
    journey::{authorize_path, code_by_session, code_for, is_active, redeem, refresh},
};

/// How often a request is looked after before its client goes away; by then all of them are answered.
const POLLS: usize = 40;

/// Whether anything came before the client went away, after so many turns of the server's.
async fn given_up<F: Future>(asked: F, turns: usize) -> Option<F::Output> {
    let mut asked = Box::pin(asked);
    let mut left = turns;
    poll_fn(|context| {
        if let Poll::Ready(answer) = asked.as_mut().poll(context) {
            return Poll::Ready(Some(answer));
        }
        left -= 1;
        if left == 0 { Poll::Ready(None) } else { Poll::Pending }
    })
    .await
}

async fn panics() -> &'static str {
    panic!("on purpose")
}

/// A handler that panics is a page with a trace id, for its own request alone.
#[tokio::test(flavor = "multi_thread")]
async fn a_panic_is_one_page() {
    let app = TestApp::start().await;
    let places = Arc::new(Semaphore::new(1));
    let router = Router::new()
        .route("/panics", get(panics))
        .layer(from_fn_with_state((app.app.clone(), Arc::clone(&places)), edge));
    for _ in 0..3 {
        let request = Request::builder().uri("/panics").body(Body::empty()).unwrap();
        let answer = router.clone().oneshot(request).await.unwrap();
        assert_eq!(answer.status(), 500);
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        let text = String::from_utf8_lossy(&body);
        assert!(text.contains("code: server_error") && text.contains("trace: "), "{text}");
        assert!(!text.contains("purpose"), "{text}");
    }
    assert_eq!(places.available_permits(), 1, "its place is free again");
    assert_eq!(app.refusals("page").await, ["server_error"; 3]);
}

/// A refresh whose client goes away at any point is done or not begun: the client comes back with the
/// same token and goes on.
#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_that_is_given_up_can_be_tried_again() {
    let app = TestApp::start().await;
    app.add_user("bob", &[]).await;
    let mut browser = app.browser();
    let code = code_for(&mut browser, "web", "bob", &[]).await;
    let mut token = redeem(&app, "web", &code).await.text("refresh_token");
    let mut answered = 0;
    for turns in 1..=POLLS {
        let first = given_up(refresh(&app, "web", &token), turns).await;
        answered += usize::from(first.is_some());
        let again = refresh(&app, "web", &token).await;
        assert_eq!(again.status, 200, "after {turns} turns: {again:?}");
        assert!(is_active(&app, "web", &again.text("access_token")).await);
        token = again.text("refresh_token");
        // Beyond the grace, so that the next round stands by itself.
        app.clock.advance(60);
    }
    assert!((1..POLLS).contains(&answered), "{answered}: given up nowhere, or everywhere");
    assert_eq!(app.count("grants").await, 1);
}

/// A code whose client goes away is redeemed or not; the second try says which, and nothing is broken.
#[tokio::test(flavor = "multi_thread")]
async fn a_code_that_is_given_up_is_used_once() {
    let app = TestApp::start().await;
    app.add_user("bob", &[]).await;
    let mut browser = app.browser();
    code_for(&mut browser, "web", "bob", &[]).await;
    for turns in 1..=POLLS {
        let code = code_by_session(&mut browser, "web", &[]).await;
        let first = given_up(redeem(&app, "web", &code), turns).await;
        let again = redeem(&app, "web", &code).await;
        if first.is_some_and(|answer| answer.status == 200) {
            again.assert_error(400, "invalid_grant");
        } else if again.status == 200 {
            assert!(is_active(&app, "web", &again.text("access_token")).await);
        } else {
            again.assert_error(400, "invalid_grant");
        }
    }
}

/// A sign-in whose browser goes away has begun a session or has not; the person signs in by trying again,
/// and no session is anybody's but theirs.
#[tokio::test(flavor = "multi_thread")]
async fn a_sign_in_that_is_given_up_can_be_tried_again() {
    let fast = "[rate_limits]\nsign_in_per_minute = 100000";
    let app = TestApp::builder().config(fast).start().await;
    let bob = app.add_user("bob", &[]).await;
    for turns in 1..=POLLS {
        let mut browser = app.browser();
        let page = browser.visit(&authorize_path("web", &[])).await.last().clone();
        let form = page.form_to("/login").fill("username", "bob").fill("password", "bob-password");
        let _ = given_up(browser.submit(&page, &form), turns).await;
        let answer = browser.submit(&page, &form).await;
        assert!(matches!(answer.status, 303 | 400), "after {turns} turns: {}", answer.text());
        let journey = browser.visit(&authorize_path("web", &[])).await;
        if journey.stopped_at.is_none() {
            let code = code_for(&mut browser, "web", "bob", &[]).await;
            assert_eq!(redeem(&app, "web", &code).await.status, 200);
        }
    }
    let mut connection = app.app.connection().await.unwrap();
    let now = app.app.now();
    assert!(users::find(&mut connection, &bob.id).await.unwrap().is_some());
    let ended = connection
        .transaction(async |conn| sessions::end_all_of_user(conn, &bob.id, None, now).await)
        .await;
    assert!(ended.is_ok(), "no lock is left behind");
}
