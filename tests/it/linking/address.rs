//! The same address at two places: whom the administrator's word links, and whom nothing links.

use keywright::store::{
    identities::LinkedBy,
    users::{self, User},
};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::{House, connect, handles};
use crate::{
    support::journey::authorize_path,
    upstream::{Away, claims_for_app, sign_in_at, user},
};

const TRUSTED: &str = "link_verified_email = true";

/// Who says of themselves to have bob's address.
fn bob_there(verified: &Value) -> Value {
    json!({"sub": "7", "preferred_username": "seven", "email": "Bob@Corp.test",
           "email_verified": verified})
}

impl House {
    /// Signs in at an upstream with a new browser; whose account that is.
    async fn arrive(&self, slug: &str) -> String {
        let journey = sign_in_at(&mut self.passing(), slug).await;
        let claims = claims_for_app(&self.app, &journey).await;
        claims["preferred_username"].as_str().unwrap().to_owned()
    }

    /// Changes the row of an account.
    pub(super) async fn rewrite(&self, username: &str, change: impl FnOnce(&mut User)) {
        let mut row = user(&self.app, username).await;
        change(&mut row);
        let mut connection = self.app.app.connection().await.unwrap();
        let (profile, now) = (row.profile(), self.app.app.now());
        users::update_profile(&mut connection, &row.id, &profile, now).await.unwrap();
    }

    /// Whoever arrives with bob's address gets a new account, and bob's is as it was.
    async fn assert_not_joined(&self, slug: &str, what: &str) {
        let count = self.app.count("users").await;
        let before = self.identities("bob").await.len();
        assert_ne!(self.arrive(slug).await, "bob", "{what}");
        assert_eq!(self.app.count("users").await, count + 1, "{what}");
        assert_eq!(self.identities("bob").await.len(), before, "{what}");
        assert_eq!(self.done("link").await.len(), 0, "{what}");
    }
}

/// UP-17, LK-05: without the administrator's word an address links nobody.
#[tokio::test(flavor = "multi_thread")]
async fn an_address_alone_links_nobody() {
    let house = House::build().await;
    house.kc.set_person(bob_there(&json!(true)));
    house.assert_not_joined("kc", "as it comes").await;
}

/// LK-05: with the administrator's word, whoever is verified on both sides gets the account that is
/// there, once and for all: the link is by issuer and subject from then on (UP-15).
#[tokio::test(flavor = "multi_thread")]
async fn a_trusted_upstream_links_a_verified_address() {
    let house =
        House::with(|builder| builder.config("[signup]\nfederated = \"closed\""), TRUSTED).await;
    house.kc.set_person(bob_there(&json!(true)));
    assert_eq!(house.arrive("kc").await, "bob");
    let own = house.identities("bob").await.remove(0);
    assert_eq!((own.subject.as_str(), own.linked_by), ("7", LinkedBy::VerifiedEmail));
    let event = house.done("link").await.remove(0);
    assert_eq!(event.user_id, Some(user(&house.app, "bob").await.id));
    assert!(event.detail.contains("\"linked_by\":\"verified_email\""), "{}", event.detail);
    house.kc.set_person(json!({"sub": "7", "email": "elsewhere@corp.test"}));
    assert_eq!(house.arrive("kc").await, "bob");
    assert_eq!((house.done("link").await.len(), house.app.count("users").await), (1, 2));
}

/// LK-05, UP-14: whatever is not said in so many words by the upstream is a no.
#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_is_not_verified_there_links_nobody() {
    for verified in [json!(false), json!(null), json!("true"), json!(1), json!([true])] {
        let house = House::with(|builder| builder, TRUSTED).await;
        house.kc.set_person(bob_there(&verified));
        house.assert_not_joined("kc", &verified.to_string()).await;
    }
    let house = House::with(|builder| builder, TRUSTED).await;
    house.kc.set_person(json!({"sub": "7", "preferred_username": "bob"}));
    house.assert_not_joined("kc", "only the name").await;
}

/// LK-05: the word is about one upstream; another one does not profit from it.
#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_that_is_not_trusted_links_nobody() {
    let house = House::with(|builder| builder, TRUSTED).await;
    house.other.set_person(bob_there(&json!(true)));
    house.assert_not_joined("other", "not the trusted one").await;
}

/// LK-01, LK-05: an address that is not proved here, or not one account's alone, links nobody.
#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_is_not_proved_here_links_nobody() {
    for doubt in ["unverified", "unknown", "twice", "disabled", "known there"] {
        let house = House::with(|builder| builder, TRUSTED).await;
        match doubt {
            "unverified" => house.rewrite("bob", |bob| bob.email_verified = Some(false)).await,
            "unknown" => house.rewrite("bob", |bob| bob.email_verified = None).await,
            "twice" => {
                let take = |row: &mut User| {
                    row.email_key = Some("bob@corp.test".to_owned());
                    row.email_verified = Some(false);
                };
                house.rewrite("mallory", take).await;
            }
            "disabled" => {
                let bob = user(&house.app, "bob").await;
                let mut connection = house.app.app.connection().await.unwrap();
                let now = house.app.app.now();
                assert!(users::disable(&mut connection, &bob.id, now).await.unwrap());
            }
            _ => {
                house.kc.set_person(json!({"sub": "6"}));
                let mut browser = house.passing();
                crate::sessions::sign_in(&mut browser, "bob").await;
                let page = connect(&mut browser, "kc").await;
                browser.follow(page).await;
                assert_eq!(house.identities("bob").await.len(), 1);
            }
        }
        house.kc.set_person(bob_there(&json!(true)));
        let done = house.done("link").await.len();
        assert_ne!(house.arrive("kc").await, "bob", "{doubt}");
        assert_eq!(house.app.count("users").await, 3, "{doubt}");
        assert_eq!(house.done("link").await.len(), done, "{doubt}");
    }
}

/// LK-01, UP-17: who lies in wait under somebody's address, by the word of an upstream that is not
/// trusted, does not get the person when they come; not by a password either, and not when the link
/// is gone again.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_lies_in_wait_under_an_address() {
    let alice = json!({"sub": "1", "preferred_username": "alice", "email": "alice@corp.test",
                       "email_verified": true});
    let squat = json!({"sub": "666", "preferred_username": "m", "email": "alice@corp.test",
                       "email_verified": true});

    let house = House::with(|builder| builder, TRUSTED).await;
    house.other.set_person(squat.clone());
    assert_eq!(house.arrive("other").await, "m");
    house.kc.set_person(alice.clone());
    assert_eq!(house.arrive("kc").await, "alice");

    let house = House::with(|builder| builder, TRUSTED).await;
    house.other.set_person(squat);
    let mut mallory = house.passing();
    crate::sessions::sign_in(&mut mallory, "mallory").await;
    let page = connect(&mut mallory, "other").await;
    mallory.follow(page).await;
    assert_eq!(house.arrive("other").await, "mallory", "now under alice's address");
    let page = mallory.get("/account").await;
    let csrf = page.form_to("/logout").value("csrf").unwrap().to_owned();
    let fields = [("csrf", csrf.as_str()), ("handle", &handles(&page)[0])];
    assert_eq!(mallory.post_form("/account/unlink", &fields).await.status, 303);
    let squatter = user(&house.app, "mallory").await;
    assert_eq!(squatter.email.as_deref(), Some("alice@corp.test"));
    assert_eq!(squatter.email_issuer, Some(house.other.issuer()));
    house.kc.set_person(alice);
    assert_eq!(house.arrive("kc").await, "alice");
}

/// UP-17: an address that an upstream asserts of one person does not keep another from signing in
/// with it here.
#[tokio::test(flavor = "multi_thread")]
async fn an_asserted_address_shuts_nobody_out() {
    let house = House::build().await;
    house.other.set_person(bob_there(&json!(true)));
    let mut mallory = house.passing();
    crate::sessions::sign_in(&mut mallory, "mallory").await;
    let page = connect(&mut mallory, "other").await;
    mallory.follow(page).await;
    assert_eq!(house.arrive("other").await, "mallory", "now under bob's address");
    let mut bob = house.passing();
    let login = bob.visit(&authorize_path("web", &[])).await;
    let form = login.last().form_to("/login").fill("username", "bob@corp.test");
    let answer = bob.submit(login.last(), &form.fill("password", "bob-password")).await;
    assert!(answer.location_param("code").is_some(), "{}", answer.text());
}

/// Upstreams that are both trusted lead one person to one account; the word of one that is not
/// trusted proves nothing to the other.
#[tokio::test(flavor = "multi_thread")]
async fn only_trusted_upstreams_vouch_for_one_another() {
    for (settings, second) in [([TRUSTED, TRUSTED], "nina"), (["", TRUSTED], "nina-2")] {
        let house = House::with_both(|builder| builder, settings).await;
        for upstream in [&house.kc, &house.other] {
            upstream.set_person(json!({"sub": "7", "preferred_username": "nina",
                                       "email": "nina@corp.test", "email_verified": true}));
        }
        assert_eq!(house.arrive("kc").await, "nina");
        assert_eq!(house.arrive("other").await, second);
    }
}

/// LK-05, RX-01: of twenty arrivals at once under two subjects and one address, one subject is linked
/// to the account, and the other is somebody new.
#[tokio::test(flavor = "multi_thread")]
async fn of_two_subjects_with_one_address_one_is_linked() {
    let house = House::with(|builder| builder, TRUSTED).await;
    let mut racers = JoinSet::new();
    for number in 0..20 {
        let mut person = bob_there(&json!(true));
        person["sub"] = json!((number % 2).to_string());
        house.kc.set_person(person);
        let mut away = Away::at(&house.app, "kc").await;
        racers.spawn(async move { away.come_back().await.status });
    }
    assert_eq!(racers.join_all().await, vec![303; 20]);
    assert_eq!((house.app.count("identities").await, house.app.count("users").await), (2, 3));
    assert_eq!(house.identities("bob").await.len(), 1);
    assert_eq!(house.done("link").await.len(), 1);
}

/// LK-16: one address is one address, however it is written: for the password form, and for the link
/// that an upstream's word makes.
#[tokio::test(flavor = "multi_thread")]
async fn an_address_is_the_same_however_it_is_written() {
    for spelling in ["bob@corp.test", "Bob@Corp.Test", "BOB@CORP.TEST"] {
        let house = House::with(|builder| builder, TRUSTED).await;
        let mut browser = house.passing();
        let login = browser.visit(&authorize_path("web", &[])).await;
        let form = login.last().form_to("/login").fill("username", &format!(" {spelling} "));
        let answer = browser.submit(login.last(), &form.fill("password", "bob-password")).await;
        let journey = browser.follow(answer).await;
        let claims = claims_for_app(&house.app, &journey).await;
        assert_eq!(claims["preferred_username"], "bob", "{spelling}");
        house.kc.set_person(json!({"sub": "7", "preferred_username": "seven", "email": spelling,
                                   "email_verified": true}));
        assert_eq!(house.arrive("kc").await, "bob", "{spelling}");
        assert_eq!(house.app.count("users").await, 2, "{spelling}");
    }
}
