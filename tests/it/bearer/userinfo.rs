//! UserInfo, and how a bearer token has to be brought.

use axum::http::{Method, Request};
use bytes::Bytes;
use serde_json::json;

use crate::{
    refresh::family::{Tokens, redeem_as, sign_in, sign_in_with},
    support::{
        app::{Answer, ISSUER, TestApp},
        journey::{code_by_session, code_for},
    },
};

fn challenge(answer: &Answer) -> &str {
    assert_eq!(answer.headers.get_all("www-authenticate").iter().count(), 1, "{answer:?}");
    answer.headers["www-authenticate"].to_str().unwrap()
}

fn assert_invalid(answer: &Answer) {
    answer.assert_error(401, "invalid_token");
    let challenge = challenge(answer);
    assert!(challenge.starts_with("Bearer ") && challenge.contains("error=\"invalid_token\""));
}

/// Brings headers and a body to UserInfo.
async fn bring(app: &TestApp, method: Method, headers: &[(&str, &str)], body: &str) -> Answer {
    let mut request = Request::builder().method(method).uri(format!("{ISSUER}/userinfo"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    app.send(request.body(Bytes::from(body.to_owned())).unwrap()).await
}

/// IN-07: whoever brings nothing is told how to bring something, and not that it was wrong.
#[tokio::test(flavor = "multi_thread")]
async fn without_a_token_userinfo_says_how_to_bring_one() {
    let app = TestApp::start().await;
    for method in [Method::GET, Method::POST] {
        let answer = bring(&app, method, &[], "").await;
        assert_eq!(answer.status, 401);
        assert_eq!(answer.headers["cache-control"], "no-store");
        // RFC 9449 §7.1: by both ways in which tokens are shown.
        let lines: Vec<_> = answer.headers.get_all("www-authenticate").iter().collect();
        let [bearer, bound] = [lines[0], lines[1]].map(|line| line.to_str().unwrap());
        assert!(bearer.starts_with("Bearer ") && !bearer.contains("error"), "{bearer}");
        assert!(bound.starts_with("DPoP ") && !bound.contains("error"), "{bound}");
        assert_eq!(lines.len(), 2);
    }
    let answer = bring(&app, Method::DELETE, &[], "").await;
    assert_eq!(answer.status, 405);
}

/// IN-07: a token brings claims, by GET and by POST.
#[tokio::test(flavor = "multi_thread")]
async fn a_good_token_brings_the_persons_claims() {
    let app = TestApp::start().await;
    let bob = app.add_user("bob", &["staff"]).await;
    let tokens = sign_in(&app, "web", "bob").await;
    let bearer = tokens.bearer();
    for method in [Method::GET, Method::POST] {
        let answer = bring(&app, method, &[("authorization", &bearer)], "").await;
        assert_eq!(answer.status, 200);
        assert_eq!(
            answer.json(),
            json!({
                "sub": bob.id, "preferred_username": "bob", "name": "bob Example",
                "updated_at": bob.updated_at, "email": "bob@corp.test", "email_verified": true,
                "groups": ["staff"],
            })
        );
    }
}

/// IN-07: an expired token, and everything that is no access token, is invalid.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_living_access_token_is_invalid() {
    let app = TestApp::start().await;
    app.add_user("bob", &[]).await;
    let mut browser = app.browser();
    let tokens = sign_in_with(&app, &mut browser, "web", "bob").await;
    let code = code_by_session(&mut browser, "web", &[]).await;
    let session = browser.cookies().get("__Host-kw-session").unwrap().value.clone();
    for wrong in [&tokens.refresh, tokens.id.as_ref().unwrap(), &code, &session] {
        let answer = app.get("/userinfo", Some(&format!("Bearer {wrong}"))).await;
        assert_invalid(&answer);
    }
    assert_eq!(app.get("/userinfo", Some(&tokens.bearer())).await.status, 200);
    app.clock.advance(900);
    assert_invalid(&app.get("/userinfo", Some(&tokens.bearer())).await);
    assert_eq!(app.refusals("request").await, ["invalid_token"; 5]);
}

/// IN-07: without `openid` there is nobody to tell about.
#[tokio::test(flavor = "multi_thread")]
async fn a_token_without_openid_does_not_reach_userinfo() {
    let app = TestApp::start().await;
    app.add_user("bob", &[]).await;
    let scope = [("scope", "profile email offline_access")];
    let code = code_for(&mut app.browser(), "web", "bob", &scope).await;
    let tokens = Tokens::of("web", &redeem_as(&app, "web", &code).await);
    assert!(tokens.id.is_none());
    let answer = app.get("/userinfo", Some(&tokens.bearer())).await;
    answer.assert_error(403, "insufficient_scope");
    assert!(challenge(&answer).contains("error=\"insufficient_scope\""));
    assert_eq!(app.refusals("request").await, ["insufficient_scope"]);
}

/// IN-07: a token never stands in an address (RFC 6750 §5.3).
#[tokio::test(flavor = "multi_thread")]
async fn a_token_in_the_query_is_refused() {
    let app = TestApp::start().await;
    app.add_user("bob", &[]).await;
    let tokens = sign_in(&app, "web", "bob").await;
    for path in
        [format!("/userinfo?access_token={}", tokens.access), "/userinfo?schema=openid".to_owned()]
    {
        for authorization in [None, Some(tokens.bearer())] {
            let answer = app.get(&path, authorization.as_deref()).await;
            answer.assert_error(400, "invalid_request");
        }
    }
}

/// IN-07: a token is brought once; in two places is no place (RFC 6750 §2).
#[tokio::test(flavor = "multi_thread")]
async fn a_token_in_header_and_body_is_refused() {
    let app = TestApp::start().await;
    app.add_user("bob", &[]).await;
    let tokens = sign_in(&app, "web", "bob").await;
    let body = format!("access_token={}", tokens.access);
    let bearer = tokens.bearer();
    let form = ("content-type", "application/x-www-form-urlencoded");
    let answer = bring(&app, Method::POST, &[form, ("authorization", &bearer)], &body).await;
    answer.assert_error(400, "invalid_request");
}

/// TK-20: a browser app may ask UserInfo from its own origin, and nobody else may.
#[tokio::test(flavor = "multi_thread")]
async fn a_browser_app_may_ask_userinfo_from_its_own_origin() {
    let app = TestApp::start().await;
    app.add_user("bob", &[]).await;
    let bearer = sign_in(&app, "spa", "bob").await.bearer();
    let allowed = |answer: &Answer| {
        assert!(!answer.headers.contains_key("access-control-allow-credentials"));
        let allowed = answer.headers.get("access-control-allow-origin");
        allowed.map(|value| value.to_str().unwrap().to_owned())
    };
    for (origin, expected) in [
        ("https://spa.test", Some("https://spa.test".to_owned())),
        ("https://web.test", None),
        ("https://evil.test", None),
        ("null", None),
    ] {
        let headers = [("origin", origin), ("authorization", bearer.as_str())];
        let answer = bring(&app, Method::GET, &headers, "").await;
        assert_eq!(answer.status, 200);
        assert_eq!(allowed(&answer), expected, "{origin}");
        let refused = [("origin", origin), ("authorization", "Bearer x")];
        let answer = bring(&app, Method::GET, &refused, "").await;
        assert_invalid(&answer);
        assert_eq!(allowed(&answer), expected, "a refusal, from {origin}");

        // Browsers ask first, because of the header.
        let question = [("origin", origin), ("access-control-request-headers", "authorization")];
        let answer = bring(&app, Method::OPTIONS, &question, "").await;
        assert!(answer.status.is_success(), "{answer:?}");
        assert_eq!(allowed(&answer), expected, "the question, from {origin}");
        let headers = answer.headers.get("access-control-allow-headers");
        assert_eq!(headers.is_some(), expected.is_some());
    }
}

/// IN-08: one scheme, one space, one token, one header.
#[tokio::test(flavor = "multi_thread")]
async fn only_one_plain_bearer_header_is_read() {
    let app = TestApp::start().await;
    app.add_user("bob", &[]).await;
    let access = sign_in(&app, "web", "bob").await.access;
    for scheme in ["Bearer", "bearer", "BEARER", "bEaReR"] {
        let header = format!("{scheme} {access}");
        assert_eq!(app.get("/userinfo", Some(&header)).await.status, 200, "{scheme}");
    }
    for wrong in [
        format!("Bearer\t{access}"),
        format!("Bearer  {access}"),
        format!("Bearer {access} "),
        format!("Bearer {access},{access}"),
        format!("Bearer {access}, x"),
        format!("Bearer {access} x"),
        format!("Bearer \"{access}\""),
        format!("Bearer token={access}"),
        format!(" Bearer {access}"),
        format!("Bearer{access}"),
        format!("Bearer:{access}"),
        format!("Token {access}"),
        format!("Basic {access}"),
        access.clone(),
        "Bearer".to_owned(),
        "Bearer ".to_owned(),
    ] {
        assert_invalid(&app.get("/userinfo", Some(&wrong)).await);
    }
    let good = format!("Bearer {access}");
    for second in [good.as_str(), "Bearer x", "Basic eDp5"] {
        for headers in [
            [("authorization", good.as_str()), ("authorization", second)],
            [("authorization", second), ("authorization", good.as_str())],
        ] {
            assert_invalid(&bring(&app, Method::GET, &headers, "").await);
        }
    }
}
