//! A code counts once, and guessing costs time.

use super::{Authenticator, FAST, assert_wrong, enrolled, first_step, give, live, start};
use crate::{
    sessions::{SESSION, stop},
    support::{
        app::TestApp,
        browser::{Browser, Page},
    },
};

/// MF-02: the same code a second time, in another browser.
#[tokio::test(flavor = "multi_thread")]
async fn a_code_counts_once() {
    let app = start().await;
    let (authenticator, _) = enrolled(&app).await;
    let code = authenticator.code(&app);
    let mut browser = app.browser();
    let page = first_step(&mut browser, &[]).await;
    let answer = give(&mut browser, &page, &code).await;
    assert!(browser.follow(answer).await.param("code").is_some());
    let mut thief = app.browser();
    let page = first_step(&mut thief, &[]).await;
    assert_wrong(&give(&mut thief, &page, &code).await, &thief);
    app.clock.advance(30);
    assert_wrong(&give(&mut thief, &page, &code).await, &thief);
    assert_eq!(app.refusals("sign_in").await, ["wrong_code"; 2]);
}

/// MF-02: of many at once that bring the same code, one gets in.
#[tokio::test(flavor = "multi_thread")]
async fn of_the_same_code_at_once_one_counts() {
    let app = start().await;
    let (authenticator, _) = enrolled(&app).await;
    for at in ["now", "one step before"] {
        let before = live(&app).await;
        let mut waiting: Vec<(Browser, Page)> = Vec::new();
        for _ in 0..5 {
            let mut browser = app.browser();
            let page = first_step(&mut browser, &[]).await;
            waiting.push((browser, page));
        }
        let code = authenticator.code(&app);
        if at != "now" {
            app.clock.advance(30);
        }
        let tries = waiting.iter_mut().map(|(browser, page)| give(browser, page, &code));
        let answers = futures_util::future::join_all(tries).await;
        let mut statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
        statuses.sort_unstable();
        assert_eq!(statuses, [303, 400, 400, 400, 400], "{at}");
        assert_eq!(live(&app).await, before + 1, "{at}");
        // Four failures in a row, of which the next success clears the count.
        app.clock.advance(7_200);
    }
}

/// MF-02: the step before counts once, the one before that not at all, and none that is older than the
/// last that counted.
#[tokio::test(flavor = "multi_thread")]
async fn one_step_back_counts_and_no_other() {
    let app = start().await;
    let (authenticator, _) = enrolled(&app).await;
    let now = app.clock.unix();
    let mut browser = app.browser();
    let page = first_step(&mut browser, &[]).await;
    app.clock.advance(60);
    let (two_back, one_back, next) = (
        authenticator.code_at(now),
        authenticator.code_at(now + 30),
        authenticator.code_at(now + 90),
    );
    assert_wrong(&give(&mut browser, &page, &two_back).await, &browser);
    assert_wrong(&give(&mut browser, &page, &next).await, &browser);
    let answer = give(&mut browser, &page, &one_back).await;
    assert!(browser.follow(answer).await.param("code").is_some());
    let mut again = app.browser();
    let page = first_step(&mut again, &[]).await;
    assert_wrong(&give(&mut again, &page, &one_back).await, &again);
    let answer = give(&mut again, &page, &authenticator.code_at(now + 60)).await;
    assert!(again.follow(answer).await.param("code").is_some());
    // That one counted: the step before it is over, though it is only one back.
    let mut last = app.browser();
    let page = first_step(&mut last, &[]).await;
    assert_wrong(&give(&mut last, &page, &one_back).await, &last);
}

async fn fail(app: &TestApp, authenticator: &Authenticator, browser: &mut Browser, page: &Page) {
    let answer = give(browser, page, &authenticator.wrong(app)).await;
    assert_wrong(&answer, browser);
}

/// MF-02, PW-10, PW-12: wrong codes cost time like wrong passwords, through a restart, under a key of
/// their own; and the wait is for the right code, too.
#[tokio::test(flavor = "multi_thread")]
async fn guessing_costs_time() {
    let app = start().await;
    let (authenticator, codes) = enrolled(&app).await;
    let mut browser = app.browser();
    let page = first_step(&mut browser, &[]).await;
    for _ in 0..5 {
        fail(&app, &authenticator, &mut browser, &page).await;
    }
    let recovery = super::with_recovery(&mut browser, &page).await;
    for (page, code) in [
        (&page, authenticator.code(&app)),
        (&page, authenticator.wrong(&app)),
        (&recovery, codes[0].clone()),
    ] {
        let answer = give(&mut browser, page, &code).await;
        assert_eq!(answer.status, 429, "{}", answer.text());
        assert_eq!(answer.header("retry-after"), Some("1"));
        assert!(answer.text().contains("Too many tries. Wait a second"), "{}", answer.text());
        assert!(browser.cookies().get(SESSION).is_none());
    }
    // Passwords are another matter: bob's is taken at once, and clears nothing.
    let mut other = app.browser();
    let page = first_step(&mut other, &[]).await;
    assert_eq!(give(&mut other, &page, &authenticator.code(&app)).await.status, 429);
    drop((browser, other));

    let app = stop(app).await.config(FAST).start().await;
    let mut browser = app.browser();
    browser.set_peer("203.0.113.5:40000".parse().unwrap());
    let page = first_step(&mut browser, &[]).await;
    for wait in [2, 4, 8] {
        // At another network its own five are free; there the account has twenty.
        fail(&app, &authenticator, &mut browser, &page).await;
        app.clock.advance(wait);
    }
    let mut back = app.browser();
    let page = first_step(&mut back, &[]).await;
    let answer = give(&mut back, &page, &authenticator.code(&app)).await;
    assert!(back.follow(answer).await.param("code").is_some(), "the wait is over");
    assert_eq!(app.refusals("sign_in").await.iter().filter(|r| *r == "too_many_tries").count(), 4);
}
