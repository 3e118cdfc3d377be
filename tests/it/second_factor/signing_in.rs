//! The second half of a sign-in.

use keywright::{foundation::secret::Secret, store::users};
use serde_json::json;

use super::{assert_wrong, enrolled, first_step, give, id_token, live, second_step_of, start};
use crate::{
    sessions::{SESSION, cookie, person_of, sign_in},
    support::journey::{authorize_path, sign_in_on_page},
};

/// MF-01: who has given a password and has a second factor is nobody anywhere, until that is given.
#[tokio::test(flavor = "multi_thread")]
async fn half_a_sign_in_is_nobody() {
    let app = start().await;
    let (authenticator, _) = enrolled(&app).await;
    let before = (live(&app).await, app.count("sessions").await);
    let mut browser = app.browser();
    let page = first_step(&mut browser, &[]).await;
    assert!(browser.cookies().get(SESSION).is_none());
    assert_eq!((live(&app).await, app.count("sessions").await), before);

    let silent = browser.visit(&authorize_path("web", &[("prompt", "none")])).await;
    assert_eq!(silent.param("error").as_deref(), Some("login_required"));
    for path in ["/account", "/account/two-step"] {
        let journey = browser.visit(path).await;
        assert_eq!(journey.last().url.path(), "/login", "{:?}", journey.hops());
    }
    let csrf = page.form_to("/login/second-factor").value("csrf").unwrap().to_owned();
    for path in ["/account/two-step", "/account/sessions/end", "/account/unlink", "/account/link"] {
        let fields = [("csrf", csrf.as_str()), ("step", "begin"), ("handle", "x")];
        let answer = browser.post_form(path, &fields).await;
        assert_eq!((answer.status, answer.location().unwrap().path()), (303, "/account"), "{path}");
    }

    let answer = give(&mut browser, &page, &authenticator.code(&app)).await;
    let journey = browser.follow(answer).await;
    let claims = id_token(&app, &journey).await;
    assert_eq!((&claims["amr"], &claims["acr"]), (&json!(["pwd", "otp", "mfa"]), &json!("mfa")));
    assert_eq!(claims["auth_time"], app.clock.unix());
    assert_eq!(person_of(&app, &cookie(&browser, SESSION)).await.as_deref(), Some("bob"));
    assert_eq!(live(&app).await, before.0 + 1);
}

/// A wrong code is refused on the same page, and the right one is taken there afterwards.
#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_code_can_be_corrected() {
    let app = start().await;
    let (authenticator, _) = enrolled(&app).await;
    let mut browser = app.browser();
    let mut page = first_step(&mut browser, &[]).await;
    for code in [authenticator.wrong(&app).as_str(), "", "12345", "abcdef", "1234567"] {
        page = give(&mut browser, &page, code).await;
        assert_wrong(&page, &browser);
        app.clock.advance(2);
    }
    app.clock.advance(30);
    let code = authenticator.code(&app);
    let spaced = format!(" {} {} ", &code[..3], &code[3..]);
    let answer = give(&mut browser, &page, &spaced).await;
    assert!(browser.follow(answer).await.param("code").is_some());
    assert_eq!(app.refusals("sign_in").await, ["wrong_code"; 5]);
}

/// The first half counts for ten minutes, and then one begins again.
#[tokio::test(flavor = "multi_thread")]
async fn the_first_half_does_not_count_for_ever() {
    let app = start().await;
    let (authenticator, _) = enrolled(&app).await;
    let mut browser = app.browser();
    let page = first_step(&mut browser, &[]).await;
    app.clock.advance(9 * 60 + 59);
    assert_eq!(browser.get(page.url.as_str()).await.status, 200);
    app.clock.advance(1);
    for late in [give(&mut browser, &page, &authenticator.code(&app)).await, {
        browser.get(page.url.as_str()).await
    }] {
        assert_eq!(late.status, 400, "{}", late.text());
        assert!(late.text().contains("code: second_factor_expired\n"), "{}", late.text());
        assert!(late.links().iter().any(|link| link.path() == "/login"));
    }
    assert!(browser.cookies().get(SESSION).is_none());
    assert_eq!(app.refusals("sign_in").await, ["second_factor_expired"; 2]);
    // The same sign-in can be begun again.
    let query = page.url.query().unwrap();
    let journey = browser.visit(&format!("/login?{query}")).await;
    let page = second_step_of(&sign_in_on_page(&mut browser, &journey, "bob").await);
    let answer = give(&mut browser, &page, &authenticator.code(&app)).await;
    assert!(browser.follow(answer).await.param("code").is_some());
}

/// What was proved counts in its own sign-in, at its own browser, once.
#[tokio::test(flavor = "multi_thread")]
async fn the_first_half_counts_where_it_was_proved() {
    let app = start().await;
    let (authenticator, _) = enrolled(&app).await;
    let mut browser = app.browser();
    // Another sign-in of the same browser.
    let other = browser.visit(&authorize_path("web", &[])).await.last().clone();
    let page = first_step(&mut browser, &[]).await;
    let own = page.form_to("/login/second-factor");
    let fields = [("csrf", own.value("csrf").unwrap()), ("code", &authenticator.code(&app))];
    let elsewhere = format!("/login/second-factor?{}", other.url.query().unwrap());
    let answer = browser.post_form(&elsewhere, &fields).await;
    assert!(answer.text().contains("code: second_factor_expired\n"), "{}", answer.text());
    for none in ["/login/second-factor", "/login/second-factor?flow=x"] {
        let answer = browser.post_form(none, &fields).await;
        assert!(answer.text().contains("code: flow_expired\n"), "{}", answer.text());
    }
    // Another browser, with the address of this one.
    let mut stranger = app.browser();
    sign_in_on_page_of_stranger(&mut stranger).await;
    let address = page.url.as_str();
    assert_eq!(stranger.get(address).await.status, 403);
    let form = stranger.get("/login/second-factor?flow=x").await;
    assert_eq!(form.status, 400);
    assert!(browser.cookies().get(SESSION).is_none() && stranger.cookies().get(SESSION).is_none());

    let answer = give(&mut browser, &page, &authenticator.code(&app)).await;
    assert!(browser.follow(answer).await.param("code").is_some());
    app.clock.advance(30);
    let again = give(&mut browser, &page, &authenticator.code(&app)).await;
    assert!(again.text().contains("code: flow_expired\n"), "{}", again.text());
    let refusals = crate::sessions::sorted(app.refusals("sign_in").await);
    assert_eq!(refusals[..3], ["flow_expired"; 3]);
    assert_eq!(refusals.last().map(String::as_str), Some("second_factor_expired"));
}

async fn sign_in_on_page_of_stranger(stranger: &mut crate::support::browser::Browser) {
    stranger.visit(&authorize_path("web", &[])).await;
}

/// What ends all sessions ends those that are half begun: the password that was right is replaced, or
/// the account is shut.
#[tokio::test(flavor = "multi_thread")]
async fn the_first_half_falls_with_the_password_and_the_account() {
    let app = start().await;
    let (authenticator, _) = enrolled(&app).await;
    let bob = {
        let mut connection = app.app.connection().await.unwrap();
        users::find_by_username(&mut connection, "bob").await.unwrap().unwrap().id
    };
    for replaced in [true, false] {
        let mut browser = app.browser();
        let page = first_step(&mut browser, &[]).await;
        let mut connection = app.app.connection().await.unwrap();
        let now = app.app.now();
        if replaced {
            // The same password, as it happens: it is another hash.
            let hash = app.app.passwords.hash(&Secret::new("bob-password")).await.unwrap();
            assert!(users::set_password_hash(&mut connection, &bob, &hash, now).await.unwrap());
        } else {
            assert!(users::disable(&mut connection, &bob, now).await.unwrap());
        }
        drop(connection);
        let sessions = app.count("sessions").await;
        let code = authenticator.code(&app);
        let answer = give(&mut browser, &page, &code).await;
        assert!(answer.text().contains("code: second_factor_expired\n"), "{}", answer.text());
        assert!(browser.cookies().get(SESSION).is_none());
        assert_eq!(app.count("sessions").await, sessions);
        app.clock.advance(30);
    }
    assert_eq!(app.refusals("sign_in").await, ["second_factor_expired"; 2]);
}

/// A code of somebody else's authenticator app is no code of bob's.
#[tokio::test(flavor = "multi_thread")]
async fn codes_are_one_persons() {
    let app = start().await;
    app.add_user("carol", &[]).await;
    let mut carols = app.browser();
    sign_in(&mut carols, "carol").await;
    let (of_carol, codes) = super::set_up(&app, &mut carols).await;
    let (of_bob, _) = enrolled(&app).await;
    let mut browser = app.browser();
    let mut page = first_step(&mut browser, &[]).await;
    while of_carol.code(&app) == of_bob.code(&app) {
        app.clock.advance(30);
    }
    page = give(&mut browser, &page, &of_carol.code(&app)).await;
    assert_wrong(&page, &browser);
    let recovery = super::with_recovery(&mut browser, &page).await;
    let refused = give(&mut browser, &recovery, &codes[0]).await;
    assert_eq!(refused.status, 400, "{}", refused.text());
    assert!(browser.cookies().get(SESSION).is_none());
    let answer = give(&mut browser, &page, &of_bob.code(&app)).await;
    assert!(browser.follow(answer).await.param("code").is_some());
}

/// A sign-in to one's own pages, and a person without a second factor, who is not asked.
#[tokio::test(flavor = "multi_thread")]
async fn own_pages_ask_too_and_nobody_else_is_asked() {
    let app = start().await;
    app.add_user("carol", &[]).await;
    let (authenticator, _) = enrolled(&app).await;
    let mut browser = app.browser();
    let journey = browser.visit("/account").await;
    let page = second_step_of(&sign_in_on_page(&mut browser, &journey, "bob").await);
    let answer = give(&mut browser, &page, &authenticator.code(&app)).await;
    assert_eq!(browser.follow(answer).await.last().url.path(), "/account");
    sign_in(&mut app.browser(), "carol").await;
}
