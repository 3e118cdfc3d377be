//! ID tokens that come back as hints, at the authorization endpoint and at sign-out.

use keywright::keys::TokenType;
use serde_json::json;

use super::{
    SignedIn, app_with_bob,
    forge::{hmac, jws, lures, public_forms, public_jwk, sign_as_us},
    read,
};
use crate::support::{
    app::TestApp,
    browser::Browser,
    fake_upstream::{Endpoint, FakeUpstream},
    journey::{STATE, authorize_path, code_by_session},
};

/// Hints that are no ID token of ours.
async fn bad_hints(app: &TestApp, bob: &SignedIn, evil: &FakeUpstream) -> Vec<(String, String)> {
    let (header, claims) = read(&bob.id_token);
    let (front, _) = bob.id_token.rsplit_once('.').unwrap();
    let key = evil.signing_key();
    let mut hints = vec![
        ("no signature".to_owned(), format!("{front}.")),
        ("junk".to_owned(), "junk".to_owned()),
        ("an access token".to_owned(), bob.access_token.clone()),
        ("a refresh token".to_owned(), bob.refresh_token.clone()),
        ("an ID token of an upstream".to_owned(), evil.sign("JWT", &json!(claims))),
        ("one character less".to_owned(), bob.id_token[..bob.id_token.len() - 1].to_owned()),
        ("one character more".to_owned(), format!("{}A", bob.id_token)),
    ];
    for alg in ["none", "None", ""] {
        let header = json!({"alg": alg, "typ": "JWT", "kid": header["kid"]});
        hints.push((format!("alg {alg}"), jws(&header, &json!(claims), |_| Vec::new())));
    }
    for secret in public_forms(&public_jwk(app, header["kid"].as_str().unwrap()).await) {
        let header = json!({"alg": "HS256", "typ": "JWT", "kid": header["kid"]});
        let token = jws(&header, &json!(claims), |input| hmac(&secret, input));
        hints.push(("HS256".to_owned(), token));
    }
    for header in lures(&header, &key, &evil.url(Endpoint::Jwks)) {
        hints.push((header.to_string(), jws(&header, &json!(claims), |input| key.sign(input))));
    }
    for issuer in ["https://id.test/", "https://evil.test", ""] {
        let mut claims = claims.clone();
        claims.insert("iss".to_owned(), json!(issuer));
        hints.push((format!("iss {issuer}"), sign_as_us(app, TokenType::Id, &claims)));
    }
    hints
}

/// JW-01 to JW-05, JW-16, JW-17: the app is told that its hint is wrong, and gets no code.
#[tokio::test(flavor = "multi_thread")]
async fn a_forged_hint_at_the_authorization_endpoint_is_refused() {
    let (app, mut bob) = app_with_bob().await;
    let evil = FakeUpstream::start().await;
    for (name, hint) in bad_hints(&app, &bob, &evil).await {
        let path = authorize_path("web", &[("id_token_hint", &hint), ("prompt", "none")]);
        let journey = bob.browser.visit(&path).await;
        assert!(journey.landing().as_str().starts_with("https://web.test/cb?"), "{name}");
        assert_eq!(journey.param("error").as_deref(), Some("invalid_request"), "{name}");
        assert_eq!(journey.param("state").as_deref(), Some(STATE), "{name}");
        assert_eq!(journey.param("iss").as_deref(), Some("https://id.test"), "{name}");
        assert_eq!(journey.param("code"), None, "{name}");
    }
    assert_eq!(evil.requests().len(), 0);
    let good = [("id_token_hint", bob.id_token.as_str()), ("prompt", "none")];
    code_by_session(&mut bob.browser, "web", &good).await;
    // A hint may be old; it proves nothing about the present.
    app.clock.advance(3_600);
    code_by_session(&mut bob.browser, "web", &good).await;
}

async fn is_signed_in(browser: &mut Browser) -> bool {
    let journey = browser.visit(&authorize_path("web", &[("prompt", "none")])).await;
    journey.param("code").is_some()
}

/// JW-17: a forged hint ends no session and leads nowhere; a good one does both.
#[tokio::test(flavor = "multi_thread")]
async fn a_forged_hint_at_sign_out_ends_nothing() {
    let (app, mut bob) = app_with_bob().await;
    let evil = FakeUpstream::start().await;
    let logout = |hint: &str| {
        let mut url = url::Url::parse("https://id.test/logout").unwrap();
        url.query_pairs_mut()
            .append_pair("id_token_hint", hint)
            .append_pair("post_logout_redirect_uri", "https://web.test/bye");
        url.to_string()
    };
    for (name, hint) in bad_hints(&app, &bob, &evil).await {
        let page = bob.browser.get(&logout(&hint)).await;
        assert_eq!((page.status, page.location()), (200, None), "{name}");
        assert!(is_signed_in(&mut bob.browser).await, "{name}");
    }
    assert_eq!(evil.requests().len(), 0);
    let page = bob.browser.get(&logout(&bob.id_token)).await;
    assert_eq!(page.location().unwrap().as_str(), "https://web.test/bye");
    assert!(!is_signed_in(&mut bob.browser).await);
}
