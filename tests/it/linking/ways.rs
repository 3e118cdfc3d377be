//! One account with two ways in: what one upstream has said counts no longer than it stands by it, and
//! what began one way does not go on by another.

use serde_json::json;

use super::House;
use crate::{
    support::{
        fake_upstream::Refreshes,
        journey::{authorize_path, code_by_session, is_active, redeem, refresh, sign_in_on_page},
    },
    upstream::sign_in_at,
};

const LEASED: &str = "max_staleness = \"10m\"\ngroups = { claim = \"groups\" }";

/// Bob, whom `kc` has in a group, and who has a password too.
async fn house() -> House {
    let house = House::with(|builder| builder, LEASED).await;
    house.kc.set_refreshes(Refreshes::Rotating);
    house.kc.set_person(json!({"sub": "7", "groups": ["staff"]}));
    let mut browser = house.signed_in("bob").await;
    house.link(&mut browser, "kc").await;
    house
}

async fn groups(house: &House, way: &str) -> serde_json::Value {
    let mut browser = house.passing();
    let journey = if way == "kc" {
        sign_in_at(&mut browser, "kc").await
    } else {
        let journey = browser.visit(&authorize_path("web", &[])).await;
        sign_in_on_page(&mut browser, &journey, "bob").await
    };
    let answer = redeem(&house.app, "web", &journey.param("code").unwrap()).await;
    keywright::keys::parse_unverified(&answer.text("id_token")).unwrap().1["groups"].clone()
}

/// UP-33: an upstream that says no takes its groups back, whatever other way in the person has.
#[tokio::test(flavor = "multi_thread")]
async fn groups_of_an_upstream_that_says_no_are_gone() {
    let house = house().await;
    let mut browser = house.passing();
    sign_in_at(&mut browser, "kc").await;
    let code = code_by_session(&mut browser, "web", &[]).await;
    let tokens = redeem(&house.app, "web", &code).await;
    assert_eq!(groups(&house, "password").await, json!(["staff"]));
    house.kc.expel();
    house.app.clock.advance(301);
    let refused = refresh(&house.app, "web", &tokens.text("refresh_token")).await;
    refused.assert_error(400, "invalid_grant");
    assert_eq!(groups(&house, "password").await, json!([]));
}

/// Its word counts for `max_staleness`, with or without a session through it: nobody has to come back
/// that way for a removal there to count here.
#[tokio::test(flavor = "multi_thread")]
async fn groups_that_nobody_confirms_are_forgotten() {
    let house = house().await;
    house.app.clock.advance(599);
    keywright::leases::tend(&house.app.app).await.unwrap();
    assert_eq!(groups(&house, "password").await, json!(["staff"]));
    house.app.clock.advance(1);
    keywright::leases::tend(&house.app.app).await.unwrap();
    assert_eq!(groups(&house, "password").await, json!([]));
    assert_eq!(groups(&house, "kc").await, json!(["staff"]), "and are back with its next word");
}

/// Whoever comes another way begins another session: no family of tokens sheds the lease of the
/// upstream that it began with.
#[tokio::test(flavor = "multi_thread")]
async fn another_way_is_another_session() {
    let house = house().await;
    let mut browser = house.passing();
    sign_in_at(&mut browser, "kc").await;
    let code = code_by_session(&mut browser, "web", &[]).await;
    let tokens = redeem(&house.app, "web", &code).await;
    let journey = browser.visit(&authorize_path("web", &[("prompt", "login")])).await;
    let journey = sign_in_on_page(&mut browser, &journey, "bob").await;
    let anew = redeem(&house.app, "web", &journey.param("code").unwrap()).await;
    let sid = |answer: &crate::support::app::Answer| {
        let claims = keywright::keys::parse_unverified(&answer.text("id_token")).unwrap().1;
        (claims["sid"].clone(), claims["sub"].clone())
    };
    let (before, after) = (sid(&tokens), sid(&anew));
    assert!(before.0 != after.0 && before.1 == after.1, "{before:?} {after:?}");
    assert!(!is_active(&house.app, "web", &tokens.text("access_token")).await);
    let refused = refresh(&house.app, "web", &tokens.text("refresh_token")).await;
    refused.assert_error(400, "invalid_grant");
    house.kc.expel();
    house.app.clock.advance(700);
    assert_eq!(refresh(&house.app, "web", &anew.text("refresh_token")).await.status, 200);
}
