//! How a token request has to look.

use axum::http::{Method, Request};
use bytes::Bytes;
use keywright::foundation::opaque::{Opaque, OpaqueKind};
use url::form_urlencoded;

use super::{FORM, post_raw};
use crate::{
    refresh::family::{present, redeem_as, sign_in},
    support::{
        app::{Answer, ISSUER, TestApp, basic},
        journey::{VERIFIER, code_for, redirect_uri},
    },
};

fn encode(pairs: &[(&str, &str)]) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}

/// The body that redeems a code.
fn redeeming(code: &str) -> String {
    encode(&[
        ("grant_type", "authorization_code"),
        ("code", code),
        ("redirect_uri", &redirect_uri("web")),
        ("code_verifier", VERIFIER),
    ])
}

async fn with_code() -> (TestApp, String) {
    let app = TestApp::start().await;
    app.add_user("bob", &[]).await;
    let code = code_for(&mut app.browser(), "web", "bob", &[]).await;
    (app, code)
}

/// Asserts that a code is as good as before.
async fn assert_unused(app: &TestApp, code: &str) {
    assert_eq!(app.count("grants").await, 0);
    assert_eq!(app.count("refresh_tokens").await, 0);
    assert_eq!(redeem_as(app, "web", code).await.status, 200);
}

/// TK-01: tokens are not had by GET.
#[tokio::test(flavor = "multi_thread")]
async fn the_token_endpoint_is_not_for_getting() {
    let (app, code) = with_code().await;
    for path in ["/token", "/introspect", "/revoke"] {
        for method in [Method::GET, Method::HEAD, Method::PUT, Method::DELETE] {
            let request = Request::builder()
                .method(method.clone())
                .uri(format!("{ISSUER}{path}?{}", redeeming(&code)))
                .header("authorization", basic("web"));
            let answer = app.send(request.body(Bytes::new()).unwrap()).await;
            assert_eq!(answer.status, 405, "{method} {path}");
        }
    }
    assert_unused(&app, &code).await;
}

/// TK-01: nothing may stand in the query, however good the body is.
#[tokio::test(flavor = "multi_thread")]
async fn a_parameter_in_the_query_refuses_the_request() {
    let (app, code) = with_code().await;
    let authorization = basic("web");
    let good = redeeming(&code);
    let queries = [
        good.as_str(),
        "client_id=web&client_secret=web-secret-0123456789",
        "grant_type=authorization_code",
        "code=x",
        "client_secret=x",
        "scope=openid",
        "access_token=x",
        "unknown=1",
    ];
    for query in queries {
        let path = format!("/token?{query}");
        let answer = post_raw(&app, &path, Some(FORM), Some(authorization.as_bytes()), &good).await;
        answer.assert_error(400, "invalid_request");
    }
    for path in ["/introspect?token=x", "/revoke?token=x"] {
        let answer =
            post_raw(&app, path, Some(FORM), Some(authorization.as_bytes()), "token=x").await;
        answer.assert_error(400, "invalid_request");
    }
    assert_eq!(app.refusals("request").await, ["invalid_request"; 10]);
    assert_unused(&app, &code).await;
}

/// TK-02: only a form is read.
#[tokio::test(flavor = "multi_thread")]
async fn a_body_of_another_kind_is_refused_unread() {
    let (app, code) = with_code().await;
    let authorization = basic("web");
    let form = redeeming(&code);
    let json = serde_json::json!({
        "grant_type": "authorization_code", "code": code, "code_verifier": VERIFIER,
        "redirect_uri": redirect_uri("web"),
    })
    .to_string();
    let bodies = [
        (Some("application/json"), json.as_str()),
        (Some("application/json"), form.as_str()),
        (Some("text/plain"), form.as_str()),
        (Some("multipart/form-data; boundary=x"), "--x\r\n\r\n--x--"),
        (Some("application/x-www-form-urlencoded-not"), form.as_str()),
        (Some(""), form.as_str()),
        (None, form.as_str()),
    ];
    for (kind, body) in bodies {
        for path in ["/token", "/introspect", "/revoke"] {
            let answer = post_raw(&app, path, kind, Some(authorization.as_bytes()), body).await;
            answer.assert_error(400, "invalid_request");
        }
    }
    assert_eq!(app.refusals("request").await.len(), 21);
    assert_unused(&app, &code).await;
}

/// TK-02: a parameter of the media type, and its case, change nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_form_may_name_its_charset() {
    let (app, code) = with_code().await;
    let kind = Some("Application/X-WWW-Form-URLEncoded; charset=UTF-8");
    let authorization = basic("web");
    let answer =
        post_raw(&app, "/token", kind, Some(authorization.as_bytes()), &redeeming(&code)).await;
    assert_eq!(answer.status, 200, "{answer:?}");
}

/// TK-03: nothing stands twice, not even with the same value or none.
#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_parameter_refuses_the_request() {
    let (app, code) = with_code().await;
    let tokens = sign_in(&app, "evil", "bob").await;
    let good = redeeming(&code);
    let authorization = basic("web");
    let again = [
        encode(&[("grant_type", "authorization_code")]),
        encode(&[("grant_type", "")]),
        encode(&[("code", &code)]),
        encode(&[("redirect_uri", &redirect_uri("evil"))]),
        encode(&[("code_verifier", VERIFIER)]),
        encode(&[("client_id", "web"), ("client_id", "web")]),
        encode(&[("scope", "openid"), ("scope", "email")]),
        encode(&[("refresh_token", &tokens.refresh), ("refresh_token", "x")]),
        encode(&[("unknown", "1"), ("unknown", "2")]),
        "%63ode=x".to_owned(),
    ];
    for more in &again {
        for body in [format!("{good}&{more}"), format!("{more}&{good}")] {
            let answer =
                post_raw(&app, "/token", Some(FORM), Some(authorization.as_bytes()), &body).await;
            answer.assert_error(400, "invalid_request");
        }
    }
    assert_eq!(app.refusals("request").await, ["invalid_request"; 20]);
    assert_eq!(app.count("grants").await, 1);
    tokens.assert_alive(&app).await;
    assert_eq!(redeem_as(&app, "web", &code).await.status, 200);
}

/// What a hostile request might hope to see again in the answer, or to learn from it.
const MARKS: [&str; 4] = ["zz<mark>zz", "zz'\"--zz", "zz%00zz", "zz\r\nzz"];
const NEVER_SAID: [&str; 13] = [
    "zz",
    "SELECT",
    "sqlite",
    "postgres",
    "diesel",
    "Redis",
    "::",
    "panicked",
    "src/",
    ".rs",
    "127.0.0.1",
    "error:",
    "<",
];

fn assert_says_nothing(answer: &Answer) {
    let body = String::from_utf8(answer.body.to_vec()).unwrap();
    for word in NEVER_SAID {
        assert!(!body.contains(word), "{word} in {body}");
    }
    let json = answer.json();
    let members: Vec<&String> = json.as_object().unwrap().keys().collect();
    assert_eq!(members, ["error", "error_description"]);
    // The characters that RFC 6749 §5.2 allows.
    let description = json["error_description"].as_str().unwrap();
    let allowed = |byte: u8| matches!(byte, b' '..=b'!' | b'#'..=b'[' | b']'..=b'~');
    assert!(description.bytes().all(allowed), "{description}");
    for (name, value) in &answer.headers {
        assert!(!value.to_str().unwrap().contains("zz"), "{name}: {value:?}");
    }
}

/// TK-16: an error says the same whatever was sent.
#[tokio::test(flavor = "multi_thread")]
async fn errors_say_nothing_about_the_request_or_the_house() {
    let app = TestApp::start().await;
    let parameters = [
        "grant_type",
        "code",
        "redirect_uri",
        "code_verifier",
        "refresh_token",
        "scope",
        "client_assertion",
        "token",
    ];
    for mark in MARKS {
        for parameter in parameters {
            for grant_type in ["authorization_code", "refresh_token", "client_credentials"] {
                let mut form = vec![("grant_type", grant_type), ("code", "x")];
                form.retain(|(name, _)| *name != parameter);
                form.push((parameter, mark));
                let answer = app.post_as("web", "/token", &form).await;
                assert!(matches!(answer.status.as_u16(), 400 | 401), "{answer:?}");
                assert_says_nothing(&answer);
            }
        }
        for form in [
            vec![("client_id", mark), ("client_secret", mark), ("grant_type", mark)],
            vec![("client_id", "web"), ("client_secret", mark)],
            vec![(mark, mark)],
        ] {
            for path in ["/token", "/introspect", "/revoke"] {
                let answer = app.post(path, &form, &[]).await;
                assert!(matches!(answer.status.as_u16(), 400 | 401), "{answer:?}");
                assert_says_nothing(&answer);
            }
        }
    }
}

/// TK-16, RX-06: nor when the database is away.
#[tokio::test(flavor = "multi_thread")]
async fn errors_say_nothing_when_the_database_is_away() {
    let (app, code) = with_code().await;
    let mut all = Vec::new();
    while let Ok(connection) = app.app.connection().await {
        all.push(connection);
    }
    let token = Opaque::from_bits(OpaqueKind::RefreshToken, [7; 32]).reveal();
    let answers = [redeem_as(&app, "web", &code).await, present(&app, "web", token.expose()).await];
    for answer in &answers {
        answer.assert_error(503, "temporarily_unavailable");
        assert!(answer.headers.contains_key("retry-after"));
        assert_says_nothing(answer);
    }
    drop(all);
    assert_unused(&app, &code).await;
}
