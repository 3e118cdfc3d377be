//! Taking an invitation with an account that there is.

use futures_util::future::join_all;
use keywright::accounts::invitations::Offer;

use super::{house, make, offer, offer_to, open, uses_left};
use crate::{
    sessions::sign_in,
    support::{browser::Page, journey::sign_in_on_page},
    upstream::user,
};

fn accept_form(page: &Page) -> crate::support::browser::Form {
    page.form_to("/invitation")
}

/// Who is signed in is asked, and who is not signs in first.
#[tokio::test(flavor = "multi_thread")]
async fn an_account_takes_its_groups() {
    let app = house().await;
    app.add_user("bob", &["ops"]).await;
    let (row, path) = make(&app, offer()).await;
    let mut browser = app.browser();
    let page = open(&mut browser, &path).await;
    assert!(page.forms().is_empty(), "nobody is signed in: {}", page.text());
    let login = page.links().into_iter().find(|link| link.path() == "/login").unwrap();
    let journey = browser.visit(login.as_str()).await;
    let page = sign_in_on_page(&mut browser, &journey, "bob").await.last().clone();
    assert_eq!((page.status, page.url.path()), (200, "/invitation"), "{}", page.text());
    assert!(page.text().contains("Accept as <bdi>bob</bdi>"), "{}", page.text());
    assert_eq!(uses_left(&app, &row.id).await, 1, "signing in takes nothing");
    let answer = browser.submit(&page, &accept_form(&page)).await;
    assert_eq!(answer.header("location"), Some("/account"), "{}", answer.text());
    let bob = user(&app, "bob").await;
    assert_eq!(bob.groups.to_vec(), ["ops", "staff"]);
    assert_eq!(uses_left(&app, &row.id).await, 0);
    // Who has all that it gives takes nothing.
    let (row, path) = make(&app, offer()).await;
    let journey = browser.visit(&path).await;
    assert_eq!(journey.last().url.path(), "/account", "{:?}", journey.hops());
    assert_eq!(uses_left(&app, &row.id).await, 1);
}

/// SS-05: a form of somebody else's, another browser's way and a session that is over take nothing.
#[tokio::test(flavor = "multi_thread")]
async fn only_our_own_form_takes_it() {
    let app = house().await;
    app.add_user("bob", &[]).await;
    let (row, path) = make(&app, offer()).await;
    let mut browser = app.browser();
    sign_in(&mut browser, "bob").await;
    let page = open(&mut browser, &path).await;
    let form = accept_form(&page);
    let flow = page.url.query().unwrap().to_owned();
    let url = format!("/invitation?{flow}");
    for csrf in ["", "x"] {
        assert_eq!(browser.post_form(&url, &[("csrf", csrf)]).await.status, 403);
    }
    assert_eq!(app.refusals("invitation").await, ["form_not_ours"; 2]);
    let mut other = app.browser();
    app.add_user("eve", &[]).await;
    sign_in(&mut other, "eve").await;
    let token = crate::sessions::form_token(&mut other).await;
    assert_eq!(other.post_form(&url, &[("csrf", &token)]).await.status, 403);
    let own = browser.get("/account").await;
    browser.submit(&own, &own.form_to("/logout")).await;
    let answer = browser.submit(&page, &form).await;
    assert_eq!(answer.header("location"), Some(format!("/login?{flow}").as_str()));
    assert_eq!(uses_left(&app, &row.id).await, 1);
    assert_eq!(user(&app, "bob").await.groups.to_vec(), Vec::<String>::new());
}

/// LK-17: an invitation for an address is for who has proved it.
#[tokio::test(flavor = "multi_thread")]
async fn it_is_for_its_own_address() {
    let app = house().await;
    app.add_user("bob", &[]).await;
    for (address, status) in [("eve@corp.test", 422), ("Bob@corp.test", 303)] {
        let (row, path) = make(&app, offer_to(address, true)).await;
        let mut browser = app.browser();
        sign_in(&mut browser, "bob").await;
        let page = open(&mut browser, &path).await;
        let answer = browser.submit(&page, &accept_form(&page)).await;
        assert_eq!(answer.status, status, "{}", answer.text());
        assert_eq!(uses_left(&app, &row.id).await, i64::from(status == 422));
    }
    assert_eq!(app.refusals("invitation").await, ["invitation_other_address"]);
}

/// LK-17: of many at once as many get it as it has uses.
#[tokio::test(flavor = "multi_thread")]
async fn it_is_taken_once() {
    let app = house().await;
    let (row, path) = make(&app, Offer { uses: 2, ..offer() }).await;
    let mut ready = Vec::new();
    for number in 0..6 {
        let name = format!("bob{number}");
        app.add_user(&name, &[]).await;
        let mut browser = app.browser();
        sign_in(&mut browser, &name).await;
        let page = open(&mut browser, &path).await;
        let form = accept_form(&page);
        ready.push((browser, page, form));
    }
    let tried = join_all(ready.iter_mut().map(|(browser, page, form)| browser.submit(page, form)));
    let statuses: Vec<u16> = tried.await.into_iter().map(|page| page.status).collect();
    let of = |status| statuses.iter().filter(|own| **own == status).count();
    assert_eq!((of(303), of(410)), (2, 4), "{statuses:?}");
    assert_eq!(app.count("users WHERE groups LIKE '%staff%'").await, 2);
    assert_eq!(uses_left(&app, &row.id).await, 0);
}
