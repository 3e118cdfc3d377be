//! Hints: whom the app expects, and how it would like things. A hint never signs anybody in.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use super::{assert_all_sent_back, assert_sent_back, browser_of, refusals, start_with_people};
use crate::support::{
    app::{Answer, ISSUER, TestApp},
    fake_upstream::FakeUpstream,
    journey::{authorize_path, code_for, redeem, sign_in_on_page},
};

/// All tokens of a person, from a browser of their own.
async fn tokens_of(app: &TestApp, username: &str) -> Answer {
    let code = code_for(&mut app.browser(), "web", username, &[]).await;
    let answer = redeem(app, "web", &code).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer
}

fn subject(token: &str) -> Value {
    keywright::keys::parse_unverified(token).unwrap().1["sub"].clone()
}

/// AZ-26: `id_token_hint` names who has to be signed in.
#[tokio::test(flavor = "multi_thread")]
async fn only_the_expected_person_is_answered_for() {
    let app = start_with_people("").await;
    let (alice, bob) = (tokens_of(&app, "alice").await, tokens_of(&app, "bob").await);
    let hint = |answer: &Answer| answer.text("id_token");
    let mut browser = browser_of(&app, "alice").await;
    let silent = |hint: &str| authorize_path("web", &[("id_token_hint", hint), ("prompt", "none")]);
    let journey = browser.visit(&silent(&hint(&alice))).await;
    assert!(journey.param("code").is_some(), "{:?}", journey.hops());
    let paths = [silent(&hint(&bob))];
    assert_all_sent_back(&app, &mut browser, &paths, "login_required").await;

    // With pages allowed, the expected person may sign in, and nobody else.
    let path = authorize_path("web", &[("id_token_hint", &hint(&bob))]);
    let journey = browser.visit(&path).await;
    assert_eq!(journey.last().url.path(), "/login");
    let journey = sign_in_on_page(&mut browser, &journey, "alice").await;
    assert_sent_back(journey.last(), "web", "login_required");
    let journey = browser.visit(&path).await;
    let journey = sign_in_on_page(&mut browser, &journey, "bob").await;
    let answer = redeem(&app, "web", &journey.param("code").unwrap()).await;
    assert_eq!(subject(&answer.text("id_token")), subject(&hint(&bob)));
}

/// AZ-26: a hint proves nothing about the present, so it may be old.
#[tokio::test(flavor = "multi_thread")]
async fn an_expired_id_token_is_still_a_hint() {
    let app = start_with_people("").await;
    let hint = tokens_of(&app, "alice").await.text("id_token");
    app.clock.advance(2 * 86_400);
    let mut browser = browser_of(&app, "alice").await;
    let path = authorize_path("web", &[("id_token_hint", &hint), ("prompt", "none")]);
    let journey = browser.visit(&path).await;
    assert!(journey.param("code").is_some(), "{:?}", journey.hops());
}

fn unsigned(header: &Value, claims: &Value, signature: &str) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}.{signature}", part(header), part(claims))
}

/// AZ-26: what we did not sign as an ID token is refused, whatever it claims.
#[tokio::test(flavor = "multi_thread")]
async fn a_hint_that_is_no_id_token_of_ours_is_refused() {
    let app = start_with_people("").await;
    let answer = tokens_of(&app, "alice").await;
    let good = answer.text("id_token");
    let (header, claims) = keywright::keys::parse_unverified(&good).unwrap();
    let claims = Value::Object(claims);
    let kid = &header["kid"];
    let (signed, signature) = good.rsplit_once('.').unwrap();
    let upstream = FakeUpstream::start().await;
    let mut foreign = claims.clone();
    foreign["iss"] = json!(upstream.issuer());
    let mut other_sub = claims.clone();
    other_sub["sub"] = json!("019e0000-0000-7000-8000-000000000000");
    let hints = [
        "x".to_owned(),
        "a.b.c".to_owned(),
        unsigned(&json!({"alg": "none", "typ": "JWT"}), &claims, ""),
        unsigned(&json!({"alg": "None", "kid": kid}), &claims, ""),
        unsigned(&json!({"alg": "HS256", "kid": kid}), &claims, signature),
        unsigned(&json!({"alg": "RS256", "kid": kid}), &other_sub, signature),
        format!("{signed}."),
        signed.to_owned(),
        upstream.sign("JWT", &claims),
        upstream.sign("JWT", &foreign),
        answer.text("access_token"),
        answer.text("refresh_token"),
    ];
    let mut browser = browser_of(&app, "alice").await;
    let paths: Vec<String> =
        hints.iter().map(|hint| authorize_path("web", &[("id_token_hint", hint)])).collect();
    assert_all_sent_back(&app, &mut browser, &paths, "invalid_request").await;
    let silent: Vec<String> = hints
        .iter()
        .map(|hint| authorize_path("web", &[("id_token_hint", hint), ("prompt", "none")]))
        .collect();
    assert_all_sent_back(&app, &mut browser, &silent, "invalid_request").await;
}

/// AZ-26: `login_hint` fills the field, as text, and no more.
#[tokio::test(flavor = "multi_thread")]
async fn a_login_hint_fills_the_field_and_stays_text() {
    let app = start_with_people("").await;
    let mut browser = app.browser();
    for hint in
        ["alice", "\"><script>alert(1)</script>", "' onfocus='alert(1)", "\u{202e}\u{1f511}"]
    {
        let journey = browser.visit(&authorize_path("web", &[("login_hint", hint)])).await;
        let page = journey.last();
        let form = page.form_to("/login");
        assert_eq!(form.value("username"), Some(hint));
        assert_eq!(form.value("password"), Some(""));
        assert!(!page.text().contains("<script>alert") && !page.text().contains("onfocus='"));
    }
    // A hint that is too long is no hint.
    let path = authorize_path("web", &[("login_hint", &"a".repeat(2_000))]);
    let journey = browser.visit(&path).await;
    assert_eq!(journey.last().form_to("/login").value("username"), Some(""));
    // It does not choose among those who are signed in, either.
    let mut alice = browser_of(&app, "alice").await;
    let path = authorize_path("web", &[("login_hint", "bob"), ("prompt", "none")]);
    let journey = alice.visit(&path).await;
    let answer = redeem(&app, "web", &journey.param("code").unwrap()).await;
    let (_, claims) = keywright::keys::parse_unverified(&answer.text("id_token")).unwrap();
    assert_eq!(claims["preferred_username"], "alice");
    assert_eq!(refusals(&app, "sign_in", "wrong_password").await, 0);
}

/// OIDC Core §3.1.2.1: wishes that we cannot fulfil are no errors, and unknown parameters are
/// ignored (RFC 6749 §3.1).
#[tokio::test(flavor = "multi_thread")]
async fn wishes_and_unknown_parameters_are_accepted() {
    let app = start_with_people("").await;
    let mut browser = browser_of(&app, "alice").await;
    for wish in [
        ("ui_locales", "fr-CA fr en"),
        ("ui_locales", "\"><script>alert(1)</script>"),
        ("claims_locales", "de"),
        ("acr_values", "urn:mace:incommon:iap:silver"),
        ("display", "popup"),
        ("claims", "{\"id_token\":{\"email\":null}}"),
        ("vendor_parameter", "x"),
    ] {
        let journey = browser.visit(&authorize_path("web", &[wish])).await;
        let answer = redeem(&app, "web", &journey.param("code").unwrap()).await;
        assert_eq!(answer.status, 200, "{wish:?}");
        let (_, claims) = keywright::keys::parse_unverified(&answer.text("id_token")).unwrap();
        // OIDC Core §3.1.2.1: `acr` is what was reached, never what was wished for.
        assert_eq!(claims["acr"], "sfa", "{claims:?}");
    }
    let mut stranger = app.browser();
    let path = authorize_path("web", &[("ui_locales", "\"><script>alert(1)</script>")]);
    let journey = stranger.visit(&path).await;
    assert!(!journey.last().text().contains("<script>alert"));
    assert_eq!(journey.last().url.origin().ascii_serialization(), ISSUER);
}
