//! Browsers that are not asked again for a while.

use keywright::{foundation::secret::Secret, store::users};

use super::{
    Authenticator, DEVICE, enrolled, first_step, form_of, give, second_step_of, set_up, start,
    start_with,
};
use crate::{
    sessions::{SESSION, cookie},
    support::{
        app::TestApp,
        browser::{Browser, Journey},
        journey::{authorize_path, sign_in_on_page},
    },
};

const DAY: i64 = 86_400;

/// A browser at which bob has asked not to be asked again, signed out.
async fn remembered(app: &TestApp, authenticator: &Authenticator) -> Browser {
    let mut browser = app.browser();
    let page = first_step(&mut browser, &[]).await;
    let form = page.form_to("/login/second-factor").fill("code", &authenticator.code(app));
    let answer = browser.submit(&page, &form.add("remember", "yes")).await;
    assert!(browser.follow(answer).await.param("code").is_some());
    sign_out(&mut browser).await;
    app.clock.advance(30);
    browser
}

async fn sign_out(browser: &mut Browser) {
    let page = browser.get("/account").await;
    browser.submit(&page, &page.form_to("/logout")).await;
}

/// Bob's password at the app.
async fn password(browser: &mut Browser, changes: &[(&str, &str)]) -> Journey {
    let journey = browser.visit(&authorize_path("web", changes)).await;
    sign_in_on_page(browser, &journey, "bob").await
}

fn is_asked(journey: &Journey) -> bool {
    journey.last().url.path() == "/login/second-factor"
}

/// The password is enough there, for thirty days; and it is one factor.
#[tokio::test(flavor = "multi_thread")]
async fn a_remembered_browser_is_not_asked() {
    let app = start().await;
    let (authenticator, _) = enrolled(&app).await;
    let mut browser = remembered(&app, &authenticator).await;
    for _ in 0..2 {
        let journey = password(&mut browser, &[]).await;
        assert_eq!(super::id_token(&app, &journey).await["acr"], "sfa", "{:?}", journey.hops());
        sign_out(&mut browser).await;
    }
    assert!(is_asked(&password(&mut app.browser(), &[]).await), "another browser is");
    app.clock.advance(30 * DAY - 60);
    assert!(!is_asked(&password(&mut browser, &[]).await));
    sign_out(&mut browser).await;
    app.clock.advance(60);
    assert!(is_asked(&password(&mut browser, &[]).await), "the time is over");
}

/// It never counts for a level, nor for a new proof.
#[tokio::test(flavor = "multi_thread")]
async fn it_counts_for_no_step_up() {
    let app = start().await;
    let (authenticator, _) = enrolled(&app).await;
    let mut browser = remembered(&app, &authenticator).await;
    for changes in [("acr_values", "mfa"), ("prompt", "login"), ("max_age", "0")] {
        assert!(is_asked(&password(&mut browser, &[changes]).await), "{changes:?}");
        assert!(browser.cookies().get(SESSION).is_none_or(|cookie| cookie.value.is_empty()));
    }
    assert!(!is_asked(&password(&mut browser, &[]).await));
    second_step_of(&browser.visit(&authorize_path("web", &[("acr_values", "mfa")])).await);
}

/// It falls with the password, and when a second factor is added or removed.
#[tokio::test(flavor = "multi_thread")]
async fn it_falls_with_what_it_was_made_of() {
    let app = start().await;
    let mut own = app.browser();
    crate::sessions::sign_in(&mut own, "bob").await;
    let (authenticator, _) = set_up(&app, &mut own).await;
    let mut browser = remembered(&app, &authenticator).await;
    set_up(&app, &mut own).await;
    assert!(is_asked(&password(&mut browser, &[]).await), "one was added");
    let mut browser = remembered(&app, &authenticator).await;
    let page = own.get("/account/two-step").await;
    let last = page.forms().into_iter().rfind(|form| form.value("step") == Some("remove")).unwrap();
    assert_eq!(own.submit(&page, &last).await.status, 303);
    assert!(is_asked(&password(&mut browser, &[]).await), "one was removed");

    let mut browser = remembered(&app, &authenticator).await;
    let mut connection = app.app.connection().await.unwrap();
    let bob = users::find_by_username(&mut connection, "bob").await.unwrap().unwrap();
    let hash = app.app.passwords.hash(&Secret::new("bob-password")).await.unwrap();
    let now = app.app.now();
    assert!(users::set_password_hash(&mut connection, &bob.id, &hash, now).await.unwrap());
    drop(connection);
    assert!(is_asked(&password(&mut browser, &[]).await), "the password was changed");
}

/// The proof is one browser's and one person's, and nobody else can make it.
#[tokio::test(flavor = "multi_thread")]
async fn it_cannot_be_carried_away_or_forged() {
    let app = start().await;
    app.add_user("carol", &[]).await;
    let mut carols = app.browser();
    crate::sessions::sign_in(&mut carols, "carol").await;
    set_up(&app, &mut carols).await;
    let (authenticator, _) = enrolled(&app).await;
    let mut browser = remembered(&app, &authenticator).await;
    let stolen = browser.cookies().get(DEVICE).unwrap().clone();
    let mut thief = app.browser();
    thief.cookies_mut().plant(stolen.clone());
    assert!(is_asked(&password(&mut thief, &[]).await), "another browser");
    let journey = browser.visit(&authorize_path("web", &[])).await;
    assert!(is_asked(&sign_in_on_page(&mut browser, &journey, "carol").await), "another person");
    let (since, proof) = stolen.value.split_once('.').unwrap();
    let later = app.clock.unix() + DAY;
    for value in [
        format!("{later}.{proof}"),
        format!("{}.{proof}", app.clock.unix()),
        format!("{since}."),
        format!("{since}.{}", &proof[1..]),
        proof.to_owned(),
        "1.1".to_owned(),
        String::new(),
    ] {
        let mut forged = stolen.clone();
        forged.value.clone_from(&value);
        browser.cookies_mut().plant(forged);
        assert!(is_asked(&password(&mut browser, &[]).await), "{value}");
    }
    browser.cookies_mut().plant(stolen);
    assert!(!is_asked(&password(&mut browser, &[]).await));
}

/// Nobody is remembered who has not asked for it, and where it is off nobody can.
#[tokio::test(flavor = "multi_thread")]
async fn it_is_offered_and_can_be_switched_off() {
    let app = start().await;
    let (authenticator, _) = enrolled(&app).await;
    let mut browser = app.browser();
    let page = first_step(&mut browser, &[]).await;
    assert!(page.text().contains("Do not ask on this device for 30 days"), "{}", page.text());
    give(&mut browser, &page, &authenticator.code(&app)).await;
    assert!(browser.cookies().get(DEVICE).is_none());
    assert!(!cookie(&browser, SESSION).is_empty());

    let staff = "[second_factors]\nrequired_for_groups = [\"staff\"]";
    for (config, group) in
        [("[second_factors]\nremember_for = \"0s\"", None), (staff, Some("staff"))]
    {
        let app = start_with(config).await;
        let who = if group.is_some() { "sara" } else { "bob" };
        if let Some(group) = group {
            app.add_user(who, &[group]).await;
        }
        let mut browser = app.browser();
        let journey = browser.visit("/account").await;
        let journey = sign_in_on_page(&mut browser, &journey, who).await;
        let authenticator = if group.is_some() {
            let page = second_step_of(&journey);
            let authenticator = Authenticator::from_page(&page);
            give(&mut browser, &page, &authenticator.code(&app)).await;
            authenticator
        } else {
            set_up(&app, &mut browser).await.0
        };
        app.clock.advance(30);
        let mut browser = app.browser();
        let journey = browser.visit("/account").await;
        let page = second_step_of(&sign_in_on_page(&mut browser, &journey, who).await);
        assert!(!page.text().contains("checkbox"), "{}", page.text());
        let form = page.form_to("/login/second-factor").fill("code", &authenticator.code(&app));
        let answer = browser.submit(&page, &form.add("remember", "yes")).await;
        assert_eq!(browser.follow(answer).await.last().url.path(), "/account");
        assert!(browser.cookies().get(DEVICE).is_none(), "{config}");
        let _ = form_of(&browser.get("/account/two-step").await, "codes");
    }
}
