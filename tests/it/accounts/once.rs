//! What is good once is good once, whoever comes at the same moment (RX-02).

use tokio::task::JoinSet;

use super::{NEW, house, recovery_link, send};
use crate::{
    invitations,
    refresh::outside::verb,
    second_factor::{first_step, give, set_up, with_recovery},
    sessions::sign_in,
    support::{
        app::TestApp,
        browser::{Browser, Form, Page},
        inbox::{Inbox, code_in, link_in},
    },
};

const CROWD: usize = 50;

/// A browser that waits with a form.
type Waiting = (Browser, Page, Form);

/// Sends all forms at once; the answers.
async fn at_once(waiting: Vec<Waiting>) -> Vec<Page> {
    let mut crowd = JoinSet::new();
    for (mut browser, page, form) in waiting {
        crowd.spawn(async move { patiently(&mut browser, &page, &form).await });
    }
    crowd.join_all().await
}

/// A crowd may meet a full pool of connections: who is told to come back comes back.
async fn patiently(browser: &mut Browser, page: &Page, form: &Form) -> Page {
    for _ in 0..100 {
        let answer = browser.submit(page, form).await;
        if answer.status != 503 {
            return answer;
        }
        crate::support::app::breathe().await;
    }
    panic!("never answered");
}

/// Where an answer leads, if it leads anywhere.
async fn follow_patiently(browser: &mut Browser, answer: Page) -> Page {
    let Some(to) = answer.location() else {
        return answer;
    };
    for _ in 0..100 {
        let page = browser.get(to.as_str()).await;
        if page.status != 503 {
            return page;
        }
        crate::support::app::breathe().await;
    }
    panic!("never answered");
}

/// Asserts that exactly one was taken, and how the others were refused.
fn assert_one(answers: &[Page], taken: u16, refused: &[u16]) {
    let statuses: Vec<u16> = answers.iter().map(|page| page.status).collect();
    assert_eq!(statuses.iter().filter(|status| **status == taken).count(), 1, "{statuses:?}");
    let known = |status: &u16| *status == taken || refused.contains(status);
    assert!(statuses.iter().all(known), "{statuses:?}");
}

/// So many browsers that have opened a link and stand before its form.
async fn before(app: &TestApp, link: &str, form: &str) -> Vec<Waiting> {
    let mut waiting = Vec::new();
    for _ in 0..CROWD {
        let mut browser = app.browser();
        let page = browser.visit(link).await.last().clone();
        assert_eq!(page.status, 200, "{}", page.text());
        let form = page.form_to(form);
        waiting.push((browser, page, form));
    }
    waiting
}

async fn events(app: &TestApp, action: &str) -> usize {
    let events = app.events().await;
    events.iter().filter(|event| event.action == action && event.reason.is_none()).count()
}

/// RX-02: a link back into an account.
#[tokio::test(flavor = "multi_thread")]
async fn of_fifty_with_one_recovery_link_one_gets_in() {
    let inbox = Inbox::open();
    let app = house(&inbox).await;
    let link = recovery_link(&app, &inbox, "bob").await;
    let mut waiting = before(&app, &link, "/recovery/password").await;
    for (number, (_, _, form)) in waiting.iter_mut().enumerate() {
        *form = form.clone().fill("password", &format!("{NEW} {number}"));
    }
    assert_one(&at_once(waiting).await, 200, &[410]);
    assert_eq!(events(&app, "recovery").await, 1);
    assert_eq!(app.count("one_time_links").await, 0);
}

/// RX-02: the code of the same mail, in the one browser that it is good in.
#[tokio::test(flavor = "multi_thread")]
async fn a_mailed_code_that_is_typed_fifty_times_changes_one_password() {
    let inbox = Inbox::open();
    let app = house(&inbox).await;
    let mut browser = app.browser();
    let page = browser.get("/recovery").await;
    let form = page.form_to("/recovery").fill("username", "bob");
    let answer = browser.submit(&page, &form).await;
    let page = browser.follow(answer).await.last().clone();
    let code = code_in(&inbox.newest(&app, "bob@corp.test").await);
    let form = page.form_to("/recovery/code").fill("code", &code);
    let mut tabs = JoinSet::new();
    for number in 0..CROWD {
        let (mut tab, page, form) = (browser.clone(), page.clone(), form.clone());
        tabs.spawn(async move {
            let answer = patiently(&mut tab, &page, &form).await;
            let page = follow_patiently(&mut tab, answer).await;
            let forms = page.forms();
            let own = forms.iter().find(|form| form.action.path() == "/recovery/password")?;
            let form = own.clone().fill("password", &format!("{NEW} {number}"));
            Some(patiently(&mut tab, &page, &form).await.status)
        });
    }
    let ends: Vec<u16> = tabs.join_all().await.into_iter().flatten().collect();
    assert_eq!(ends.iter().filter(|status| **status == 200).count(), 1, "{ends:?}");
    assert_eq!(events(&app, "recovery").await, 1);
}

async fn sign_up(app: &TestApp, inbox: &Inbox) -> String {
    let mut browser = app.browser();
    let page = browser.visit("/signup").await.last().clone();
    let form = page.form_to("/signup").fill("username", "anna").fill("password", NEW);
    browser.submit(&page, &form.fill("email", "anna@corp.test")).await;
    link_in(&inbox.newest(app, "anna@corp.test").await)
}

/// RX-02: a link that proves an address.
#[tokio::test(flavor = "multi_thread")]
async fn of_fifty_with_one_verification_link_one_verifies() {
    let inbox = Inbox::open();
    let config = format!("[signup]\nlocal = \"open\"\n{}", super::FAST);
    let app = inbox.builder(&config).start().await;
    let link = sign_up(&app, &inbox).await;
    let waiting = before(&app, &link, "/verify-email").await;
    assert_one(&at_once(waiting).await, 200, &[410]);
    assert_eq!(events(&app, "email_verified").await, 1);
}

/// RX-02: the way back to a former address.
#[tokio::test(flavor = "multi_thread")]
async fn of_fifty_who_undo_a_change_of_address_one_does() {
    let inbox = Inbox::open();
    let app = house(&inbox).await;
    let mut browser = app.browser();
    sign_in(&mut browser, "bob").await;
    send(&mut browser, "/account/email", &[("email", "new@corp.test")]).await;
    let link = link_in(&inbox.newest(&app, "new@corp.test").await);
    let page = browser.visit(&link).await.last().clone();
    assert_eq!(browser.submit(&page, &page.form_to("/verify-email")).await.status, 200);
    let undo = link_in(&inbox.newest(&app, "bob@corp.test").await);
    let waiting = before(&app, &undo, "/verify-email").await;
    assert_one(&at_once(waiting).await, 200, &[410]);
    assert_eq!(events(&app, "email_restored").await, 1);
    assert_eq!(app.count("users WHERE email = 'bob@corp.test'").await, 1);
}

/// RX-02: the link that takes a deletion back.
#[tokio::test(flavor = "multi_thread")]
async fn of_fifty_who_keep_an_account_one_does() {
    let inbox = Inbox::open();
    let app = house(&inbox).await;
    let mut browser = app.browser();
    sign_in(&mut browser, "bob").await;
    send(&mut browser, "/account/delete", &[("username", "bob")]).await;
    let link = link_in(&inbox.newest(&app, "bob@corp.test").await);
    let waiting = before(&app, &link, "/account/keep").await;
    assert_one(&at_once(waiting).await, 200, &[410]);
    assert_eq!(events(&app, "account_kept").await, 1);
    assert_eq!((app.count("deletions").await, app.count("users").await), (0, 1));
}

/// So many who are about to make an account by a link.
async fn joining(app: &TestApp, link: &str) -> Vec<Waiting> {
    let mut waiting = Vec::new();
    for number in 0..CROWD {
        let mut browser = app.browser();
        let page = invitations::open(&mut browser, link).await;
        let (page, form) = invitations::form(&mut browser, &page).await;
        let form = invitations::filled(&form, &format!("anna{number}"));
        waiting.push((browser, page, form));
    }
    waiting
}

/// RX-02: an invitation for one.
#[tokio::test(flavor = "multi_thread")]
async fn of_fifty_with_an_invitation_for_one_one_joins() {
    let inbox = Inbox::open();
    let config = format!("[signup]\nlocal = \"invite\"\n{}", super::FAST);
    let app = inbox.builder(&config).start().await;
    let (_, link) = invitations::make(&app, invitations::offer()).await;
    assert_one(&at_once(joining(&app, &link).await).await, 303, &[410]);
    assert_eq!(app.count("users").await, 1);
    assert_eq!(app.count("users WHERE groups = '[\"staff\"]'").await, 1);
}

/// RX-02: a link that the command line has printed for an administrator.
#[tokio::test(flavor = "multi_thread")]
async fn of_fifty_with_one_admin_link_one_administers() {
    let inbox = Inbox::open();
    let app = inbox.builder(super::FAST).start().await;
    let printed = verb(&app, &["admin", "link"], "").await;
    let link = printed.split_whitespace().find(|word| word.starts_with("https://")).unwrap();
    let link = link.strip_prefix("https://id.test").unwrap();
    assert_one(&at_once(joining(&app, link).await).await, 303, &[410]);
    assert_eq!(app.count("users").await, 1);
    assert_eq!(app.count("users WHERE roles = '[\"admin\"]'").await, 1);
}

/// RX-02: a code of an authenticator app, and a recovery code.
#[tokio::test(flavor = "multi_thread")]
async fn of_fifty_with_one_code_one_gets_in() {
    let inbox = Inbox::open();
    let app = house(&inbox).await;
    let mut browser = app.browser();
    sign_in(&mut browser, "bob").await;
    let (authenticator, recovery_codes) = set_up(&app, &mut browser).await;
    for by_recovery in [false, true] {
        let before = app.count("sessions").await;
        let mut browsers = Vec::new();
        for _ in 0..CROWD {
            let mut browser = app.browser();
            let mut page = first_step(&mut browser, &[]).await;
            if by_recovery {
                page = with_recovery(&mut browser, &page).await;
            }
            browsers.push((browser, page));
        }
        let code = if by_recovery { recovery_codes[0].clone() } else { authenticator.code(&app) };
        let mut crowd = JoinSet::new();
        for (mut browser, page) in browsers {
            let code = code.clone();
            crowd.spawn(async move { give(&mut browser, &page, &code).await });
        }
        assert_one(&crowd.join_all().await, 303, &[400, 429, 503]);
        assert_eq!(app.count("sessions").await, before + 1);
        // What has failed is forgotten.
        app.clock.advance(3 * 3_600);
    }
    assert_eq!(app.count("recovery_codes WHERE used_at IS NOT NULL").await, 1);
}
