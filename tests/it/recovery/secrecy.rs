//! Whoever asks learns nothing about who has an account.

use keywright::{
    jobs,
    store::{identities, users},
};

use super::{NEW, ask, choose, start};
use crate::{
    sessions::sorted,
    support::{
        app::TestApp,
        browser::{Browser, Page},
        inbox::Inbox,
    },
};

/// What somebody sees who asks: status, headers and body, without what is drawn anew each time.
async fn seen(browser: &mut Browser, name: &str) -> (u16, Vec<(String, String)>, String) {
    let page: Page = ask(browser, name).await;
    let form = page.form_to("/recovery/code");
    let text = page.text();
    let text = text.replace(form.value("asked").unwrap(), "ASKED");
    let text = text.replace(form.value("csrf").unwrap(), "CSRF");
    let mut headers: Vec<(String, String)> = page
        .headers
        .iter()
        .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
        .filter(|(name, _)| name != "x-request-id" && name != "date")
        .collect();
    headers.sort();
    (page.status, headers, text)
}

/// PW-09, RC-14, RC-16: unknown, disabled, without a password, without an address: one answer, and as
/// much asked of the stores. The difference is made later, beside all requests.
#[tokio::test(flavor = "multi_thread")]
async fn the_answer_is_the_same_for_everybody() {
    let inbox = Inbox::open();
    let app = inbox.builder("[rate_limits]\nrecovery_per_hour = 100").start().await;
    prepare(&app).await;
    let mut first = None;
    for name in
        ["bob", "nobody", "nobody@corp.test", "shut", "federated", "silent", "bob@corp.test"]
    {
        let mut browser = app.browser();
        browser.get("/recovery").await;
        let before = (app.app.store.statements(), app.app.state.commands());
        let seen = seen(&mut browser, name).await;
        let asked = (app.app.store.statements() - before.0, app.app.state.commands() - before.1);
        let answer = (seen, asked);
        let first = first.get_or_insert_with(|| answer.clone());
        assert_eq!(&answer, first, "{name}");
    }
    let mails = inbox.all(&app).await;
    let to: Vec<String> = mails.iter().flat_map(|mail| mail.to.clone()).collect();
    let to = sorted(to);
    assert_eq!(
        to,
        ["bob@corp.test", "bob@corp.test", "federated@corp.test"]
            .map(|address| format!("RCPT TO:<{address}>"))
    );
    let federated = inbox.newest(&app, "federated@corp.test").await;
    assert!(federated.text().contains("has no password"), "{}", federated.text());
    assert!(!federated.text().contains("?token="), "{}", federated.text());
    assert_eq!(
        sorted(app.refusals("recovery").await),
        ["no_address", "no_password", "unknown", "unknown", "user_disabled"]
    );
}

async fn prepare(app: &TestApp) {
    for name in ["bob", "shut", "federated", "silent"] {
        app.add_user(name, &[]).await;
    }
    for change in [
        "disabled_at = 1 WHERE username = 'shut'",
        "password_hash = NULL WHERE username = 'federated'",
        "email = NULL, email_key = NULL, email_verified = NULL WHERE username = 'silent'",
    ] {
        crate::refresh::outside::execute(app, &format!("UPDATE users SET {change}")).await;
    }
}

/// RC-16: an older link of an account that was shut since opens nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_shut_account_stays_shut() {
    let inbox = Inbox::open();
    let app = start(&inbox).await;
    let bob = app.add_user("bob", &[]).await;
    let link = super::mailed_link(&app, &inbox, "bob").await;
    let mut connection = app.app.connection().await.unwrap();
    assert!(users::disable(&mut connection, &bob.id, app.app.now()).await.unwrap());
    let page = app.browser().visit(&link).await.last().clone();
    assert_eq!(page.status, 410, "{}", page.text());
    let bob = users::find(&mut connection, &bob.id).await.unwrap().unwrap();
    assert!(bob.disabled_at.is_some());
    assert!(identities::list_of_user(&mut connection, &bob.id).await.unwrap().is_empty());
}

/// RC-11: whoever is asked about too often gets no more mail, the answer stays the same, and the link
/// of the last mail stays good: nobody shuts another out by asking.
#[tokio::test(flavor = "multi_thread")]
async fn asking_often_is_no_weapon() {
    let inbox = Inbox::open();
    let app = inbox.builder("[rate_limits]\nrecovery_per_hour = 100").start().await;
    app.add_user("bob", &[]).await;
    let mut answers = Vec::new();
    for _ in 0..6 {
        answers.push(seen(&mut app.browser(), "bob").await);
    }
    answers.dedup();
    assert_eq!(answers.len(), 1);
    let mails = inbox.of(&app, "bob@corp.test").await;
    assert_eq!(mails.len(), 3);
    let working: Vec<String> = mails.iter().map(crate::support::inbox::link_in).collect();
    let mut done = 0;
    for link in working {
        let mut browser = app.browser();
        if browser.visit(&link).await.last().status == 200 {
            assert_eq!(choose(&mut browser, &link, NEW).await.status, 200);
            done += 1;
        }
    }
    assert_eq!(done, 1, "the newest of those that were sent");
    assert_eq!(app.refusals("mail").await, ["too_many_to_address"; 3]);
}

/// What was asked is answered once, whoever looks first, and after a restart too.
#[tokio::test(flavor = "multi_thread")]
async fn a_wish_is_answered_once() {
    let inbox = Inbox::open();
    let app = start(&inbox).await;
    app.add_user("bob", &[]).await;
    ask(&mut app.browser(), "bob").await;
    assert_eq!(app.count("recovery_requests").await, 1);
    let looks = (0..4).map(|_| jobs::answer_recoveries(&app.app));
    for look in futures_util::future::join_all(looks).await {
        look.unwrap();
    }
    assert_eq!(app.count("recovery_requests").await, 0);
    assert_eq!(inbox.of(&app, "bob@corp.test").await.len(), 1);
}
