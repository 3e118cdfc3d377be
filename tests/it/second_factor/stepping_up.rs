//! An app that wants two factors of somebody who is signed in with one (RFC 9470).

use serde_json::json;

use super::{FAST, enrolled, first_step, form_of, give, id_token, second_step_of, set_up, start};
use crate::{
    sessions::{SESSION, cookie, person_of, sign_in},
    support::{
        app::TestApp,
        browser::{Browser, Journey},
        fake_upstream::FakeUpstream,
        journey::{authorize_path, code_by_session},
    },
    upstream::sign_in_at,
};

/// A browser of bob's with a session from before he had a second factor.
async fn before_enrolling(app: &TestApp) -> (Browser, super::Authenticator) {
    let mut browser = app.browser();
    sign_in(&mut browser, "bob").await;
    let (authenticator, _) = enrolled(app).await;
    (browser, authenticator)
}

async fn ask(browser: &mut Browser, changes: &[(&str, &str)]) -> Journey {
    browser.visit(&authorize_path("web", changes)).await
}

/// SS-01: only the factor is asked, the session gets a new secret, and when the password was given
/// stays as it was.
#[tokio::test(flavor = "multi_thread")]
async fn only_the_factor_is_asked() {
    let app = start().await;
    let begun = app.clock.unix();
    let (mut browser, authenticator) = before_enrolling(&app).await;
    app.clock.advance(3_600);
    let old = cookie(&browser, SESSION);
    code_by_session(&mut browser, "web", &[]).await;
    let silent = ask(&mut browser, &[("acr_values", "mfa"), ("prompt", "none")]).await;
    assert_eq!(silent.param("error").as_deref(), Some("login_required"));

    let page = second_step_of(&ask(&mut browser, &[("acr_values", "mfa")]).await);
    assert!(!page.text().contains("type=\"checkbox\""), "a step-up is not remembered");
    let wrong = give(&mut browser, &page, &authenticator.wrong(&app)).await;
    assert_eq!(wrong.status, 400, "{}", wrong.text());
    assert_eq!(person_of(&app, &old).await.as_deref(), Some("bob"), "nothing has changed");
    let answer = give(&mut browser, &page, &authenticator.code(&app)).await;
    let journey = browser.follow(answer).await;
    let claims = id_token(&app, &journey).await;
    assert_eq!((&claims["amr"], &claims["acr"]), (&json!(["pwd", "otp", "mfa"]), &json!("mfa")));
    assert_eq!(claims["auth_time"], begun);
    let new = cookie(&browser, SESSION);
    assert_ne!(new, old);
    assert_eq!(person_of(&app, &old).await, None);
    assert_eq!(person_of(&app, &new).await.as_deref(), Some("bob"));
    // It is enough from now on, and for no more than it is.
    code_by_session(&mut browser, "web", &[("acr_values", "mfa")]).await;
    let more = ask(&mut browser, &[("acr_values", "phr")]).await;
    assert_eq!(more.param("error").as_deref(), Some("unmet_authentication_requirements"));
    let events = app.events().await;
    assert_eq!(events.iter().filter(|event| event.action == "step_up").count(), 2);
    assert_eq!(app.refusals("step_up").await, ["wrong_code"]);
}

/// A new proof is a proof of both.
#[tokio::test(flavor = "multi_thread")]
async fn a_new_proof_asks_both() {
    let app = start().await;
    let (mut browser, authenticator) = before_enrolling(&app).await;
    app.clock.advance(60);
    for changes in [[("prompt", "login")], [("max_age", "30")]] {
        let page = first_step(&mut browser, &changes).await;
        let answer = give(&mut browser, &page, &authenticator.code(&app)).await;
        let claims = id_token(&app, &browser.follow(answer).await).await;
        assert_eq!(
            (&claims["acr"], &claims["auth_time"]),
            (&json!("mfa"), &json!(app.clock.unix()))
        );
        app.clock.advance(60);
    }
    // Without `acr_values` a session of one factor is enough for who has not asked for more.
    code_by_session(&mut browser, "web", &[("max_age", "3600")]).await;
}

/// The factor belongs to the session that was there when it was asked for.
#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_is_over_is_not_raised() {
    let app = start().await;
    let (mut browser, authenticator) = before_enrolling(&app).await;
    let page = second_step_of(&ask(&mut browser, &[("acr_values", "mfa")]).await);
    let own = browser.get("/account").await;
    browser.submit(&own, &own.form_to("/logout")).await;
    let sessions = app.count("sessions WHERE acr = 'mfa'").await;
    let answer = give(&mut browser, &page, &authenticator.code(&app)).await;
    assert!(answer.text().contains("code: second_factor_expired\n"), "{}", answer.text());
    assert_eq!(app.count("sessions WHERE acr = 'mfa'").await, sessions);
}

/// Who has no second factor cannot reach the level, and setting one up on the way would prove nothing:
/// the app hears so.
#[tokio::test(flavor = "multi_thread")]
async fn who_has_none_does_not_reach_it() {
    let app = start().await;
    app.add_user("carol", &[]).await;
    enrolled(&app).await;
    let journey = ask(&mut app.browser(), &[("acr_values", "mfa")]).await;
    assert_eq!(journey.last().url.path(), "/login", "somebody here could");
    let mut browser = app.browser();
    let journey = browser.visit(&authorize_path("web", &[("acr_values", "mfa")])).await;
    let journey = crate::support::journey::sign_in_on_page(&mut browser, &journey, "carol").await;
    let error = Some("unmet_authentication_requirements");
    assert_eq!(journey.param("error").as_deref(), error, "{:?}", journey.hops());
}

/// Who comes by an upstream is asked for the factor that they have here only where the app wants two,
/// and the upstream has seen one.
#[tokio::test(flavor = "multi_thread")]
async fn people_of_an_upstream_are_asked_where_it_is_wanted() {
    let upstream = FakeUpstream::start().await;
    let words = "acr = { \"1\" = \"sfa\", \"2\" = \"mfa\" }";
    let app = TestApp::builder().upstream("kc", &upstream, words).config(FAST).start().await;
    let says = |acr: &str| {
        upstream.set_person(json!({ "sub": "kate", "preferred_username": "kate", "acr": acr }));
    };
    says("1");
    let mut browser = app.browser();
    assert_eq!(browser.visit("/account").await.last().url.path(), "/account");
    let (authenticator, _) = set_up(&app, &mut browser).await;

    let mut browser = app.browser();
    let journey = sign_in_at(&mut browser, "kc").await;
    assert_eq!(id_token(&app, &journey).await["acr"], "sfa", "a sign-in is what it was");
    let old = cookie(&browser, SESSION);
    let page = second_step_of(&ask(&mut browser, &[("acr_values", "mfa")]).await);
    let answer = give(&mut browser, &page, &authenticator.code(&app)).await;
    let claims = id_token(&app, &browser.follow(answer).await).await;
    assert_eq!((&claims["acr"], &claims["amr"]), (&json!("mfa"), &json!(["otp", "mfa"])));
    assert_ne!(cookie(&browser, SESSION), old);
    assert_eq!(person_of(&app, &old).await, None);

    says("2");
    let journey = app.browser().visit(&authorize_path("web", &[("acr_values", "mfa")])).await;
    assert_eq!(id_token(&app, &journey).await["acr"], "mfa", "{:?}", journey.hops());
}

/// MF-03, MF-04: a session of one factor, however young, changes no second factor; a new sign-in with
/// both does.
#[tokio::test(flavor = "multi_thread")]
async fn a_session_of_one_factor_changes_nothing() {
    let app = start().await;
    let (mut browser, authenticator) = before_enrolling(&app).await;
    let page = browser.get("/account/two-step").await;
    for (action, step) in [
        ("remove_second_factor", "remove"),
        ("renew_recovery_codes", "codes"),
        ("add_second_factor", "begin"),
    ] {
        let answer = browser.submit(&page, &form_of(&page, step)).await;
        assert_eq!(answer.status, 403, "{step}: {}", answer.text());
        assert!(answer.text().contains("code: reauth_required\n"), "{}", answer.text());
        assert_eq!(app.refusals(action).await, ["reauth_required"]);
    }
    assert_eq!(app.count("totp_factors").await, 1);
    assert_eq!(app.count("recovery_codes WHERE used_at IS NULL").await, 10);

    let journey = browser.visit("/account/prove").await;
    let journey = crate::support::journey::sign_in_on_page(&mut browser, &journey, "bob").await;
    let second = second_step_of(&journey);
    let answer = give(&mut browser, &second, &authenticator.code(&app)).await;
    assert_eq!(browser.follow(answer).await.last().url.path(), "/account");
    // What was opened in the session before is of no use, now as then.
    let answer = browser.submit(&page, &form_of(&page, "remove")).await;
    assert_eq!(answer.status, 403, "{}", answer.text());
    let page = browser.get("/account/two-step").await;
    let answer = browser.submit(&page, &form_of(&page, "remove")).await;
    assert_eq!(answer.status, 303, "{}", answer.text());
    assert_eq!(app.count("totp_factors").await, 0);
    assert_eq!(app.count("recovery_codes").await, 0, "they stood in for it");
}
