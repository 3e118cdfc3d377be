//! Who must have a second factor.

use keywright::config::{self, Environment};
use serde_json::json;

use super::{Authenticator, FAST, codes_on, give, live, second_step_of, start_with};
use crate::{
    sessions::{SESSION, cookie, person_of, sign_in, stop},
    support::{
        app::TestApp,
        browser::{Browser, Journey, Page},
        fake_upstream::FakeUpstream,
        journey::{authorize_path, sign_in_on_page},
    },
};

const STAFF: &str = "[second_factors]\nrequired_for_groups = [\"staff\"]";
const SAFE: &str = "[[clients]]\nid = \"safe\"\nname = \"Safe\"\nsecret = \"safe-secret-0123456789\"\n\
                    redirect_uris = [\"https://web.test/cb\"]\nrequire_acr = \"mfa\"";

fn safe_path() -> String {
    authorize_path("safe", &[("redirect_uri", "https://web.test/cb")])
}

async fn sign_in_to(browser: &mut Browser, path: &str, who: &str) -> Journey {
    let journey = browser.visit(path).await;
    sign_in_on_page(browser, &journey, who).await
}

/// Sets up an app where a sign-in asks for it: the page with the recovery codes.
async fn set_up(app: &TestApp, browser: &mut Browser, page: &Page) -> (Authenticator, Page) {
    let authenticator = Authenticator::from_page(page);
    let form = page.form_to("/login/second-factor").fill("code", &authenticator.code(app));
    let codes = browser.submit(page, &form.fill("name", "My phone")).await;
    assert_eq!((codes.status, codes_on(&codes).len()), (200, 10), "{}", codes.text());
    app.clock.advance(30);
    (authenticator, codes)
}

async fn go_on(browser: &mut Browser, page: &Page) -> Journey {
    let link = page.links().into_iter().find(|link| link.path() == "/login/second-factor");
    let page = browser.click(page, link.expect("a way on").as_str()).await;
    browser.follow(page).await
}

/// PW-21: a member of the group sets it up after the password, before there is a session; the next
/// time it is asked for. Others are not.
#[tokio::test(flavor = "multi_thread")]
async fn members_of_a_group_set_one_up_on_the_way() {
    let app = start_with(STAFF).await;
    app.add_user("sara", &["staff"]).await;
    let mut browser = app.browser();
    let journey = sign_in_to(&mut browser, &authorize_path("web", &[]), "sara").await;
    let page = second_step_of(&journey);
    assert!(page.text().contains("Set up a second step"), "{}", page.text());
    assert!(browser.cookies().get(SESSION).is_none() && live(&app).await == 0);
    assert_eq!(browser.visit("/account").await.last().url.path(), "/login");

    let again = browser.get(page.url.as_str()).await;
    assert_eq!(Authenticator::from_page(&again).secret, Authenticator::from_page(&page).secret);
    let wrong = Authenticator::from_page(&page).wrong(&app);
    let form = page.form_to("/login/second-factor").fill("code", &wrong);
    let refused = browser.submit(&page, &form).await;
    assert_eq!(refused.status, 400, "{}", refused.text());
    assert_eq!(app.count("totp_factors").await, 0);
    assert_eq!(app.refusals("add_second_factor").await, ["wrong_code"]);

    let (authenticator, codes) = set_up(&app, &mut browser, &refused).await;
    let journey = go_on(&mut browser, &codes).await;
    let claims = super::id_token(&app, &journey).await;
    assert_eq!((&claims["acr"], &claims["amr"]), (&json!("mfa"), &json!(["pwd", "otp", "mfa"])));
    assert_eq!(app.count("totp_factors WHERE name = 'My phone'").await, 1);

    let mut browser = app.browser();
    let journey = sign_in_to(&mut browser, &authorize_path("web", &[]), "sara").await;
    let page = second_step_of(&journey);
    let answer = give(&mut browser, &page, &authenticator.code(&app)).await;
    assert!(browser.follow(answer).await.param("code").is_some());
    sign_in(&mut app.browser(), "bob").await;
}

/// The code that confirmed the app, and whoever sets one up in another window, do not count again.
#[tokio::test(flavor = "multi_thread")]
async fn only_one_of_two_sets_it_up() {
    let app = start_with(STAFF).await;
    app.add_user("sara", &["staff"]).await;
    let (mut one, mut other) = (app.browser(), app.browser());
    let path = authorize_path("web", &[]);
    let page = second_step_of(&sign_in_to(&mut one, &path, "sara").await);
    let second = second_step_of(&sign_in_to(&mut other, &path, "sara").await);
    let of_other = Authenticator::from_page(&second);
    assert_ne!(Authenticator::from_page(&page).secret, of_other.secret, "each has its own");
    let (authenticator, _) = set_up(&app, &mut one, &page).await;
    // Where the other one was asked to set it up, a code of what there is has to be given now.
    let code = of_other.code(&app);
    if code != authenticator.code(&app) {
        let form = second.form_to("/login/second-factor").fill("code", &code);
        assert_eq!(other.submit(&second, &form).await.status, 400);
    }
    assert!(other.cookies().get(SESSION).is_none());
    assert_eq!((app.count("totp_factors").await, app.count("recovery_codes").await), (1, 10));
    let mut late = app.browser();
    let page = second_step_of(&sign_in_to(&mut late, &path, "sara").await);
    let spent = authenticator.code_at(app.clock.unix() - 30);
    assert_eq!(give(&mut late, &page, &spent).await.status, 400, "it confirmed the app");
}

/// An app that requires two factors leads there too, also who is signed in with one.
#[tokio::test(flavor = "multi_thread")]
async fn an_app_that_requires_it_leads_there() {
    let app = start_with(SAFE).await;
    let mut browser = app.browser();
    sign_in(&mut browser, "bob").await;
    let journey = sign_in_to(&mut browser, &safe_path(), "bob").await;
    let page = second_step_of(&journey);
    assert!(page.text().contains("<bdi>Safe</bdi>"), "{}", page.text());
    let (_, codes) = set_up(&app, &mut browser, &page).await;
    assert!(go_on(&mut browser, &codes).await.param("code").is_some());
    let journey = browser.visit(&safe_path()).await;
    assert!(journey.param("code").is_some(), "it is enough from now on");
}

/// Where nobody can set one up, the app hears that the level is not reached.
#[tokio::test(flavor = "multi_thread")]
async fn where_none_can_be_set_up_the_app_hears_so() {
    let app =
        start_with(&format!("{SAFE}\n[second_factors]\ntotp = \"off\"\npasskeys = \"off\"")).await;
    let mut browser = app.browser();
    let journey = browser.visit(&safe_path()).await;
    assert_eq!(journey.param("error").as_deref(), Some("unmet_authentication_requirements"));
    sign_in(&mut browser, "bob").await;
    let journey = browser.visit(&safe_path()).await;
    assert_eq!(journey.param("error").as_deref(), Some("unmet_authentication_requirements"));
    let page = browser.get("/account/two-step").await;
    assert!(page.forms().is_empty(), "{}", page.text());
    let own = browser.get("/account").await;
    let csrf = own.form_to("/logout").value("csrf").unwrap().to_owned();
    for step in ["begin", "confirm"] {
        let fields = [("csrf", csrf.as_str()), ("step", step), ("code", "123456")];
        let answer = browser.post_form("/account/two-step", &fields).await;
        assert_eq!(answer.status, 403, "{}", answer.text());
        assert!(answer.text().contains("code: second_factors_off\n"), "{}", answer.text());
    }
    assert_eq!(app.refusals("add_second_factor").await, ["second_factors_off"; 2]);
    let metadata = app.get("/.well-known/openid-configuration", None).await.json();
    assert_eq!(metadata["acr_values_supported"], json!(["sfa"]));
}

/// Who had set one up before it was switched off is still asked.
#[tokio::test(flavor = "multi_thread")]
async fn who_has_one_is_asked_for_it_though_no_new_ones_are_made() {
    let app = super::start().await;
    let (authenticator, _) = super::enrolled(&app).await;
    let app = stop(app).await.config(FAST).config("[second_factors]\ntotp = \"off\"").start().await;
    let mut browser = app.browser();
    let page = super::first_step(&mut browser, &[]).await;
    let answer = give(&mut browser, &page, &authenticator.code(&app)).await;
    assert!(browser.follow(answer).await.param("code").is_some());
}

/// MF-01: people of an upstream whose group requires two factors and who have proved one are nobody,
/// until they have given the other.
#[tokio::test(flavor = "multi_thread")]
async fn members_by_an_upstream_are_nobody_until_then() {
    let upstream = FakeUpstream::start().await;
    let groups = "groups = { claim = \"groups\" }";
    let app = TestApp::builder().upstream("kc", &upstream, groups).config(STAFF).start().await;
    upstream.set_person(json!({
        "sub": "kate", "preferred_username": "kate", "groups": ["staff"],
    }));
    let mut browser = app.browser();
    let page = second_step_of(&browser.visit(&authorize_path("web", &[])).await);
    let half = cookie(&browser, SESSION);
    assert_eq!(person_of(&app, &half).await, None);
    for prompt in ["none", ""] {
        let journey = browser.visit(&authorize_path("web", &[("prompt", prompt)])).await;
        assert!(!journey.stopped_at.is_some_and(|url| url.as_str().contains("code=")), "{prompt}");
    }
    let (_, codes) = set_up(&app, &mut browser, &page).await;
    assert_eq!(person_of(&app, &half).await, None);
    assert_eq!(person_of(&app, &cookie(&browser, SESSION)).await.as_deref(), Some("kate"));
    let journey = go_on(&mut browser, &codes).await;
    assert_eq!(super::id_token(&app, &journey).await["acr"], "mfa");
    let journey = browser.visit(&authorize_path("web", &[("prompt", "none")])).await;
    assert!(journey.param("code").is_some());
    // To her own pages it is the same.
    let mut other = app.browser();
    let journey = other.visit("/account").await;
    second_step_of(&journey);
}

/// What is required later counts for sessions that there are.
#[tokio::test(flavor = "multi_thread")]
async fn a_session_from_before_counts_for_nobody() {
    let app = super::start().await;
    app.add_user("sara", &["staff"]).await;
    let mut browser = app.browser();
    let secret = sign_in(&mut browser, "sara").await;
    assert_eq!(person_of(&app, &secret).await.as_deref(), Some("sara"));
    drop(browser);
    let app = stop(app).await.config(FAST).config(STAFF).start().await;
    assert_eq!(person_of(&app, &secret).await, None);
}

/// MF-01: nor do the tokens that came of one. Whoever must prove two factors from now on signs in anew;
/// who need not, and programs, go on.
#[tokio::test(flavor = "multi_thread")]
async fn tokens_from_before_count_for_nobody() {
    let app = super::start().await;
    app.add_user("sara", &["staff"]).await;
    let tokens = crate::refresh::family::sign_in(&app, "web", "sara").await;
    let others = crate::refresh::family::sign_in(&app, "web", "bob").await;
    let app = stop(app).await.config(FAST).config(STAFF).start().await;
    others.assert_alive(&app).await;
    tokens.assert_dead(&app).await;
    assert_eq!(app.refusals("token").await, ["acr_too_low"]);
    let journey = sign_in_to(&mut app.browser(), &authorize_path("web", &[]), "sara").await;
    second_step_of(&journey);
}

/// What cannot be meant is refused, with what would be right.
#[test]
fn settings_that_cannot_be_meant_are_refused() {
    for (lines, setting, says) in [
        ("totp = \"maybe\"", "second_factors.totp", "\"on\" or \"off\""),
        ("remember_for = \"91d\"", "second_factors.remember_for", "at most \"90d\""),
        ("required_for_groups = [\" \"]", "second_factors.required_for_groups", "empty name"),
        (
            "totp = \"off\"\nrequired_for_groups = [\"staff\"]",
            "second_factors.required_for_groups",
            "would shut out everybody",
        ),
        ("remember = \"1d\"", "second_factors.remember", "did you mean"),
    ] {
        let text =
            format!("[server]\nissuer = \"http://localhost:8080\"\n[second_factors]\n{lines}");
        let problems = config::parse(&text, &Environment::new()).unwrap_err().to_string();
        assert!(problems.contains(setting) && problems.contains(says), "{lines}: {problems}");
    }
}
