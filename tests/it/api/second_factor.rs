//! The second half of a sign-in, on an app's own form.

use keywright::keys::parse_unverified;
use serde_json::{Value, json};

use super::{APPS, assert_problem, post, sign_in};
use crate::{
    second_factor::{Authenticator, enrolled},
    support::app::{Answer, TestApp},
};

async fn house() -> (TestApp, Authenticator, Vec<String>) {
    let app = TestApp::builder().config(APPS).start().await;
    app.add_user("bob", &[]).await;
    let (authenticator, codes) = enrolled(&app).await;
    (app, authenticator, codes)
}

async fn first_half(app: &TestApp, client: &str) -> String {
    let answer = sign_in(app, client, "bob", "bob-password").await;
    assert_problem(&answer, 403, "second_factor_required");
    assert_eq!(answer.json()["methods"], json!(["totp", "recovery_code"]));
    answer.text("continuation")
}

async fn give(app: &TestApp, client: &str, continuation: &str, code: &str) -> Answer {
    let body = json!({ "client_id": client, "continuation": continuation, "code": code });
    post(app, "/signin/second-factor", &body).await
}

fn amr(answer: &Answer) -> Value {
    parse_unverified(&answer.text("id_token")).unwrap().1["amr"].clone()
}

/// MF-01, MF-02: nobody is signed in before the code, and a code counts once.
#[tokio::test(flavor = "multi_thread")]
async fn a_code_completes_the_sign_in() {
    let (app, authenticator, codes) = house().await;
    let before = app.count("sessions").await;
    let continuation = first_half(&app, "own").await;
    assert_eq!(app.count("sessions").await, before);
    assert_problem(
        &give(&app, "own", &continuation, &authenticator.wrong(&app)).await,
        401,
        "invalid_code",
    );
    let code = authenticator.code(&app);
    let answer = give(&app, "own", &continuation, &code).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(amr(&answer), json!(["pwd", "otp", "mfa"]));
    assert_eq!(answer.text("scope"), super::FULL, "what the first half has asked for");
    // Neither the continuation nor the code counts again.
    assert_problem(&give(&app, "own", &continuation, &code).await, 410, "continuation_over");
    let second = first_half(&app, "own").await;
    assert_problem(&give(&app, "own", &second, &code).await, 401, "invalid_code");
    let answer = give(&app, "own", &second, &codes[0]).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let third = first_half(&app, "own").await;
    assert_problem(&give(&app, "own", &third, &codes[0]).await, 401, "invalid_code");
    // An app that requires two is content.
    app.clock.advance(30);
    let strong = first_half(&app, "strong").await;
    assert_eq!(give(&app, "strong", &strong, &authenticator.code(&app)).await.status, 200);
    assert_eq!(app.count("sessions").await, before + 3);
}

/// A continuation is its app's own, good for five tries and ten minutes, and void with the password.
#[tokio::test(flavor = "multi_thread")]
async fn a_continuation_is_narrow() {
    let (app, authenticator, _) = house().await;
    let sessions = app.count("sessions").await;
    let own = first_half(&app, "own").await;
    let code = authenticator.code(&app);
    assert_problem(&give(&app, "page", &own, &code).await, 410, "continuation_over");
    assert_problem(&give(&app, "own", "nothing", &code).await, 410, "continuation_over");
    app.clock.advance(600);
    let code = authenticator.code(&app);
    assert_problem(&give(&app, "own", &own, &code).await, 410, "continuation_over");

    let tried = first_half(&app, "own").await;
    for _ in 0..5 {
        let wrong = authenticator.wrong(&app);
        assert_problem(&give(&app, "own", &tried, &wrong).await, 401, "invalid_code");
    }
    app.clock.advance(30);
    let code = authenticator.code(&app);
    assert_problem(&give(&app, "own", &tried, &code).await, 410, "continuation_over");

    app.clock.advance(7_200);
    let void = first_half(&app, "own").await;
    crate::refresh::outside::execute(
        &app,
        "UPDATE users SET password_hash = 'x' WHERE username = 'bob'",
    )
    .await;
    let code = authenticator.code(&app);
    assert_problem(&give(&app, "own", &void, &code).await, 410, "continuation_over");
    assert_eq!(app.count("sessions").await, sessions);
    let reasons = app.refusals("sign_in").await;
    let over = reasons.iter().filter(|reason| *reason == "second_factor_expired").count();
    assert_eq!(over, 5, "{reasons:?}");
}

/// PW-10: guessing at several continuations costs time.
#[tokio::test(flavor = "multi_thread")]
async fn guessing_at_several_is_no_way_round() {
    let (app, authenticator, _) = house().await;
    let (one, other) = (first_half(&app, "own").await, first_half(&app, "own").await);
    for number in 0..5 {
        let continuation = if number % 2 == 0 { &one } else { &other };
        let wrong = authenticator.wrong(&app);
        assert_problem(&give(&app, "own", continuation, &wrong).await, 401, "invalid_code");
    }
    let code = authenticator.code(&app);
    assert_problem(&give(&app, "own", &other, &code).await, 429, "too_many_tries");
}

/// AZ-30: of two who bring the same right code at once, one is signed in.
#[tokio::test(flavor = "multi_thread")]
async fn of_two_at_once_one_gets_in() {
    let (app, authenticator, _) = house().await;
    let continuation = first_half(&app, "own").await;
    let code = authenticator.code(&app);
    let (one, other) = tokio::join!(
        give(&app, "own", &continuation, &code),
        give(&app, "own", &continuation, &code)
    );
    let got_in = [&one, &other].iter().filter(|answer| answer.status == 200).count();
    assert_eq!(got_in, 1, "{one:?} {other:?}");
}
