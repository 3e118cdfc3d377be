//! Whoever makes an account waits until an administrator has looked at it, where that is asked for.

use keywright::{
    accounts::{approval, toggles},
    store::{
        StoreError,
        users::{self, User},
    },
};
use serde_json::json;

use super::{OPEN, PASSWORD, filled, form};
use crate::{
    invitations,
    sessions::SESSION,
    support::{
        app::TestApp,
        browser::{Browser, Page},
        fake_upstream::FakeUpstream,
        inbox::{Inbox, link_in},
        journey::authorize_path,
    },
    upstream::{gets_in, sign_in_at},
};

const WAITS: &str = "[signup]\nlocal = \"open\"\napproval = true\n";

async fn user(app: &TestApp, username: &str) -> Option<User> {
    let mut connection = app.app.connection().await.unwrap();
    users::find_by_username(&mut connection, username).await.unwrap()
}

async fn approve(app: &TestApp, username: &str) {
    let user = user(app, username).await.unwrap();
    let mut connection = app.app.connection().await.unwrap();
    let now = app.app.now();
    let opened = connection
        .transaction(async |conn| {
            let opened = approval::approve(conn, &user.id, now).await?;
            Ok::<_, StoreError>(opened)
        })
        .await;
    assert!(opened.unwrap());
}

/// Makes an account by the form; answers the page after it.
async fn sign_up(app: &TestApp, username: &str, email: &str) -> (Browser, Page) {
    let mut browser = app.browser();
    let (page, form) = form(&mut browser).await;
    let form = filled(&form, username).fill("email", email);
    let page = browser.submit(&page, &form).await;
    (browser, page)
}

/// Tries a password; answers the page after it.
async fn try_with(app: &TestApp, username: &str, password: &str) -> Page {
    // Whether there are local accounts is looked up once a second.
    app.clock.advance(1);
    let mut browser = app.browser();
    let page = browser.visit(&authorize_path("web", &[])).await.last().clone();
    let form = page.form_to("/login").fill("username", username).fill("password", password);
    browser.submit(&page, &form).await
}

async fn nothing_living(app: &TestApp) {
    for table in ["sessions", "grants", "refresh_tokens", "personal_access_tokens"] {
        assert_eq!(app.count(table).await, 0, "{table}");
    }
}

/// The account is there, and nobody is in it; after the approval its owner gets in.
#[tokio::test(flavor = "multi_thread")]
async fn a_newcomer_waits_and_is_let_in() {
    let app = TestApp::builder().config(WAITS).start().await;
    let (browser, page) = sign_up(&app, "anna", "").await;
    assert_eq!(page.status, 200, "{}", page.text());
    assert!(page.text().contains("Your account waits for approval"), "{}", page.text());
    assert!(!page.text().contains("A mail tells you"), "there is none: {}", page.text());
    assert!(browser.cookies().get(SESSION).is_none());
    assert_eq!((app.count("users").await, app.count("waiting_accounts").await), (1, 1));
    nothing_living(&app).await;
    let page = try_with(&app, "anna", PASSWORD).await;
    assert_eq!(page.status, 403, "{}", page.text());
    assert!(page.text().contains("Your account waits for approval"), "{}", page.text());
    assert_eq!(app.refusals("sign_in").await, ["account_waits"]);
    nothing_living(&app).await;
    approve(&app, "anna").await;
    assert_eq!(app.count("waiting_accounts").await, 0);
    let page = try_with(&app, "anna", PASSWORD).await;
    assert!(page.location_param("code").is_some(), "{}", page.text());
    let events = app.events().await;
    let made = events.iter().find(|event| event.action == "sign_up").unwrap();
    assert!(made.detail.contains("\"waits\":true"), "{}", made.detail);
}

/// PW-07, PW-08: who does not know the password sees what everybody sees who types a wrong one.
#[tokio::test(flavor = "multi_thread")]
async fn who_waits_cannot_be_told_from_who_does_not() {
    let app = TestApp::builder().config(WAITS).start().await;
    app.add_user("bobby", &[]).await;
    sign_up(&app, "annaa", "annaa@corp.test").await;
    app.clock.advance(1);
    app.browser().visit(&authorize_path("web", &[])).await;
    let mut seen = Vec::new();
    for name in ["annaa", "bobby", "nobod", "annaa@corp.test"] {
        let mut browser = app.browser();
        let page = browser.visit(&authorize_path("web", &[])).await.last().clone();
        let form = page.form_to("/login").fill("username", name).fill("password", "wrong one");
        app.app.audit.flush().await;
        let before = (app.app.passwords.hashes(), app.app.store.statements());
        let page = browser.submit(&page, &form).await;
        app.app.audit.flush().await;
        let hashes = app.app.passwords.hashes() - before.0;
        // Looking for an address is one statement more than looking for a name.
        let by_address = u64::from(name.contains('@'));
        let statements = app.app.store.statements() - before.1 - by_address;
        assert!(page.text().contains("is not right"), "{}", page.text());
        seen.push((page.status, page.headers.len(), hashes, statements));
    }
    assert!(seen.iter().all(|one| *one == seen[0]), "{seen:?}");
    assert_eq!(app.refusals("sign_in").await, ["wrong_password"; 4]);
}

/// A lost password opens no account that waits, and whoever asks is told the same.
#[tokio::test(flavor = "multi_thread")]
async fn recovery_does_not_let_in_who_waits() {
    let inbox = Inbox::open();
    let app = inbox.builder(WAITS).start().await;
    sign_up(&app, "anna", "anna@corp.test").await;
    let before = inbox.of(&app, "anna@corp.test").await.len();
    let mut browser = app.browser();
    let page = browser.get("/recovery").await;
    let form = page.form_to("/recovery").fill("username", "anna");
    let answer = browser.submit(&page, &form).await;
    browser.follow(answer).await;
    assert_eq!(inbox.of(&app, "anna@corp.test").await.len(), before, "no mail more");
    assert_eq!(app.refusals("recovery").await, ["user_disabled"]);
    assert_eq!(app.count("one_time_links WHERE purpose = 'recover'").await, 0);
    assert!(user(&app, "anna").await.unwrap().disabled_at.is_some());
}

/// The address can be confirmed meanwhile; administrators with a verified address hear of who waits, once
/// an hour at the most.
#[tokio::test(flavor = "multi_thread")]
async fn mails_go_to_the_newcomer_and_to_administrators() {
    let inbox = Inbox::open();
    let groups = "[[groups]]\nname = \"ops\"\nrole = \"admin\"\n[[groups]]\nname = \"ops2\"\n";
    let app = inbox.builder(&format!("{WAITS}{groups}")).start().await;
    app.add_user("boss", &["ops"]).await;
    app.add_user("nearly", &["ops2"]).await;
    let shut = app.add_user("former", &["ops"]).await;
    let mut connection = app.app.connection().await.unwrap();
    assert!(users::disable(&mut connection, &shut.id, app.app.now()).await.unwrap());
    drop(connection);
    let (_, page) = sign_up(&app, "anna", "anna@corp.test").await;
    assert!(page.text().contains("A mail tells you"), "{}", page.text());
    let told = inbox.newest(&app, "boss@corp.test").await;
    assert!(told.text().contains("anna") && told.text().contains("user list --waiting"));
    for other in ["nearly", "former"] {
        assert!(inbox.of(&app, &format!("{other}@corp.test")).await.is_empty(), "{other}");
    }
    sign_up(&app, "bert", "").await;
    assert_eq!(inbox.of(&app, "boss@corp.test").await.len(), 1);
    let link = link_in(&inbox.newest(&app, "anna@corp.test").await);
    let mut browser = app.browser();
    let page = browser.visit(&link).await.last().clone();
    let done = browser.submit(&page, &page.form_to("/verify-email")).await;
    assert_eq!(done.status, 200, "{}", done.text());
    let anna = user(&app, "anna").await.unwrap();
    assert_eq!((anna.email_verified, anna.disabled_at.is_some()), (Some(true), true));
    app.clock.advance(3_600);
    sign_up(&app, "carl", "").await;
    assert_eq!(inbox.of(&app, "boss@corp.test").await.len(), 2);
    nothing_living(&app).await;
}

/// The same for who comes from an upstream for the first time, and each time until the approval.
#[tokio::test(flavor = "multi_thread")]
async fn a_newcomer_from_an_upstream_waits() {
    let upstream = FakeUpstream::start().await;
    let app = TestApp::builder().config(WAITS).upstream("kc", &upstream, "").start().await;
    for round in 0..2 {
        let mut browser = app.browser();
        let journey = sign_in_at(&mut browser, "kc").await;
        let page = journey.last();
        assert_eq!(page.status, 403, "{}", page.text());
        assert!(page.text().contains("Your account waits for approval"), "{}", page.text());
        assert!(browser.cookies().get(SESSION).is_none());
        assert_eq!((app.count("users").await, app.count("identities").await), (1, 1));
        assert_eq!(app.refusals("sign_in").await.len(), round, "the first time is no refusal");
    }
    assert_eq!(app.refusals("sign_in").await, ["account_waits"]);
    let events = app.events().await;
    assert_eq!(events.iter().filter(|event| event.action == "sign_up").count(), 1);
    nothing_living(&app).await;
    let mut connection = app.app.connection().await.unwrap();
    let all = users::list(&mut connection, "", 10).await.unwrap();
    drop(connection);
    approve(&app, &all[0].username_key).await;
    gets_in(&app, "kc").await.unwrap();
}

/// What is set while servers run wins; who has an account gets in whatever is set.
#[tokio::test(flavor = "multi_thread")]
async fn approval_is_set_while_servers_run() {
    let upstream = FakeUpstream::start().await;
    let app = TestApp::builder().config(OPEN).upstream("kc", &upstream, "").start().await;
    gets_in(&app, "kc").await.unwrap();
    let set = async |needed| {
        let mut connection = app.app.connection().await.unwrap();
        toggles::set_approval(&mut connection, needed).await.unwrap();
        drop(connection);
        app.app.rules.look(&app.app.store).await.unwrap();
    };
    set(Some(true)).await;
    gets_in(&app, "kc").await.unwrap();
    upstream.set_person(json!({"sub": "9", "preferred_username": "nine"}));
    assert_eq!(sign_in_at(&mut app.browser(), "kc").await.last().status, 403);
    let (_, page) = sign_up(&app, "anna", "").await;
    assert_eq!(page.status, 200, "{}", page.text());
    assert_eq!(app.count("waiting_accounts").await, 2);
    set(None).await;
    let (_, page) = sign_up(&app, "bert", "").await;
    assert_eq!(page.status, 303, "{}", page.text());
    assert_eq!(app.count("waiting_accounts").await, 2, "who waits goes on waiting");
}

/// Whoever was invited does not wait: somebody has looked at them already.
#[tokio::test(flavor = "multi_thread")]
async fn the_invited_do_not_wait() {
    let upstream = FakeUpstream::start().await;
    let app = TestApp::builder().config(WAITS).upstream("kc", &upstream, "").start().await;
    let (_, link) = invitations::make(&app, invitations::offer()).await;
    let page = invitations::join(&mut app.browser(), &link, "anna").await;
    assert_eq!(page.status, 303, "{}", page.text());
    let (_, link) = invitations::make(&app, invitations::offer()).await;
    let mut browser = app.browser();
    let page = invitations::open(&mut browser, &link).await;
    let link = page.links().into_iter().find(|link| link.path() == "/login").unwrap();
    let choice = browser.get(link.as_str()).await;
    let links = choice.links();
    let start = links.iter().find(|link| link.path() == "/upstream/kc/start").unwrap();
    let journey = browser.visit(start.as_str()).await;
    assert_eq!(journey.last().status, 200, "{}", journey.last().text());
    assert_eq!((app.count("users").await, app.count("waiting_accounts").await), (2, 0));
    assert_eq!(app.count("sessions").await, 2);
}

/// A refused account leaves nothing behind, and its name is free.
#[tokio::test(flavor = "multi_thread")]
async fn a_refused_account_is_gone() {
    let app = TestApp::builder().config(WAITS).start().await;
    sign_up(&app, "anna", "anna@corp.test").await;
    let bob = app.add_user("bobby", &[]).await;
    let anna = user(&app, "anna").await.unwrap();
    let mut connection = app.app.connection().await.unwrap();
    assert!(!approval::refuse(&mut connection, &bob.id).await.unwrap(), "who does not wait stays");
    assert!(approval::refuse(&mut connection, &anna.id).await.unwrap());
    assert!(!approval::refuse(&mut connection, &anna.id).await.unwrap());
    assert!(!approval::approve(&mut connection, &anna.id, app.app.now()).await.unwrap());
    drop(connection);
    assert_eq!((app.count("users").await, app.count("waiting_accounts").await), (1, 0));
    let page = try_with(&app, "anna", PASSWORD).await;
    assert!(page.text().contains("is not right"), "{}", page.text());
    let (_, page) = sign_up(&app, "anna", "").await;
    assert_eq!(page.status, 200, "{}", page.text());
}
