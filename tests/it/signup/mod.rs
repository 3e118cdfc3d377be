//! Making a local account.

mod approval;
mod refusals;
mod toggles;

use crate::{
    sessions::SESSION,
    support::{
        app::TestApp,
        browser::{Browser, Form, Page},
        fake_upstream::FakeUpstream,
        journey::{authorize_path, code_for, redeem},
    },
};

const OPEN: &str = "[signup]\nlocal = \"open\"\n";
const PASSWORD: &str = "seven purple Herons 41";

async fn open() -> TestApp {
    TestApp::builder().config(OPEN).start().await
}

/// The form, as somebody finds it who comes from the app `web`.
async fn form(browser: &mut Browser) -> (Page, Form) {
    let choice = browser.visit(&authorize_path("web", &[])).await.last().clone();
    let link = choice.links().into_iter().find(|link| link.path() == "/signup");
    let link = link.unwrap_or_else(|| panic!("no way to an account: {}", choice.text()));
    let page = browser.get(link.as_str()).await;
    assert_eq!(page.status, 200, "{}", page.text());
    let form = page.form_to("/signup");
    (page, form)
}

fn filled(form: &Form, username: &str) -> Form {
    form.clone().fill("username", username).fill("password", PASSWORD)
}

/// From the app to an account and back to the app, without a detour; and the next time by password.
#[tokio::test(flavor = "multi_thread")]
async fn somebody_makes_an_account_and_is_in_the_app() {
    let app = open().await;
    let mut browser = app.browser();
    let (page, form) = form(&mut browser).await;
    let form = filled(&form, "Zoë").fill("email", "zoe@corp.test").fill("name", "Zoë Berg");
    let page = browser.submit(&page, &form).await;
    let journey = browser.follow(page).await;
    let code = journey.param("code").unwrap_or_else(|| panic!("{:?}", journey.hops()));
    let tokens = redeem(&app, "web", &code).await;
    let claims = keywright::keys::parse_unverified(&tokens.text("id_token")).unwrap().1;
    assert_eq!(claims["preferred_username"], "Zoë");
    assert_eq!((&claims["name"], &claims["email"]), (&"Zoë Berg".into(), &"zoe@corp.test".into()));
    assert_eq!(claims["email_verified"], false, "nobody has said that it is theirs");
    assert_eq!(claims["amr"], serde_json::json!(["pwd"]));
    let events = app.events().await;
    let actions: Vec<&str> = events.iter().map(|event| &*event.action).collect();
    assert_eq!(actions.iter().filter(|action| **action == "sign_up").count(), 1, "{actions:?}");
    assert_eq!(actions.iter().filter(|action| **action == "sign_in").count(), 1, "{actions:?}");
    app.clock.advance(1);
    let mut other = app.browser();
    let page = other.visit(&authorize_path("web", &[])).await.last().clone();
    let form = page.form_to("/login").fill("username", "ZOË").fill("password", PASSWORD);
    let page = other.submit(&page, &form).await;
    assert!(other.follow(page).await.param("code").is_some());
}

/// Whoever comes by themselves ends at their own page.
#[tokio::test(flavor = "multi_thread")]
async fn an_account_can_be_made_without_an_app() {
    let app = open().await;
    let mut browser = app.browser();
    let page = browser.visit("/signup").await.last().clone();
    let form = filled(&page.form_to("/signup"), "anna");
    let page = browser.submit(&page, &form).await;
    let journey = browser.follow(page).await;
    assert_eq!(journey.last().url.path(), "/account");
    assert!(journey.last().text().contains("anna"), "{}", journey.last().text());
}

/// Beside an only upstream there is a choice as soon as there are accounts to be made; an address
/// that the app has named is filled in.
#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_is_no_longer_the_only_way() {
    let upstream = FakeUpstream::start().await;
    let app = TestApp::builder().config(OPEN).upstream("kc", &upstream, "").start().await;
    let mut browser = app.browser();
    let path = authorize_path("web", &[("login_hint", "anna@corp.test")]);
    let choice = browser.visit(&path).await.last().clone();
    let link = choice.links().into_iter().find(|link| link.path() == "/signup").unwrap();
    let page = browser.get(link.as_str()).await;
    assert_eq!(page.form_to("/signup").value("email"), Some("anna@corp.test"));
    assert!(choice.links().iter().any(|link| link.path() == "/upstream/kc/start"));
}

/// SS-01: whoever was signed in is somebody else now, in a session of their own.
#[tokio::test(flavor = "multi_thread")]
async fn a_former_session_ends() {
    let app = open().await;
    app.add_user("bob", &[]).await;
    let mut browser = app.browser();
    let code = code_for(&mut browser, "web", "bob", &[]).await;
    assert_eq!(redeem(&app, "web", &code).await.status, 200);
    let former = browser.cookies().get(SESSION).unwrap().value.clone();
    let page = browser.visit("/signup").await.last().clone();
    let form = filled(&page.form_to("/signup"), "anna");
    browser.submit(&page, &form).await;
    assert_ne!(browser.cookies().get(SESSION).unwrap().value, former);
    assert_eq!(app.count("sessions WHERE ended_at IS NULL").await, 1);
}

/// The administrator says whether an address is asked for.
#[tokio::test(flavor = "multi_thread")]
async fn an_address_is_asked_for_as_configured() {
    for (setting, field, refused) in
        [("off", false, false), ("optional", true, false), ("required", true, true)]
    {
        let config = format!("{OPEN}email = \"{setting}\"");
        let app = TestApp::builder().config(&config).start().await;
        let mut browser = app.browser();
        let (page, form) = form(&mut browser).await;
        assert_eq!(form.value("email").is_some(), field, "{setting}");
        // Whatever the form asks, what is posted is judged.
        let posted = filled(&form, "anna");
        let posted = if field { posted.fill("email", "") } else { posted.add("email", "a@b.test") };
        let answer = browser.submit(&page, &posted).await;
        assert_eq!(answer.status == 422, refused, "{setting}: {}", answer.text());
        assert_eq!(app.count("users WHERE email IS NOT NULL").await, 0, "{setting}");
    }
}
