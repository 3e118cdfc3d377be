//! A code that comes a second time.

use std::sync::Arc;

use super::{Family, redeem_with, refused, start_with_alice, start_with_code};
use crate::support::{
    app::{Answer, SECRET, TestApp},
    journey::{authorize_path, code_by_session, code_for, redeem, refresh, sign_in_on_page},
};

/// CD-06: whenever it comes, also after what we kept about the code has ended.
#[tokio::test(flavor = "multi_thread")]
async fn a_replayed_code_ends_everything_that_came_of_it() {
    for seconds in [0, 1, 30, 61, 600] {
        let (app, _, code) = start_with_code("web").await;
        let family = Family::of(&redeem(&app, "web", &code).await);
        family.assert_alive(&app, "web").await;
        app.clock.advance(seconds);
        redeem(&app, "web", &code).await.assert_error(400, "invalid_grant");
        family.assert_dead(&app, "web").await;
        assert_eq!(refused(&app, "code_replay").await, 1, "after {seconds} s");
        assert_eq!((app.count("grants").await, app.count("refresh_tokens").await), (1, 1));
        // A third time changes nothing any more.
        redeem(&app, "web", &code).await.assert_error(400, "invalid_grant");
        assert_eq!(app.count("grants").await, 1);
    }
}

/// CD-06: the fact of use is in the database, not in the short-lived state.
#[tokio::test(flavor = "multi_thread")]
async fn a_replay_is_recognised_when_the_short_lived_state_was_lost() {
    let app = TestApp::builder().state_url("memory:").start().await;
    app.add_user("alice", &[]).await;
    let code = code_for(&mut app.browser(), "web", "alice", &[]).await;
    let family = Family::of(&redeem(&app, "web", &code).await);
    app.forget_short_lived_state();
    redeem(&app, "web", &code).await.assert_error(400, "invalid_grant");
    family.assert_dead(&app, "web").await;
    assert_eq!(refused(&app, "code_replay").await, 1);
}

/// CD-06: later generations of the family end too, other families of the person do not.
#[tokio::test(flavor = "multi_thread")]
async fn a_replay_reaches_later_generations_and_no_other_family() {
    let (app, mut browser, code) = start_with_code("web").await;
    let first = Family::of(&redeem(&app, "web", &code).await);
    let second = Family::of(&refresh(&app, "web", &first.refresh).await);
    let other_code = code_by_session(&mut browser, "web", &[]).await;
    let other = Family::of(&redeem(&app, "web", &other_code).await);
    app.clock.advance(120);
    redeem(&app, "web", &code).await.assert_error(400, "invalid_grant");
    second.assert_dead(&app, "web").await;
    first.assert_dead(&app, "web").await;
    other.assert_alive(&app, "web").await;
    // The person stays signed in.
    code_by_session(&mut browser, "web", &[("prompt", "none")]).await;
}

/// CD-06: from a public client, which has nothing but the verifier.
#[tokio::test(flavor = "multi_thread")]
async fn a_replay_by_a_public_client_ends_the_family_too() {
    let (app, _, code) = start_with_code("spa").await;
    let form = [
        ("grant_type", "authorization_code"),
        ("client_id", "spa"),
        ("code", code.as_str()),
        ("redirect_uri", "https://spa.test/cb"),
        ("code_verifier", crate::support::journey::VERIFIER),
    ];
    let good = app.post("/token", &form, &[]).await;
    assert_eq!(good.status, 200, "{good:?}");
    app.post("/token", &form, &[]).await.assert_error(400, "invalid_grant");
    let bearer = format!("Bearer {}", good.text("access_token"));
    assert_eq!(app.get("/userinfo", Some(&bearer)).await.status, 401);
    let token = good.text("refresh_token");
    let form =
        [("grant_type", "refresh_token"), ("client_id", "spa"), ("refresh_token", token.as_str())];
    app.post("/token", &form, &[]).await.assert_error(400, "invalid_grant");
}

/// CD-06: tokens that outlive a sign-out do not outlive a replay.
#[tokio::test(flavor = "multi_thread")]
async fn a_replay_after_a_sign_out_ends_what_the_sign_out_left() {
    let keeper = "
[[clients]]
id = \"keeper\"
name = \"Keeper\"
secret = \"keeper-secret-0123456789\"
redirect_uris = [\"https://keeper.test/cb\"]
offline_after_logout = true
";
    let app = TestApp::builder().config(keeper).start().await;
    app.add_user("alice", &[]).await;
    let mut browser = app.browser();
    browser.stop_at("https://keeper.test/");
    let journey = browser.visit(&authorize_path("keeper", &[])).await;
    let journey = sign_in_on_page(&mut browser, &journey, "alice").await;
    let code = journey.param("code").unwrap();
    let family = Family::of(&redeem(&app, "keeper", &code).await);
    let page = browser.get("/logout").await;
    assert_eq!(browser.submit(&page, &page.form_to("/logout")).await.status, 200);
    family.assert_alive(&app, "keeper").await;
    redeem(&app, "keeper", &code).await.assert_error(400, "invalid_grant");
    family.assert_dead(&app, "keeper").await;
}

/// CD-07: who cannot prove anything cannot end anything, however often they try.
#[tokio::test(flavor = "multi_thread")]
async fn a_replay_without_the_proofs_harms_nobody() {
    let (app, _, code) = start_with_code("web").await;
    let family = Family::of(&redeem(&app, "web", &code).await);
    let other_verifier = "another-verifier-that-is-long-enough-0123456789";
    let wrong_secret = basic_with("web", "wrong-secret-0123456789");
    for round in 0..7 {
        for change in [
            ("code_verifier", other_verifier),
            ("code_verifier", ""),
            ("redirect_uri", "https://web.test/other"),
            ("redirect_uri", ""),
        ] {
            let answer = redeem_with(&app, "web", &code, &[change]).await;
            answer.assert_error(400, "invalid_grant");
        }
        redeem_with(&app, "evil", &code, &[]).await.assert_error(400, "invalid_grant");
        let form = [("grant_type", "authorization_code"), ("code", code.as_str())];
        let answer = app.post("/token", &form, &[("authorization", &wrong_secret)]).await;
        answer.assert_error(401, "invalid_client");
        family.assert_alive(&app, "web").await;
        // Now fresh, then with the code's own life over.
        if round == 3 {
            app.clock.advance(61);
        }
    }
    assert_eq!(refused(&app, "code_replay").await, 0);
    assert_eq!(app.count("grants").await, 1);
}

fn basic_with(client: &str, secret: &str) -> String {
    use base64::Engine as _;
    let text = format!("{client}:{secret}");
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(text))
}

/// Redeems until there is an answer: whoever finds the house busy may come again.
async fn redeem_patiently(app: &TestApp, code: &str) -> Answer {
    loop {
        let answer = redeem(app, "web", code).await;
        if answer.status != 503 {
            return answer;
        }
        assert!(answer.headers.contains_key("retry-after"), "{answer:?}");
        crate::support::app::breathe().await;
    }
}

/// CD-09: fifty at once, over both instances where they can share everything.
#[tokio::test(flavor = "multi_thread")]
async fn of_fifty_racing_redemptions_one_wins_and_then_all_is_over() {
    let (app, _, code) = start_with_code("web").await;
    let app = Arc::new(app);
    let beside = match app.app.memory {
        Some(_) => Arc::clone(&app),
        None => Arc::new(TestApp::builder().beside(&app).start().await),
    };
    let mut tries = tokio::task::JoinSet::new();
    for number in 0..50 {
        let instance = Arc::clone(if number % 2 == 0 { &app } else { &beside });
        let code = code.clone();
        tries.spawn(async move { redeem_patiently(&instance, &code).await });
    }
    let answers = tries.join_all().await;
    let (good, bad): (Vec<&Answer>, Vec<&Answer>) =
        answers.iter().partition(|answer| answer.status == 200);
    assert_eq!((good.len(), bad.len()), (1, 49));
    for answer in bad {
        answer.assert_error(400, "invalid_grant");
    }
    let family = Family::of(good[0]);
    family.assert_dead(&app, "web").await;
    family.assert_dead(&beside, "web").await;
    assert_eq!((app.count("grants").await, app.count("refresh_tokens").await), (1, 1));
}

/// CD-09: a race of the rightful client with somebody who only has the code.
#[tokio::test(flavor = "multi_thread")]
async fn a_race_with_guesses_does_not_cost_the_client_its_tokens() {
    let (app, _, code) = start_with_code("web").await;
    let guess = [("code_verifier", "another-verifier-that-is-long-enough-0123456789")];
    let guesses = (0..4).map(|_| redeem_with(&app, "web", &code, &guess));
    let others = (0..20).map(|_| redeem_with(&app, "evil", &code, &[]));
    let (good, guesses, others) = tokio::join!(
        redeem_patiently(&app, &code),
        futures_util::future::join_all(guesses),
        futures_util::future::join_all(others),
    );
    for answer in guesses.iter().chain(&others) {
        answer.assert_error(400, "invalid_grant");
    }
    Family::of(&good).assert_alive(&app, "web").await;
}

/// The secret of the tests is what [`basic_with`] gets wrong.
#[tokio::test(flavor = "multi_thread")]
async fn the_wrong_secret_of_these_tests_is_wrong_for_no_other_reason() {
    let (app, _) = start_with_alice().await;
    let right = basic_with("web", &format!("web{SECRET}"));
    let form = [("grant_type", "authorization_code"), ("code", "x")];
    let answer = app.post("/token", &form, &[("authorization", &right)]).await;
    answer.assert_error(400, "invalid_grant");
}
