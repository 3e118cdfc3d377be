//! `keywright trace`: the story of each sign-in that failed, hop by hop, with what was seen.

use keywright::jobs::look_after_upstreams;
use serde_json::json;

use super::program::Place;
use crate::{
    support::{
        app::TestApp,
        database::SECRET_KEY,
        fake_upstream::{Endpoint, FakeUpstream, Fault, Misbehaviour, Outcome, Placement},
    },
    upstream::{Witness, gets_in, is_refusal_page, sign_in_at},
};

/// A house with an upstream, and a folder whose configuration is of its database.
async fn house(lines: &str) -> (TestApp, FakeUpstream, Place) {
    let upstream = FakeUpstream::start().await;
    let app = TestApp::builder().upstream("kc", &upstream, lines).start().await;
    let mut place = Place::new();
    place.set("DATABASE_URL", &app.database.url);
    place.set("SECRET_KEY", SECRET_KEY);
    (app, upstream, place)
}

/// Signs in, fails, and reads the story: it holds each of these.
async fn story(scene: &(TestApp, FakeUpstream, Place), expected: &[&str]) {
    let (app, _, place) = scene;
    let witness = Witness::of(app).await;
    let journey = sign_in_at(&mut app.browser(), "kc").await;
    assert!(journey.stopped_at.is_none(), "{expected:?}");
    let event = witness.only_refusal().await.unwrap();
    is_refusal_page(journey.last(), journey.last().status, &event).unwrap();
    let id = event.trace_id.unwrap().to_string();
    let told = place.run(&["trace", &id]).ok().out;
    let reason = event.reason.unwrap();
    let all = [&["upstream: kc", reason.as_str(), "    what: "], expected].concat();
    for part in all {
        assert!(told.contains(part), "{part} is missing: {told}");
    }
    let report = place.run(&["trace", &id, "--json"]).ok().json();
    assert_eq!(report["trace_id"], json!(id));
    assert_eq!(report["events"][0]["reason"], json!(reason));
    assert!(!report["events"][0]["detail"]["what"].as_str().unwrap().is_empty());
}

const HOPS: [&str; 2] = ["sent to kc to sign in", "came back from kc"];

#[tokio::test(flavor = "multi_thread")]
async fn each_lie_of_an_upstream_has_its_story() {
    type Lie = fn(&mut Misbehaviour);
    let lies: [(Lie, &str); 9] = [
        (|lies| lies.fault(Endpoint::Token, Fault::Drop), "upstream_unreachable"),
        (|lies| lies.fault(Endpoint::Token, Fault::Status(500)), "status 500"),
        (
            |lies| {
                let body = r#"{"error":"invalid_grant","error_description":"Session not active"}"#;
                let fault = Fault::answer(400, "application/json", body);
                lies.fault(Endpoint::Token, fault);
            },
            "what: invalid_grant",
        ),
        (|lies| lies.fault(Endpoint::Token, Fault::html()), "upstream_token_malformed"),
        (
            |lies| lies.fault(Endpoint::Userinfo, Fault::Status(401)),
            "UserInfo answered with status 401",
        ),
        (
            |lies| {
                lies.claims.set("aud", "another");
            },
            "aud does not name us",
        ),
        (
            |lies| {
                lies.claims.set("nonce", "another");
            },
            "id_token_nonce",
        ),
        (
            |lies| {
                lies.header.set("kid", "another");
            },
            "no RS256 key is called",
        ),
        (
            |lies| {
                lies.authorization_response.set("iss", "https://evil.test");
            },
            "https://evil.test",
        ),
    ];
    let scene = house("").await;
    let (app, upstream, _) = &scene;
    upstream.place_claims(Placement::UserinfoOnly);
    gets_in(app, "kc").await.unwrap();
    for (lie, expected) in lies {
        upstream.behave();
        upstream.misbehave(lie);
        app.clock.advance(31);
        story(&scene, &[HOPS[0], HOPS[1], expected]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_refusal_of_a_person_has_its_story() {
    let scene = house("admit = { groups = [\"staff\"] }\ngroups = { claim = \"groups\" }").await;
    story(&scene, &[HOPS[1], "not_admitted_group", "staff"]).await;
    let refuse = Outcome::Refuse {
        error: "access_denied".to_owned(),
        description: Some("The person pressed cancel".to_owned()),
    };
    scene.1.set_outcome(refuse);
    story(&scene, &[HOPS[1], "upstream_refused", "access_denied: The person pressed cancel"]).await;
}

/// Whoever was not even sent there has a story too.
#[tokio::test(flavor = "multi_thread")]
async fn an_absence_has_its_story() {
    let scene = house("").await;
    let (app, upstream, _) = &scene;
    upstream.misbehave(|lies| lies.fault(Endpoint::Discovery, Fault::Drop));
    story(&scene, &["upstream_unreachable"]).await;
    for _ in 0..2 {
        look_after_upstreams(&app.app).await.unwrap();
    }
    story(&scene, &["upstream_away", "it was not asked", "upstream_unreachable"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_wrong_is_named_in_the_story() {
    let scene = house("").await;
    let clock = std::sync::Arc::clone(&scene.0.clock);
    scene.1.set_clock(move || clock.unix() + 125);
    let said = "its clock is 125 s ahead of ours: compare both with a time server";
    story(&scene, &[HOPS[1], "id_token_issued_at", said]).await;
}
