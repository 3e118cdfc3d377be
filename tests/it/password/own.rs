//! Changing one's own password, and doing without one.

use crate::{
    sessions::{SESSION, cookie, person_of, sign_in},
    support::{
        app::TestApp,
        browser::{Browser, Page},
        fake_upstream::FakeUpstream,
        inbox::Inbox,
        journey::{authorize_path, code_for, redeem, refresh},
    },
};

const NEW: &str = "eleven quiet Otters 93";

async fn change(browser: &mut Browser, current: &str, new: &str) -> Page {
    let page = browser.get("/account/password").await;
    assert_eq!(page.status, 200, "{}", page.text());
    let form = page.form_to("/account/password").fill("current", current).fill("password", new);
    browser.submit(&page, &form).await
}

async fn gets_in(app: &TestApp, password: &str) -> bool {
    let mut browser = app.browser();
    let page = browser.visit(&authorize_path("web", &[])).await.last().clone();
    let form = page.form_to("/login").fill("username", "bob").fill("password", password);
    browser.submit(&page, &form).await.location_param("code").is_some()
}

/// PW-18: everybody else is signed out, tokens end, this browser goes on under a new secret, and the
/// owner hears of it.
#[tokio::test(flavor = "multi_thread")]
async fn a_change_leaves_no_intruder_in() {
    let inbox = Inbox::open();
    let app = inbox.builder("").start().await;
    app.add_user("bob", &[]).await;
    let code = code_for(&mut app.browser(), "web", "bob", &[]).await;
    let token = redeem(&app, "web", &code).await.text("refresh_token");
    let other = sign_in(&mut app.browser(), "bob").await;
    let mut browser = app.browser();
    let stolen = sign_in(&mut browser, "bob").await;
    let page = change(&mut browser, "bob-password", NEW).await;
    assert!(page.text().contains("Your password is changed"), "{}", page.text());
    let own = cookie(&browser, SESSION);
    assert_ne!(own, stolen);
    assert_eq!(person_of(&app, &own).await.as_deref(), Some("bob"));
    for secret in [&other, &stolen] {
        assert_eq!(person_of(&app, secret).await, None);
    }
    refresh(&app, "web", &token).await.assert_error(400, "invalid_grant");
    assert!(gets_in(&app, NEW).await);
    assert!(!gets_in(&app, "bob-password").await);
    let mail = inbox.newest(&app, "bob@corp.test").await;
    assert!(mail.text().contains("the password was changed"), "{}", mail.text());
    let events = app.events().await;
    let done = |action: &str| {
        events.iter().filter(|event| event.action == action && event.reason.is_none()).count()
    };
    assert_eq!(done("password_change"), 1);
}

/// PW-17, heritage: the present password is needed, whatever else is sent in its place; the same
/// wrong text in both fields is no proof.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_changes_a_password_they_do_not_know() {
    let app = TestApp::start().await;
    app.add_user("bob", &[]).await;
    let mut browser = app.browser();
    let secret = sign_in(&mut browser, "bob").await;
    for (current, new) in [("", NEW), ("wrong", NEW), (NEW, NEW), ("null", NEW)] {
        let page = change(&mut browser, current, new).await;
        assert_eq!(page.status, 422, "{current:?}: {}", page.text());
        assert!(page.text().contains("This is not your password"), "{}", page.text());
    }
    assert_eq!(app.refusals("password_change").await, ["wrong_password"; 4]);
    assert_eq!(person_of(&app, &secret).await.as_deref(), Some("bob"));
    assert!(gets_in(&app, "bob-password").await);
}

/// PW-12: wrong ones here and at the sign-in count together.
#[tokio::test(flavor = "multi_thread")]
async fn wrong_passwords_count_here_too() {
    let app = TestApp::start().await;
    app.add_user("bob", &[]).await;
    let mut browser = app.browser();
    sign_in(&mut browser, "bob").await;
    let mut statuses = Vec::new();
    for _ in 0..8 {
        statuses.push(change(&mut browser, "wrong", NEW).await.status);
    }
    assert_eq!(statuses[0], 422);
    assert_eq!(*statuses.last().unwrap(), 429, "{statuses:?}");
    let page = change(&mut browser, "bob-password", NEW).await;
    assert_eq!(page.status, 429, "the right one has to wait too");
    assert!(page.header("retry-after").is_some());
    assert!(app.count("password_guesses").await > 0);
}

/// PW-01: the one policy.
#[tokio::test(flavor = "multi_thread")]
async fn an_unfit_password_is_refused() {
    let app = TestApp::start().await;
    app.add_user("bob", &[]).await;
    let mut browser = app.browser();
    sign_in(&mut browser, "bob").await;
    for unfit in ["short", "password", "bob@corp.test"] {
        let page = change(&mut browser, "bob-password", unfit).await;
        assert_eq!(page.status, 422, "{unfit}");
    }
    assert_eq!(app.refusals("password_change").await, ["password_unfit"; 3]);
    assert!(gets_in(&app, "bob-password").await);
}

/// SS-18: a session that was left open changes nothing, and takes nothing away.
#[tokio::test(flavor = "multi_thread")]
async fn only_a_fresh_sign_in_changes_a_password() {
    let app = TestApp::start().await;
    app.add_user("bob", &[]).await;
    let mut browser = app.browser();
    sign_in(&mut browser, "bob").await;
    let page = browser.get("/account/password").await;
    let form = page.form_to("/account/password");
    let form = form.fill("current", "bob-password").fill("password", NEW);
    app.clock.advance(5 * 60 + 1);
    let answer = browser.submit(&page, &form).await;
    assert_eq!(answer.status, 403, "{}", answer.text());
    let csrf = form.value("csrf").unwrap().to_owned();
    let answer = browser.post_form("/account/password/remove", &[("csrf", &csrf)]).await;
    assert_eq!(answer.status, 403, "{}", answer.text());
    let page = browser.get("/account/password").await;
    assert_eq!(page.location().unwrap().path(), "/account/prove");
    assert!(gets_in(&app, "bob-password").await);
}

/// Whoever can sign in elsewhere may do without a password; whoever cannot may not (LK-19).
#[tokio::test(flavor = "multi_thread")]
async fn a_password_goes_where_another_way_in_stays() {
    let upstream = FakeUpstream::start().await;
    let app = TestApp::builder().upstream("kc", &upstream, "").start().await;
    let bob = app.add_user("bob", &[]).await;
    let mut browser = app.browser();
    sign_in(&mut browser, "bob").await;
    let page = browser.get("/account/password").await;
    assert!(page.forms().iter().all(|form| form.action.path() != "/account/password/remove"));
    let csrf = page.form_to("/account/password").value("csrf").unwrap().to_owned();
    let fields = [("csrf", csrf.as_str())];
    let answer = browser.post_form("/account/password/remove", &fields).await;
    assert_eq!(answer.status, 409, "{}", answer.text());
    assert_eq!(app.refusals("password_removal").await, ["last_way_in"]);

    let issuer = upstream.issuer();
    let sql = format!(
        "INSERT INTO identities (id, user_id, upstream, issuer, subject, groups, created_at, \
         confirmed_at, linked_by, linked_at) VALUES ('i', '{}', 'kc', '{issuer}', 's', '[]', 0, 0, \
         'own_session', 0)",
        bob.id
    );
    crate::refresh::outside::execute(&app, &sql).await;
    let page = browser.get("/account/password").await;
    let form = page.form_to("/account/password/remove");
    let answer = browser.submit(&page, &form).await;
    assert!(answer.text().contains("Your password is removed"), "{}", answer.text());
    assert_eq!(app.count("users WHERE password_hash IS NULL").await, 1);
    let page = browser.get("/account/password").await;
    assert_eq!(page.status, 403, "{}", page.text());
}
