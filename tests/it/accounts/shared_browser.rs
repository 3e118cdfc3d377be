//! Two people at one browser (SS-13).

use serde_json::json;

use super::{FAST, NEW};
use crate::{
    sessions::{SESSION, cookie, person_of, sign_in, username_on},
    support::{
        app::TestApp,
        browser::{Browser, Form, Page},
        fake_upstream::FakeUpstream,
        inbox::Inbox,
        journey::{authorize_path, redeem, sign_in_on_page},
    },
    upstream::user,
};

async fn house(inbox: &Inbox) -> TestApp {
    let app = inbox.builder(FAST).start().await;
    for name in ["alice", "bob"] {
        app.add_user(name, &[]).await;
    }
    app
}

/// Somebody signs in in another tab, where somebody else is signed in.
async fn takes_over(browser: &mut Browser, name: &str) {
    let path = authorize_path("web", &[("prompt", "login")]);
    let journey = browser.visit(&path).await;
    let journey = sign_in_on_page(browser, &journey, name).await;
    assert!(journey.param("code").is_some(), "{:?}", journey.hops());
    assert_eq!(username_on(&browser.get("/account").await.text()), name);
}

/// SS-13: what alice began in one tab signs bob in nowhere, and alice only if she gives her password:
/// a tab says who it signs in, and the app gets exactly that person.
#[tokio::test(flavor = "multi_thread")]
async fn a_tab_signs_in_whoever_proves_it_there() {
    let inbox = Inbox::open();
    let app = house(&inbox).await;
    let mut browser = app.browser();
    let first_tab = browser.visit(&authorize_path("web", &[])).await;
    takes_over(&mut browser, "bob").await;
    let of_bob = cookie(&browser, SESSION);
    let wrong = first_tab.last().form_to("/login").fill("username", "alice");
    let answer = browser.submit(first_tab.last(), &wrong.fill("password", "wrong")).await;
    assert_eq!(answer.status, 400);
    assert_eq!(cookie(&browser, SESSION), of_bob, "a failure changes nobody");
    let journey = sign_in_on_page(&mut browser, &first_tab, "alice").await;
    let code = journey.param("code").unwrap();
    let token = redeem(&app, "web", &code).await.text("id_token");
    let claims = keywright::keys::parse_unverified(&token).unwrap().1;
    assert_eq!(claims["preferred_username"], "alice");
    assert_eq!(person_of(&app, &of_bob).await, None, "bob's session has ended");
}

/// SS-13: a link to an upstream that alice asked for is not made once bob is signed in: not to him, and
/// not to her.
#[tokio::test(flavor = "multi_thread")]
async fn a_link_that_one_person_began_is_not_made_for_another() {
    let (inbox, upstream) = (Inbox::open(), FakeUpstream::start().await);
    let app = inbox.builder(FAST).upstream("kc", &upstream, "").start().await;
    for name in ["alice", "bob"] {
        app.add_user(name, &[]).await;
    }
    upstream.set_person(json!({ "sub": "a", "preferred_username": "alice" }));
    let mut browser = app.browser();
    sign_in(&mut browser, "alice").await;
    let page = browser.get("/account").await;
    browser.stop_at("https://id.test/upstream/kc/callback");
    let answer = browser.submit(&page, &page.form_to("/account/link")).await;
    let back = browser.follow(answer).await.landing().clone();
    takes_over(&mut browser, "bob").await;
    let page = browser.get(back.as_str()).await;
    assert!(page.status >= 400, "{} {}", page.status, page.text());
    assert_eq!(app.count("identities").await, 0);
    assert_eq!(username_on(&browser.get("/account").await.text()), "bob");
    assert_eq!(app.refusals("link").await.len(), 1);
}

/// A form on alice's pages, filled in as she would.
async fn filled(browser: &mut Browser, path: &str, fields: &[(&str, &str)]) -> (Page, Form) {
    let page = browser.get(path).await;
    assert_eq!(page.status, 200, "{path}: {}", page.text());
    let form = page.form_to(path);
    let form = fields.iter().fold(form, |form, (name, value)| form.fill(name, value));
    (page, form)
}

/// SS-13: forms that alice left open change nothing of bob's, who has signed in since.
#[tokio::test(flavor = "multi_thread")]
async fn a_form_that_one_person_left_open_changes_nothing_of_anothers() {
    let inbox = Inbox::open();
    let app = house(&inbox).await;
    let mut browser = app.browser();
    sign_in(&mut browser, "alice").await;
    let mut forms = Vec::new();
    for (path, fields) in [
        ("/account/profile", &[("username", "alicia"), ("name", "Alicia")][..]),
        ("/account/email", &[("email", "alicia@corp.test")]),
        ("/account/password", &[("current", "alice-password"), ("password", NEW)]),
        ("/account/delete", &[("username", "alice")]),
    ] {
        forms.push(filled(&mut browser, path, fields).await);
    }
    takes_over(&mut browser, "bob").await;
    let before = user(&app, "bob").await;
    for (page, form) in &forms {
        let answer = browser.submit(page, form).await;
        let path = form.action.path();
        assert!(answer.status >= 400, "{path}: {} {}", answer.status, answer.text());
        let (alice, bob) = (user(&app, "alice").await, user(&app, "bob").await);
        assert_eq!((bob.name, bob.email), (before.name.clone(), before.email.clone()), "{path}");
        assert_eq!(bob.password_hash, before.password_hash, "{path}");
        assert_eq!((alice.disabled_at, bob.disabled_at), (None, None), "{path}");
        assert_eq!(app.count("one_time_links").await, 0, "{path}");
    }
}
