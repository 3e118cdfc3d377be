//! Asking for a link: who may, and how it comes about.

use keywright::{foundation::ids::UpstreamSlug, store::identities::LinkedBy};
use serde_json::json;

use super::{House, assert_refused, connect, depart};
use crate::{
    sessions::{SESSION, cookie, form_token, person_of},
    support::{
        fake_upstream::{Endpoint, FakeUpstream},
        journey::sign_in_on_page,
    },
    upstream::{Witness, claims_for_app, rebuilt, sign_in_at, user},
};

/// Who links an upstream can sign in through it, and is the same person for every app.
#[tokio::test(flavor = "multi_thread")]
async fn a_linked_upstream_is_a_way_in() {
    let house = House::build().await;
    let mut browser = house.signed_in("bob").await;
    let secret = cookie(&browser, SESSION);
    house.kc.clear_requests();
    house.app.clock.advance(60);
    house.link(&mut browser, "kc").await;

    // Whoever happens to be signed in there need not be who is meant.
    let asked = house.kc.requests_to(Endpoint::Authorize);
    assert_eq!(asked[0].param("prompt"), Some("select_account"));
    assert_eq!(cookie(&browser, SESSION), secret, "the session is as it was");
    let page = browser.get("/account").await.text();
    assert!(page.contains("Linked 1 June 2026, 12:01 UTC"), "{page}");
    let linked = house.identities("bob").await.remove(0);
    assert_eq!((linked.subject.as_str(), linked.linked_by), ("7", LinkedBy::OwnSession));
    assert_eq!(linked.linked_at, house.app.app.now());
    let event = house.done("link").await.remove(0);
    let bob = user(&house.app, "bob").await;
    assert_eq!(
        (event.user_id, event.upstream),
        (Some(bob.id.clone()), Some(UpstreamSlug::new("kc")))
    );
    assert!(event.detail.contains("came back from kc"), "{}", event.detail);

    let journey = sign_in_at(&mut house.passing(), "kc").await;
    let claims = claims_for_app(&house.app, &journey).await;
    assert_eq!(claims["sub"], json!(bob.id.as_str()));
    assert_eq!(house.app.count("users").await, 2, "nobody new");
}

/// Who signs up through an upstream has an identity that says so.
#[tokio::test(flavor = "multi_thread")]
async fn a_new_account_says_how_it_came_to_its_identity() {
    let house = House::build().await;
    sign_in_at(&mut house.passing(), "kc").await.landing();
    let own = house.identities("seven").await.remove(0);
    assert_eq!((own.linked_by, own.linked_at), (LinkedBy::SignUp, own.created_at));
}

/// Asking again for what is linked already only confirms it.
#[tokio::test(flavor = "multi_thread")]
async fn a_link_that_is_there_is_confirmed() {
    let house = House::build().await;
    let mut browser = house.signed_in("bob").await;
    let (first, second) = (depart(&mut browser, "kc").await, depart(&mut browser, "kc").await);
    for back in [&first, &second] {
        house.app.clock.advance(10);
        assert_eq!(browser.get(back.as_str()).await.header("location"), Some("/account"));
    }
    let own = house.identities("bob").await.remove(0);
    assert_eq!(own.confirmed_at.since(own.linked_at).seconds(), 10);
    assert_eq!(house.app.count("identities").await, 1);
    assert_eq!(house.done("link").await.len(), 2);
}

/// LK-06: linking and unlinking need a form of our own and a proof of the last five minutes.
#[tokio::test(flavor = "multi_thread")]
async fn ways_in_are_changed_only_on_a_young_proof() {
    let house = House::build().await;
    let mut browser = house.signed_in("bob").await;
    let token = form_token(&mut browser).await;
    house.link(&mut browser, "other").await;
    let handle = house.identities("bob").await.remove(0).id.to_string();
    let forms = |csrf: &'static str| {
        [
            ("link", vec![("csrf", csrf.to_owned()), ("upstream", "kc".to_owned())]),
            ("unlink", vec![("csrf", csrf.to_owned()), ("handle", handle.clone())]),
        ]
    };
    let asked = house.kc.requests().len();
    for (action, fields) in forms("forged") {
        let witness = Witness::of(&house.app).await;
        let fields: Vec<(&str, &str)> = fields.iter().map(|(n, v)| (*n, v.as_str())).collect();
        let page = browser.post_form(&format!("/account/{action}"), &fields).await;
        assert_refused(&witness, &page, 403, (action, "form_not_ours")).await;
        let address = format!("/account/{action}?csrf={token}&upstream=kc&handle={handle}");
        assert_eq!(browser.get(&address).await.status, 405, "a link does nothing");
    }
    house.app.clock.advance(301);
    for (action, fields) in forms("") {
        let witness = Witness::of(&house.app).await;
        let mut fields: Vec<(&str, &str)> = fields.iter().map(|(n, v)| (*n, v.as_str())).collect();
        fields[0].1 = &token;
        let page = browser.post_form(&format!("/account/{action}"), &fields).await;
        assert_refused(&witness, &page, 403, (action, "reauth_required")).await;
        assert!(page.links().iter().any(|link| link.path() == "/account/prove"), "{}", page.text());
    }
    assert_eq!(house.kc.requests().len(), asked, "nobody was sent there");

    // Who proves anew who they are comes back, and may.
    let journey = browser.visit("/account/prove").await;
    assert_eq!(journey.last().url.path(), "/login", "although they are signed in");
    let journey = sign_in_on_page(&mut browser, &journey, "bob").await;
    assert_eq!(journey.last().url.path(), "/account");
    house.app.clock.advance(300);
    house.link(&mut browser, "kc").await;
}

/// LK-06: a proof at an upstream is a new one, and an old one that it shows again is refused.
#[tokio::test(flavor = "multi_thread")]
async fn a_proof_at_an_upstream_is_a_new_one() {
    let house = House::build().await;
    let mut browser = house.passing();
    sign_in_at(&mut browser, "kc").await.landing();
    house.app.clock.advance(3_600);
    let page = browser.get("/account").await;
    let refused = browser
        .post_form(
            "/account/link",
            &[("csrf", page.form_to("/logout").value("csrf").unwrap()), ("upstream", "other")],
        )
        .await;
    assert_eq!(refused.status, 403);
    let prove = async |browser: &mut crate::support::browser::Browser| {
        let login = browser.visit("/account/prove").await.last().clone();
        let start = login.links().into_iter().find(|link| link.path() == "/upstream/kc/start");
        browser.visit(start.unwrap().as_str()).await
    };
    house.kc.misbehave(|lies| {
        lies.claims.set_from_now("auth_time", -3_600);
    });
    house.kc.clear_requests();
    let journey = prove(&mut browser).await;
    assert_eq!(house.kc.requests_to(Endpoint::Authorize)[0].param("prompt"), Some("login"));
    assert!(journey.last().text().contains("code: upstream_sign_in_too_old"));
    house.kc.behave();
    assert_eq!(prove(&mut browser).await.last().url.path(), "/account");
    let page = connect(&mut browser, "other").await;
    assert_eq!(browser.follow(page).await.last().url.path(), "/account");
    assert_eq!(house.identities("seven").await.len(), 2);
}

/// Nobody links anything who is not signed in.
#[tokio::test(flavor = "multi_thread")]
async fn without_a_session_there_is_nothing_to_link_to() {
    let house = House::build().await;
    let mut browser = house.signed_in("bob").await;
    let token = form_token(&mut browser).await;
    browser.cookies_mut().remove(SESSION);
    let page = browser.post_form("/account/link", &[("csrf", &token), ("upstream", "kc")]).await;
    assert_eq!(page.header("location"), Some("/account"));
    assert_eq!((house.kc.count(Endpoint::Authorize), house.app.count("identities").await), (0, 0));
}

/// UP-21, UP-22: an upstream that is switched off is not linked, neither from here nor by who was on
/// the way.
#[tokio::test(flavor = "multi_thread")]
async fn a_disabled_upstream_is_not_linked() {
    let house = House::build().await;
    let mut browser = house.signed_in("bob").await;
    let token = form_token(&mut browser).await;
    let secret = cookie(&browser, SESSION);
    let witness = Witness::of(&house.app).await;
    let page = browser.post_form("/account/link", &[("csrf", &token), ("upstream", "none")]).await;
    assert_refused(&witness, &page, 404, ("link", "upstream_unknown")).await;
    let back = depart(&mut browser, "kc").await;
    let cookies = browser.cookies().clone();
    drop((browser, witness));
    let House { app, kc, other } = house;
    let off = rebuilt(app, |builder| {
        builder.upstream("kc", &kc, "enabled = false").upstream("other", &other, "")
    });
    let off = off.await;
    let mut browser = off.browser();
    *browser.cookies_mut() = cookies;
    let page = browser.get("/account").await;
    let offered: Vec<String> =
        page.forms().iter().filter_map(|form| form.value("upstream").map(str::to_owned)).collect();
    assert_eq!(offered, ["other"]);
    assert_eq!(browser.get(back.as_str()).await.status, 404);
    let witness = Witness::of(&off).await;
    let page = browser.post_form("/account/link", &[("csrf", &token), ("upstream", "kc")]).await;
    assert_refused(&witness, &page, 404, ("link", "upstream_unknown")).await;
    assert_eq!(off.count("identities").await, 0);
    assert_eq!(person_of(&off, &secret).await.as_deref(), Some("bob"));
}

/// An upstream that cannot be reached is said to be so, and nothing is left behind to sign in with.
#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_that_is_away_is_not_linked() {
    let house = House::build().await;
    let mut browser = house.signed_in("bob").await;
    let away: &FakeUpstream = &house.kc;
    away.misbehave(|lies| {
        lies.fault(Endpoint::Discovery, crate::support::fake_upstream::Fault::Status(500));
    });
    let witness = Witness::of(&house.app).await;
    let page = connect(&mut browser, "kc").await;
    assert_eq!(page.status, 503, "{}", page.text());
    let event = witness.only_refusal().await.unwrap();
    assert_eq!((event.action.as_str(), event.reason.is_some()), ("link", true));
    assert!(!page.text().contains("/login"), "{}", page.text());
}
