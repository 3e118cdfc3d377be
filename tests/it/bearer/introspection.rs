//! Introspection: for whom a token is alive, and when it is dead.

use std::sync::Arc;

use keywright::{
    foundation::{ids::KeyId, opaque::OpaqueKind},
    keys::parse_unverified,
};
use serde_json::{Value, json};

use crate::{
    refresh::{
        family::{Tokens, sign_in, sign_in_with},
        outside::{deployment, execute, user_verb},
    },
    support::{
        app::{Answer, TestApp},
        journey::{NONCE, code_for},
    },
};

const API: &str = r#"
[[clients]]
id = "api1"
name = "The API"
secret = "api1-secret-0123456789"
grant_types = ["client_credentials"]

[[clients]]
id = "front"
name = "The front of the API"
secret = "front-secret-0123456789"
redirect_uris = ["https://web.test/cb"]
audience = "api1"
"#;

async fn ask_about(app: &TestApp, client: &str, token: &str) -> Answer {
    let answer = app.post_as(client, "/introspect", &[("token", token)]).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer
}

/// IN-01: whoever asks proves who they are; who cannot, may not.
#[tokio::test(flavor = "multi_thread")]
async fn only_clients_with_a_secret_may_introspect() {
    let app = TestApp::start().await;
    app.add_user("bob", &[]).await;
    let (web, spa) = (sign_in(&app, "web", "bob").await, sign_in(&app, "spa", "bob").await);
    let token = ("token", web.access.as_str());
    let refused: [&[(&str, &str)]; 6] = [
        &[token],
        &[token, ("client_id", "web")],
        &[token, ("client_id", "web"), ("client_secret", "wrong")],
        &[token, ("client_id", "spa")],
        &[("token", &spa.access), ("client_id", "spa")],
        &[("token", &spa.refresh), ("client_id", "native")],
    ];
    for form in refused {
        app.post("/introspect", form, &[]).await.assert_error(401, "invalid_client");
    }
    // A token is no proof of who asks.
    let answer = app.post("/introspect", &[token], &[("authorization", &web.bearer())]).await;
    answer.assert_error(401, "invalid_client");
    let events = app.events().await;
    let refused = events.iter().filter(|event| event.reason.as_deref() == Some("invalid_client"));
    assert_eq!(refused.count(), 7, "one for each");
    app.post_as("web", "/introspect", &[]).await.assert_error(400, "invalid_request");
}

/// IN-02: for whom a token is not, there is no such token, to the byte.
#[tokio::test(flavor = "multi_thread")]
async fn a_token_for_others_looks_like_none() {
    let app = TestApp::builder().config(API).start().await;
    app.add_user("bob", &[]).await;
    let redirect = [("redirect_uri", "https://web.test/cb")];
    let code = code_for(&mut app.browser(), "front", "bob", &redirect).await;
    let form = [
        ("grant_type", "authorization_code"),
        ("code", code.as_str()),
        ("redirect_uri", "https://web.test/cb"),
        ("code_verifier", crate::support::journey::VERIFIER),
    ];
    let tokens = Tokens::of("front", &app.post_as("front", "/token", &form).await);
    let form = [("grant_type", "client_credentials")];
    let own = app.post_as("m2m", "/token", &form).await.text("access_token");

    let unknown = ask_about(&app, "evil", "unknown").await;
    assert_eq!(&unknown.body[..], br#"{"active":false}"#);
    for token in [&tokens.access, &tokens.refresh, &own] {
        for stranger in ["evil", "web", "members"] {
            let answer = ask_about(&app, stranger, token).await;
            assert_eq!(answer.body, unknown.body, "{stranger}");
            assert_eq!(answer.headers, unknown.headers, "{stranger}");
        }
    }
    // The client that has it, and the API that it is for.
    for client in ["front", "api1"] {
        let seen = ask_about(&app, client, &tokens.access).await.json();
        assert_eq!((&seen["active"], &seen["aud"]), (&json!(true), &json!("api1")));
    }
    // A refresh token is for the client alone.
    assert_eq!(ask_about(&app, "front", &tokens.refresh).await.json()["active"], true);
    assert_eq!(ask_about(&app, "api1", &tokens.refresh).await.body, unknown.body);
}

/// IN-02: what is told about a living token is what stands in it.
#[tokio::test(flavor = "multi_thread")]
async fn a_living_token_is_described_as_it_is() {
    let app = TestApp::start().await;
    let bob = app.add_user("bob", &["staff"]).await;
    let tokens = sign_in(&app, "web", "bob").await;
    let mut seen = ask_about(&app, "web", &tokens.access).await.json();
    let described = seen.as_object_mut().unwrap();
    assert_eq!(described.remove("active"), Some(json!(true)));
    assert_eq!(described.remove("token_type"), Some(json!("Bearer")));
    assert_eq!(seen, json!(parse_unverified(&tokens.access).unwrap().1));
    let seen = ask_about(&app, "web", &tokens.refresh).await.json();
    assert_eq!(seen["sub"], json!(bob.id));
    assert_eq!(seen["client_id"], "web");
    // A hint of the wrong kind changes nothing (RFC 7662 §2.1).
    for (token, hint) in [
        (&tokens.access, "refresh_token"),
        (&tokens.refresh, "access_token"),
        (&tokens.access, "x"),
    ] {
        let form = [("token", token.as_str()), ("token_type_hint", hint)];
        assert_eq!(app.post_as("web", "/introspect", &form).await.json()["active"], true);
    }
}

/// Asserts that a token is dead at every instance, and for its API.
async fn assert_inactive(instances: &[Arc<TestApp>], client: &str, token: &str) {
    for instance in instances {
        let answer = ask_about(instance, client, token).await;
        assert_eq!(&answer.body[..], br#"{"active":false}"#, "{token}");
    }
}

/// IN-03: each way to die shows at every instance at once.
#[tokio::test(flavor = "multi_thread")]
async fn a_dead_token_is_reported_dead_everywhere() {
    let instances = deployment("").await;
    let (app, other) = (&instances[0], instances.last().unwrap());
    for name in ["revoker", "leaver", "disabled", "deleted", "expired"] {
        app.add_user(name, &[]).await;
    }
    let mut browser = app.browser();
    let leaver = sign_in_with(app, &mut browser, "web", "leaver").await;
    let revoker = sign_in(app, "web", "revoker").await;
    let disabled = sign_in(app, "web", "disabled").await;
    let deleted = sign_in(app, "web", "deleted").await;
    let expired = sign_in(app, "web", "expired").await;
    for tokens in [&leaver, &revoker, &disabled, &deleted, &expired] {
        for instance in &instances {
            tokens.assert_alive(instance).await;
        }
    }

    other.post_as("web", "/revoke", &[("token", &revoker.refresh)]).await;
    browser.get(&format!("/logout?id_token_hint={}", leaver.id.as_ref().unwrap())).await;
    user_verb(app, &["disable", "disabled"], "").await;
    execute(app, "DELETE FROM users WHERE username = 'deleted'").await;
    for tokens in [&revoker, &leaver, &disabled, &deleted] {
        assert_inactive(&instances, "web", &tokens.access).await;
        assert_inactive(&instances, "web", &tokens.refresh).await;
    }
    app.clock.advance(899);
    expired.assert_alive(other).await;
    app.clock.advance(1);
    assert_inactive(&instances, "web", &expired.access).await;
    assert_eq!(ask_about(app, "web", &expired.refresh).await.json()["active"], true);
}

/// IN-03: with its key a token is gone.
#[tokio::test(flavor = "multi_thread")]
async fn a_token_of_a_withdrawn_key_is_dead() {
    let instances = deployment("").await;
    let app = &instances[0];
    app.add_user("bob", &[]).await;
    let tokens = sign_in(app, "web", "bob").await;
    let (header, _) = parse_unverified(&tokens.access).unwrap();
    let kid = KeyId::new(header["kid"].as_str().unwrap());
    let rotation = app.app.keys.rotation();
    rotation.drop_key(&app.app.store, &kid, app.app.now()).await.unwrap().unwrap();
    for instance in &instances {
        // What the job does every second.
        instance.app.keys.refresh(&instance.app.store, instance.app.now()).await.unwrap();
        assert_eq!(instance.get("/userinfo", Some(&tokens.bearer())).await.status, 401);
    }
    assert_inactive(&instances, "web", &tokens.access).await;
    // The family lives, and its next token is signed with a key that stands in the JWKS.
    let next = tokens.refreshed(app).await;
    for instance in &instances {
        next.assert_alive(instance).await;
    }
}

/// The token with another claim, and its old signature.
fn with_claim(token: &str, name: &str, value: Value) -> String {
    use keywright::foundation::digest::base64url;
    let mut parts: Vec<String> = token.split('.').map(str::to_owned).collect();
    let mut claims = parse_unverified(token).unwrap().1;
    claims.insert(name.to_owned(), value);
    parts[1] = base64url(json!(claims).to_string().as_bytes());
    parts.join(".")
}

/// IN-03: nothing but an access or refresh token of ours is ever active.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_token_is_not_active() {
    let app = TestApp::start().await;
    let foreign = TestApp::start().await;
    for app in [&app, &foreign] {
        app.add_user("bob", &[]).await;
    }
    let mut browser = app.browser();
    let tokens = sign_in_with(&app, &mut browser, "web", "bob").await;
    let unused = crate::support::journey::code_by_session(&mut browser, "web", &[]).await;
    let session = browser.cookies().get("__Host-kw-session").unwrap().value.clone();
    let used = tokens.refresh.clone();
    let tokens = tokens.refreshed(&app).await;
    let random =
        keywright::foundation::opaque::Opaque::from_bits(OpaqueKind::RefreshToken, [9; 32]);
    let access = &tokens.access;
    let none = access.split('.').next_back().unwrap();
    let not_tokens = [
        tokens.id.clone().unwrap(),
        used,
        unused,
        session,
        random.reveal().expose().to_owned(),
        sign_in(&foreign, "web", "bob").await.access,
        with_claim(access, "exp", json!(9_999_999_999_i64)),
        with_claim(access, "aud", json!("evil")),
        access.replace(none, ""),
        format!("{access}."),
        format!("{access}A"),
        access.to_lowercase(),
        "..".to_owned(),
        "bob".to_owned(),
        "a".repeat(40_000),
        "\u{0}".to_owned(),
        NONCE.to_owned(),
    ];
    for text in &not_tokens {
        let answer = ask_about(&app, "web", text).await;
        assert_eq!(&answer.body[..], br#"{"active":false}"#, "{text:.80}");
        let bearer = format!("Bearer {text:.16000}").replace(['\0', ' '], "");
        assert_eq!(app.get("/userinfo", Some(&bearer)).await.status, 401, "{text:.80}");
    }
    tokens.assert_alive(&app).await;
}
