//! Consent: nothing leaves the house before the person has agreed, where they are to be asked
//! (OIDC Core §3.1.2.4).

use crate::support::{
    app::TestApp,
    browser::{Browser, Journey, Page},
    journey::{authorize_path, code_by_session, is_active, redeem, sign_in_on_page},
};

const SHOP: &str = r#"
[[clients]]
id = "shop"
name = "The Shop"
secret = "shop-secret-0123456789"
redirect_uris = ["https://shop.test/cb"]
consent = "once"
scopes = ["openid", "profile", "email", "groups", "offline_access", "basket"]
claims = [{ name = "plan", value = "gold" }]
"#;

async fn start() -> TestApp {
    let app = TestApp::builder().config(SHOP).start().await;
    app.add_user("bob", &["staff"]).await;
    app.add_user("eve", &[]).await;
    app
}

fn browser_of(app: &TestApp) -> Browser {
    let mut browser = app.browser();
    browser.stop_at("https://shop.test/");
    browser
}

/// Asks for something, as somebody who signs in on the way.
async fn first_visit(browser: &mut Browser, username: &str, changes: &[(&str, &str)]) -> Journey {
    let journey = browser.visit(&authorize_path("shop", changes)).await;
    sign_in_on_page(browser, &journey, username).await
}

/// The page of the question.
fn question(journey: &Journey) -> &Page {
    let page = journey.last();
    assert_eq!((page.status, page.url.path()), (200, "/consent"), "{}", page.text());
    page
}

async fn answer(browser: &mut Browser, page: &Page, word: &str) -> Journey {
    let form = page.form_to("/consent").press("answer", word);
    let answer = browser.submit(page, &form).await;
    browser.follow(answer).await
}

/// What is asked shows the app, its host, the account, and the values themselves; agreeing to it is kept,
/// told to nobody else, and not asked again.
#[tokio::test(flavor = "multi_thread")]
async fn a_person_is_asked_once() {
    let app = start().await;
    let mut browser = browser_of(&app);
    let scope = [("scope", "openid profile email groups basket")];
    let journey = first_visit(&mut browser, "bob", &scope).await;
    let page = question(&journey);
    let text = page.text();
    for shown in [
        "The Shop",
        "shop.test",
        "username: bob",
        "address: bob@corp.test",
        "groups: staff",
        "“basket” in the app&#x27;s own services",
        "plan: gold",
    ] {
        let plain = text.replace("&#39;", "&#x27;");
        assert!(plain.contains(shown), "{shown}: {text}");
    }
    assert_eq!(app.count("grants").await + app.count("consents").await, 0);

    let journey = answer(&mut browser, page, "allow").await;
    assert_eq!(redeem(&app, "shop", &journey.param("code").unwrap()).await.status, 200);
    let events = app.events().await;
    let event = events.iter().find(|event| event.action == "consent").unwrap();
    assert_eq!(event.client_id.as_ref().unwrap().as_str(), "shop");
    assert!(event.detail.contains("openid profile email groups basket"));

    // Neither for as much, nor for less, nor from another browser.
    code_by_session(&mut browser, "shop", &scope).await;
    code_by_session(&mut browser, "shop", &[("scope", "openid email"), ("prompt", "none")]).await;
    let journey = first_visit(&mut browser_of(&app), "bob", &scope).await;
    assert!(journey.param("code").is_some());
    // Somebody else has agreed to nothing.
    question(&first_visit(&mut browser_of(&app), "eve", &scope).await);
}

/// More than what was agreed to is asked for, and what is new is marked.
#[tokio::test(flavor = "multi_thread")]
async fn more_is_asked_for() {
    let app = start().await;
    let mut browser = browser_of(&app);
    let journey = first_visit(&mut browser, "bob", &[("scope", "openid profile")]).await;
    assert!(!question(&journey).text().contains("class=\"tag\">new"));
    answer(&mut browser, question(&journey), "allow").await.param("code").unwrap();
    app.clock.advance(60);
    let journey = browser.visit(&authorize_path("shop", &[("scope", "openid email")])).await;
    let page = question(&journey);
    assert_eq!(page.text().matches("class=\"tag\">new").count(), 1, "{}", page.text());
    answer(&mut browser, page, "allow").await.param("code").unwrap();
    // What was agreed to before still is.
    let all = [("scope", "openid profile email"), ("prompt", "none")];
    code_by_session(&mut browser, "shop", &all).await;
    assert_eq!(app.count("consents WHERE updated_at = given_at + 60").await, 1);
}

/// RFC 6749 §4.1.2.1: a no is told to the app, and nothing is kept.
#[tokio::test(flavor = "multi_thread")]
async fn a_person_may_say_no() {
    let app = start().await;
    let mut browser = browser_of(&app);
    let journey = first_visit(&mut browser, "bob", &[]).await;
    let page = question(&journey).clone();
    let journey = answer(&mut browser, &page, "deny").await;
    assert_eq!(journey.param("error").as_deref(), Some("access_denied"));
    assert_eq!(journey.param("state").as_deref(), Some(crate::support::journey::STATE));
    assert_eq!(journey.param("code"), None);
    assert_eq!(app.count("consents").await + app.count("grants").await, 0);
    assert_eq!(app.refusals("authorize").await, ["access_denied"]);
    // It was answered: the same form says so, and changes nothing.
    let form = page.form_to("/consent").press("answer", "allow");
    let again = browser.submit(&page, &form).await;
    assert_eq!(again.status, 400, "{}", again.text());
    assert_eq!(app.count("consents").await, 0);
}

/// OIDC Core §3.1.2.6: who may not be asked gets nothing.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_asked_silently() {
    let app = start().await;
    let mut browser = browser_of(&app);
    question(&first_visit(&mut browser, "bob", &[]).await);
    let journey = browser.visit(&authorize_path("shop", &[("prompt", "none")])).await;
    assert_eq!(journey.param("error").as_deref(), Some("consent_required"));
    assert_eq!(app.refusals("authorize").await, ["consent_required"]);
    assert_eq!(app.count("consents").await, 0);
}

/// OIDC Core §3.1.2.1: `prompt=consent` asks each time, at an app that is trusted too.
#[tokio::test(flavor = "multi_thread")]
async fn an_app_can_have_people_asked_each_time() {
    let app = start().await;
    let mut browser = browser_of(&app);
    let journey = browser.visit(&authorize_path("web", &[("prompt", "consent")])).await;
    let mut journey = sign_in_on_page(&mut browser, &journey, "bob").await;
    for _ in 0..2 {
        let page = question(&journey).clone();
        answer(&mut browser, &page, "allow").await.param("code").unwrap();
        journey = browser.visit(&authorize_path("web", &[("prompt", "consent")])).await;
    }
    code_by_session(&mut browser, "web", &[]).await;
}

/// What somebody agreed to counts for their own session: who signs in instead is asked themselves, and
/// the form that the first one left open says nothing for them (AZ-22, SS-13).
#[tokio::test(flavor = "multi_thread")]
async fn nobody_agrees_for_somebody_else() {
    let app = start().await;
    let mut browser = browser_of(&app);
    let journey = first_visit(&mut browser, "bob", &[]).await;
    let left_open = question(&journey).clone();
    // Another browser knows the address, and no more.
    let stranger = browser_of(&app).get(left_open.url.as_str()).await;
    assert_eq!(stranger.status, 403, "{}", stranger.text());
    // Eve signs in at the same browser, in the same sign-in.
    let login = left_open.url.as_str().replace("/consent", "/login");
    let journey = browser.visit(&login).await;
    let of_eve = sign_in_on_page(&mut browser, &journey, "eve").await;
    let own = question(&of_eve).clone();
    assert_eq!(own.url, left_open.url);
    let form = left_open.form_to("/consent").press("answer", "allow");
    let answered = browser.submit(&left_open, &form).await;
    assert_eq!(answered.status, 403, "{}", answered.text());
    assert_eq!(app.refusals("consent").await, ["form_not_ours"]);
    assert_eq!(app.count("consents").await, 0);
    answer(&mut browser, &own, "allow").await.param("code").unwrap();
    let of_eve = "consents WHERE user_id IN (SELECT id FROM users WHERE username = 'eve')";
    assert_eq!((app.count(of_eve).await, app.count("consents").await), (1, 1));
}

/// AZ-28, AZ-30: what has changed since the question was asked counts, and of two answers one does.
#[tokio::test(flavor = "multi_thread")]
async fn the_question_is_no_way_round_anything() {
    let app = start().await;
    let mut browser = browser_of(&app);
    let journey = first_visit(&mut browser, "bob", &[]).await;
    let page = question(&journey).clone();
    let form = page.form_to("/consent").press("answer", "allow");
    let mut tabs = tokio::task::JoinSet::new();
    for _ in 0..5 {
        let (mut tab, page, form) = (browser.clone(), page.clone(), form.clone());
        tabs.spawn(async move { tab.submit(&page, &form).await.location_param("code").is_some() });
    }
    let codes = tabs.join_all().await.into_iter().filter(|got| *got).count();
    assert_eq!(codes, 1);
    // Signed out in another tab: the question is over.
    let journey = browser.visit(&authorize_path("shop", &[("prompt", "consent")])).await;
    let page = question(&journey).clone();
    crate::refresh::outside::execute(&app, "UPDATE sessions SET ended_at = 1").await;
    let form = page.form_to("/consent").press("answer", "allow");
    let answered = browser.submit(&page, &form).await;
    assert_eq!(answered.status, 409, "{}", answered.text());
    assert_eq!(app.refusals("consent").await, ["nothing_asked"]);
}

/// What was agreed to is seen and taken back on one's own pages; the app is asked about anew then.
#[tokio::test(flavor = "multi_thread")]
async fn consent_is_taken_back() {
    let app = start().await;
    let mut browser = browser_of(&app);
    let journey = first_visit(&mut browser, "bob", &[]).await;
    let journey = answer(&mut browser, question(&journey), "allow").await;
    let tokens = redeem(&app, "shop", &journey.param("code").unwrap()).await;
    let page = browser.get("/account/apps").await;
    assert!(page.text().contains("The Shop"));
    let form = page.form_to("/account/apps/disconnect");
    assert_eq!(browser.submit(&page, &form).await.status, 303);
    assert!(!is_active(&app, "shop", &tokens.text("access_token")).await);
    assert_eq!(app.count("consents").await, 0);
    question(&browser.visit(&authorize_path("shop", &[])).await);
    // Without any token there is still something to take back.
    let journey = browser.visit(&authorize_path("shop", &[])).await;
    answer(&mut browser, question(&journey), "allow").await.param("code").unwrap();
    assert_eq!(app.count("grants WHERE revoked_at IS NULL").await, 0);
    let page = browser.get("/account/apps").await;
    let form = page.form_to("/account/apps/disconnect");
    assert_eq!(browser.submit(&page, &form).await.status, 303);
    assert_eq!(app.count("consents").await, 0);
}

/// RT-08: a code that is under way when the person takes their word back gives nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_code_does_not_outlive_the_word() {
    let app = start().await;
    let mut browser = browser_of(&app);
    let journey = first_visit(&mut browser, "bob", &[]).await;
    let journey = answer(&mut browser, question(&journey), "allow").await;
    let page = browser.get("/account/apps").await;
    let form = page.form_to("/account/apps/disconnect");
    assert_eq!(browser.submit(&page, &form).await.status, 303);
    let late = redeem(&app, "shop", &journey.param("code").unwrap()).await;
    late.assert_error(400, "invalid_grant");
    assert_eq!(app.refusals("token").await, ["consent_taken_back"]);
    assert_eq!(app.count("grants").await, 0);
}

/// AZ-10: at an address that any app on the device can claim nobody is answered for silently, however often
/// they have agreed.
#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_anybody_can_claim_is_asked_about_each_time() {
    let own = "[[clients]]\nid = \"device\"\nname = \"Device\"\ntype = \"native\"\n\
               redirect_uris = [\"com.example.app:/cb\"]";
    let app = TestApp::builder().config(own).start().await;
    app.add_user("bob", &[]).await;
    let mut browser = app.browser();
    browser.stop_at("com.example.app:");
    let to = ("redirect_uri", "com.example.app:/cb");
    let journey = browser.visit(&authorize_path("device", &[to])).await;
    let mut journey = sign_in_on_page(&mut browser, &journey, "bob").await;
    for _ in 0..2 {
        let page = question(&journey).clone();
        assert!(answer(&mut browser, &page, "allow").await.param("code").is_some());
        journey = browser.visit(&authorize_path("device", &[to])).await;
    }
    let silent = browser.visit(&authorize_path("device", &[to, ("prompt", "none")])).await;
    assert_eq!(silent.param("error").as_deref(), Some("consent_required"));
}
