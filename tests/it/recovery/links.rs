//! The way by the link of the mail.

use super::{NEW, ask, choose, gets_in, mailed_link, start};
use crate::{
    sessions::{person_of, sign_in},
    support::{
        app::TestApp,
        inbox::{Inbox, link_in},
        journey::{authorize_path, code_for, redeem, refresh},
    },
};

/// From the sign-in page of an app to a new password: whoever was signed in is so no more.
#[tokio::test(flavor = "multi_thread")]
async fn a_lost_password_is_replaced_by_way_of_a_link() {
    let inbox = Inbox::open();
    let app = start(&inbox).await;
    app.add_user("bob", &[]).await;
    let code = code_for(&mut app.browser(), "web", "bob", &[]).await;
    let token = redeem(&app, "web", &code).await.text("refresh_token");
    let secret = sign_in(&mut app.browser(), "bob").await;

    let mut browser = app.browser();
    let page = browser.visit(&authorize_path("web", &[])).await.last().clone();
    let link = page.links().into_iter().find(|link| link.path() == "/recovery").unwrap();
    let page = browser.get(link.as_str()).await;
    let form = page.form_to("/recovery").fill("username", "bob");
    let answer = browser.submit(&page, &form).await;
    let page = browser.follow(answer).await.last().clone();
    assert!(page.text().contains("Look into your mail"), "{}", page.text());

    let mail = inbox.newest(&app, "bob@corp.test").await;
    assert_eq!(mail.header("Subject"), "Get back into Keywright");
    let page = choose(&mut app.browser(), &link_in(&mail), NEW).await;
    assert!(page.text().contains("Your password is changed"), "{}", page.text());

    assert!(gets_in(&app, "bob", NEW).await);
    assert!(!gets_in(&app, "bob", "bob-password").await);
    assert_eq!(person_of(&app, &secret).await, None, "LK-02");
    refresh(&app, "web", &token).await.assert_error(400, "invalid_grant");
    let notice = inbox.newest(&app, "bob@corp.test").await;
    assert!(notice.text().contains("the password was replaced"), "{}", notice.text());
    let actions: Vec<String> = app.events().await.into_iter().map(|event| event.action).collect();
    for action in ["recovery_asked", "recovery"] {
        assert_eq!(actions.iter().filter(|own| *own == action).count(), 1, "{actions:?}");
    }
}

/// RC-06, RC-12: opening a link uses nothing up, and its secret leaves the address bar at once.
#[tokio::test(flavor = "multi_thread")]
async fn whoever_only_opens_a_link_changes_nothing() {
    let inbox = Inbox::open();
    let app = start(&inbox).await;
    app.add_user("bob", &[]).await;
    let link = mailed_link(&app, &inbox, "bob").await;
    // A mail gateway looks, three times.
    for _ in 0..3 {
        let mut gateway = app.browser();
        let first = gateway.get(&link).await;
        let to = first.location().unwrap();
        assert_eq!((first.status, to.path()), (303, "/recovery"));
        assert!(!to.as_str().contains("token"), "{to}");
        let page = gateway.get(to.as_str()).await;
        assert_eq!(page.header("referrer-policy"), Some("no-referrer"));
        assert_eq!(page.header("cache-control"), Some("no-store"));
        assert!(!page.text().contains("kw_ol_"), "{}", page.text());
    }
    assert!(gets_in(&app, "bob", "bob-password").await);
    let page = choose(&mut app.browser(), &link, NEW).await;
    assert!(page.text().contains("Your password is changed"));
}

/// RC-05, RC-10: a link works once, in parallel too; a newer one kills it; it ends after its time.
#[tokio::test(flavor = "multi_thread")]
async fn a_link_works_once_and_not_for_ever() {
    let inbox = Inbox::open();
    let app = start(&inbox).await;
    app.add_user("bob", &[]).await;
    let first = mailed_link(&app, &inbox, "bob").await;
    let second = mailed_link(&app, &inbox, "bob").await;
    assert_gone(&app, &first).await;

    let mut browsers = Vec::new();
    for number in 0..8 {
        let mut browser = app.browser();
        let page = browser.visit(&second).await.last().clone();
        let password = format!("{NEW} {number}");
        let form = page.form_to("/recovery/password").fill("password", &password);
        browsers.push(async move { browser.submit(&page, &form).await.status });
    }
    let statuses = futures_util::future::join_all(browsers).await;
    let done = statuses.iter().filter(|status| **status == 200).count();
    let gone = statuses.iter().filter(|status| **status == 410).count();
    assert_eq!((done, gone), (1, 7), "{statuses:?}");
    assert_gone(&app, &second).await;

    let third = mailed_link(&app, &inbox, "bob").await;
    app.clock.advance(15 * 60 + 1);
    assert_gone(&app, &third).await;
}

async fn assert_gone(app: &TestApp, link: &str) {
    let page = app.browser().visit(link).await.last().clone();
    assert_eq!(page.status, 410, "{}", page.text());
    assert!(page.text().contains("code: link_gone"), "{}", page.text());
    let refusals = app.refusals("recovery").await;
    assert!(refusals.iter().any(|reason| reason == "link_gone"), "{refusals:?}");
}

/// PW-01: the one policy holds here too, and what it refuses uses nothing up.
#[tokio::test(flavor = "multi_thread")]
async fn an_unfit_password_is_refused_and_the_link_stays() {
    let inbox = Inbox::open();
    let app = start(&inbox).await;
    app.add_user("bob", &[]).await;
    let link = mailed_link(&app, &inbox, "bob").await;
    let mut browser = app.browser();
    for unfit in ["short", "password", "bob@corp.test"] {
        let page = choose(&mut browser, &link, unfit).await;
        assert_eq!(page.status, 422, "{unfit}");
        assert!(page.text().contains("This password"), "{}", page.text());
        assert!(!page.text().contains(&format!("value=\"{unfit}\"")), "{}", page.text());
    }
    assert_eq!(app.refusals("recovery").await, ["password_unfit"; 3]);
    assert!(gets_in(&app, "bob", "bob-password").await);
    assert_eq!(choose(&mut browser, &link, NEW).await.status, 200);
}

/// LK-02, LK-03: whoever has made an account with somebody else's address loses everything when the
/// owner of the address gets into it.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_a_squatter_prepared_survives() {
    let inbox = Inbox::open();
    let app = inbox.builder("[signup]\nlocal = \"open\"").start().await;
    let mut squatter = app.browser();
    let page = squatter.visit("/signup").await.last().clone();
    let form = page.form_to("/signup").fill("username", "mallory");
    let form = form.fill("password", "seven purple Herons 41").fill("email", "alice@corp.test");
    squatter.submit(&page, &form).await;
    let secret = crate::sessions::cookie(&squatter, crate::sessions::SESSION);
    assert!(person_of(&app, &secret).await.is_some());
    let user = "SELECT id FROM users WHERE username = 'mallory'";
    let sql = format!(
        "INSERT INTO identities (id, user_id, upstream, issuer, subject, groups, created_at, \
         confirmed_at, linked_by, linked_at) VALUES ('i', ({user}), 'kc', 'https://kc.test', 's', \
         '[]', 0, 0, 'own_session', 0)"
    );
    crate::refresh::outside::execute(&app, &sql).await;

    ask(&mut app.browser(), "alice@corp.test").await;
    let mail = inbox.newest(&app, "alice@corp.test").await;
    let page = choose(&mut app.browser(), &link_in(&mail), NEW).await;
    assert_eq!(page.status, 200, "{}", page.text());
    assert_eq!(person_of(&app, &secret).await, None);
    assert!(!gets_in(&app, "mallory", "seven purple Herons 41").await);
    assert_eq!(app.count("identities").await, 0);
    assert!(gets_in(&app, "alice@corp.test", NEW).await, "the address is proved now");
}

/// RC-08: the account is the one of the link, whatever else is named.
#[tokio::test(flavor = "multi_thread")]
async fn a_link_leads_into_its_own_account_alone() {
    let inbox = Inbox::open();
    let app = start(&inbox).await;
    let alice = app.add_user("alice", &[]).await;
    app.add_user("mallory", &[]).await;
    let link = mailed_link(&app, &inbox, "mallory").await;
    let mut browser = app.browser();
    let page = browser.visit(&link).await.last().clone();
    let form = page.form_to("/recovery/password").fill("password", NEW).fill("username", "alice");
    let form = form.add("user_id", alice.id.as_str()).add("email", "alice@corp.test");
    assert_eq!(browser.submit(&page, &form).await.status, 200);
    assert!(gets_in(&app, "mallory", NEW).await);
    assert!(gets_in(&app, "alice", "alice-password").await);
}
