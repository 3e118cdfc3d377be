//! Another address, the same link once more, and the way back to the one before.

use super::{PASSWORD, confirm, is_verified, open, sign_up};
use crate::{
    sessions::{SESSION, cookie, person_of},
    support::{
        app::TestApp,
        browser::{Browser, Page},
        inbox::{Inbox, link_in},
    },
};

/// Somebody whose address is proved, at their browser.
async fn alice(app: &TestApp, inbox: &Inbox) -> Browser {
    let mut browser = sign_up(app, "alice", "alice@corp.test").await;
    let link = link_in(&inbox.newest(app, "alice@corp.test").await);
    assert_eq!(confirm(&mut browser, &link).await.status, 200);
    browser
}

async fn ask_for(browser: &mut Browser, email: &str) -> Page {
    let page = browser.get("/account/email").await;
    assert_eq!(page.status, 200, "{}", page.text());
    let form = page.form_to("/account/email").fill("email", email);
    browser.submit(&page, &form).await
}

/// LK-20: the new address counts when its own link has come back; the old one is told, and can undo
/// it, which signs everybody out.
#[tokio::test(flavor = "multi_thread")]
async fn an_address_changes_when_the_new_one_is_proved() {
    let inbox = Inbox::open();
    let app = open(&inbox).await;
    let mut browser = alice(&app, &inbox).await;
    let page = ask_for(&mut browser, "new@corp.test").await;
    assert!(page.text().contains("new@corp.test"), "{}", page.text());
    assert!(is_verified(&app, "alice", "alice@corp.test").await, "until then the old one counts");
    let link = link_in(&inbox.newest(&app, "new@corp.test").await);
    assert_eq!(confirm(&mut app.browser(), &link).await.status, 200);
    assert!(is_verified(&app, "alice", "new@corp.test").await);

    let told = inbox.newest(&app, "alice@corp.test").await;
    assert_eq!(told.header("Subject"), "Your address at Keywright was changed");
    assert!(!told.text().contains("new@corp.test"), "{}", told.text());
    let secret = cookie(&browser, SESSION);
    let page = confirm(&mut app.browser(), &link_in(&told)).await;
    assert!(page.text().contains("The change is undone"), "{}", page.text());
    assert!(is_verified(&app, "alice", "alice@corp.test").await);
    assert_eq!(person_of(&app, &secret).await, None);
    let actions: Vec<String> = app.events().await.into_iter().map(|event| event.action).collect();
    for action in ["email_change_asked", "email_changed", "email_restored"] {
        assert_eq!(actions.iter().filter(|own| *own == action).count(), 1, "{actions:?}");
    }
}

/// LK-04: a change that was begun before its owner got back into the account is dead afterwards.
#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_waits_does_not_survive_recovery() {
    let inbox = Inbox::open();
    let app = open(&inbox).await;
    let mut intruder = alice(&app, &inbox).await;
    ask_for(&mut intruder, "mallory@evil.test").await;
    let waiting = link_in(&inbox.newest(&app, "mallory@evil.test").await);
    let mut owner = app.browser();
    let page = owner.get("/recovery").await;
    let form = page.form_to("/recovery").fill("username", "alice");
    owner.submit(&page, &form).await;
    let link = link_in(&inbox.newest(&app, "alice@corp.test").await);
    let page = owner.visit(&link).await.last().clone();
    let form = page.form_to("/recovery/password").fill("password", "eleven quiet Otters 93");
    assert_eq!(owner.submit(&page, &form).await.status, 200);
    assert_eq!(confirm(&mut app.browser(), &waiting).await.status, 410);
    assert!(is_verified(&app, "alice", "alice@corp.test").await);
}

/// LK-20, SS-18: a session that was left open changes no address.
#[tokio::test(flavor = "multi_thread")]
async fn only_a_fresh_sign_in_changes_an_address() {
    let inbox = Inbox::open();
    let app = open(&inbox).await;
    let mut browser = alice(&app, &inbox).await;
    let page = browser.get("/account/email").await;
    let form = page.form_to("/account/email").fill("email", "new@corp.test");
    app.clock.advance(5 * 60 + 1);
    let answer = browser.submit(&page, &form).await;
    assert_eq!(answer.status, 403, "{}", answer.text());
    assert!(answer.text().contains("code: reauth_required"));
    let page = browser.get("/account/email").await;
    assert_eq!(page.location().unwrap().path(), "/account/prove");
    assert!(inbox.of(&app, "new@corp.test").await.is_empty());
    assert_eq!(app.refusals("email_change").await, ["reauth_required"]);
}

/// What is no address, or is the address already, or is several, changes nothing (RC-02).
#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_new_address_is_refused() {
    let inbox = Inbox::open();
    let app = open(&inbox).await;
    let mut browser = alice(&app, &inbox).await;
    let before = inbox.all(&app).await.len();
    let wrong =
        ["", "x", "a@b@c", "Alice@Corp.test", "a@corp.test,b@corp.test", "a@corp.test\r\nBcc: x"];
    for email in wrong {
        let page = ask_for(&mut browser, email).await;
        assert_eq!(page.status, 422, "{email:?}: {}", page.text());
    }
    assert_eq!(app.refusals("email_change").await.len(), wrong.len());
    assert_eq!(inbox.all(&app).await.len(), before);
}

/// An address of another account's is not told; its owner confirms, and it stays where it is.
#[tokio::test(flavor = "multi_thread")]
async fn an_address_belongs_to_one_account() {
    let inbox = Inbox::open();
    let app = open(&inbox).await;
    let mut browser = alice(&app, &inbox).await;
    app.add_user("bob", &[]).await;
    assert_eq!(ask_for(&mut browser, "bob@corp.test").await.status, 200);
    let link = link_in(&inbox.newest(&app, "bob@corp.test").await);
    let page = confirm(&mut app.browser(), &link).await;
    assert_eq!(page.status, 409, "{}", page.text());
    assert_eq!(app.refusals("verify_email").await, ["address_taken"]);
    assert!(is_verified(&app, "alice", "alice@corp.test").await);
    assert!(is_verified(&app, "bob", "bob@corp.test").await);
}

/// The link to an address that is not proved yet is sent once more; the older one is dead then.
#[tokio::test(flavor = "multi_thread")]
async fn the_link_is_sent_again() {
    let inbox = Inbox::open();
    let app = open(&inbox).await;
    let mut browser = sign_up(&app, "alice", "alice@corp.test").await;
    let first = link_in(&inbox.newest(&app, "alice@corp.test").await);
    let page = browser.get("/account/email").await;
    let form = page.form_to("/account/email/verify");
    assert_eq!(browser.submit(&page, &form).await.status, 200);
    let second = link_in(&inbox.newest(&app, "alice@corp.test").await);
    assert_ne!(first, second);
    assert_eq!(confirm(&mut app.browser(), &first).await.status, 410);
    assert_eq!(confirm(&mut app.browser(), &second).await.status, 200);
    assert!(is_verified(&app, "alice", "alice@corp.test").await);
}

/// Where there is no mail, or the address is the word of an upstream, nothing can be changed here.
#[tokio::test(flavor = "multi_thread")]
async fn some_addresses_are_not_changed_here() {
    let app = TestApp::start().await;
    app.add_user("bob", &[]).await;
    let mut browser = app.browser();
    crate::sessions::sign_in(&mut browser, "bob").await;
    let page = browser.get("/account/email").await;
    assert_eq!(page.status, 403, "{}", page.text());
    assert_eq!(app.refusals("email_change").await, ["mail_off"]);

    let inbox = Inbox::open();
    let app = open(&inbox).await;
    app.add_user("bob", &[]).await;
    let sql = "UPDATE users SET email_issuer = 'https://kc.test' WHERE username = 'bob'";
    crate::refresh::outside::execute(&app, sql).await;
    let mut browser = app.browser();
    crate::sessions::sign_in(&mut browser, "bob").await;
    let page = browser.get("/account/email").await;
    assert_eq!(page.status, 403, "{}", page.text());
    assert_eq!(app.refusals("email_change").await, ["email_of_upstream"]);
}

/// Whoever takes an account over changes its address twice, or gets back in by the new one: the way back
/// of who had it first stays good.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_takes_the_way_back_from_who_had_the_account_first() {
    for twice in [true, false] {
        let inbox = Inbox::open();
        let app = open(&inbox).await;
        let mut thief = alice(&app, &inbox).await;
        ask_for(&mut thief, "m@evil.test").await;
        let link = link_in(&inbox.newest(&app, "m@evil.test").await);
        assert_eq!(confirm(&mut thief, &link).await.status, 200);
        let undo = link_in(&inbox.newest(&app, "alice@corp.test").await);
        if twice {
            ask_for(&mut thief, "m2@evil.test").await;
            let link = link_in(&inbox.newest(&app, "m2@evil.test").await);
            assert_eq!(confirm(&mut thief, &link).await.status, 200);
            let told = inbox.newest(&app, "m@evil.test").await;
            assert!(!told.text().contains("?token="), "{}", told.text());
        } else {
            let page = thief.get("/recovery").await;
            let form = page.form_to("/recovery").fill("username", "alice");
            thief.submit(&page, &form).await;
            let link = link_in(&inbox.newest(&app, "m@evil.test").await);
            let page = thief.visit(&link).await.last().clone();
            let form =
                page.form_to("/recovery/password").fill("password", "eleven quiet Otters 93");
            assert_eq!(thief.submit(&page, &form).await.status, 200);
        }
        let page = confirm(&mut app.browser(), &undo).await;
        assert_eq!(page.status, 200, "{twice}: {}", page.text());
        assert!(is_verified(&app, "alice", "alice@corp.test").await, "{twice}");
    }
}

/// LK-04: what ends all sessions ends the change that one of them has begun.
#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_waits_does_not_survive_a_new_password() {
    let inbox = Inbox::open();
    let app = open(&inbox).await;
    let mut thief = alice(&app, &inbox).await;
    ask_for(&mut thief, "m@evil.test").await;
    let waiting = link_in(&inbox.newest(&app, "m@evil.test").await);
    let mut owner = app.browser();
    let page = owner.visit("/account").await.last().clone();
    let form = page.form_to("/login").fill("username", "alice").fill("password", PASSWORD);
    owner.submit(&page, &form).await;
    let page = owner.get("/account/password").await;
    let form = page.form_to("/account/password").fill("current", PASSWORD);
    let page = owner.submit(&page, &form.fill("password", "eleven quiet Otters 93")).await;
    assert_eq!(page.status, 200, "{}", page.text());
    assert_eq!(confirm(&mut app.browser(), &waiting).await.status, 410);
    assert!(is_verified(&app, "alice", "alice@corp.test").await);
}

/// LK-04: whoever took the account over knew its password and may have prepared other ways in. None of
/// them is left when its owner takes the address back.
#[tokio::test(flavor = "multi_thread")]
async fn who_takes_the_address_back_has_the_account_alone() {
    let inbox = Inbox::open();
    let app = open(&inbox).await;
    let mut thief = alice(&app, &inbox).await;
    app.clock.advance(60);
    let (_, codes) = crate::second_factor::set_up(&app, &mut thief).await;
    assert_eq!(codes.len(), 10);
    ask_for(&mut thief, "m@evil.test").await;
    let link = link_in(&inbox.newest(&app, "m@evil.test").await);
    assert_eq!(confirm(&mut thief, &link).await.status, 200);
    let undo = link_in(&inbox.newest(&app, "alice@corp.test").await);
    let mut owner = app.browser();
    let page = confirm(&mut owner, &undo).await;
    assert_eq!(page.status, 200, "{}", page.text());
    assert_eq!(app.count("totp_factors").await + app.count("recovery_codes").await, 0);

    let mut thief = app.browser();
    let page = thief.visit("/account").await.last().clone();
    let form = page.form_to("/login").fill("username", "alice").fill("password", PASSWORD);
    assert_eq!(thief.submit(&page, &form).await.status, 400, "nor does the password count");
    assert_eq!(app.refusals("sign_in").await, ["wrong_password"]);
    assert_eq!(app.count("sessions WHERE ended_at IS NULL").await, 0);

    let page = owner.visit("/recovery").await.last().clone();
    owner.submit(&page, &page.form_to("/recovery").fill("username", "alice")).await;
    let link = link_in(&inbox.newest(&app, "alice@corp.test").await);
    let page = owner.visit(&link).await.last().clone();
    let form = page.form_to("/recovery/password").fill("password", "eleven quiet Otters 93");
    assert_eq!(owner.submit(&page, &form).await.status, 200);
    let page = owner.visit("/account").await.last().clone();
    let form = page.form_to("/login").fill("username", "alice");
    let answer = owner.submit(&page, &form.fill("password", "eleven quiet Otters 93")).await;
    assert_eq!(owner.follow(answer).await.last().url.path(), "/account");
}
