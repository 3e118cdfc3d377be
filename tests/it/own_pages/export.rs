//! Everything that is kept about somebody, for themselves.

use serde_json::Value;

use super::post;
use crate::{
    refresh::family::open_app,
    sessions::{SESSION, cookie, sign_in},
    support::{app::TestApp, fake_upstream::FakeUpstream},
};

/// All texts of a document.
fn texts(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::String(text) => found.push(text.clone()),
        Value::Array(items) => items.iter().for_each(|item| texts(item, found)),
        Value::Object(members) => members.iter().for_each(|(name, item)| {
            found.push(name.clone());
            texts(item, found);
        }),
        _ => {}
    }
}

/// PW-20: the whole of it, and no secret and no digest anywhere.
#[tokio::test(flavor = "multi_thread")]
async fn people_get_everything_about_them_and_no_secret() {
    let app = TestApp::start().await;
    let bob = app.add_user("bob", &["staff"]).await;
    app.add_user("mallory", &[]).await;
    sign_in(&mut app.browser(), "mallory").await;
    let mut browser = app.browser();
    let secret = sign_in(&mut browser, "bob").await;
    let tokens = open_app(&app, &mut browser, "web").await;
    let fields = [("name", "backup"), ("lifetime", "30d"), ("scope.openid", "yes")];
    let made = post(&mut browser, "/account/tokens", &fields).await.text();
    let (_, rest) = made.split_once("<pre id=\"token\" dir=\"ltr\">").unwrap();
    let token = rest.split('<').next().unwrap().to_owned();

    let page = post(&mut browser, "/account/export", &[]).await;
    assert_eq!(page.status, 200);
    assert_eq!(page.header("content-type"), Some("application/json"));
    assert_eq!(page.header("cache-control"), Some("no-store"));
    let as_file = page.header("content-disposition").unwrap();
    assert!(as_file.starts_with("attachment"), "{as_file}");
    let everything = page.json();
    assert_eq!(everything["account"]["id"], bob.id.as_str());
    assert_eq!(everything["account"]["email"], "bob@corp.test");
    assert_eq!(everything["account"]["has_password"], true);
    assert_eq!(everything["sessions"].as_array().unwrap().len(), 1);
    assert_eq!(everything["apps"][0]["client_id"], "web");
    assert_eq!(everything["personal_access_tokens"][0]["name"], "backup");
    let activity: Vec<&str> = everything["activity"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| event["action"].as_str().unwrap())
        .collect();
    for action in ["sign_in", "make_token", "export"] {
        assert!(activity.contains(&action), "{activity:?}");
    }

    let mut all = Vec::new();
    texts(&everything, &mut all);
    let hash = bob.password_hash.unwrap();
    let secrets = [secret, tokens.access, tokens.refresh, token, cookie(&browser, SESSION), hash];
    for text in &all {
        for secret in &secrets {
            assert!(!text.contains(secret.as_str()), "{text}");
        }
        for sign in ["$argon2", "kw_pat_", "kw_rt_", "kw_se_", "digest", "password_hash", "mallory"]
        {
            assert!(!text.contains(sign), "{sign} in {text}");
        }
    }
}

/// What an upstream said is told as it was kept: without what belongs to one sign-in.
#[tokio::test(flavor = "multi_thread")]
async fn claims_of_the_last_sign_in_are_told() {
    let upstream = FakeUpstream::start().await;
    upstream.set_person(serde_json::json!({
        "sub": "7", "preferred_username": "alice", "email": "alice@corp.test",
        "email_verified": true, "department": "vault keepers",
    }));
    let app = TestApp::builder().upstream("kc", &upstream, "").start().await;
    let mut browser = app.browser();
    browser.visit("/account").await;
    let told = post(&mut browser, "/account/export", &[]).await.json();
    let linked = &told["linked_sign_ins"][0];
    assert_eq!((linked["upstream"].as_str(), linked["subject"].as_str()), (Some("kc"), Some("7")));
    assert_eq!(linked["last_claims"]["department"], "vault keepers");
    for absent in ["nonce", "access_token", "at_hash"] {
        assert!(linked["last_claims"].get(absent).is_none(), "{absent}");
    }
}

/// SS-18: a session that was left open tells nothing.
#[tokio::test(flavor = "multi_thread")]
async fn an_old_proof_tells_nothing() {
    let app = TestApp::start().await;
    app.add_user("bob", &[]).await;
    let mut browser = app.browser();
    sign_in(&mut browser, "bob").await;
    app.clock.advance(301);
    let page = post(&mut browser, "/account/export", &[]).await;
    assert_eq!(page.status, 403);
    assert!(!page.text().contains("bob@corp.test"));
    assert_eq!(app.refusals("export").await, ["reauth_required"]);
    let events = app.events().await;
    assert!(!events.iter().any(|event| event.action == "export" && event.reason.is_none()));
}
