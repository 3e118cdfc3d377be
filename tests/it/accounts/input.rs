//! Input that is deeper, or cleverer, than anybody needs (IJ-10, IJ-11).

use axum::http::Request;
use bytes::Bytes;

use super::{FAST, NEW};
use crate::{
    second_factor::passkeys,
    sessions::sign_in,
    support::{
        app::{ISSUER, TestApp, basic},
        inbox::Inbox,
        journey::authorize_path,
    },
};

const DEEP: usize = 10_000;

/// What a reader that goes down a step for each step of its input would not come back from.
fn abysses() -> Vec<String> {
    let nested = |open: &str, close: &str| format!("{}{}", open.repeat(DEEP), close.repeat(DEEP));
    vec![
        nested("[", "]"),
        nested("{\"a\":", "}"),
        nested("(", ")"),
        "{\"a\":[".repeat(DEEP / 2),
        "openid ".repeat(DEEP / 2),
        format!("{}@corp.test", "a.".repeat(DEEP)),
        format!("\"{}\"@corp.test", "(".repeat(DEEP)),
        "%5B".repeat(DEEP / 2),
        format!("2026-01-01T00:00:00{}", "+00:00".repeat(DEEP / 4)),
        "<a ".repeat(DEEP),
        "-----BEGIN ".repeat(DEEP / 4),
    ]
}

/// IJ-10: whatever is nested ten thousand deep is refused like anything else that is wrong, wherever it
/// is read, and the house goes on.
#[tokio::test(flavor = "multi_thread")]
async fn input_without_a_bottom_is_refused_everywhere() {
    let inbox = Inbox::open();
    let config = format!("[signup]\nlocal = \"open\"\n{FAST}");
    let app = inbox.builder(&config).start().await;
    app.add_user("bob", &[]).await;
    let mut browser = app.browser();
    sign_in(&mut browser, "bob").await;
    let csrf = crate::sessions::form_token(&mut browser).await;
    let users = app.count("users").await;
    for deep in abysses() {
        let short: String = deep.chars().take(12).collect();
        for (path, fields) in [
            ("/login?flow=x", ["username", "password"]),
            ("/signup", ["email", "username"]),
            ("/recovery", ["username", "code"]),
            ("/account/email", ["email", "x"]),
            ("/account/profile", ["username", "name"]),
            ("/account/tokens", ["scope.x", "lifetime"]),
            ("/account/passkeys", ["credential", "name"]),
            ("/login/passkey?flow=x", ["credential", "x"]),
        ] {
            let fields =
                [("csrf", csrf.as_str()), (fields[0], deep.as_str()), (fields[1], deep.as_str())];
            let status = browser.post_form(path, &fields).await.status;
            assert!((400..500).contains(&status), "{path} {short}: {status}");
        }
        for (path, field) in [("/token", "scope"), ("/introspect", "token"), ("/revoke", "token")] {
            let form = [("grant_type", "client_credentials"), (field, deep.as_str())];
            let answer = app.post_as("m2m", path, &form).await;
            assert!(answer.status.as_u16() < 500, "{path} {short}: {answer:?}");
        }
        let request = Request::post(format!("{ISSUER}/token"))
            .header("content-type", "application/json")
            .header("authorization", basic("m2m"))
            .body(Bytes::from(deep.clone()));
        assert!(app.send(request.unwrap()).await.status.is_client_error(), "{short}");
        let in_query: String = url::form_urlencoded::byte_serialize(deep.as_bytes()).collect();
        for name in ["claims", "scope", "login_hint", "id_token_hint", "acr_values", "request"] {
            // As long as an address may be.
            let value: String = in_query.chars().take(6_000).collect();
            let page = browser.get(&format!("{}&{name}={value}", authorize_path("web", &[]))).await;
            assert!(page.status < 500, "{name} {short}: {}", page.text());
        }
    }
    assert_eq!(app.count("users").await, users);
    assert_eq!(app.count("passkeys").await, 0);
    sign_in(&mut app.browser(), "bob").await;
}

/// IJ-10: nor does the body of a token, or of what an authenticator answers, have a bottom.
#[tokio::test(flavor = "multi_thread")]
async fn tokens_without_a_bottom_are_refused() {
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
    let app = TestApp::builder().config(FAST).start().await;
    app.add_user("bob", &[]).await;
    for deep in abysses() {
        let part = URL_SAFE_NO_PAD.encode(&deep);
        for token in [
            format!("{part}.{part}.{part}"),
            format!("eyJhbGciOiJFUzI1NiJ9.{part}.AAAA"),
            part.clone(),
        ] {
            let token: String = token.chars().take(20_000).collect();
            let bearer = format!("Bearer {token}");
            assert_eq!(app.get("/userinfo", Some(&bearer)).await.status, 401);
            let answer = app.post_as("web", "/introspect", &[("token", &token)]).await;
            assert_eq!(&answer.body[..], br#"{"active":false}"#);
            let logout = app.post("/logout", &[("id_token_hint", &token)], &[]).await;
            assert!(logout.status.as_u16() < 500, "{}", logout.status);
        }
        let mut browser = app.browser();
        let page = passkeys::asked(&mut browser, &[]).await;
        let status = passkeys::present(&mut browser, &page, &deep).await.status;
        assert!([400, 413].contains(&status), "{status}");
        assert!(browser.cookies().get(crate::sessions::SESSION).is_none());
    }
}

/// IJ-11: text is text: what a person types is no pattern, neither for a database nor for a matcher.
#[tokio::test(flavor = "multi_thread")]
async fn what_somebody_types_is_no_pattern() {
    let inbox = Inbox::open();
    let config = format!("[signup]\nlocal = \"open\"\n{FAST}");
    let app = inbox.builder(&config).start().await;
    app.add_user("bob", &[]).await;
    let long = format!("{}!", "a".repeat(300));
    let patterns =
        ["b.b", "b%", "_ob", "b*", ".*", "^bob$", "(a+)+$", "[a-z]+", "bob|alice", "\\w+", &long];
    for pattern in patterns {
        let mut browser = app.browser();
        let page = browser.visit(&authorize_path("web", &[])).await.last().clone();
        let form =
            page.form_to("/login").fill("username", pattern).fill("password", "bob-password");
        assert_eq!(browser.submit(&page, &form).await.status, 400, "{pattern}");
        let page = browser.get("/recovery").await;
        browser.submit(&page, &page.form_to("/recovery").fill("username", pattern)).await;
        let page = browser.visit("/signup").await.last().clone();
        let form = page.form_to("/signup").fill("username", "anna").fill("password", NEW);
        let answer = browser.submit(&page, &form.fill("email", pattern)).await;
        assert_eq!(answer.status, 422, "{pattern}: {}", answer.text());
        let redirect =
            authorize_path("web", &[("redirect_uri", &format!("https://web.test/{pattern}"))]);
        let page = browser.get(&redirect).await;
        assert!(page.status == 400 && page.location().is_none(), "{pattern}");
        app.clock.advance(3 * 3_600);
    }
    assert!(inbox.all(&app).await.is_empty());
    assert_eq!(app.count("users").await, 1);
}
