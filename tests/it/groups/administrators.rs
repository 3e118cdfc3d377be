//! AD-06: the last one who administers cannot stop doing so by taking a way in away.

use futures_util::future::join_all;
use keywright::{
    accounts::administrators,
    store::{role_holders::Except, users},
};
use serde_json::json;

use super::{GROUPS, set_rights};
use crate::{
    sessions::{form_token, sign_in, sorted},
    support::{
        app::TestApp,
        browser::{Browser, Page},
        fake_upstream::FakeUpstream,
    },
    upstream::user,
};

/// A local person who is in the group of administrators only through an upstream.
async fn administrator_by_upstream(app: &TestApp, kc: &FakeUpstream, name: &str) -> Browser {
    app.add_user(name, &[]).await;
    kc.set_person(json!({"sub": name, "preferred_username": name, "groups": ["chiefs"]}));
    let mut browser = app.browser();
    sign_in(&mut browser, name).await;
    let page = browser.get("/account").await;
    let form = page.form_to("/account/link");
    let page = browser.submit(&page, &form).await;
    assert_eq!(browser.follow(page).await.last().url.path(), "/account");
    browser
}

async fn unlink(browser: &mut Browser) -> Page {
    let token = form_token(browser).await;
    let page = browser.get("/account").await;
    let handle = page.form_to("/account/unlink").value("handle").unwrap().to_owned();
    browser.post_form("/account/unlink", &[("csrf", &token), ("handle", &handle)]).await
}

async fn house() -> (TestApp, FakeUpstream) {
    let kc = FakeUpstream::start().await;
    let rule = "groups = { claim = \"groups\" }";
    (TestApp::builder().config(GROUPS).upstream("kc", &kc, rule).start().await, kc)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_administrator_keeps_the_way_in_by_which_they_are() {
    let (app, kc) = house().await;
    let mut browser = administrator_by_upstream(&app, &kc, "ann").await;
    let page = unlink(&mut browser).await;
    assert_eq!(page.status, 409, "{}", page.text());
    assert!(page.text().contains("Nobody else administers this place"), "{}", page.text());
    assert_eq!(app.refusals("unlink").await, ["last_administrator"]);
    assert_eq!(app.count("identities").await, 1);
    // Somebody whose account is shut, or whose group has a name of which theirs is a part, is nobody else.
    let shut = app.add_user("shut", &["chiefs"]).await;
    let mut connection = app.app.connection().await.unwrap();
    assert!(users::disable(&mut connection, &shut.id, app.app.now()).await.unwrap());
    app.add_user("namesake", &["chiefs2", "x\"chiefs", "Chiefs"]).await;
    assert_eq!(unlink(&mut browser).await.status, 409);
    let other = app.add_user("bob", &[]).await;
    set_rights(&app, &other, &[], &["admin"]).await;
    let page = unlink(&mut browser).await;
    assert_eq!((page.status, page.header("location")), (303, Some("/account")));
    assert_eq!(app.count("identities").await, 0);
}

/// Whoever administers otherwise as well loses nothing by it, and others are not asked.
#[tokio::test(flavor = "multi_thread")]
async fn who_administers_otherwise_may_take_it_away() {
    let (app, kc) = house().await;
    let mut browser = administrator_by_upstream(&app, &kc, "ann").await;
    let ann = user(&app, "ann").await;
    set_rights(&app, &ann, &["chiefs"], &[]).await;
    assert_eq!(unlink(&mut browser).await.status, 303);
}

/// AD-06: of two who stop at once one is left.
#[tokio::test(flavor = "multi_thread")]
async fn of_two_at_once_one_is_left() {
    let (app, kc) = house().await;
    let mut browsers = Vec::new();
    for name in ["ann", "bea", "cyn"] {
        browsers.push(administrator_by_upstream(&app, &kc, name).await);
    }
    let tried = join_all(browsers.iter_mut().map(unlink)).await;
    let mut statuses: Vec<u16> = tried.iter().map(|page| page.status).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [303, 303, 409]);
    assert_eq!(app.count("identities").await, 1);
    assert_eq!(sorted(app.refusals("unlink").await), ["last_administrator"]);
}

/// The look at who administers finds each way of holding the role, and nobody else.
#[tokio::test(flavor = "multi_thread")]
async fn everybody_who_administers_is_found() {
    let app = TestApp::builder()
        .config(&format!("{GROUPS}[[groups]]\nname = \"heads\"\nparent = \"chiefs\"\n"))
        .start()
        .await;
    let bob = app.add_user("bob", &[]).await;
    let any = async |except: Except<'_>| {
        let mut connection = app.app.connection().await.unwrap();
        let meanings = connection.meanings();
        let found = connection
            .transaction(async |conn| {
                administrators::hold(conn).await?;
                administrators::any(conn, &meanings, except).await
            })
            .await;
        found.unwrap()
    };
    let own = Except { account: Some(&bob.id), identity: None };
    for (groups, roles, expected) in [
        (&["chiefs"][..], &[][..], true),
        (&["heads"], &[], true),
        (&["other", "heads"], &[], true),
        (&["Chiefs", "chiefs ", "admin"], &[], false),
        (&[], &["admin"], true),
        (&[], &["auditor", "admin"], true),
        (&[], &["Admin", "administrator", "x\"admin"], false),
        (&["staff"], &["member"], false),
    ] {
        set_rights(&app, &bob, groups, roles).await;
        assert_eq!(any(Except::default()).await, expected, "{groups:?} {roles:?}");
        assert!(!any(own).await, "{groups:?} {roles:?}");
    }
}
