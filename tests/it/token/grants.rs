//! Which grants a client may use, and what a client gets for itself.

use keywright::config::{self, Environment};
use serde_json::{Value, json};

use crate::{
    refresh::family::{ask, sign_in},
    support::{
        app::{Answer, TestApp},
        database::SECRET_KEY,
        journey::code_for,
    },
};

/// Grant types that exist elsewhere and not here.
const FOREIGN: [&str; 7] = [
    "password",
    "implicit",
    "urn:ietf:params:oauth:grant-type:device_code",
    "urn:ietf:params:oauth:grant-type:jwt-bearer",
    "urn:openid:params:grant-type:ciba",
    "AUTHORIZATION_CODE",
    "authorization_code refresh_token",
];

/// TK-12: what a client was not given it may not use, even with a good code or token.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_may_not_use_a_grant_that_it_was_not_given() {
    let app = TestApp::start().await;
    app.add_user("bob", &[]).await;
    let tokens = sign_in(&app, "web", "bob").await;
    let code = code_for(&mut app.browser(), "web", "bob", &[]).await;
    let refused: [(&str, &[(&str, &str)]); 5] = [
        ("web", &[("grant_type", "client_credentials")]),
        ("spa", &[("grant_type", "client_credentials")]),
        ("m2m", &[("grant_type", "authorization_code"), ("code", &code)]),
        ("m2m", &[("grant_type", "refresh_token"), ("refresh_token", &tokens.refresh)]),
        ("m2m", &[("grant_type", "refresh_token")]),
    ];
    for (client, form) in refused {
        ask(&app, client, form).await.assert_error(400, "unauthorized_client");
    }
    assert_eq!(app.refusals("request").await, ["unauthorized_client"; 5]);
    tokens.assert_alive(&app).await;
    assert_eq!(crate::support::journey::redeem(&app, "web", &code).await.status, 200);
}

/// TK-12: the password grant and all others that are not offered are unknown to everybody.
#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_grant_type_is_refused() {
    let app = TestApp::start().await;
    app.add_user("bob", &[]).await;
    for client in ["web", "spa", "m2m"] {
        for grant_type in FOREIGN {
            let form = [
                ("grant_type", grant_type),
                ("username", "bob"),
                ("password", "bob-password"),
                ("device_code", "x"),
                ("assertion", "a.b.c"),
                ("subject_token", "a.b.c"),
                ("scope", "openid"),
            ];
            ask(&app, client, &form).await.assert_error(400, "unsupported_grant_type");
        }
        ask(&app, client, &[]).await.assert_error(400, "invalid_request");
        ask(&app, client, &[("grant_type", "")]).await.assert_error(400, "invalid_request");
    }
    assert_eq!(app.refusals("request").await.len(), 27);
    assert_eq!(app.count("grants").await, 0);
    let metadata = app.get("/.well-known/openid-configuration", None).await.json();
    for grant_type in FOREIGN {
        let offered = metadata["grant_types_supported"].as_array().unwrap();
        assert!(!offered.contains(&json!(grant_type)), "{grant_type}");
    }
}

async fn for_itself(app: &TestApp, client: &str, scope: Option<&str>) -> Answer {
    let mut form = vec![("grant_type", "client_credentials")];
    form.extend(scope.map(|scope| ("scope", scope)));
    ask(app, client, &form).await
}

fn claims(token: &str) -> serde_json::Map<String, Value> {
    keywright::keys::parse_unverified(token).unwrap().1
}

/// TK-13: a client that acts for itself is never a person.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_for_itself_is_no_person() {
    let config = r#"
[[clients]]
id = "greedy"
name = "Greedy"
secret = "greedy-secret-0123456789"
redirect_uris = ["https://greedy.test/cb"]
grant_types = ["authorization_code", "refresh_token", "client_credentials"]
scopes = ["openid", "profile", "email", "groups", "offline_access", "read"]
"#;
    let app = TestApp::builder().config(config).start().await;
    for client in ["m2m", "greedy"] {
        for scope in [None, Some("read"), Some("openid read offline_access unknown")] {
            let answer = for_itself(&app, client, scope).await;
            assert_eq!(answer.status, 200, "{answer:?}");
            let json = answer.json();
            assert!(json.get("refresh_token").is_none() && json.get("id_token").is_none());
            let granted = answer.text("scope");
            assert!(granted.split(' ').all(|word| word != "openid" && word != "offline_access"));
            let claims = claims(&answer.text("access_token"));
            assert_eq!(claims["sub"], client);
            assert_eq!(claims["client_id"], client);
            for personal in ["sid", "auth_time", "groups", "email", "name", "amr", "nonce"] {
                assert!(!claims.contains_key(personal), "{personal}");
            }
            assert!(uuid::Uuid::parse_str(claims["sub"].as_str().unwrap()).is_err());
            let bearer = format!("Bearer {}", answer.text("access_token"));
            let userinfo = app.get("/userinfo", Some(&bearer)).await;
            userinfo.assert_error(403, "insufficient_scope");
            let challenge = userinfo.headers["www-authenticate"].to_str().unwrap();
            assert!(challenge.starts_with("Bearer ") && challenge.contains("insufficient_scope"));
        }
        for nothing in ["openid", "openid offline_access", "unknown", "READ"] {
            let answer = for_itself(&app, client, Some(nothing)).await;
            answer.assert_error(400, "invalid_scope");
        }
    }
    for table in ["grants", "refresh_tokens", "sessions", "users"] {
        assert_eq!(app.count(table).await, 0, "{table}");
    }
}

/// TK-13: no administrator can give a client the name of a person.
#[test]
fn a_client_cannot_be_called_like_a_person() {
    let problem = |id: &str| {
        let text = format!(
            "[secrets]\nsecret_key = {SECRET_KEY:?}\n[[clients]]\nid = {id:?}\nname = \"X\"\n\
             secret = \"x-secret-0123456789\"\ngrant_types = [\"client_credentials\"]"
        );
        config::parse(&text, &Environment::new()).map(|_| ()).map_err(|found| found.to_string())
    };
    problem("billing").unwrap();
    for id in [
        "019e830e-1a00-7b69-87b7-7ff91c3fffe9",
        "019E830E-1A00-7B69-87B7-7FF91C3FFFE9",
        "019e830e1a007b6987b77ff91c3fffe9",
        "urn:uuid:019e830e-1a00-7b69-87b7-7ff91c3fffe9",
        "{019e830e-1a00-7b69-87b7-7ff91c3fffe9}",
    ] {
        let found = problem(id).unwrap_err();
        assert!(found.contains("clients.0.id"), "{id}: {found}");
    }
}

/// TK-23: resource indicators are not offered, and asking for one widens nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_resource_parameter_widens_nothing() {
    let app = TestApp::start().await;
    app.add_user("bob", &[]).await;
    let asked = [("resource", "https://api.test/"), ("audience", "evil")];
    let code = code_for(&mut app.browser(), "web", "bob", &asked).await;
    let tokens = crate::refresh::family::Tokens::of(
        "web",
        &crate::support::journey::redeem(&app, "web", &code).await,
    );
    let form = [
        ("grant_type", "refresh_token"),
        ("refresh_token", &*tokens.refresh),
        ("resource", "https://api.test/"),
        ("audience", "evil"),
    ];
    let refreshed = ask(&app, "web", &form).await;
    let own = for_itself(&app, "m2m", None).await;
    assert_eq!(claims(&tokens.access)["aud"], "web");
    assert_eq!(claims(&refreshed.text("access_token"))["aud"], "web");
    assert_eq!(claims(&own.text("access_token"))["aud"], "m2m");
    let metadata = app.get("/.well-known/openid-configuration", None).await.json().to_string();
    assert!(!metadata.contains("resource"));
}
