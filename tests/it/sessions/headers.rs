//! SS-15: what every answer says to browsers, whatever the answer is.

use axum::http::HeaderMap;

use super::sign_in;
use crate::support::{
    app::{Answer, TestApp},
    browser::Browser,
    journey::authorize_path,
};

fn assert_secure(what: &str, headers: &HeaderMap) {
    let text = |name: &str| {
        let mut lines = headers.get_all(name).iter();
        let line = lines.next().map(|line| line.to_str().unwrap().to_owned()).unwrap_or_default();
        assert!(lines.next().is_none(), "{what}: {name} stands twice");
        line
    };
    assert_eq!(text("x-content-type-options"), "nosniff", "{what}");
    assert_eq!(text("x-frame-options"), "DENY", "{what}");
    assert_eq!(text("referrer-policy"), "no-referrer", "{what}");
    assert_eq!(text("cross-origin-opener-policy"), "same-origin", "{what}");
    assert!(text("permissions-policy").contains("camera=()"), "{what}");
    let hsts = text("strict-transport-security");
    let seconds = hsts.strip_prefix("max-age=").and_then(|rest| rest.split(';').next());
    assert!(seconds.unwrap().parse::<u64>().unwrap() >= 31_536_000, "{what}: {hsts}");
    let policy = text("content-security-policy");
    let directives: Vec<&str> = policy.split(';').map(str::trim).collect();
    assert!(directives.contains(&"default-src 'none'"), "{what}: {policy}");
    assert!(directives.contains(&"frame-ancestors 'none'"), "{what}: {policy}");
    for unsafe_word in ["unsafe-inline", "unsafe-eval", "unsafe-hashes", "*", "http:"] {
        assert!(!policy.contains(unsafe_word), "{what}: {policy}");
    }
    for telling in ["server", "x-powered-by", "via"] {
        assert!(!headers.contains_key(telling), "{what}: {telling}");
    }
}

async fn pages(app: &TestApp, browser: &mut Browser) -> Vec<(String, HeaderMap)> {
    let mut seen = Vec::new();
    let login = browser.visit(&authorize_path("web", &[])).await;
    seen.extend(login.pages.iter().map(|page| (page.url.to_string(), page.headers.clone())));
    let style = login.last().text();
    let style = style.split_once("stylesheet\" href=\"").unwrap().1.split('"').next().unwrap();
    sign_in(browser, "bob").await;
    let form_post = authorize_path("web", &[("response_mode", "form_post")]);
    let paths = [
        "/",
        style,
        "/account",
        "/logout",
        "/nowhere",
        "/assets/nothing.css",
        "/login",
        "/authorize",
        "/authorize?client_id=nobody",
        "/upstream/none/start",
        "/upstream/none/callback",
        "/token",
        "/userinfo",
        &form_post,
        &authorize_path("web", &[("scope", "nonsense")]),
        &authorize_path("web", &[("redirect_uri", "https://evil.test/cb")]),
        "/.well-known/openid-configuration",
        "/.well-known/oauth-authorization-server",
        "/.well-known/jwks.json",
        "/.well-known/nothing",
    ];
    for path in paths {
        let page = browser.get(path).await;
        seen.push((format!("{} {path}", page.status), page.headers));
    }
    let posts =
        [("/logout", "confirm"), ("/account/sessions/end", "handle"), ("/login", "username")];
    for (path, field) in posts {
        let page = browser.post_form(path, &[(field, "x")]).await;
        seen.push((format!("{} POST {path}", page.status), page.headers));
    }
    for path in ["/token", "/introspect", "/revoke"] {
        let Answer { status, headers, .. } = app.post(path, &[("a", "b")], &[]).await;
        seen.push((format!("{status} POST {path}"), headers));
    }
    let form = [("grant_type", "client_credentials")];
    let answer = app.post_as("m2m", "/token", &form).await;
    assert_eq!(answer.status, 200);
    seen.push(("good POST /token".to_owned(), answer.headers));
    seen
}

/// SS-15, AZ-32: pages, errors, redirects, files, documents and answers for apps alike.
#[tokio::test(flavor = "multi_thread")]
async fn every_answer_carries_the_security_headers() {
    let app = TestApp::start().await;
    app.add_user("bob", &[]).await;
    let seen = pages(&app, &mut app.browser()).await;
    assert!(seen.len() > 25);
    for (what, headers) in seen {
        assert_secure(&what, &headers);
    }
}

/// SS-15: a method that a route does not have is answered with them too.
#[tokio::test(flavor = "multi_thread")]
async fn refused_methods_carry_the_security_headers() {
    let app = TestApp::start().await;
    for (method, path) in [("DELETE", "/account"), ("PUT", "/token"), ("PATCH", "/nowhere")] {
        let request = axum::http::Request::builder().method(method);
        let request = request.uri(format!("https://id.test{path}"));
        let answer = app.send(request.body(bytes::Bytes::new()).unwrap()).await;
        assert!(matches!(answer.status.as_u16(), 404 | 405), "{method} {path}: {answer:?}");
        assert_secure(path, &answer.headers);
    }
}
