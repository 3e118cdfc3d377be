//! Proof of an address by what is sent to it.

use keywright::store::users;

use super::{PASSWORD, confirm, is_verified, open, sign_up};
use crate::support::{
    app::TestApp,
    fake_upstream::FakeUpstream,
    inbox::{Inbox, link_in},
    journey::authorize_path,
};

/// A newcomer gets a link; with it the address is theirs, and they can sign in with it.
#[tokio::test(flavor = "multi_thread")]
async fn an_address_is_proved_by_the_link_that_was_sent_to_it() {
    let inbox = Inbox::open();
    let app = open(&inbox).await;
    let mut browser = sign_up(&app, "alice", "Alice@Corp.test").await;
    assert!(!is_verified(&app, "alice", "Alice@Corp.test").await);
    let mail = inbox.newest(&app, "Alice@Corp.test").await;
    assert_eq!(mail.header("Subject"), "Confirm your address for Keywright");
    let page = browser.visit(&link_in(&mail)).await.last().clone();
    let text = page.text();
    assert!(text.contains("Alice@Corp.test") && text.contains("alice"), "{text}");
    assert!(!is_verified(&app, "alice", "Alice@Corp.test").await, "RC-06");
    let page = confirm(&mut browser, &link_in(&mail)).await;
    assert!(page.text().contains("Your address is confirmed"), "{}", page.text());
    assert!(is_verified(&app, "alice", "Alice@Corp.test").await);
    let events = app.events().await;
    assert_eq!(events.iter().filter(|event| event.action == "email_verified").count(), 1);

    let mut other = app.browser();
    let page = other.visit(&authorize_path("web", &[])).await.last().clone();
    let form =
        page.form_to("/login").fill("username", "ALICE@corp.test").fill("password", PASSWORD);
    assert!(other.submit(&page, &form).await.location_param("code").is_some(), "LK-16");
    // RC-10: once.
    let page = confirm(&mut app.browser(), &link_in(&mail)).await;
    assert_eq!(page.status, 410, "{}", page.text());
    assert_eq!(app.refusals("verify_email").await, ["link_gone"]);
}

/// RC-13: a link speaks for its own account, whoever is signed in at the browser that opens it.
#[tokio::test(flavor = "multi_thread")]
async fn a_link_proves_nothing_for_whoever_happens_to_be_signed_in() {
    let inbox = Inbox::open();
    let app = open(&inbox).await;
    sign_up(&app, "alice", "alice@corp.test").await;
    let mut bobs = sign_up(&app, "bob", "bob@corp.test").await;
    let link = link_in(&inbox.newest(&app, "alice@corp.test").await);
    let page = confirm(&mut bobs, &link).await;
    assert_eq!(page.status, 200, "{}", page.text());
    assert!(is_verified(&app, "alice", "alice@corp.test").await);
    assert!(!is_verified(&app, "bob", "bob@corp.test").await);
}

/// LK-18, RC-05: nobody proves an address of theirs by themselves: not by a link that was never sent,
/// nor by one that has ended, nor by fields beside it.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_proves_their_own_address_without_the_link() {
    let inbox = Inbox::open();
    let app = open(&inbox).await;
    let mut browser = sign_up(&app, "mallory", "alice@corp.test").await;
    for query in ["", "?link=x", "?token=kw_ol_x", "?token=", "?link=x&email=mallory@evil.test"] {
        let page = browser.get(&format!("/verify-email{query}")).await;
        assert_eq!(page.status, 410, "{query}: {}", page.text());
    }
    let link = link_in(&inbox.newest(&app, "alice@corp.test").await);
    app.clock.advance(24 * 3_600 + 1);
    assert_eq!(confirm(&mut browser, &link).await.status, 410);
    let page = browser.get("/account").await;
    let csrf = page.forms().iter().find_map(|form| form.value("csrf").map(str::to_owned));
    let csrf = csrf.unwrap_or_default();
    let fields = [("csrf", csrf.as_str()), ("email_verified", "true"), ("link", "x")];
    let page = browser.post_form("/verify-email", &fields).await;
    assert!((400..500).contains(&page.status), "{}", page.text());
    assert!(!is_verified(&app, "mallory", "alice@corp.test").await);
}

/// LK-01: an address that somebody has written down without proof is taken from them when its owner
/// has proved it, by the link or by their upstream's word.
#[tokio::test(flavor = "multi_thread")]
async fn whoever_proves_an_address_takes_it_from_those_who_only_said_so() {
    let inbox = Inbox::open();
    let app = open(&inbox).await;
    sign_up(&app, "mallory", "alice@corp.test").await;
    let squatters = link_in(&inbox.newest(&app, "alice@corp.test").await);
    sign_up(&app, "alice", "alice@corp.test").await;
    let link = link_in(&inbox.newest(&app, "alice@corp.test").await);
    assert_eq!(confirm(&mut app.browser(), &link).await.status, 200);
    assert!(is_verified(&app, "alice", "alice@corp.test").await);
    assert_eq!(app.count("users WHERE username = 'mallory' AND email IS NULL").await, 1);
    assert_eq!(confirm(&mut app.browser(), &squatters).await.status, 410);
    assert_eq!(app.count("users WHERE email_key = 'alice@corp.test'").await, 1);
}

/// LK-01: the same, where the owner arrives from their upstream.
#[tokio::test(flavor = "multi_thread")]
async fn an_arrival_from_upstream_takes_its_address_along() {
    let inbox = Inbox::open();
    let upstream = FakeUpstream::start().await;
    let more = "email_trust = \"claim\"";
    let builder = inbox.builder("[signup]\nlocal = \"open\"");
    let app = builder.upstream("kc", &upstream, more).start().await;
    let mut browser = app.browser();
    let page = browser.visit("/signup").await.last().clone();
    let form = page.form_to("/signup").fill("username", "mallory").fill("password", PASSWORD);
    browser.submit(&page, &form.fill("email", "alice@corp.test")).await;
    assert_eq!(app.count("users WHERE email_key = 'alice@corp.test'").await, 1);
    let mut alice = app.browser();
    let choice = alice.visit(&authorize_path("web", &[])).await.last().clone();
    let link = choice.links().into_iter().find(|link| link.path().starts_with("/upstream/"));
    let journey = alice.visit(link.unwrap().as_str()).await;
    assert!(journey.param("code").is_some(), "{:?}", journey.hops());
    assert_eq!(app.count("users").await, 2);
    assert_eq!(app.count("users WHERE username = 'mallory' AND email IS NULL").await, 1);
}

/// PW-09: whoever makes an account with an address of somebody's sees what everybody sees; the owner
/// hears of it; the address stays where it is.
#[tokio::test(flavor = "multi_thread")]
async fn a_taken_address_is_not_told_to_strangers() {
    let inbox = Inbox::open();
    let app = open(&inbox).await;
    app.add_user("alice", &[]).await;
    let statements = |app: &TestApp| app.app.store.statements();
    let before = statements(&app);
    let mut mallory = sign_up(&app, "mallory", "alice@corp.test").await;
    let taken = statements(&app) - before;
    let page = mallory.get("/account").await.text();
    let before = statements(&app);
    let mut carol = sign_up(&app, "carol1", "carol1@corp.test").await;
    assert_eq!(statements(&app) - before, taken, "as much is asked of the database");
    let other = carol.get("/account").await.text();
    assert_eq!(page.lines().count(), other.lines().count(), "{page}\n{other}");

    let mail = inbox.newest(&app, "alice@corp.test").await;
    assert_eq!(mail.header("Subject"), "You have an account at Keywright");
    assert!(!mail.text().contains("?token="), "{}", mail.text());
    let mut connection = app.app.connection().await.unwrap();
    let alice = users::find_by_username(&mut connection, "alice").await.unwrap().unwrap();
    assert_eq!(alice.email_verified, Some(true));
    assert!(!is_verified(&app, "mallory", "alice@corp.test").await);
}

/// RC-14: the owner of an account without a password is told how they sign in.
#[tokio::test(flavor = "multi_thread")]
async fn who_signs_in_elsewhere_is_told_so() {
    let inbox = Inbox::open();
    let app = open(&inbox).await;
    app.add_user("alice", &[]).await;
    let sql = "UPDATE users SET password_hash = NULL WHERE username = 'alice'";
    crate::refresh::outside::execute(&app, sql).await;
    sign_up(&app, "mallory", "alice@corp.test").await;
    let mail = inbox.newest(&app, "alice@corp.test").await;
    assert!(mail.text().contains("has no password"), "{}", mail.text());
    assert!(!mail.text().contains("?token="), "{}", mail.text());
}
