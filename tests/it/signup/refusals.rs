//! Who does not get an account: a page or form that says why, an event, and nothing is made.

use futures_util::future::join_all;

use super::{OPEN, PASSWORD, filled, form, open};
use crate::{
    sessions::SESSION,
    support::{app::TestApp, browser::Browser, journey::authorize_path},
};

async fn assert_nothing_made(app: &TestApp, browser: &Browser) {
    assert_eq!((app.count("users").await, app.count("sessions").await), (0, 0));
    assert!(browser.cookies().get(SESSION).is_none());
}

/// LK-15, PW-01, IJ-16: what cannot be a name, an address or a password is refused with words beside the
/// field; what was typed stays, but for the password.
#[tokio::test(flavor = "multi_thread")]
async fn unfit_input_is_refused_beside_its_field() {
    let app = open().await;
    let long = "x".repeat(65);
    let cases = [
        ("username", "", "username_unfit"),
        ("username", "admin", "username_unfit"),
        ("username", "P\u{43e}stmaster", "username_unfit"),
        ("username", "\u{430}nna", "username_unfit"),
        ("username", "anna@corp.test", "username_unfit"),
        ("username", "an na", "username_unfit"),
        ("username", "<b>anna</b>", "username_unfit"),
        ("username", &long, "username_unfit"),
        ("email", "anna", "email_unfit"),
        ("email", "anna@corp.test,eve@evil.test", "email_unfit"),
        ("email", "\"anna\"@corp.test", "email_unfit"),
        ("email", "anna@corp.test\r\nBcc: eve@evil.test", "email_unfit"),
        ("password", "", "password_unfit"),
        ("password", "short", "password_unfit"),
    ];
    for (field, value, reason) in cases {
        let mut browser = app.browser();
        let (page, form) = form(&mut browser).await;
        let posted = filled(&form, "anna").fill("email", "anna@corp.test").fill(field, value);
        let answer = browser.submit(&page, &posted).await;
        let text = answer.text();
        assert_eq!(answer.status, 422, "{field} {value:?}: {text}");
        assert!(text.contains(&format!("href=\"#{field}\"")), "{field} {value:?}: {text}");
        assert!(text.contains(&format!("id=\"{field}-problem\"")), "{field} {value:?}: {text}");
        assert!(!text.contains(PASSWORD) && !text.contains("<b>anna"), "{text}");
        let again = answer.form_to("/signup");
        if field != "email" {
            assert_eq!(again.value("email"), Some("anna@corp.test"), "{field} {value:?}");
        }
        assert_eq!(again.value("password"), Some(""), "{field} {value:?}");
        assert_nothing_made(&app, &browser).await;
        assert_eq!(app.refusals("sign_up").await.last().map(String::as_str), Some(reason));
        // The form still works.
        let mut elsewhere = app.browser();
        assert_eq!(elsewhere.post_form("/signup", &[]).await.status, 403);
    }
}

/// A name is one person's, in all its spellings, and of many at once exactly one gets it.
#[tokio::test(flavor = "multi_thread")]
async fn a_name_is_given_once() {
    let app = open().await;
    app.add_user("bob", &[]).await;
    for spelling in ["bob", "BOB", "\u{ff42}ob"] {
        let mut browser = app.browser();
        let (page, form) = form(&mut browser).await;
        let answer = browser.submit(&page, &filled(&form, spelling)).await;
        assert_eq!(answer.status, 422, "{spelling}");
        assert!(answer.text().contains("Somebody has this username already"), "{spelling}");
        assert_eq!(
            app.refusals("sign_up").await.last().map(String::as_str),
            Some("username_taken")
        );
        // The sign-in goes on with another name.
        let again = filled(&answer.form_to("/signup"), &format!("{spelling}.2"));
        let answer = browser.submit(&answer, &again).await;
        let expected = if spelling == "bob" { 303 } else { 422 };
        assert_eq!(answer.status, expected, "{spelling}: {}", answer.text());
    }
    let tries = join_all((0..20).map(async |_| {
        let mut browser = app.browser();
        let (page, form) = form(&mut browser).await;
        browser.submit(&page, &filled(&form, "carol")).await.status
    }));
    let made = tries.await.into_iter().filter(|status| *status == 303).count();
    assert_eq!((made, app.count("users WHERE username = 'carol'").await), (1, 1));
}

/// LK-11: where the door is shut, the page says so and the form is not taken: not one that was open
/// before, either.
#[tokio::test(flavor = "multi_thread")]
async fn a_shut_door_is_shut_for_page_and_form() {
    for config in [
        "",
        "[signup]\nlocal = \"invite\"",
        "[passwords]\nlogin = \"off\"\n[signup]\nlocal = \"open\"",
    ] {
        let before = open().await;
        let mut browser = before.browser();
        let (page, form) = form(&mut browser).await;
        let cookies = browser.cookies().all().to_vec();
        drop(browser);
        let app = crate::sessions::stop(before).await.config(config).start().await;
        let mut late = app.browser();
        for cookie in cookies {
            late.cookies_mut().plant(cookie);
        }
        let answer = late.submit(&page, &filled(&form, "anna")).await;
        assert!(matches!(answer.status, 400 | 403), "{config}: {}", answer.status);
        assert_nothing_made(&app, &late).await;
        let mut fresh = app.browser();
        let page = fresh.get("/signup").await;
        assert_eq!(page.status, 403, "{config}");
        assert!(page.text().contains("You cannot make an account here"), "{}", page.text());
        assert_eq!(
            app.refusals("sign_up").await.last().map(String::as_str),
            Some("signup_disabled")
        );
        let choice = fresh.visit(&authorize_path("web", &[])).await.last().clone();
        assert!(!choice.text().contains("/signup"), "{config}: {}", choice.text());
    }
}

/// UP-22: for an app that wants people of one upstream only, no account of ours would be of use.
#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_would_not_do_is_not_made() {
    let upstream = crate::support::fake_upstream::FakeUpstream::start().await;
    let client = "[[clients]]\nid = \"fixed\"\nname = \"Fixed\"\nsecret = \"fixed-secret-0123456789\"\n\
                  redirect_uris = [\"https://fixed.test/cb\"]\nallowed_upstreams = [\"kc\"]\n";
    let app = TestApp::builder().config(&format!("{client}\n{OPEN}")).upstream("kc", &upstream, "");
    let app = app.start().await;
    let mut browser = app.browser();
    browser.stop_at("https://fixed.test/");
    let path = authorize_path("fixed", &[("prompt", "select_account")]);
    let choice = browser.visit(&path).await.last().clone();
    assert!(!choice.text().contains("/signup"), "{}", choice.text());
    let flow = choice.url.query().unwrap().to_owned();
    assert_eq!(browser.get(&format!("/signup?{flow}")).await.status, 403);
    assert_eq!(app.refusals("sign_up").await, ["upstream_not_allowed"]);
}

/// From one network, so many accounts an hour.
#[tokio::test(flavor = "multi_thread")]
async fn accounts_are_not_made_by_the_dozen() {
    let config = format!("{OPEN}[rate_limits]\nsign_up_per_hour = 2");
    let app = TestApp::builder().config(&config).start().await;
    for (number, status) in [303, 303, 429, 429].into_iter().enumerate() {
        let mut browser = app.browser();
        let (page, form) = form(&mut browser).await;
        let hashes = app.app.passwords.hashes();
        let answer = browser.submit(&page, &filled(&form, &format!("anna{number}"))).await;
        assert_eq!(answer.status, status, "{number}: {}", answer.text());
        assert_eq!(answer.header("retry-after").is_some(), status == 429);
        assert_eq!(app.app.passwords.hashes() > hashes, status == 303, "nothing is hashed in vain");
    }
    assert_eq!(app.count("users").await, 2);
    assert_eq!(app.refusals("sign_up").await, ["too_many_sign_ups"; 2]);
}
