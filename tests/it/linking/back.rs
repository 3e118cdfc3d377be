//! Coming back from an upstream to link it: who that may be, and what is never linked.

use keywright::store::{identities::Identity, users};
use serde_json::json;
use tokio::task::JoinSet;

use super::{House, assert_refused, depart, handles};
use crate::{
    sessions::{SESSION, cookie, form_token, person_of, sign_in},
    support::{
        fake_upstream::{Endpoint, Outcome},
        journey::sign_in_on_page,
    },
    upstream::{Witness, claims_for_app, sign_in_at, user},
};

/// UP-07: mallory begins to link and has alice finish it in her browser. Nothing is linked, whether
/// she is signed in here or not.
#[tokio::test(flavor = "multi_thread")]
async fn a_link_that_was_sent_to_somebody_links_nothing() {
    let house = House::build().await;
    let mut mallory = house.signed_in("mallory").await;
    for signed_in in [false, true] {
        let back = depart(&mut mallory, "kc").await;
        let mut alice = if signed_in { house.signed_in("bob").await } else { house.browser() };
        let before = alice.cookies().log().len();
        let witness = Witness::of(&house.app).await;
        let page = alice.get(back.as_str()).await;
        assert_refused(&witness, &page, 400, ("link", "state_of_another_browser")).await;
        assert_eq!(alice.cookies().log().len(), before);
        // The answer is used up, for mallory too.
        let witness = Witness::of(&house.app).await;
        let page = mallory.get(back.as_str()).await;
        assert_refused(&witness, &page, 400, ("sign_in", "state_unknown")).await;
    }
    assert_eq!(house.app.count("identities").await, 0);
    assert_eq!(house.kc.count(Endpoint::Token), 0, "nobody was asked");
}

/// UP-07: an answer that was fetched for somebody else's browser does not get into mallory's link
/// either: the code belongs to another departure.
#[tokio::test(flavor = "multi_thread")]
async fn a_code_of_somebody_else_is_not_linked() {
    let house = House::build().await;
    let mut alice = house.browser();
    let hers = sign_in_at(&mut alice, "kc").await.landing().clone();
    let code = hers.query_pairs().find(|(name, _)| name == "code").unwrap().1.into_owned();
    let mut mallory = house.signed_in("mallory").await;
    let mut back = depart(&mut mallory, "kc").await;
    let pairs: Vec<(String, String)> = back
        .query_pairs()
        .map(|(name, value)| {
            let value = if name == "code" { code.clone() } else { value.into_owned() };
            (name.into_owned(), value)
        })
        .collect();
    back.query_pairs_mut().clear().extend_pairs(pairs);
    let page = mallory.get(back.as_str()).await;
    assert_eq!((page.status, house.app.count("identities").await), (400, 0), "{}", page.text());
    assert_eq!(house.app.refusals("link").await.len(), 1);
}

/// UP-07: the session in which a link was asked for has to be there when it is made.
#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_is_gone_links_nothing() {
    for change in ["signed out", "another person", "no cookie", "shut", "elsewhere ended"] {
        let house = House::build().await;
        let mut browser = house.signed_in("bob").await;
        let back = depart(&mut browser, "kc").await;
        match change {
            "signed out" => {
                let page = browser.get("/account").await;
                browser.submit(&page, &page.form_to("/logout")).await;
            }
            "another person" => {
                let login = browser.visit("/account/prove").await;
                sign_in_on_page(&mut browser, &login, "mallory").await;
            }
            "no cookie" => drop(browser.cookies_mut().remove(SESSION)),
            "shut" => {
                let bob = user(&house.app, "bob").await;
                let mut connection = house.app.app.connection().await.unwrap();
                let now = house.app.app.now();
                assert!(users::disable(&mut connection, &bob.id, now).await.unwrap());
            }
            _ => {
                let mut elsewhere = house.signed_in("bob").await;
                let page = elsewhere.get("/account").await;
                let form = page.form_to("/account/sessions/end");
                elsewhere.submit(&page, &form).await;
            }
        }
        let witness = Witness::of(&house.app).await;
        let page = browser.get(back.as_str()).await;
        assert_refused(&witness, &page, 403, ("link", "session_changed")).await;
        assert_eq!(house.app.count("identities").await, 0, "{change}");
        assert_eq!(house.kc.count(Endpoint::Token), 0, "{change}: nobody was asked");
    }
}

/// A session that was only renewed by the same person is still the session that asked.
#[tokio::test(flavor = "multi_thread")]
async fn a_renewed_session_still_links() {
    let house = House::build().await;
    let mut browser = house.signed_in("bob").await;
    let back = depart(&mut browser, "kc").await;
    let login = browser.visit("/account/prove").await;
    sign_in_on_page(&mut browser, &login, "bob").await;
    assert_eq!(browser.get(back.as_str()).await.header("location"), Some("/account"));
    assert_eq!(house.identities("bob").await.len(), 1);
}

/// LK-08: what leads to somebody else's account stays theirs.
#[tokio::test(flavor = "multi_thread")]
async fn an_identity_of_somebody_else_is_not_moved() {
    let house = House::build().await;
    sign_in_at(&mut house.passing(), "kc").await.landing();
    let before = house.identities("seven").await.remove(0);
    house.app.clock.advance(10);
    let mut bob = house.signed_in("bob").await;
    let secret = cookie(&bob, SESSION);
    let back = depart(&mut bob, "kc").await;
    let witness = Witness::of(&house.app).await;
    let page = bob.get(back.as_str()).await;
    assert_refused(&witness, &page, 409, ("link", "identity_taken")).await;
    let after = house.identities("seven").await.remove(0);
    let of = |identity: &Identity| (identity.id.clone(), identity.confirmed_at, identity.linked_at);
    assert_eq!(of(&before), of(&after));
    assert_eq!(house.identities("bob").await.len(), 0);
    assert_eq!(person_of(&house.app, &secret).await.as_deref(), Some("bob"));
}

/// LK-08: two people at once with one identity: it is one's, the other is told, nothing moves.
#[tokio::test(flavor = "multi_thread")]
async fn of_twenty_at_once_one_account_gets_the_identity() {
    let house = House::build().await;
    let mut all = Vec::new();
    for name in ["bob", "mallory"] {
        let mut browser = house.signed_in(name).await;
        for _ in 0..10 {
            let back = depart(&mut browser, "kc").await;
            all.push((name, browser.clone(), back));
        }
    }
    let mut racers = JoinSet::new();
    for (name, mut browser, back) in all {
        racers.spawn(async move { (name, browser.get(back.as_str()).await.status) });
    }
    let answers = racers.join_all().await;
    assert_eq!(house.app.count("identities").await, 1);
    let winner = if house.identities("bob").await.is_empty() { "mallory" } else { "bob" };
    for (name, status) in answers {
        assert_eq!(status, if name == winner { 303 } else { 409 }, "{name}, and {winner} won");
    }
    assert_eq!(house.done("link").await.len(), 10);
    assert_eq!(house.app.refusals("link").await, ["identity_taken"; 10]);
}

/// Whoever signs up at the very moment in which somebody links the identity: one of them has it.
#[tokio::test(flavor = "multi_thread")]
async fn a_link_and_a_sign_up_at_once_share_nothing() {
    for _ in 0..5 {
        let house = House::build().await;
        let mut bob = house.signed_in("bob").await;
        let link = depart(&mut bob, "kc").await;
        let mut stranger = house.browser();
        let arrival = sign_in_at(&mut stranger, "kc").await.landing().clone();
        let (linked, arrived) =
            tokio::join!(bob.get(link.as_str()), stranger.get(arrival.as_str()));
        assert_eq!(arrived.status, 303, "{}", arrived.text());
        assert_eq!(house.app.count("identities").await, 1);
        let own = house.identities("bob").await.len();
        assert_eq!((own, linked.status), if own == 1 { (1, 303) } else { (0, 409) });
    }
}

/// UP-15, UP-16: a link is by issuer and subject; the same subject elsewhere and the same address
/// are somebody else.
#[tokio::test(flavor = "multi_thread")]
async fn a_link_is_by_issuer_and_subject() {
    let house = House::build().await;
    let person = |sub: &str| {
        json!({"sub": sub, "preferred_username": "bob", "email": "bob@corp.test",
               "email_verified": true})
    };
    house.kc.set_person(person("7"));
    let mut browser = house.signed_in("bob").await;
    house.link(&mut browser, "kc").await;
    let bob = json!(user(&house.app, "bob").await.id.as_str());
    house.kc.set_person(json!({"sub": "7", "email": "x@corp.test", "preferred_username": "x"}));
    let sub = async |slug: &str| {
        let journey = sign_in_at(&mut house.passing(), slug).await;
        claims_for_app(&house.app, &journey).await["sub"].clone()
    };
    assert_eq!(sub("kc").await, bob, "whatever they are called there by now");
    house.kc.set_person(person("9"));
    assert_ne!(sub("kc").await, bob, "another subject of the same name and address");
    house.other.set_person(person("7"));
    assert_ne!(sub("other").await, bob, "the same subject elsewhere");
}

/// Who may not enter through an upstream cannot link it either.
#[tokio::test(flavor = "multi_thread")]
async fn who_is_not_admitted_is_not_linked() {
    let house = House::with(|builder| builder, "admit = { domains = [\"corp.test\"] }").await;
    let mut browser = house.signed_in("bob").await;
    let back = depart(&mut browser, "kc").await;
    let witness = Witness::of(&house.app).await;
    let page = browser.get(back.as_str()).await;
    assert_refused(&witness, &page, 403, ("link", "not_admitted_domain")).await;
}

/// Closed sign-up does not keep people from linking what is theirs: there is no new account.
#[tokio::test(flavor = "multi_thread")]
async fn closed_signup_is_no_matter_of_links() {
    let house = House::with(|builder| builder.config("[signup]\nfederated = \"closed\""), "").await;
    let mut browser = house.signed_in("bob").await;
    house.link(&mut browser, "kc").await;
}

/// Who cancels there comes back to their account, and no page of signing in is left behind.
#[tokio::test(flavor = "multi_thread")]
async fn a_link_that_was_cancelled_leaves_nothing_behind() {
    let house = House::build().await;
    let mut browser = house.signed_in("bob").await;
    house.kc.set_outcome(Outcome::Refuse { error: "access_denied".to_owned(), description: None });
    let back = depart(&mut browser, "kc").await;
    let witness = Witness::of(&house.app).await;
    let page = browser.get(back.as_str()).await;
    assert_refused(&witness, &page, 400, ("link", "upstream_refused")).await;
    let links = page.links();
    assert!(links.iter().any(|link| link.path() == "/account"), "{links:?}");
    assert!(links.iter().all(|link| link.path() != "/login"), "{links:?}");
    sign_in(&mut house.browser(), "bob").await;
    form_token(&mut browser).await;
}

/// LK-07: what proved one link proves no other: not a second time, not for whom else the upstream
/// names by then, not after the link has been taken away, and not in another browser.
#[tokio::test(flavor = "multi_thread")]
async fn the_way_back_links_once() {
    let house = House::build().await;
    let mut browser = house.signed_in("bob").await;
    let back = depart(&mut browser, "kc").await;
    assert_eq!(browser.get(back.as_str()).await.header("location"), Some("/account"));
    assert_eq!(house.identities("bob").await[0].subject, "7");
    let asked = house.kc.count(Endpoint::Token);
    house.kc.set_person(json!({"sub": "8", "preferred_username": "eight"}));
    let page = browser.get("/account").await;
    let csrf = page.form_to("/logout").value("csrf").unwrap().to_owned();
    let handle = handles(&page).remove(0);
    for unlinked in [false, true] {
        if unlinked {
            let fields = [("csrf", csrf.as_str()), ("handle", handle.as_str())];
            assert_eq!(browser.post_form("/account/unlink", &fields).await.status, 303);
        }
        for again in [&mut browser, &mut house.signed_in("mallory").await] {
            let witness = Witness::of(&house.app).await;
            let page = again.get(back.as_str()).await;
            assert_refused(&witness, &page, 400, ("sign_in", "state_unknown")).await;
        }
        let left = i64::from(!unlinked);
        assert_eq!(house.app.count("identities").await, left, "unlinked: {unlinked}");
    }
    assert_eq!(house.kc.count(Endpoint::Token), asked, "nobody was asked");
}
