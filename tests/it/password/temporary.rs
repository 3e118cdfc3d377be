//! Passwords that an administrator has set (PW-19): they lead to the page on which their owner chooses
//! another one, and nowhere else.

use axum::http::Request;
use bytes::Bytes;
use serde_json::json;

use super::Attempt;
use crate::{
    refresh::outside::user_verb,
    second_factor,
    support::{
        app::{ISSUER, TestApp},
        browser::Page,
    },
    upstream::SESSION_COOKIE,
};

const HANDED_OVER: &str = "a quite different horse";
const OWN: &str = "eleven quiet Otters 93";

/// A house in which an administrator has just set bob's password.
async fn start(more: &str) -> TestApp {
    let app = TestApp::builder().config(more).start().await;
    app.add_user("bob", &[]).await;
    set(&app, &[]).await;
    app
}

async fn set(app: &TestApp, more: &[&str]) {
    let verb = [&["set-password", "bob", "--password-stdin"], more].concat();
    user_verb(app, &verb, HANDED_OVER).await;
}

/// Gives the password, and answers the page on which another one is chosen.
async fn hand_in(attempt: &mut Attempt) -> Page {
    let answer = attempt.try_with("bob", HANDED_OVER).await;
    let to = answer.location().unwrap_or_else(|| panic!("{}", answer.text()));
    assert_eq!((answer.status, to.path()), (303, "/recovery"));
    assert!(attempt.browser.cookies().get(SESSION_COOKIE).is_none());
    let page = attempt.browser.follow(answer).await.last().clone();
    assert_eq!(page.status, 200, "{}", page.text());
    page
}

async fn choose(attempt: &mut Attempt, page: &Page, password: &str) -> Page {
    let form = page.form_to("/recovery/password").fill("password", password);
    attempt.browser.submit(page, &form).await
}

/// PW-19: what the administrator knows begins no session; what is chosen with it does, and then the
/// administrator's word is worth nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_password_of_an_administrator_only_serves_to_choose_another() {
    let app = start("").await;
    let mut attempt = Attempt::begin(&app).await;
    let page = hand_in(&mut attempt).await;
    assert_eq!(app.count("sessions").await, 0);
    assert_eq!(app.refusals("sign_in").await, ["password_temporary"]);
    let done = choose(&mut attempt, &page, OWN).await;
    assert!(done.text().contains("Your password is changed"), "{}", done.text());
    assert_eq!(app.count("sessions").await, 0);
    // The sign-in that waits goes on.
    let links = done.links();
    let sign_in = links.iter().find(|link| link.path() == "/login").expect("the way on");
    let page = attempt.browser.get(sign_in.as_str()).await;
    let form = page.form_to("/login").fill("username", "bob").fill("password", OWN);
    let page = attempt.browser.submit(&page, &form).await;
    assert!(page.location_param("code").is_some(), "{}", page.text());
    let old = Attempt::begin(&app).await.try_with("bob", HANDED_OVER).await;
    assert_eq!(old.status, 400, "{}", old.text());
}

/// PW-19: it stays what it is until another one is chosen: by nobody else, and not by giving it up.
#[tokio::test(flavor = "multi_thread")]
async fn it_stays_temporary_until_another_is_chosen() {
    let app = start("").await;
    let mut attempt = Attempt::begin(&app).await;
    let page = hand_in(&mut attempt).await;
    for unfit in ["short", "password", "bob@corp.test"] {
        assert_eq!(choose(&mut attempt, &page, unfit).await.status, 422, "{unfit}");
    }
    let elsewhere = app.browser().get(page.url.as_str()).await;
    assert_eq!(elsewhere.status, 410, "{}", elsewhere.text());
    // Once more, elsewhere: the newest page counts.
    let mut again = Attempt::begin(&app).await;
    let newest = hand_in(&mut again).await;
    assert_eq!(choose(&mut attempt, &page, OWN).await.status, 410);
    assert_eq!(choose(&mut again, &newest, OWN).await.status, 200);
    let mut attempt = Attempt::begin(&app).await;
    assert!(attempt.try_with("bob", OWN).await.location_param("code").is_some());
}

/// MF-01: the second factor is asked for as ever, once the password is one's own.
#[tokio::test(flavor = "multi_thread")]
async fn a_second_factor_is_still_asked_for() {
    let app = TestApp::start().await;
    app.add_user("bob", &[]).await;
    second_factor::enrolled(&app).await;
    set(&app, &[]).await;
    let mut attempt = Attempt::begin(&app).await;
    let page = hand_in(&mut attempt).await;
    choose(&mut attempt, &page, OWN).await;
    let answer = Attempt::begin(&app).await.try_with("bob", OWN).await;
    assert_eq!(answer.location().unwrap().path(), "/login/second-factor");
}

/// Its owner has said it to the administrator, or is the administrator.
#[tokio::test(flavor = "multi_thread")]
async fn a_password_that_its_owner_chose_signs_in() {
    let app = start("").await;
    set(&app, &["--permanent"]).await;
    let answer = Attempt::begin(&app).await.try_with("bob", HANDED_OVER).await;
    assert!(answer.location_param("code").is_some(), "{}", answer.text());
}

/// A new account may be handed over likewise.
#[tokio::test(flavor = "multi_thread")]
async fn a_new_account_is_handed_over_with_a_temporary_password() {
    let app = TestApp::start().await;
    user_verb(&app, &["add", "bob", "--password-stdin", "--temporary"], HANDED_OVER).await;
    let mut attempt = Attempt::begin(&app).await;
    let page = hand_in(&mut attempt).await;
    assert_eq!(choose(&mut attempt, &page, OWN).await.status, 200);
    let answer = Attempt::begin(&app).await.try_with("bob", OWN).await;
    assert!(answer.location_param("code").is_some(), "{}", answer.text());
}

/// PW-19: an app that draws its own form is told so, and nobody is signed in there either.
#[tokio::test(flavor = "multi_thread")]
async fn the_api_leads_to_the_page() {
    let native = "[[clients]]\nid = \"own\"\nname = \"Own\"\ntype = \"native\"\napi = true\n\
                  redirect_uris = [\"http://127.0.0.1/cb\"]\n";
    let app = start(native).await;
    let body = json!({"client_id": "own", "username": "bob", "password": HANDED_OVER});
    let request = Request::post(format!("{ISSUER}/api/v1/signin"));
    let request = request.header("content-type", "application/json");
    let answer = app.send(request.body(Bytes::from(body.to_string())).unwrap()).await;
    let said = answer.json();
    assert_eq!((answer.status.as_u16(), &said["code"]), (403, &json!("password_change_required")));
    assert_eq!(said["page"], "https://id.test/account");
    assert_eq!(app.count("sessions").await, 0);
    assert_eq!(app.refusals("sign_in").await, ["password_temporary"]);
}

/// PW-19, LK-02: whoever has got hold of it, and has the page open, is out when another one is set.
#[tokio::test(flavor = "multi_thread")]
async fn another_password_shuts_the_page_of_the_former_one() {
    for more in [&[][..], &["--permanent"]] {
        let app = start("").await;
        let mut thief = Attempt::begin(&app).await;
        let page = hand_in(&mut thief).await;
        set(&app, more).await;
        let refused = choose(&mut thief, &page, OWN).await;
        assert_eq!(refused.status, 410, "{more:?}: {}", refused.text());
        assert_eq!(Attempt::begin(&app).await.try_with("bob", OWN).await.status, 400);
    }
}
