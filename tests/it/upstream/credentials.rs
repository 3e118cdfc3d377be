//! How we prove ourselves at a token endpoint, and what an authorization request carries.

use josekit::jwk::{
    Jwk, KeyPair as _,
    alg::{
        ec::{EcCurve, EcKeyPair},
        rsa::RsaKeyPair,
    },
};
use keywright::{
    app::{Ambient, App},
    config::{self, Environment, Problems},
    keys::{ForeignKey, parse_unverified},
};
use serde_json::{Map, Value, json};

use super::{
    gets_in,
    presets::{Fixture, sign_in_by_form},
};
use crate::support::{
    app::TestApp,
    fake_upstream::{CLIENT_ID, ClientAuth, Endpoint, FakeUpstream, Recorded},
};

/// The claims of a JWT that this key has signed.
fn opened(token: &str, public: &Jwk, alg: &str) -> (Map<String, Value>, Map<String, Value>) {
    use base64::Engine as _;
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let signature = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(signature).unwrap();
    let key = ForeignKey::new(&serde_json::to_value(public).unwrap(), alg).unwrap();
    assert!(key.verifies(signed.as_bytes(), &signature));
    parse_unverified(token).unwrap()
}

fn carries_nothing_else(request: &Recorded) {
    assert_eq!(request.header("authorization"), None);
    assert_eq!(request.param("client_id"), Some(CLIENT_ID));
}

/// RFC 7523 §2.2, §3: an assertion for this token endpoint, once and for a short time.
#[tokio::test(flavor = "multi_thread")]
async fn private_key_jwt_is_signed_for_each_request() {
    let upstream = FakeUpstream::start().await;
    upstream.set_client_auth(ClientAuth::Unchecked);
    let pair = RsaKeyPair::generate(2_048).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("key.pem");
    std::fs::write(&file, pair.to_pem_private_key()).unwrap();
    let lines = format!(
        "issuer = {:?}\nclient_auth = \"private_key_jwt\"\nclient_key_file = {file:?}\nkey_id = \"k1\"",
        upstream.issuer()
    );
    let app = TestApp::builder().preset("kc", &upstream, &lines).start().await;
    gets_in(&app, "kc").await.unwrap();
    gets_in(&app, "kc").await.unwrap();
    let mut ids = Vec::new();
    for request in upstream.requests_to(Endpoint::Token) {
        carries_nothing_else(&request);
        let kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
        assert_eq!(request.param("client_assertion_type"), Some(kind));
        assert_eq!(request.param("client_secret"), None);
        let assertion = request.param("client_assertion").unwrap();
        let (header, claims) = opened(assertion, &pair.to_jwk_public_key(), "RS256");
        assert_eq!(header["kid"], "k1");
        assert_eq!((&claims["iss"], &claims["sub"]), (&json!(CLIENT_ID), &json!(CLIENT_ID)));
        assert_eq!(claims["aud"], json!(upstream.url(Endpoint::Token)));
        let life = claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap();
        assert!((1..=300).contains(&life), "{claims:?}");
        assert_eq!(claims["iat"], json!(app.clock.unix()));
        ids.push(claims["jti"].clone());
    }
    assert_eq!(ids.len(), 2);
    assert_ne!(ids[0], ids[1]);
}

/// A public client says who it is, and PKCE is its proof.
#[tokio::test(flavor = "multi_thread")]
async fn a_public_client_has_no_secret() {
    let upstream = FakeUpstream::start().await;
    upstream.set_client_auth(ClientAuth::Unchecked);
    let lines = format!("issuer = {:?}\nclient_auth = \"none\"", upstream.issuer());
    let app = TestApp::builder().preset("kc", &upstream, &lines).start().await;
    gets_in(&app, "kc").await.unwrap();
    let request = &upstream.requests_to(Endpoint::Token)[0];
    carries_nothing_else(request);
    assert_eq!(request.param("client_secret"), None);
    assert!(request.param("code_verifier").is_some());
}

/// Apple's secret: signed by the team with ES256, and never about to end.
#[tokio::test(flavor = "multi_thread")]
async fn the_signed_secret_is_always_fresh() {
    let fixture = Fixture::read("apple");
    let upstream = fixture.provider().await;
    let pair = EcKeyPair::generate(EcCurve::P256).unwrap();
    let pem = String::from_utf8(pair.to_pem_private_key()).unwrap();
    let lines = format!(
        "preset = \"apple\"\nissuer = {:?}\nteam_id = \"TEAM123456\"\nkey_id = \"KEY1234567\"\n\
         client_key = '''{pem}'''",
        upstream.issuer()
    );
    let app = TestApp::builder().preset("up", &upstream, &lines).start().await;
    for _ in 0..2 {
        assert!(sign_in_by_form(&mut app.browser()).await.stopped_at.is_some());
        let requests = upstream.requests_to(Endpoint::Token);
        let request = requests.last().unwrap();
        carries_nothing_else(request);
        let secret = request.param("client_secret").unwrap();
        let (header, claims) = opened(secret, &pair.to_jwk_public_key(), "ES256");
        assert_eq!((&header["alg"], &header["kid"]), (&json!("ES256"), &json!("KEY1234567")));
        assert_eq!((&claims["iss"], &claims["sub"]), (&json!("TEAM123456"), &json!(CLIENT_ID)));
        assert_eq!(claims["aud"], json!(upstream.issuer()));
        assert!(claims["exp"].as_i64().unwrap() > app.clock.unix());
        // Half a year later, when a secret made by hand has ended.
        app.clock.advance(200 * 24 * 3_600);
    }
}

/// A key that cannot be used ends the start, with the setting's name and without the key.
#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_cannot_be_used_is_a_problem_of_the_configuration() {
    let text = "[[upstreams]]\nslug = \"kc\"\nname = \"K\"\nissuer = \"https://kc.test\"\n\
                client_id = \"c\"\nclient_auth = \"private_key_jwt\"\nclient_key = \"s3cret-key\"";
    let folder = tempfile::tempdir().unwrap();
    let place = format!("[database]\nurl = \"sqlite:{}/k.db\"\n{text}", folder.path().display());
    let config = config::parse(&place, &Environment::new()).unwrap();
    let error = App::start(config, Ambient::default()).await.map(|_| ()).unwrap_err();
    let said = error.downcast_ref::<Problems>().unwrap().to_string();
    assert!(said.contains("upstreams.kc.client_key") && !said.contains("s3cret"), "{said}");
}

/// More parameters go out; ours stay ours.
#[tokio::test(flavor = "multi_thread")]
async fn the_administrator_adds_parameters() {
    let upstream = FakeUpstream::start().await;
    let more = "authorization_params = { kc_idp_hint = \"ldap\", audience = \"a b&c\" }\n\
                acr_values = \"urn:mfa\"\nprompt = \"select_account\"";
    let app = TestApp::builder().upstream("kc", &upstream, more).start().await;
    gets_in(&app, "kc").await.unwrap();
    let request = &upstream.requests_to(Endpoint::Authorize)[0];
    let expected = [
        ("kc_idp_hint", "ldap"),
        ("audience", "a b&c"),
        ("acr_values", "urn:mfa"),
        ("prompt", "select_account"),
    ];
    for (name, value) in expected {
        assert_eq!(request.param(name), Some(value), "{name}");
    }
    for (name, _) in &request.query {
        let count = request.query.iter().filter(|(own, _)| own == name).count();
        assert_eq!(count, 1, "{name} stands {count} times");
    }
    // What the app's request wants goes first.
    let journey = app
        .browser()
        .visit(&crate::support::journey::authorize_path("web", &[("prompt", "login")]))
        .await;
    assert!(journey.stopped_at.is_some());
    assert_eq!(upstream.requests_to(Endpoint::Authorize)[1].param("prompt"), Some("login"));
}
