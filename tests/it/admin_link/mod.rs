//! The first administrator: by a link, once, and never because somebody came first.

mod once;

use keywright::{
    accounts::invitations::Offer,
    store::invitations::{Invitation, InvitationKind},
};

use crate::{
    invitations::{join, make, open},
    sessions::{SESSION, person_of, sign_in},
    support::{
        app::TestApp,
        browser::{Browser, Page},
        fake_upstream::FakeUpstream,
        journey::sign_in_on_page,
    },
    upstream::user,
};

const SHUT: &str = "[signup]\nlocal = \"closed\"\nfederated = \"closed\"\ndisabled = true\n";

/// A link as `serve` prints it while there never was an administrator.
async fn first(app: &TestApp) -> (Invitation, String) {
    make(app, Offer::of_administration(InvitationKind::FirstAdministrator)).await
}

/// A link as `admin link` prints it.
async fn another(app: &TestApp) -> (Invitation, String) {
    make(app, Offer::of_administration(InvitationKind::Administrator)).await
}

async fn administrators(app: &TestApp) -> i64 {
    app.count("users WHERE roles LIKE '%\"admin\"%'").await
}

/// Where sign-up is shut, the link makes the account of the first administrator.
#[tokio::test(flavor = "multi_thread")]
async fn a_new_account_administers() {
    let app = TestApp::builder().config(SHUT).start().await;
    let (_, path) = first(&app).await;
    let mut browser = app.browser();
    let page = open(&mut browser, &path).await;
    assert!(page.text().contains("Become an administrator"), "{}", page.text());
    let answer = join(&mut browser, &path, "anna").await;
    assert_eq!(browser.follow(answer).await.last().url.path(), "/account");
    assert_eq!(user(&app, "anna").await.roles.to_vec(), ["admin"]);
    let events = app.events().await;
    let event = events.iter().find(|event| event.action == "invitation_accepted").unwrap();
    assert!(event.detail.contains("first_administrator"), "{}", event.detail);
    assert_eq!(app.browser().get(&path).await.status, 410);
    assert_eq!(app.browser().get("/signup").await.status, 403, "the door is as shut as before");
    let code = crate::support::journey::code_by_session(&mut browser, "web", &[]).await;
    let tokens = crate::support::journey::redeem(&app, "web", &code).await;
    let claims = keywright::keys::parse_unverified(&tokens.text("id_token")).unwrap().1;
    assert_eq!(claims["roles"], serde_json::json!(["admin"]));
}

/// The one password policy holds here too (PW-01), and nothing is used up by what it refuses.
#[tokio::test(flavor = "multi_thread")]
async fn an_easy_password_makes_no_administrator() {
    let app = TestApp::builder().config(SHUT).start().await;
    let (_, path) = first(&app).await;
    let mut browser = app.browser();
    let page = open(&mut browser, &path).await;
    let (page, form) = crate::invitations::form(&mut browser, &page).await;
    let easy = form.fill("username", "anna").fill("password", "password1");
    let answer = browser.submit(&page, &easy).await;
    assert_eq!((answer.status, app.count("users").await), (422, 0), "{}", answer.text());
    assert_eq!(join(&mut browser, &path, "anna").await.status, 303);
}

/// Somebody who has an account signs in by it and says yes; their session of an hour ago is not enough.
#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_there_is_becomes_one() {
    let app = TestApp::builder().config(SHUT).start().await;
    app.add_user("bob", &["ops"]).await;
    let mut browser = app.browser();
    sign_in(&mut browser, "bob").await;
    app.clock.advance(301);
    let (_, path) = first(&app).await;
    let page = open(&mut browser, &path).await;
    assert!(page.forms().is_empty(), "the proof is too old: {}", page.text());
    let flow = page.url.query().unwrap().to_owned();
    let token = crate::sessions::form_token(&mut browser).await;
    let url = format!("/invitation?{flow}");
    let answer = browser.post_form(&url, &[("csrf", &token)]).await;
    assert_eq!(answer.status, 403, "{}", answer.text());
    assert_eq!(app.refusals("invitation").await, ["reauth_required"]);
    assert_eq!(administrators(&app).await, 0);
    let journey = browser.visit(&format!("/login?{flow}")).await;
    let page = sign_in_on_page(&mut browser, &journey, "bob").await.last().clone();
    let answer = browser.submit(&page, &page.form_to("/invitation")).await;
    assert_eq!(answer.header("location"), Some("/account"), "{}", answer.text());
    let bob = user(&app, "bob").await;
    assert_eq!(
        (bob.roles.to_vec(), bob.groups.to_vec()),
        (vec!["admin".into()], vec!["ops".into()])
    );
}

/// MF-03: whoever has a second factor gives it, also where the browser need not ask for it.
#[tokio::test(flavor = "multi_thread")]
async fn half_a_proof_makes_no_administrator() {
    let app = TestApp::builder().config(SHUT).start().await;
    app.add_user("bob", &[]).await;
    let mut browser = app.browser();
    let secret = sign_in(&mut browser, "bob").await;
    let mut other = app.browser();
    sign_in(&mut other, "bob").await;
    crate::second_factor::set_up(&app, &mut other).await;
    assert_eq!(person_of(&app, &secret).await.as_deref(), Some("bob"), "the session goes on");
    let (_, path) = first(&app).await;
    let page = open(&mut browser, &path).await;
    assert!(page.forms().is_empty(), "{}", page.text());
    let url = format!("/invitation?{}", page.url.query().unwrap());
    let token = crate::sessions::form_token(&mut browser).await;
    let answer = browser.post_form(&url, &[("csrf", &token)]).await;
    assert_eq!(answer.status, 403, "{}", answer.text());
    assert_eq!(app.refusals("invitation").await, ["reauth_required"]);
    assert_eq!(administrators(&app).await, 0);
}

/// Somebody who has no account comes from an upstream, which is asked to have them sign in anew.
#[tokio::test(flavor = "multi_thread")]
async fn somebody_from_an_upstream_becomes_one() {
    let kc = FakeUpstream::start().await;
    let app = TestApp::builder().config(SHUT).upstream("kc", &kc, "").start().await;
    let (_, path) = first(&app).await;
    let mut browser = app.browser();
    let page = open(&mut browser, &path).await;
    let flow = page.url.query().unwrap().to_owned();
    let answer = browser.get(&format!("/upstream/kc/start?{flow}")).await;
    assert_eq!(answer.location_param("prompt").as_deref(), Some("login"));
    let journey = browser.follow(answer).await;
    assert_eq!(journey.last().url.path(), "/account", "{:?}", journey.hops());
    assert_eq!((app.count("users").await, administrators(&app).await), (1, 1));
}

/// Signs a stranger up, or tries to, at an open door.
async fn sign_up(browser: &mut Browser, username: &str) -> Page {
    let page = browser.visit("/signup").await.last().clone();
    let form = crate::invitations::filled(&page.form_to("/signup"), username);
    browser.submit(&page, &form).await
}
