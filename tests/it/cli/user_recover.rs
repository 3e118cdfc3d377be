//! `keywright user recover`: a way back in that needs no mail, and that no administrator goes through.

use serde_json::Value;

use super::program::Place;
use crate::{
    sessions::{person_of, sign_in},
    support::{app::TestApp, database::SECRET_KEY, journey::authorize_path},
};

const NEW: &str = "eleven quiet Otters 93";

/// A house with bob, and a folder whose configuration is of its database.
async fn house() -> (TestApp, Place) {
    let app = TestApp::start().await;
    app.add_user("bob", &[]).await;
    let mut place = Place::new();
    place.set("DATABASE_URL", &app.database.url);
    place.set("SECRET_KEY", SECRET_KEY);
    (app, place)
}

fn below_the_issuer(link: &str) -> String {
    let at = link.find("/recovery?token=").unwrap_or_else(|| panic!("{link}"));
    link[at..].trim().to_owned()
}

async fn gets_in(app: &TestApp, password: &str) -> bool {
    let mut browser = app.browser();
    let page = browser.visit(&authorize_path("web", &[])).await.last().clone();
    let form = page.form_to("/login").fill("username", "bob").fill("password", password);
    browser.submit(&page, &form).await.location_param("code").is_some()
}

/// PW-19, LK-14: one link, one hour, one use; until then nothing changes, and nobody learns the new
/// password. It works where there is no mail.
#[tokio::test(flavor = "multi_thread")]
async fn a_link_leads_back_in_without_mail() {
    let (app, place) = house().await;
    let secret = sign_in(&mut app.browser(), "bob").await;
    let made = place.run(&["user", "recover", "bob"]).ok();
    assert!(made.out.contains("60 minutes"), "{made:?}");
    let link = below_the_issuer(made.out.lines().next().unwrap());
    assert!(gets_in(&app, "bob-password").await, "nothing has changed yet");
    let mut browser = app.browser();
    let page = browser.visit(&link).await.last().clone();
    let form = page.form_to("/recovery/password").fill("password", NEW);
    assert_eq!(browser.submit(&page, &form).await.status, 200);
    assert!(gets_in(&app, NEW).await && !gets_in(&app, "bob-password").await);
    assert_eq!(person_of(&app, &secret).await, None);
    assert_eq!(app.browser().visit(&link).await.last().status, 410);
    let actions: Vec<String> = app.events().await.into_iter().map(|event| event.action).collect();
    assert!(actions.contains(&"recovery_link_made".to_owned()), "{actions:?}");
}

/// Where somebody else may be in, everything ends at once.
#[tokio::test(flavor = "multi_thread")]
async fn somebody_is_locked_out_until_they_use_the_link() {
    let (app, place) = house().await;
    let secret = sign_in(&mut app.browser(), "bob").await;
    let arguments = ["user", "recover", "bob", "--lock-out", "--minutes", "5", "--json"];
    let made = place.run(&arguments).ok().json();
    assert_eq!(person_of(&app, &secret).await, None);
    assert!(!gets_in(&app, "bob-password").await);
    let link = below_the_issuer(made["link"].as_str().unwrap());
    assert_ne!(made["expires_at"], Value::Null);
    let mut browser = app.browser();
    let page = browser.visit(&link).await.last().clone();
    let form = page.form_to("/recovery/password").fill("password", NEW);
    assert_eq!(browser.submit(&page, &form).await.status, 200);
    assert!(gets_in(&app, NEW).await);
}

/// A link that would lead nowhere is not made.
#[tokio::test(flavor = "multi_thread")]
async fn no_link_is_made_that_leads_nowhere() {
    let (app, mut place) = house().await;
    place.run(&["user", "recover", "nobody"]).failed(1, &["nobody", "no account"]);
    place.run(&["user", "disable", "bob"]).ok();
    place.run(&["user", "recover", "bob"]).failed(1, &["bob is shut", "user enable bob"]);
    place.run(&["user", "enable", "bob"]).ok();
    place.set("KEYWRIGHT_PASSWORDS__LOGIN", "off");
    place.run(&["user", "recover", "bob"]).failed(1, &["passwords.login", "off", "on"]);
    assert_eq!(app.count("one_time_links").await, 0);
}

/// Who has lost the phone and the codes gets in with the password alone.
#[tokio::test(flavor = "multi_thread")]
async fn lost_factors_are_taken_away() {
    let (app, place) = house().await;
    let secret = sign_in(&mut app.browser(), "bob").await;
    let sealed = if app.database.url.starts_with("sqlite:") { "X'00'" } else { "'\\x00'::bytea" };
    let sql = format!(
        "INSERT INTO totp_factors (id, user_id, sealed, name, last_step, created_at) \
         SELECT 'f', id, {sealed}, 'phone', 0, 0 FROM users WHERE username = 'bob'"
    );
    crate::refresh::outside::execute(&app, &sql).await;
    assert_eq!(app.count("totp_factors").await, 1);
    assert!(!gets_in(&app, "bob-password").await, "a code is wanted");
    place.run(&["user", "reset-factors", "nobody"]).failed(1, &["nobody", "no account"]);
    place.run(&["user", "reset-factors", "bob"]).ok();
    assert_eq!(app.count("totp_factors").await, 0);
    assert_eq!(person_of(&app, &secret).await, None);
    assert!(gets_in(&app, "bob-password").await);
}

/// An account that its owner has deleted and an administrator has shut is not opened by the owner.
#[tokio::test(flavor = "multi_thread")]
async fn what_an_administrator_shuts_stays_shut() {
    let (app, place) = house().await;
    let mut browser = app.browser();
    sign_in(&mut browser, "bob").await;
    let page = browser.get("/account/delete").await;
    let form = page.form_to("/account/delete").fill("username", "bob");
    assert_eq!(browser.submit(&page, &form).await.status, 200);
    assert_eq!(app.count("deletions").await, 1);
    place.run(&["user", "disable", "bob"]).ok();
    assert_eq!(app.count("deletions").await, 0);
    app.clock.advance(30 * 86_400);
    keywright::jobs::erase_deleted(&app.app).await.unwrap();
    assert_eq!(app.count("users").await, 1);
}
