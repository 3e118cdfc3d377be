//! Coming from an upstream with an invitation.

use futures_util::future::join_all;
use keywright::accounts::invitations::Offer;
use serde_json::json;

use super::{INVITE, make, offer, offer_to, open, uses_left};
use crate::{
    sessions::SESSION,
    support::{
        app::TestApp,
        browser::{Browser, Page},
        fake_upstream::FakeUpstream,
    },
    upstream::user,
};

/// Opens a link and signs in at the upstream.
async fn come(browser: &mut Browser, path: &str) -> Page {
    let page = open(browser, path).await;
    assert_eq!(page.status, 200, "{}", page.text());
    let sign_in = page.links().into_iter().find(|link| link.path() == "/login").unwrap();
    let page = browser.get(sign_in.as_str()).await;
    let there = page.links().into_iter().find(|link| link.path() == "/upstream/kc/start").unwrap();
    let page = browser.get(there.as_str()).await;
    browser.follow(page).await.last().clone()
}

fn person(name: &str, email: Option<&str>) -> serde_json::Value {
    json!({"sub": name, "preferred_username": name, "email": email, "email_verified": true})
}

/// Whatever the door says, who is invited gets in, with the groups of the invitation.
#[tokio::test(flavor = "multi_thread")]
async fn who_is_invited_may_come_from_an_upstream() {
    let doors = [
        (INVITE, ""),
        ("[signup]\nfederated = \"invite\"", ""),
        ("[signup]\nfederated = \"open\"", ""),
        ("", "signup = { domains = [\"elsewhere.test\"] }"),
    ];
    for (config, rule) in doors {
        let kc = FakeUpstream::start().await;
        kc.set_person(person("ann", Some("ann@corp.test")));
        let app = TestApp::builder().config(config).upstream("kc", &kc, rule).start().await;
        let (row, path) = make(&app, offer()).await;
        let mut browser = app.browser();
        let page = come(&mut browser, &path).await;
        assert_eq!((page.status, page.url.path()), (200, "/account"), "{}", page.text());
        assert_eq!(user(&app, "ann").await.groups.to_vec(), ["staff"], "{config}");
        assert_eq!(uses_left(&app, &row.id).await, 0);
        let events = app.events().await;
        let events = events.iter().filter(|event| event.action == "invitation_accepted");
        assert_eq!(events.count(), 1);
        // The next one is turned away as before, and who is known comes back as before.
        assert_eq!(app.browser().get(&path).await.status, 410);
        let mut again = app.browser();
        let journey = crate::upstream::sign_in_at(&mut again, "kc").await;
        assert!(journey.stopped_at.is_some());
        assert_eq!(app.count("users").await, 1);
    }
}

/// `signup.disabled`, the `admit` table and the other address keep out who is invited, and use nothing.
#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_come_does_not_come_by_an_invitation() {
    let shut = "[signup]\nfederated = \"open\"\ndisabled = true";
    let cases = [
        (shut, "", offer(), 403, "signup_closed"),
        (INVITE, "admit = { groups = [\"staff\"] }", offer(), 403, "not_admitted_group"),
        (INVITE, "", offer_to("bob@corp.test", true), 422, "invitation_other_address"),
    ];
    for (config, rule, offer, status, reason) in cases {
        for email in [Some("ann@corp.test"), None] {
            let kc = FakeUpstream::start().await;
            kc.set_person(person("ann", email));
            let app = TestApp::builder().config(config).upstream("kc", &kc, rule).start().await;
            let (row, path) = make(&app, offer.clone()).await;
            let mut browser = app.browser();
            let page = come(&mut browser, &path).await;
            assert_eq!(page.status, status, "{reason}: {}", page.text());
            assert_eq!(app.refusals("sign_in").await, [reason]);
            assert_eq!((app.count("users").await, app.count("identities").await), (0, 0));
            assert!(browser.cookies().get(SESSION).is_none());
            assert_eq!(uses_left(&app, &row.id).await, 1);
            // The right person can still come, at the same browser.
            if reason == "invitation_other_address" {
                kc.set_person(person("bob", Some("Bob@corp.test")));
                assert_eq!(come(&mut browser, &path).await.url.path(), "/account");
            }
        }
    }
}

/// LK-17: one that ends while the person is away, and ten at once.
#[tokio::test(flavor = "multi_thread")]
async fn one_use_is_one_account() {
    let kc = FakeUpstream::start().await;
    let app = TestApp::builder().config(INVITE).upstream("kc", &kc, "").start().await;
    let (_, path) = make(&app, offer()).await;
    let mut back = Vec::new();
    for number in 0..10 {
        kc.set_person(person(&format!("ann{number}"), None));
        let mut browser = app.browser();
        browser.stop_at("https://id.test/upstream/kc/callback");
        let page = open(&mut browser, &path).await;
        let flow = page.url.query().unwrap().to_owned();
        let journey = browser.visit(&format!("/upstream/kc/start?{flow}")).await;
        back.push((browser, journey.landing().clone()));
    }
    let last = back.pop().unwrap();
    let came = join_all(back.iter_mut().map(|(browser, url)| browser.get(url.as_str()))).await;
    let statuses: Vec<u16> = came.iter().map(|page| page.status).collect();
    assert_eq!(statuses.iter().filter(|status| **status == 303).count(), 1, "{statuses:?}");
    assert_eq!(statuses.iter().filter(|status| **status == 410).count(), 8, "{statuses:?}");
    let (mut browser, url) = last;
    assert_eq!(browser.get(url.as_str()).await.status, 410);
    assert_eq!((app.count("users").await, app.count("identities").await), (1, 1));
}

/// Who is known comes back as who they are, and takes the groups by a form of ours.
#[tokio::test(flavor = "multi_thread")]
async fn who_is_known_is_asked() {
    let kc = FakeUpstream::start().await;
    kc.set_person(person("ann", Some("ann@corp.test")));
    let app = TestApp::builder().upstream("kc", &kc, "").start().await;
    crate::upstream::gets_in(&app, "kc").await.unwrap();
    let (row, path) = make(&app, Offer { groups: vec!["ops".to_owned()], ..offer() }).await;
    let mut browser = app.browser();
    let page = come(&mut browser, &path).await;
    assert_eq!((page.status, page.url.path()), (200, "/invitation"), "{}", page.text());
    assert_eq!((app.count("users").await, uses_left(&app, &row.id).await), (1, 1));
    let answer = browser.submit(&page, &page.form_to("/invitation")).await;
    assert_eq!(answer.header("location"), Some("/account"), "{}", answer.text());
    assert_eq!(user(&app, "ann").await.groups.to_vec(), ["ops"]);
    assert_eq!(uses_left(&app, &row.id).await, 0);
}
