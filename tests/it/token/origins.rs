//! Which caches and which browser apps may read the answers.

use axum::http::{Method, Request};
use bytes::Bytes;

use crate::{
    refresh::family::{present, redeem_as, sign_in},
    support::{
        app::{Answer, ISSUER, TestApp, basic},
        journey::{VERIFIER, code_for, redirect_uri},
    },
};

const ALLOW: &str = "access-control-allow-origin";

fn allowed(answer: &Answer) -> Option<&str> {
    assert!(!answer.headers.contains_key("access-control-allow-credentials"));
    assert!(answer.headers.get_all(ALLOW).iter().count() <= 1);
    answer.headers.get(ALLOW).map(|value| value.to_str().unwrap())
}

/// TK-20: no cache keeps tokens, or anything else that is said about them.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_about_tokens_is_cached_or_sniffed() {
    let app = TestApp::start().await;
    app.add_user("bob", &[]).await;
    let code = code_for(&mut app.browser(), "web", "bob", &[]).await;
    let redeemed = redeem_as(&app, "web", &code).await;
    let tokens = crate::refresh::family::Tokens::of("web", &redeemed);
    let form = [("token", tokens.access.as_str())];
    let answers = [
        redeemed,
        redeem_as(&app, "web", &code).await,
        present(&app, "web", &tokens.refresh).await,
        present(&app, "web", "x").await,
        app.post("/token", &[], &[]).await,
        app.post_as("web", "/introspect", &form).await,
        app.get("/userinfo", Some(&tokens.bearer())).await,
    ];
    let statuses = answers.each_ref().map(|answer| answer.status.as_u16());
    assert_eq!(statuses, [200, 400, 400, 400, 401, 200, 401]);
    for answer in answers {
        assert_eq!(answer.headers["cache-control"], "no-store");
        assert_eq!(answer.headers["x-content-type-options"], "nosniff");
        assert_eq!(answer.headers["content-type"], "application/json");
        assert!(!answer.headers.contains_key("set-cookie"));
        assert!(answer.json().is_object());
    }
    let answer = app.post_as("web", "/revoke", &form).await;
    assert_eq!(answer.headers["cache-control"], "no-store");
}

async fn redeem_from(app: &TestApp, client: &str, origin: &str) -> Answer {
    let code = code_for(&mut app.browser(), client, "bob", &[]).await;
    let redirect_uri = redirect_uri(client);
    let mut form = vec![
        ("grant_type", "authorization_code"),
        ("code", &code),
        ("redirect_uri", &redirect_uri),
        ("code_verifier", VERIFIER),
    ];
    let mut headers = vec![("origin", origin)];
    let authorization = basic(client);
    if client == "spa" {
        form.push(("client_id", "spa"));
    } else {
        headers.push(("authorization", authorization.as_str()));
    }
    app.post("/token", &form, &headers).await
}

/// TK-20: a public client reads its tokens from its own origin, and nobody else does.
#[tokio::test(flavor = "multi_thread")]
async fn only_a_public_clients_own_origin_may_read_its_tokens() {
    let app = TestApp::start().await;
    app.add_user("bob", &[]).await;
    let answer = redeem_from(&app, "spa", "https://spa.test").await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(allowed(&answer), Some("https://spa.test"));
    assert_eq!(answer.headers["vary"].to_str().unwrap().to_lowercase(), "origin");
    for (client, origin) in [
        ("spa", "https://evil.test"),
        ("spa", "https://web.test"),
        ("spa", "null"),
        ("spa", "https://spa.test.evil.test"),
        ("spa", "http://spa.test"),
        ("spa", "https://spa.test:8443"),
        ("spa", "https://spa.test/"),
        ("web", "https://web.test"),
    ] {
        let answer = redeem_from(&app, client, origin).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(allowed(&answer), None, "{client} {origin}");
    }
}

/// TK-20: a refusal is read from where the tokens would have been, or a browser app could not tell
/// an ended sign-in from a lost connection.
#[tokio::test(flavor = "multi_thread")]
async fn a_public_client_reads_its_refusals_from_its_own_origin() {
    let app = TestApp::start().await;
    app.add_user("bob", &[]).await;
    let tokens = sign_in(&app, "spa", "bob").await;
    let form = [("token", tokens.refresh.as_str()), ("client_id", "spa")];
    assert_eq!(app.post("/revoke", &form, &[]).await.status, 200);
    let form = [
        ("grant_type", "refresh_token"),
        ("refresh_token", tokens.refresh.as_str()),
        ("client_id", "spa"),
    ];
    for (origin, expected) in
        [("https://spa.test", Some("https://spa.test")), ("https://evil.test", None)]
    {
        let answer = app.post("/token", &form, &[("origin", origin)]).await;
        answer.assert_error(400, "invalid_grant");
        assert_eq!(allowed(&answer), expected, "{origin}");
    }
}

/// TK-20: the question before the request is answered to origins of public clients alone.
#[tokio::test(flavor = "multi_thread")]
async fn a_preflight_is_answered_to_origins_of_public_clients_alone() {
    let app = TestApp::start().await;
    for (origin, expected) in [
        ("https://spa.test", Some("https://spa.test")),
        ("https://web.test", None),
        ("https://evil.test", None),
        ("null", None),
    ] {
        let request = Request::builder()
            .method(Method::OPTIONS)
            .uri(format!("{ISSUER}/token"))
            .header("origin", origin)
            .header("access-control-request-method", "POST");
        let answer = app.send(request.body(Bytes::new()).unwrap()).await;
        assert!(answer.status.is_success(), "{answer:?}");
        assert_eq!(allowed(&answer), expected, "{origin}");
        assert_eq!(answer.headers["vary"].to_str().unwrap().to_lowercase(), "origin");
        assert!(answer.body.is_empty());
    }
}
