//! Keys that change: nobody notices, or, in an emergency, everybody does at once.

use std::collections::BTreeMap;

use keywright::{foundation::ids::KeyId, keys::TokenType, protocol::jwa::SigningAlgorithm};
use serde_json::{Value, json};

use super::{app_with_bob, forge::is_signed_by, keys::max_age, opens_nothing, read, userinfo};
use crate::support::{
    app::TestApp,
    journey::{authorize_path, code_by_session, is_active, redeem, refresh},
};

async fn published(app: &TestApp) -> (BTreeMap<String, Value>, i64) {
    let answer = app.get("/.well-known/jwks.json", None).await;
    let keys = answer.json()["keys"].as_array().unwrap().clone();
    let named = keys.into_iter().map(|key| (key["kid"].as_str().unwrap().to_owned(), key));
    (named.collect(), max_age(&answer))
}

/// JW-21: an app that keeps the JWKS for as long as it may verifies every token at its first
/// attempt, for all of its life, through a rotation; and keys are published well before they sign.
#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_is_noticed_by_nobody() {
    let app = TestApp::builder().config("[keys]\npublish_lead = \"15m\"").start().await;
    let alg = SigningAlgorithm::Es256;
    let life = 15 * 60;
    let (mut kept, mut age) = published(&app).await;
    let mut kept_at = app.clock.unix();
    let mut first_seen: BTreeMap<String, i64> =
        kept.keys().map(|kid| (kid.clone(), i64::MIN / 2)).collect();
    let mut signed_with = Vec::new();
    let mut alive: Vec<(String, i64)> = Vec::new();
    let rotation = app.app.keys.rotation();
    for minute in 0..120 {
        if minute == 5 {
            let made = rotation.rotate(&app.app.store, alg, app.app.now()).await.unwrap();
            assert!(made.is_some());
        }
        app.app.keys.tend(&app.app.store, app.app.now()).await.unwrap();
        let now = app.clock.unix();
        if now - kept_at >= age {
            (kept, age) = published(&app).await;
            kept_at = now;
            assert!(age <= 300);
        }
        for kid in published(&app).await.0.into_keys() {
            first_seen.entry(kid).or_insert(now);
        }
        let claims = json!({"n": minute});
        let token = app.app.keys.sign(alg, TokenType::Access, &claims, app.app.now()).unwrap();
        let kid = read(&token).0["kid"].as_str().unwrap().to_owned();
        if signed_with.last() != Some(&kid) {
            assert!(now - first_seen[&kid] >= 300 + 300, "published long before it signs");
            signed_with.push(kid);
        }
        alive.push((token, now + life));
        alive.retain(|(_, until)| *until > now);
        for (token, _) in &alive {
            let kid = read(token).0["kid"].as_str().unwrap().to_owned();
            let key = kept.get(&kid).unwrap_or_else(|| panic!("{kid} unknown in minute {minute}"));
            assert!(is_signed_by(token, key));
        }
        app.clock.advance(60);
    }
    assert_eq!(signed_with.len(), 2, "one rotation");
    let (now_published, _) = published(&app).await;
    assert!(!now_published.contains_key(&signed_with[0]), "the old key has left");
    assert!(now_published.contains_key(&signed_with[1]));
}

/// JW-22: a key is thrown away: it leaves the JWKS at once, tokens of it open nothing, sessions and
/// refresh tokens live on, and another key signs at once.
#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_thrown_away_is_worth_nothing_at_once() {
    let (app, mut bob) = app_with_bob().await;
    assert_eq!(userinfo(&app, &bob.access_token).await.status, 200, "and it is remembered as good");
    let ids = [&bob.access_token, &bob.id_token].map(|token| read(token).0["kid"].clone());
    let rotation = app.app.keys.rotation();
    for kid in &ids {
        let kid = KeyId::new(kid.as_str().unwrap());
        let dropped = rotation.drop_key(&app.app.store, &kid, app.app.now()).await.unwrap();
        assert!(dropped.is_some_and(|next| next != kid));
        let again = rotation.drop_key(&app.app.store, &kid, app.app.now()).await.unwrap();
        assert!(again.is_none(), "it is gone already");
    }
    app.app.keys.refresh(&app.app.store, app.app.now()).await.unwrap();

    let (keys, _) = published(&app).await;
    assert!(ids.iter().all(|kid| !keys.contains_key(kid.as_str().unwrap())));
    opens_nothing(&app, &bob.access_token).await.unwrap();
    let path = authorize_path("web", &[("id_token_hint", &bob.id_token), ("prompt", "none")]);
    let error = bob.browser.visit(&path).await.param("error");
    assert_eq!(error.as_deref(), Some("invalid_request"));

    let code = code_by_session(&mut bob.browser, "web", &[]).await;
    for tokens in [redeem(&app, "web", &code).await, refresh(&app, "web", &bob.refresh_token).await]
    {
        assert_eq!(tokens.status, 200, "{tokens:?}");
        for name in ["access_token", "id_token"] {
            let token = tokens.text(name);
            let kid = read(&token).0["kid"].clone();
            assert!(!ids.contains(&kid));
            assert!(is_signed_by(&token, &keys[kid.as_str().unwrap()]));
        }
        assert!(is_active(&app, "web", &tokens.text("access_token")).await);
    }
}

/// JW-22: throwing away a key that nobody has changes nothing.
#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_key_cannot_be_thrown_away() {
    let app = TestApp::start().await;
    let before = published(&app).await.0;
    for kid in ["", "unknown", "' OR 1=1--"] {
        let id = KeyId::new(kid);
        let dropped = app.app.keys.rotation().drop_key(&app.app.store, &id, app.app.now()).await;
        assert!(dropped.unwrap().is_none());
    }
    app.app.keys.refresh(&app.app.store, app.app.now()).await.unwrap();
    assert_eq!(published(&app).await.0, before);
}
