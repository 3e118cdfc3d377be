//! Keys that an app publishes at an address of its own (`jwks_uri`).

use serde_json::{Value, json};

use super::{claims, client, present, refused};
use crate::support::{
    app::{Answer, TestApp, breathe},
    fake_upstream::{Algorithm, Endpoint, FakeUpstream, Fault},
};

/// An app that publishes its keys; what a provider does is all that it takes.
async fn start() -> (TestApp, FakeUpstream) {
    let publisher = FakeUpstream::start_with(Algorithm::Es256).await;
    let lines = format!(
        "token_endpoint_auth_method = \"private_key_jwt\"\njwks_uri = {:?}",
        publisher.url(Endpoint::Jwks)
    );
    let app = TestApp::builder().config(&client("signer", &lines)).start().await;
    (app, publisher)
}

async fn asks(app: &TestApp, publisher: &FakeUpstream) -> Answer {
    present(app, &publisher.sign("JWT", &claims(app, "signer"))).await
}

/// RFC 7591 §2: they are fetched when they are needed, and then kept; a new key is found, and one that is
/// gone is gone within the hour.
#[tokio::test(flavor = "multi_thread")]
async fn published_keys_are_fetched_and_kept() {
    let (app, publisher) = start().await;
    assert_eq!(publisher.count(Endpoint::Jwks), 0);
    for _ in 0..5 {
        assert_eq!(asks(&app, &publisher).await.status, 200);
    }
    assert_eq!(publisher.count(Endpoint::Jwks), 1);
    let old = publisher.signing_key();
    publisher.replace_keys();
    assert_eq!(asks(&app, &publisher).await.status, 200);
    assert_eq!(publisher.count(Endpoint::Jwks), 2);
    let header = json!({"alg": "ES256", "kid": old.kid()});
    let gone = super::compact(&header, &claims(&app, "signer"), |input| old.sign(input));
    refused(&app, &gone, "the signature is not that of the client").await;
}

/// One asks for all that come at once.
#[tokio::test(flavor = "multi_thread")]
async fn keys_are_fetched_once_for_all_that_wait() {
    let (app, publisher) = start().await;
    publisher.misbehave(|lies| {
        lies.fault(Endpoint::Jwks, Fault::Delay(std::time::Duration::from_millis(100)));
    });
    // A crowd may be told to come back.
    let patiently = async || loop {
        let answer = asks(&app, &publisher).await;
        if answer.status != 503 {
            return answer.status.as_u16();
        }
        breathe().await;
    };
    let statuses = futures_util::future::join_all((0..20).map(|_| patiently())).await;
    assert_eq!(statuses, [200; 20]);
    assert_eq!(publisher.count(Endpoint::Jwks), 1);
}

/// JW-06: any number of unknown names costs two looks a minute, and a real rotation is found.
#[tokio::test(flavor = "multi_thread")]
async fn unknown_names_do_not_make_us_ask() {
    let (app, publisher) = start().await;
    assert_eq!(asks(&app, &publisher).await.status, 200);
    publisher.clear_requests();
    let stranger = super::Key::new("ES256");
    for number in 0..60 {
        app.clock.advance(1);
        let header = json!({"alg": "ES256", "kid": format!("invented-{number}")});
        let forged = stranger.jwt_with(&header, &claims(&app, "signer"));
        // After thirty in a minute it is told to wait.
        let status = present(&app, &forged).await.status.as_u16();
        assert!([401, 429].contains(&status), "{status}");
    }
    let looks = publisher.count(Endpoint::Jwks);
    assert!((1..=3).contains(&looks), "{looks} looks");
    publisher.replace_keys();
    app.clock.advance(30);
    assert_eq!(asks(&app, &publisher).await.status, 200);
}

/// JW-12: what could not be good in any case has nothing fetched.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_fetched_for_what_is_wrong_anyway() {
    let (app, publisher) = start().await;
    let good = claims(&app, "signer");
    for (name, value) in
        [("aud", json!("x")), ("exp", json!(1)), ("jti", Value::Null), ("iss", json!("web"))]
    {
        let mut claims = good.clone();
        claims[name] = value;
        present(&app, &publisher.sign("JWT", &claims)).await.assert_error(401, "invalid_client");
    }
    present(&app, &publisher.sign("at+jwt", &good)).await.assert_error(401, "invalid_client");
    assert_eq!(publisher.count(Endpoint::Jwks), 0);
}

/// SF-03, SF-04, SF-08, JW-09: whatever the address answers, the app is refused and told nothing about
/// it; the trail says more. An address that has failed is left alone for a while.
#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_answers_badly_is_a_refusal() {
    let elsewhere = FakeUpstream::start_with(Algorithm::Es256).await;
    let text = |status, body: &'static str| Fault::Answer {
        status,
        content_type: "application/json".to_owned(),
        body: body.into(),
    };
    let faults = [
        (Fault::Status(500), "status 500"),
        (Fault::Status(404), "status 404"),
        (Fault::Drop, "upstream_unreachable"),
        (Fault::Redirect(302, elsewhere.url(Endpoint::Jwks)), "status 302"),
        (Fault::Redirect(307, elsewhere.url(Endpoint::Jwks)), "status 307"),
        (Fault::Padded(300 * 1_024), "larger than"),
        (Fault::GzipBomb, ""),
        (text(200, "<html>"), "not a JSON object"),
        (text(200, "{\"keys\":{}}"), "no list of keys"),
        (text(200, "{\"keys\":[]}"), "lists no key"),
        (text(200, "{\"keys\":[{\"kty\":\"oct\",\"k\":\"AAAA\"}]}"), "no key that is fit"),
    ];
    for (fault, why) in faults {
        let (app, publisher) = start().await;
        publisher.misbehave(|lies| lies.fault(Endpoint::Jwks, fault));
        refused(&app, &publisher.sign("JWT", &claims(&app, "signer")), why).await;
        refused(&app, &publisher.sign("JWT", &claims(&app, "signer")), why).await;
        assert_eq!(publisher.count(Endpoint::Jwks), 1, "{why}");
        publisher.behave();
        app.clock.advance(10);
        assert_eq!(asks(&app, &publisher).await.status, 200, "{why}");
    }
    assert_eq!(elsewhere.requests().len(), 0);
}

/// FT-33: who has a copy goes on with it for a day while the address is away.
#[tokio::test(flavor = "multi_thread")]
async fn a_copy_outlives_the_address() {
    let (app, publisher) = start().await;
    assert_eq!(asks(&app, &publisher).await.status, 200);
    publisher.misbehave(|lies| lies.fault(Endpoint::Jwks, Fault::Status(503)));
    app.clock.advance(2 * 3_600);
    assert_eq!(asks(&app, &publisher).await.status, 200);
    app.clock.advance(23 * 3_600);
    assert_eq!(asks(&app, &publisher).await.status, 401);
}

/// FT-33, FT-36: a look for a newer key that fails costs nobody anything later.
#[tokio::test(flavor = "multi_thread")]
async fn a_look_that_fails_is_forgotten() {
    let (app, publisher) = start().await;
    assert_eq!(asks(&app, &publisher).await.status, 200);
    publisher.misbehave(|lies| lies.fault(Endpoint::Jwks, Fault::Status(503)));
    let stranger = super::Key::new("ES256");
    let header = json!({"alg": "ES256", "kid": "invented"});
    let forged = stranger.jwt_with(&header, &claims(&app, "signer"));
    present(&app, &forged).await.assert_error(401, "invalid_client");
    publisher.behave();
    publisher.clear_requests();
    app.clock.advance(2 * 3_600);
    assert_eq!(asks(&app, &publisher).await.status, 200);
    assert_eq!(publisher.count(Endpoint::Jwks), 1);
}
