//! Assertions (RFC 7523 §3): from the client itself, for a moment, once.

use serde_json::{Value, json};

use super::{
    ASSERTION_TYPE, Key, LONG_SECRET, app_with_signer, claims, claims_with, client, present,
    present_at, refused, signer,
};
use crate::{
    jose::app_with_bob,
    support::app::{TestApp, basic},
};

/// RFC 7523 §2.2: at every endpoint for clients, with `client_id` beside it or without.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_proves_itself_by_what_it_has_signed() {
    let (app, key) = app_with_signer("").await;
    for path in ["/token", "/introspect", "/revoke"] {
        let assertion = key.jwt(&claims(&app, "signer"));
        assert_eq!(present_at(&app, path, &assertion, &[]).await.status, 200, "{path}");
        let assertion = key.jwt(&claims(&app, "signer"));
        let named = [("client_id", "signer")];
        assert_eq!(present_at(&app, path, &assertion, &named).await.status, 200, "{path}");
    }
    for header in [
        json!({"alg": "ES256"}),
        json!({"alg": "ES256", "kid": "k1", "typ": "JWT"}),
        json!({"alg": "ES256", "typ": "jwt"}),
        json!({"alg": "ES256", "typ": "client-authentication+jwt"}),
        json!({"alg": "ES256", "typ": "application/client-authentication+jwt"}),
    ] {
        let answer = present(&app, &key.jwt_with(&header, &claims(&app, "signer"))).await;
        assert_eq!(answer.status, 200, "{header}");
        assert_eq!(answer.text("token_type"), "Bearer");
    }
    assert_eq!(app.refusals("client_authentication").await.len(), 0);
}

/// TK-08: claims that do not say who, for whom and until when are none; clocks may differ by a minute.
#[tokio::test(flavor = "multi_thread")]
async fn an_assertion_says_who_signs_and_until_when() {
    let (app, key) = app_with_signer("").await;
    let now = app.clock.unix();
    let good = [
        json!({"iat": null}),
        json!({"exp": now - 59}),
        json!({"exp": now + 360}),
        json!({"iat": now + 60}),
        json!({"iat": now - 360, "exp": now + 1}),
        json!({"nbf": now + 60}),
        json!({"exp": f64::from(i32::try_from(now + 30).unwrap()) + 0.5}),
        json!({"extra": {"a": [1]}}),
    ];
    for changes in good {
        let answer = present(&app, &key.jwt(&claims_with(&app, "signer", &changes))).await;
        assert_eq!(answer.status, 200, "{changes}");
    }
    let bad = [
        (json!({"iss": "web"}), "iss and sub"),
        (json!({"iss": null}), "iss and sub"),
        (json!({"iss": ["signer"]}), "iss and sub"),
        (json!({"sub": null}), "iss and sub"),
        (json!({"sub": "web"}), "iss and sub"),
        (json!({"iss": "nobody", "sub": "nobody"}), "no such client"),
        (json!({"iss": "Signer", "sub": "Signer"}), "no such client"),
        (json!({"iss": "web", "sub": "web"}), "does not prove itself by assertions"),
        (json!({"iss": "spa", "sub": "spa"}), "does not prove itself by assertions"),
        (json!({"exp": null}), "exp is missing"),
        (json!({"exp": now - 60}), "expired"),
        (json!({"exp": now + 361}), "five minutes ahead"),
        (json!({"exp": now + 48 * 3_600}), "five minutes ahead"),
        (json!({"exp": (now + 60).to_string()}), "a time is none"),
        (json!({"exp": 1e300}), "a time is none"),
        (json!({"exp": -1}), "a time is none"),
        (json!({"exp": [now + 60]}), "a time is none"),
        (json!({"iat": now + 61}), "iat is in the future"),
        (json!({"iat": now - 361}), "iat is more than five minutes ago"),
        (json!({"iat": "now"}), "a time is none"),
        (json!({"nbf": now + 61}), "nbf is in the future"),
        (json!({"nbf": {}}), "a time is none"),
        (json!({"jti": null}), "jti is missing"),
        (json!({"jti": ""}), "jti is missing"),
        (json!({"jti": 7}), "jti is missing"),
    ];
    for (changes, why) in bad {
        refused(&app, &key.jwt(&claims_with(&app, "signer", &changes)), why).await;
    }
    let null = json!({"alg": "ES256"});
    for claims in [json!([]), json!(null), json!("x")] {
        refused(&app, &key.jwt_with(&null, &claims), "no JWT that can be read").await;
    }
}

/// TK-07: once is once: one after the other, fifty at a time, and at another instance.
#[tokio::test(flavor = "multi_thread")]
async fn an_assertion_counts_once() {
    let (app, key) = app_with_signer("").await;
    let assertion = key.jwt(&claims(&app, "signer"));
    assert_eq!(present(&app, &assertion).await.status, 200);
    refused(&app, &assertion, "used before").await;
    assert_eq!(present_at(&app, "/revoke", &assertion, &[]).await.status, 401);
    // As long as it is good at all (its end, and a minute for the clocks), it is remembered.
    app.clock.advance(119);
    refused(&app, &assertion, "used before").await;
    app.clock.advance(1);
    refused(&app, &assertion, "expired").await;

    let assertion = key.jwt(&claims(&app, "signer"));
    let asked = (0..50).map(|_| present(&app, &assertion));
    let answers = futures_util::future::join_all(asked).await;
    let won = answers.iter().filter(|answer| answer.status == 200).count();
    assert_eq!(won, 1);
    if app.app.memory.is_none() {
        let other = TestApp::builder().beside(&app).config(&signer(&key, "")).start().await;
        refused(&other, &assertion, "used before").await;
    }
}

/// TK-07: one client's `jti` is nobody else's.
#[tokio::test(flavor = "multi_thread")]
async fn two_clients_may_use_the_same_jti() {
    let key = Key::new("ES256");
    let jwks = json!({ "keys": [key.public("k1")] });
    let lines = format!("token_endpoint_auth_method = \"private_key_jwt\"\njwks = '{jwks}'");
    let both = signer(&key, "") + &client("other", &lines);
    let app = TestApp::builder().config(&both).start().await;
    let jti = uuid::Uuid::new_v4().to_string();
    for id in ["signer", "other"] {
        let assertion = key.jwt(&claims_with(&app, id, &json!({ "jti": jti })));
        assert_eq!(present(&app, &assertion).await.status, 200, "{id}");
    }
}

/// TK-11: what lives for days is refused before anything of it is kept; so is what nobody signed.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_leaves_nothing_behind() {
    let (app, key) = app_with_signer("").await;
    let commands = app.app.state.commands();
    let far = json!({ "exp": app.clock.unix() + 48 * 3_600 });
    for _ in 0..20 {
        present(&app, &key.jwt(&claims_with(&app, "signer", &far))).await;
        present(&app, &Key::new("ES256").jwt(&claims(&app, "signer"))).await;
    }
    // One command for each: the count of failures.
    assert_eq!(app.app.state.commands() - commands, 40);
}

/// TK-05: a client is believed in its own way alone, and in one at a time.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_is_believed_in_its_own_way_alone() {
    let key = Key::new("ES256");
    let lines =
        format!("secret = {LONG_SECRET:?}\ntoken_endpoint_auth_method = \"client_secret_jwt\"");
    let both = signer(&key, "") + &client("mac", &lines);
    let app = TestApp::builder().config(&both).start().await;
    let grant = ("grant_type", "client_credentials");
    // A secret that is not to be sent proves nothing; neither does a name.
    let header = format!("Basic {}", base64_of(&format!("mac:{LONG_SECRET}")));
    let sent = app.post("/token", &[grant], &[("authorization", &header)]).await;
    sent.assert_error(401, "invalid_client");
    assert!(sent.headers.contains_key("www-authenticate"));
    for form in [
        vec![grant, ("client_id", "mac"), ("client_secret", LONG_SECRET)],
        vec![grant, ("client_id", "mac")],
        vec![grant, ("client_id", "signer")],
        vec![grant, ("client_id", "signer"), ("client_secret", "x")],
    ] {
        app.post("/token", &form, &[]).await.assert_error(401, "invalid_client");
    }
    // A client whose secret is sent does not sign with it.
    let own = Key::secret("HS256", "m2m-secret-0123456789-0123456789-0123456789");
    refused(&app, &own.jwt(&claims(&app, "m2m")), "does not prove itself by assertions").await;
    // Two ways at once are none.
    let assertion = key.jwt(&claims(&app, "signer"));
    let answer = present_at(&app, "/token", &assertion, &[("client_secret", "x")]).await;
    answer.assert_error(400, "invalid_request");
    let form = [grant, ("client_assertion", &assertion), ("client_assertion_type", ASSERTION_TYPE)];
    let answer = app.post("/token", &form, &[("authorization", &basic("m2m"))]).await;
    answer.assert_error(400, "invalid_request");
    // Nothing of it was used up.
    assert_eq!(present(&app, &assertion).await.status, 200);
}

fn base64_of(text: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(text)
}

/// RFC 7521 §4.2: what stands beside the assertion agrees with it.
#[tokio::test(flavor = "multi_thread")]
async fn the_parameters_agree_with_the_assertion() {
    let (app, key) = app_with_signer("").await;
    let assertion = key.jwt(&claims(&app, "signer"));
    for id in ["web", "spa", "SIGNER", "signer "] {
        let answer = present_at(&app, "/token", &assertion, &[("client_id", id)]).await;
        answer.assert_error(401, "invalid_client");
    }
    let grant = ("grant_type", "client_credentials");
    let bearer = "urn:ietf:params:oauth:grant-type:jwt-bearer";
    let saml = "urn:ietf:params:oauth:client-assertion-type:saml2-bearer";
    for form in [
        vec![grant, ("client_assertion", &*assertion)],
        vec![grant, ("client_assertion", &*assertion), ("client_assertion_type", bearer)],
        vec![grant, ("client_assertion", &*assertion), ("client_assertion_type", saml)],
        vec![grant, ("client_id", "signer"), ("client_assertion_type", ASSERTION_TYPE)],
        vec![grant, ("client_id", "spa"), ("client_assertion_type", ASSERTION_TYPE)],
    ] {
        app.post("/token", &form, &[]).await.assert_error(401, "invalid_client");
    }
    assert_eq!(present(&app, &assertion).await.status, 200);
}

/// JW-17: a JWT of another kind is no assertion, and an assertion is nothing else.
#[tokio::test(flavor = "multi_thread")]
async fn other_tokens_are_no_assertions() {
    let (app, tokens) = app_with_bob().await;
    for token in [&tokens.access_token, &tokens.id_token, &tokens.refresh_token] {
        present(&app, token).await.assert_error(401, "invalid_client");
    }
    let (app, key) = app_with_signer("").await;
    let good = claims(&app, "signer");
    for typ in ["at+jwt", "dpop+jwt", "logout+jwt", "oauth-authz-req+jwt", ""] {
        let header = json!({"alg": "ES256", "typ": typ});
        refused(&app, &key.jwt_with(&header, &good), "another kind of JWT").await;
    }
    let assertion = key.jwt(&good);
    let answer = app.get("/userinfo", Some(&format!("Bearer {assertion}"))).await;
    assert_eq!(answer.status, 401);
    let asked = key.jwt(&claims(&app, "signer"));
    let about = [("token", assertion.as_str())];
    let form = [("client_assertion", asked.as_str()), ("client_assertion_type", ASSERTION_TYPE)];
    let answer = app.post("/introspect", &[&form[..], &about].concat(), &[]).await;
    assert_eq!(answer.json(), json!({ "active": false }));
}

/// FT-02: proof fails closed: where nobody can tell whether an assertion was used before, it is not
/// taken, and the app is told to come back.
#[tokio::test(flavor = "multi_thread")]
async fn without_the_short_lived_state_no_assertion_is_taken() {
    let key = Key::new("ES256");
    let away = TestApp::builder().state_url("redis://127.0.0.1:1").config(&signer(&key, ""));
    let app = away.start().await;
    let assertion = key.jwt(&claims(&app, "signer"));
    let answer = present(&app, &assertion).await;
    answer.assert_error(503, "temporarily_unavailable");
    assert!(answer.headers.contains_key("retry-after"));
    // A wrong one is wrong all the same.
    let wrong = Key::new("ES256").jwt(&claims(&app, "signer"));
    present(&app, &wrong).await.assert_error(401, "invalid_client");
}

/// JW-12, JW-13: hostile texts are refused quickly and plainly.
#[tokio::test(flavor = "multi_thread")]
async fn hostile_assertions_are_refused() {
    let (app, key) = app_with_signer("").await;
    let good = key.jwt(&claims(&app, "signer"));
    let (head, rest) = good.split_once('.').unwrap();
    let twice = r#"{"iss":"signer","sub":"signer","sub":"web"}"#;
    let deep = format!("{{\"a\":{}{}}}", "[".repeat(5_000), "]".repeat(5_000));
    let of = |claims: &str| {
        use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
        let input = format!("{head}.{}", URL_SAFE_NO_PAD.encode(claims));
        format!("{input}.{}", URL_SAFE_NO_PAD.encode(key.sign("ES256", input.as_bytes())))
    };
    for hostile in [
        "x".to_owned(),
        ".".repeat(3_000),
        format!("{good}="),
        format!("{good}."),
        format!(".{rest}"),
        format!("{head}.{}", "A".repeat(16_384)),
        format!("{head}.{head}.{head}.{head}.{head}"),
        good.replace('.', "\n."),
        of(twice),
        of(&deep),
        of("{\"sub\":\"\u{0}\"}"),
    ] {
        let answer = present(&app, &hostile).await;
        answer.assert_error(401, "invalid_client");
        assert!(!String::from_utf8_lossy(&answer.body).contains(head));
    }
    let Value::Object(_) = present(&app, &good).await.json() else { panic!() };
}
