//! A session begins with a new secret, whatever the browser brought.

use keywright::foundation::opaque::{Opaque, OpaqueKind};

use super::{SESSION, cookie, person_of, sign_in};
use crate::support::{
    app::TestApp,
    journey::{authorize_path, sign_in_on_page},
};

/// SS-01: a value that somebody has planted is not adopted, not even a well-formed one.
#[tokio::test(flavor = "multi_thread")]
async fn a_planted_cookie_does_not_become_the_session() {
    let app = TestApp::start().await;
    app.add_user("bob", &[]).await;
    app.add_user("mallory", &[]).await;
    let mut elsewhere = app.browser();
    let of_mallory = sign_in(&mut elsewhere, "mallory").await;
    let invented = Opaque::generate(OpaqueKind::Session, app.app.random()).reveal();
    for planted in [of_mallory.as_str(), invented.expose(), "kw_se_", "1"] {
        let mut browser = app.browser();
        let mut forged = elsewhere.cookies().get(SESSION).unwrap().clone();
        planted.clone_into(&mut forged.value);
        browser.cookies_mut().plant(forged);
        let journey = browser.visit(&authorize_path("web", &[("prompt", "login")])).await;
        let journey = sign_in_on_page(&mut browser, &journey, "bob").await;
        assert!(journey.param("code").is_some());
        let begun = cookie(&browser, SESSION);
        assert_ne!(begun, planted);
        assert_eq!(person_of(&app, &begun).await.as_deref(), Some("bob"));
        // Mallory's own session ended with the switch of accounts at this browser.
        assert_eq!(person_of(&app, planted).await, None, "{planted}");
    }
}

/// SS-01: a new proof at the same browser is a new secret, and the old one is worth nothing.
#[tokio::test(flavor = "multi_thread")]
async fn every_sign_in_gives_a_new_secret_and_ends_the_old_one() {
    let app = TestApp::start().await;
    app.add_user("bob", &[]).await;
    app.add_user("carol", &[]).await;
    let mut browser = app.browser();
    let mut secrets = vec![sign_in(&mut browser, "bob").await];
    for username in ["bob", "carol", "bob"] {
        let journey = browser.visit(&authorize_path("web", &[("prompt", "login")])).await;
        sign_in_on_page(&mut browser, &journey, username).await.landing();
        let secret = cookie(&browser, SESSION);
        assert!(!secrets.contains(&secret));
        assert_eq!(person_of(&app, &secret).await.as_deref(), Some(username));
        for old in &secrets {
            assert_eq!(person_of(&app, old).await, None, "after {username}");
        }
        secrets.push(secret);
    }
}

/// SS-01: the same at an upstream.
#[tokio::test(flavor = "multi_thread")]
async fn a_sign_in_at_an_upstream_gives_a_new_secret_too() {
    let (app, _upstream) = TestApp::with_upstream().await;
    let mut browser = app.browser();
    browser.visit(&authorize_path("web", &[])).await.landing();
    let first = cookie(&browser, SESSION);
    assert_eq!(person_of(&app, &first).await.as_deref(), Some("alice"));
    browser.visit(&authorize_path("web", &[("prompt", "login")])).await.landing();
    let second = cookie(&browser, SESSION);
    assert_ne!(first, second);
    assert_eq!(person_of(&app, &first).await, None);
    assert_eq!(person_of(&app, &second).await.as_deref(), Some("alice"));
    assert_eq!(app.count("sessions").await, 1, "the session was renewed");
}

/// SS-07: a form on a foreign page cannot sign the person in as somebody else.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_signed_in_from_a_foreign_page() {
    let app = TestApp::start().await;
    app.add_user("bob", &[]).await;
    app.add_user("mallory", &[]).await;
    let mut mallory = app.browser();
    let page = mallory.visit(&authorize_path("web", &[])).await;
    let form = page.last().form_to("/login");
    let mut bob = app.browser();
    let secret = sign_in(&mut bob, "bob").await;

    let evil = url::Url::parse("https://evil.test/trap").unwrap();
    let fields = [
        ("csrf", form.value("csrf").unwrap()),
        ("username", "mallory"),
        ("password", "mallory-password"),
    ];
    let forged = crate::support::browser::Navigation::post(form.action.clone(), &fields);
    let page = bob.send(forged.started_by(&evil)).await;
    assert_eq!(page.status, 403, "{}", page.text());
    assert_eq!(cookie(&bob, SESSION), secret);
    assert_eq!(person_of(&app, &secret).await.as_deref(), Some("bob"));
    assert_eq!(app.refusals("sign_in").await, ["form_not_ours"]);
    assert_eq!(app.count("sessions").await, 1);
}
