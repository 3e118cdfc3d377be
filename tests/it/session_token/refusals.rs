//! Who may not use the cookie: refused before the token is looked at.

use axum::http::{Method, Request};
use bytes::Bytes;

use keywright::config::{self, Environment};

use super::{
    BOARD, ORIGIN, Page, REFRESH, code, code_form, delete_with, is_good, post_with, signed_in,
    start,
};
use crate::{
    refresh::family::redeem_as,
    support::app::{Answer, ISSUER, TestApp},
};

/// The headers of the page, one of them otherwise.
fn changed(page: &Page, name: &'static str, value: Option<&str>) -> Vec<(&'static str, String)> {
    let mut headers = page.headers();
    headers.retain(|(own, _)| *own != name);
    headers.extend(value.map(|value| (name, value.to_owned())));
    headers
}

/// SS-10: no other page can use the cookie, whatever the browser sends along.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_elses_page_can_use_the_cookie() {
    let app = start().await;
    let (mut page, access) = signed_in(&app).await;
    let mut twice = page.headers();
    twice.push(("origin", ORIGIN.to_owned()));
    let forged = [
        (changed(&page, "origin", None), "origin_not_allowed"),
        (changed(&page, "origin", Some("null")), "origin_not_allowed"),
        (changed(&page, "origin", Some("https://evil.test")), "origin_not_allowed"),
        (changed(&page, "origin", Some("https://spa.test")), "origin_not_allowed"),
        (changed(&page, "origin", Some("http://board.test")), "origin_not_allowed"),
        (changed(&page, "origin", Some("https://board.test:8443")), "origin_not_allowed"),
        (changed(&page, "origin", Some("https://board.test.evil.test")), "origin_not_allowed"),
        (changed(&page, "origin", Some(ISSUER)), "origin_not_allowed"),
        (twice, "origin_not_allowed"),
        (changed(&page, "sec-fetch-site", Some("cross-site")), "cross_site"),
        (changed(&page, "x-keywright-request", None), "header_missing"),
    ];
    let rows = app.count("refresh_tokens").await;
    let mut reasons = Vec::new();
    for (headers, reason) in &forged {
        for answer in [post_with(&app, &REFRESH, headers).await, delete_with(&app, headers).await] {
            answer.assert_error(403, "invalid_request");
            assert!(!answer.headers.contains_key("set-cookie"), "{reason}");
            reasons.push(*reason);
        }
    }
    assert_eq!(app.refusals("session_token").await, reasons);
    assert_eq!(app.count("refresh_tokens").await, rows, "nothing was rotated");
    assert!(is_good(&app, &access).await);
    assert_eq!(page.refresh(&app).await.status, 200);
}

/// An app has one place for its tokens: what its pages must not see, they are not given elsewhere.
#[tokio::test(flavor = "multi_thread")]
async fn each_app_gets_its_tokens_at_its_own_endpoint_alone() {
    let app = start().await;
    let code = code(&app).await;
    let redirect_uri = "https://board.test/cb";
    let elsewhere = app.post("/token", &code_form(&code, redirect_uri), &[]).await;
    elsewhere.assert_error(400, "unauthorized_client");
    let mut page = Page::default();
    assert_eq!(page.redeem(&app, &code).await.status, 200, "the code was not used up");
    let token = page.cookie.clone().unwrap();
    let form =
        [REFRESH.as_slice(), &[("refresh_token", token.split_once('=').unwrap().1)]].concat();
    app.post("/token", &form, &[]).await.assert_error(400, "unauthorized_client");
    page.post(&app, &form).await.assert_error(400, "invalid_request");
    assert_eq!(page.refresh(&app).await.status, 200);

    let form = [("grant_type", "refresh_token"), ("client_id", "spa")];
    let headers = changed(&page, "origin", Some("https://spa.test"));
    post_with(&app, &form, &headers).await.assert_error(400, "unauthorized_client");
    assert_eq!(app.refusals("session_token").await, ["session_token_not_allowed"]);
    let spa = crate::support::journey::code_for(&mut app.browser(), "spa", "bob", &[]).await;
    assert_eq!(redeem_as(&app, "spa", &spa).await.status, 200);
}

/// What is no code and no cookie is told so in the words of RFC 6749 §5.2.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_page_sends_wrongly_is_named() {
    let app = start().await;
    let (page, access) = signed_in(&app).await;
    let mut stranger = Page::default();
    stranger.refresh(&app).await.assert_error(400, "invalid_grant");
    let name = page.cookie.as_deref().unwrap().split_once('=').unwrap().0;
    let mut broken = Page { cookie: Some(format!("{name}=kw_rt_nonsense")) };
    broken.refresh(&app).await.assert_error(400, "invalid_grant");
    let mut doubled = Page { cookie: page.cookie.as_ref().map(|own| format!("{own}; {name}=x")) };
    doubled.refresh(&app).await.assert_error(400, "invalid_grant");
    for (grant_type, error) in [
        ("client_credentials", "unsupported_grant_type"),
        ("password", "unsupported_grant_type"),
        ("", "invalid_request"),
    ] {
        let form = [("grant_type", grant_type), ("client_id", "board")];
        page.clone().post(&app, &form).await.assert_error(400, error);
    }
    page.clone()
        .post(&app, &[("grant_type", "refresh_token")])
        .await
        .assert_error(401, "invalid_client");
    let mut guess = page.clone();
    guess.redeem(&app, "kw_ac_nonsense").await.assert_error(400, "invalid_grant");
    assert_eq!(guess.cookie, page.cookie, "a bad code costs nobody their session");
    assert!(is_good(&app, &access).await);
}

fn allowed(answer: &Answer) -> [Option<&str>; 4] {
    ["origin", "credentials", "methods", "headers"].map(|what| {
        let value = answer.headers.get(format!("access-control-allow-{what}"))?;
        Some(value.to_str().unwrap())
    })
}

/// SS-19: answers with cookies are read from the app's own origin alone, and a browser is told so
/// before it sends anything.
#[tokio::test(flavor = "multi_thread")]
async fn the_apps_own_origin_alone_reads_the_answers() {
    let app = start().await;
    let ask = async |origin: &str| {
        let request = Request::builder()
            .method(Method::OPTIONS)
            .uri(format!("{ISSUER}/session/token"))
            .header("origin", origin)
            .header("access-control-request-method", "POST")
            .header("access-control-request-headers", "x-keywright-request");
        app.send(request.body(Bytes::new()).unwrap()).await
    };
    let own = ask(ORIGIN).await;
    let methods_and_headers =
        (Some("POST, DELETE"), Some("content-type, dpop, x-keywright-request"));
    assert_eq!(
        allowed(&own),
        [Some(ORIGIN), Some("true"), methods_and_headers.0, methods_and_headers.1]
    );
    for foreign in ["https://spa.test", "https://web.test", "https://evil.test", "null"] {
        assert_eq!(allowed(&ask(foreign).await), [None; 4], "{foreign}");
    }
    let (mut page, _) = signed_in(&app).await;
    assert_eq!(allowed(&page.refresh(&app).await)[..2], [Some(ORIGIN), Some("true")]);
    let foreign = changed(&page, "origin", Some("https://evil.test"));
    let refused = post_with(&app, &REFRESH, &foreign).await;
    assert_eq!((refused.status.as_u16(), allowed(&refused)), (403, [None; 4]));
}

/// A setting that could do nothing is named.
#[test]
fn the_setting_is_for_browser_apps() {
    let text = |lines: &str| {
        let server = "[server]\nissuer = \"https://id.test\"\n[secrets]\nsecret_key = \
                      \"3q2+7wEjRWeJq83vASNFZ4mrze8BI0VniavN7wEjRWc=\"\n";
        config::parse(&format!("{server}{lines}"), &Environment::new()).err()
    };
    let problems = |lines: &str| text(lines).map(|problems| problems.to_string());
    assert_eq!(problems(BOARD), None);
    for (from, to, expected) in [
        ("type = \"public\"", "type = \"native\"", "clients of type = \"public\""),
        (
            "session_token",
            "grant_types = [\"authorization_code\"]\nsession_token",
            "\"refresh_token\" among grant_types",
        ),
    ] {
        let problem = problems(&BOARD.replace(from, to)).unwrap();
        assert!(problem.contains("clients.0.session_token"), "{problem}");
        assert!(problem.contains(expected), "{problem}");
    }
}

/// The same app on loopback, where cookies of several parties meet: a cookie for each.
#[tokio::test(flavor = "multi_thread")]
async fn apps_on_one_site_have_a_cookie_each() {
    let second = BOARD.replace("board", "desk").replace("Board", "Desk");
    let app = TestApp::builder().config(BOARD).config(&second).start().await;
    app.add_user("bob", &[]).await;
    let (mut page, _) = signed_in(&app).await;
    let form = [("grant_type", "refresh_token"), ("client_id", "desk")];
    let headers = changed(&page, "origin", Some("https://desk.test"));
    post_with(&app, &form, &headers).await.assert_error(400, "invalid_grant");
    assert_eq!(page.refresh(&app).await.status, 200);
}
