//! RFC 9126: what a sign-in asks is pushed to an upstream that offers that, and the browser carries its
//! name only.

use serde_json::{Value, json};

use super::{Witness, gets_in, is_refusal_page, sign_in_at};
use crate::support::{
    app::TestApp,
    fake_upstream::{CLIENT_ID, CLIENT_SECRET, ClientAuth, Endpoint, FakeUpstream, Fault},
    journey::authorize_path,
};

const LONG: &str = "authorization_params = { audience = \"a b&c\" }";

async fn start(required: bool, settings: &str) -> (TestApp, FakeUpstream) {
    let upstream = FakeUpstream::start().await;
    upstream.offer_pushed_requests(required);
    let app = TestApp::builder().upstream("kc", &upstream, settings).start().await;
    (app, upstream)
}

/// RFC 9126 §2.1, §4: everything travels in the push, and nothing but its name through the browser.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_sign_in_asks_is_pushed() {
    for required in [false, true] {
        let (app, upstream) = start(required, LONG).await;
        gets_in(&app, "kc").await.unwrap();
        let pushed = upstream.requests_to(Endpoint::PushedRequests);
        let [pushed] = pushed.as_slice() else { panic!("{pushed:?}") };
        assert_eq!((pushed.method.as_str(), pushed.query.len()), ("POST", 0));
        assert!(pushed.header("authorization").unwrap().starts_with("Basic "));
        for (name, value) in [
            ("response_type", "code"),
            ("client_id", CLIENT_ID),
            ("redirect_uri", "https://id.test/upstream/kc/callback"),
            ("scope", "openid profile email"),
            ("code_challenge_method", "S256"),
            ("audience", "a b&c"),
        ] {
            assert_eq!(pushed.param(name), Some(value), "{name}");
        }
        for name in ["state", "nonce", "code_challenge"] {
            assert!(pushed.param(name).is_some_and(|value| value.len() >= 32), "{name}");
        }
        for (name, _) in &pushed.form {
            let count = pushed.form.iter().filter(|(own, _)| own == name).count();
            assert_eq!(count, 1, "{name} stands {count} times");
        }
        let sent = &upstream.requests_to(Endpoint::Authorize)[0];
        let names: Vec<&str> = sent.query.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["client_id", "request_uri"]);
    }
}

/// RFC 9126 §2: who we are is proved as at the token endpoint.
#[tokio::test(flavor = "multi_thread")]
async fn a_push_proves_who_we_are() {
    let (app, upstream) = start(false, "client_auth = \"post\"").await;
    gets_in(&app, "kc").await.unwrap();
    let pushed = upstream.requests_to(Endpoint::PushedRequests).pop().unwrap();
    assert_eq!(pushed.param("client_secret"), Some(CLIENT_SECRET));
    assert_eq!(pushed.header("authorization"), None);

    let upstream = FakeUpstream::start().await;
    upstream.offer_pushed_requests(true);
    upstream.set_client_auth(ClientAuth::Unchecked);
    let pair = josekit::jwk::alg::ec::EcKeyPair::generate(josekit::jwk::alg::ec::EcCurve::P256);
    let pem = josekit::jwk::KeyPair::to_pem_private_key(&pair.unwrap());
    let lines = format!(
        "issuer = {:?}\nclient_auth = \"private_key_jwt\"\nclient_key = \"\"\"{}\"\"\"",
        upstream.issuer(),
        String::from_utf8(pem).unwrap(),
    );
    let app = TestApp::builder().preset("kc", &upstream, &lines).start().await;
    gets_in(&app, "kc").await.unwrap();
    let pushed = upstream.requests_to(Endpoint::PushedRequests).pop().unwrap();
    let assertion = pushed.param("client_assertion").unwrap();
    let (_, claims) = keywright::keys::parse_unverified(assertion).unwrap();
    assert_eq!(claims["aud"], json!(upstream.url(Endpoint::Token)));
    let redeemed = upstream.requests_to(Endpoint::Token).pop().unwrap();
    assert_ne!(redeemed.param("client_assertion"), Some(assertion), "once each");
}

/// `never` leaves what is offered; where nothing is offered nothing is pushed.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_pushed_where_that_is_not_wanted() {
    let (app, upstream) = start(false, "par = \"never\"").await;
    gets_in(&app, "kc").await.unwrap();
    assert_eq!(upstream.count(Endpoint::PushedRequests), 0);
    let upstream = FakeUpstream::start().await;
    let app = TestApp::builder().upstream("kc", &upstream, "").start().await;
    gets_in(&app, "kc").await.unwrap();
    assert_eq!(upstream.count(Endpoint::PushedRequests), 0);
}

/// Nobody was sent away: a page with this reason, and nothing has changed.
async fn assert_stays(app: &TestApp, upstream: &FakeUpstream, reason: &str) {
    let witness = Witness::of(app).await;
    let page = app.browser().get(&authorize_path("web", &[])).await;
    let event = witness.only_refusal().await.unwrap();
    assert_eq!(event.reason.as_deref(), Some(reason), "{}", event.detail);
    is_refusal_page(&page, 503, &event).unwrap();
    assert_eq!(upstream.count(Endpoint::Authorize), 0);
    for secret in [CLIENT_SECRET, "code_challenge"] {
        assert!(!event.detail.contains(secret), "{}", event.detail);
    }
}

/// While it cannot be pushed, a request goes through the browser as ever; unless the upstream takes no
/// other, or the administrator wants no other.
#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_is_away_is_done_without() {
    let faults = [
        (Fault::Status(503), "upstream_par_failed"),
        (Fault::Status(404), "upstream_par_failed"),
        (Fault::Drop, "upstream_unreachable"),
        (Fault::oauth_error(400, "unauthorized_client"), "upstream_par_not_for_us"),
    ];
    for (fault, reason) in faults {
        let (app, upstream) = start(false, "").await;
        upstream.misbehave(|lies| lies.fault(Endpoint::PushedRequests, fault.clone()));
        gets_in(&app, "kc").await.unwrap_or_else(|what| panic!("{fault:?}: {what}"));
        let sent = &upstream.requests_to(Endpoint::Authorize)[0];
        assert!(sent.param("request_uri").is_none() && sent.param("state").is_some());

        for (required, settings) in [(true, ""), (false, "par = \"always\"")] {
            let (app, upstream) = start(required, settings).await;
            upstream.misbehave(|lies| lies.fault(Endpoint::PushedRequests, fault.clone()));
            assert_stays(&app, &upstream, reason).await;
        }
    }
}

/// A request that was refused is not tried through the browser: it would be refused there, or worse.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_was_refused_stays_refused() {
    for fault in [
        Fault::oauth_error(400, "invalid_request"),
        Fault::oauth_error(401, "invalid_client"),
        Fault::Status(403),
        Fault::Redirect(302, "https://evil.test/".to_owned()),
    ] {
        let (app, upstream) = start(false, "").await;
        upstream.misbehave(|lies| lies.fault(Endpoint::PushedRequests, fault.clone()));
        assert_stays(&app, &upstream, "upstream_par_refused").await;
    }
}

/// RFC 9126 §2.2: an answer without a good name and a life is none.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_names_nothing_is_refused() {
    let names: [(&str, Value); 8] = [
        ("request_uri", json!(null)),
        ("request_uri", json!("")),
        ("request_uri", json!(7)),
        ("request_uri", json!("urn:a b")),
        ("request_uri", json!("urn:\r\nlocation: https://evil.test")),
        ("request_uri", json!("u".repeat(513))),
        ("expires_in", json!(0)),
        ("expires_in", json!("60")),
    ];
    for (name, value) in names {
        let (app, upstream) = start(false, "").await;
        upstream.misbehave(|lies| {
            lies.pushed_request.set(name, value);
        });
        assert_stays(&app, &upstream, "upstream_par_malformed").await;
    }
    for fault in [Fault::html(), Fault::json_array(), Fault::invalid_json()] {
        let (app, upstream) = start(false, "").await;
        upstream.misbehave(|lies| lies.fault(Endpoint::PushedRequests, fault));
        assert_stays(&app, &upstream, "upstream_par_malformed").await;
    }
}

/// `always` and an upstream that does not offer it: nobody is sent there unprotected.
#[tokio::test(flavor = "multi_thread")]
async fn always_means_always() {
    let upstream = FakeUpstream::start().await;
    let app = TestApp::builder().upstream("kc", &upstream, "par = \"always\"").start().await;
    assert_stays(&app, &upstream, "upstream_par_missing").await;
}

/// UP-06: an endpoint for pushed requests at another upstream's address, or without TLS, is none.
#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_elsewhere_is_refused() {
    let (kc, eve) = (FakeUpstream::start().await, FakeUpstream::start().await);
    for (address, reason) in [
        (kc.url(Endpoint::PushedRequests), "upstream_mix_up"),
        ("http://other.test/par".to_owned(), "upstream_endpoint_insecure"),
    ] {
        eve.misbehave(|lies| {
            lies.metadata.set("pushed_authorization_request_endpoint", address);
        });
        let app =
            TestApp::builder().upstream("kc", &kc, "").upstream("eve", &eve, "").start().await;
        let journey = sign_in_at(&mut app.browser(), "eve").await;
        assert_eq!(journey.last().status, 503);
        assert_eq!(app.refusals("sign_in").await, [reason]);
        assert_eq!(kc.count(Endpoint::PushedRequests), 0);
    }
}
