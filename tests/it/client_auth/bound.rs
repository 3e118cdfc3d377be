//! Access tokens that are bound to a certificate (RFC 8705 §3).

use serde_json::json;

use super::certificates::{APP, Authority, field, server};
use crate::support::{
    app::{Answer, ISSUER, TestApp},
    journey::{VERIFIER, code_for, redirect_uri},
};

const SECRET: &str = "app-secret-0123456789";

/// An app that proves itself by its secret, and whose tokens are bound.
async fn start(authority: &Authority) -> TestApp {
    let lines = format!(
        "{}[[clients]]\nid = \"app\"\nname = \"App\"\nsecret = {SECRET:?}\n\
         redirect_uris = [\"https://app.test/cb\"]\n\
         tls_client_certificate_bound_access_tokens = true\n",
        server(authority)
    );
    let app = TestApp::builder().config(&lines).start().await;
    app.add_user("bob", &[]).await;
    app
}

async fn posts(app: &TestApp, form: &[(&str, &str)], certificate: Option<&str>) -> Answer {
    let own = [("client_id", "app"), ("client_secret", SECRET)];
    let header = certificate.map(|certificate| ("client-cert", certificate));
    app.post("/token", &[&own[..], form].concat(), header.as_slice()).await
}

async fn userinfo(app: &TestApp, token: &str, certificate: Option<&str>) -> Answer {
    let mut request = axum::http::Request::builder()
        .uri(format!("{ISSUER}/userinfo"))
        .header("authorization", format!("Bearer {token}"));
    if let Some(certificate) = certificate {
        request = request.header("client-cert", certificate);
    }
    app.send(request.body(bytes::Bytes::new()).unwrap()).await
}

/// RFC 8705 §3: the token says so, and is worth nothing on another connection.
#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_bound_to_the_certificate_that_was_shown() {
    let authority = Authority::new();
    let app = start(&authority).await;
    let (own, other) = (field(&authority.certify(&APP)), field(&authority.certify(&APP)));
    let mut browser = app.browser();
    browser.stop_at("https://app.test/");
    let code = code_for(&mut browser, "app", "bob", &[]).await;
    let redirect_uri = redirect_uri("app");
    let form = [
        ("grant_type", "authorization_code"),
        ("code", code.as_str()),
        ("redirect_uri", &redirect_uri),
        ("code_verifier", VERIFIER),
    ];
    // Without a certificate nothing is given, and nothing is used up.
    posts(&app, &form, None).await.assert_error(400, "invalid_request");
    posts(&app, &form, Some("x")).await.assert_error(400, "invalid_request");
    let tokens = posts(&app, &form, Some(&own)).await;
    assert_eq!((tokens.status.as_u16(), tokens.text("token_type")), (200, "Bearer".to_owned()));
    let token = tokens.text("access_token");
    let (_, claims) = crate::jose::read(&token);
    let der = own.trim_matches(':');
    let der = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, der).unwrap();
    let digest = openssl::hash::hash(openssl::hash::MessageDigest::sha256(), &der).unwrap();
    let engine = &base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let thumbprint = base64::Engine::encode(engine, digest);
    assert_eq!(claims["cnf"], json!({ "x5t#S256": thumbprint }));

    assert_eq!(userinfo(&app, &token, Some(&own)).await.status, 200);
    for certificate in [None, Some(&*other), Some("x"), Some("")] {
        let answer = userinfo(&app, &token, certificate).await;
        answer.assert_error(401, "invalid_token");
    }
    let form = [("client_id", "app"), ("client_secret", SECRET), ("token", &*token)];
    let told = app.post("/introspect", &form, &[]).await.json();
    assert_eq!((&told["active"], &told["token_type"]), (&json!(true), &json!("Bearer")));
    assert_eq!(told["cnf"], claims["cnf"]);

    // A refresh binds to the certificate that is shown then: the client has proved who it is.
    let refresh = tokens.text("refresh_token");
    let form = [("grant_type", "refresh_token"), ("refresh_token", &*refresh)];
    posts(&app, &form, None).await.assert_error(400, "invalid_request");
    let next = posts(&app, &form, Some(&other)).await.text("access_token");
    assert_eq!(userinfo(&app, &next, Some(&other)).await.status, 200);
    assert_eq!(userinfo(&app, &next, Some(&own)).await.status, 401);
    // Nor is it a bearer token at our own API (RFC 8705 §3).
    let bearer = format!("Bearer {next}");
    assert_eq!(app.get("/api/v1/me", Some(&bearer)).await.status, 401);
}

/// RFC 8705 §3.3: it is advertised where certificates come at all.
#[tokio::test(flavor = "multi_thread")]
async fn bound_tokens_are_advertised_where_they_work() {
    let app = start(&Authority::new()).await;
    for (app, expected) in [(app, true), (TestApp::start().await, false)] {
        let metadata = app.get("/.well-known/openid-configuration", None).await.json();
        assert_eq!(metadata["tls_client_certificate_bound_access_tokens"], expected);
    }
}
