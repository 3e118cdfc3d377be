//! What is no code at all, and what is a secret of another kind.

use axum::http::{Request, header};
use bytes::Bytes;

use super::{Family, refused, start_with_code};
use crate::authorize::assert_refusal_page;
use crate::support::{
    app::{Answer, ISSUER, TestApp, basic},
    browser::Browser,
    journey::{authorize_path, code_by_session, redeem, refresh},
};

/// CD-15: refused before any store is asked.
#[tokio::test(flavor = "multi_thread")]
async fn a_malformed_code_is_refused_without_asking_any_store() {
    let (app, _, code) = start_with_code("web").await;
    let mut wrong: Vec<String> = (1..=20).map(|n| code[..code.len() - n].to_owned()).collect();
    wrong.extend([
        format!("{code}A"),
        format!("{code}="),
        format!(" {code}"),
        format!("{code} "),
        format!("{code}\u{0}"),
        format!("{code}\n"),
        code.to_uppercase(),
        code.to_lowercase(),
        code.replacen("kw_ac_", "kw_rt_", 1),
        code.replacen("kw_ac_", "", 1),
        flipped(&code),
        "kw_ac_".to_owned(),
        "x".repeat(60_000),
        "\u{1f511}".repeat(40),
    ]);
    let before = app.app.state.commands();
    for code in &wrong {
        redeem(&app, "web", code).await.assert_error(400, "invalid_grant");
    }
    assert_eq!(app.app.state.commands(), before);
    assert_eq!(refused(&app, "code_malformed").await, wrong.len());
    assert_eq!((app.count("grants").await, app.count("refresh_tokens").await), (0, 0));
    assert_eq!(redeem(&app, "web", &code).await.status, 200);
}

/// One character of the random part changed.
fn flipped(code: &str) -> String {
    let (head, tail) = code.split_at(20);
    let first = if tail.starts_with('A') { 'B' } else { 'A' };
    format!("{head}{first}{}", &tail[1..])
}

async fn post_raw(app: &TestApp, body: Vec<u8>) -> Answer {
    let request = Request::post(format!("{ISSUER}/token"))
        .header(header::AUTHORIZATION, basic("web"))
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(Bytes::from(body))
        .unwrap();
    app.send(request).await
}

/// CD-15: bytes that are no text, and more than we read.
#[tokio::test(flavor = "multi_thread")]
async fn a_code_that_cannot_be_read_makes_the_request_invalid() {
    let (app, _, code) = start_with_code("web").await;
    for value in [&b"%ff%fe"[..], b"\xff\xfe", b"kw_ac_%c3%28"] {
        let body = [b"grant_type=authorization_code&code=", value].concat();
        post_raw(&app, body).await.assert_error(400, "invalid_request");
    }
    let missing = post_raw(&app, b"grant_type=authorization_code".to_vec()).await;
    missing.assert_error(400, "invalid_request");
    let twice = format!("grant_type=authorization_code&code={code}&code={code}");
    post_raw(&app, twice.into_bytes()).await.assert_error(400, "invalid_request");
    let large = format!("grant_type=authorization_code&code={}", "x".repeat(70_000));
    post_raw(&app, large.into_bytes()).await.assert_error(413, "invalid_request");
    assert_eq!(app.count("grants").await, 0);
    assert_eq!(redeem(&app, "web", &code).await.status, 200);
}

/// Every single-use or secret value that one person's sign-ins bring about.
struct Secrets {
    all: Vec<(&'static str, String)>,
}

impl Secrets {
    fn get(&self, kind: &str) -> &str {
        self.all.iter().find(|(own, _)| *own == kind).map(|(_, value)| value.as_str()).unwrap()
    }

    fn except<'s>(&'s self, kind: &'s str) -> impl Iterator<Item = &'s str> {
        self.all.iter().filter(move |(own, _)| *own != kind).map(|(_, value)| value.as_str())
    }
}

async fn gather(app: &TestApp, browser: &mut Browser) -> Secrets {
    let cookie = |browser: &Browser, name: &str| browser.cookies().get(name).unwrap().value.clone();
    let used = code_by_session(browser, "web", &[]).await;
    let family = Family::of(&redeem(app, "web", &used).await);
    // A sign-in that stops at the door of the upstream.
    let page = browser.get(&authorize_path("web", &[("prompt", "select_account")])).await;
    let flow = page.location_param("flow").unwrap();
    let away = browser.get(&format!("/upstream/kc/start?flow={flow}")).await;
    let state = away.location_param("state").unwrap();
    let code = code_by_session(browser, "web", &[]).await;
    Secrets {
        all: vec![
            ("code", code),
            ("flow", flow),
            ("upstream state", state),
            ("refresh token", family.refresh),
            ("access token", family.access),
            ("session", cookie(browser, "__Host-kw-session")),
            ("browser", cookie(browser, "__Host-kw-browser")),
        ],
    }
}

/// CD-12: a value of one kind is unknown wherever another kind is expected, and stays good.
#[tokio::test(flavor = "multi_thread")]
async fn a_secret_of_one_kind_is_worth_nothing_as_another() {
    let (app, _upstream) = TestApp::with_upstream().await;
    let mut browser = app.browser();
    code_by_session(&mut browser, "web", &[]).await;
    let secrets = gather(&app, &mut browser).await;
    for value in secrets.except("code") {
        redeem(&app, "web", value).await.assert_error(400, "invalid_grant");
    }
    for value in secrets.except("refresh token") {
        refresh(&app, "web", value).await.assert_error(400, "invalid_grant");
    }
    for value in secrets.except("access token") {
        let answer = app.get("/userinfo", Some(&format!("Bearer {value}"))).await;
        assert_eq!(answer.status, 401, "{value}");
    }
    for value in secrets.except("flow") {
        for path in ["/login", "/upstream/kc/start"] {
            let page = browser.get(&format!("{path}?flow={value}")).await;
            assert_refusal_page(&page, 400, "flow_expired");
        }
    }
    for value in secrets.except("upstream state") {
        let page = browser.get(&format!("/upstream/kc/callback?state={value}&code=x")).await;
        assert_refusal_page(&page, 400, "state_unknown");
    }
    for value in secrets.except("session") {
        let mut other = browser.clone();
        other.cookies_mut().overwrite("__Host-kw-session", value);
        let path = authorize_path("web", &[("prompt", "none")]);
        let page = other.get(&path).await;
        assert_eq!(page.location_param("error").as_deref(), Some("login_required"), "{value}");
    }
    for value in secrets.except("browser") {
        let mut other = browser.clone();
        other.cookies_mut().overwrite("__Host-kw-browser", value);
        let page = other.get(&format!("/login?flow={}", secrets.get("flow"))).await;
        assert_refusal_page(&page, 403, "flow_not_yours");
    }
    assert_still_good(&app, &mut browser, &secrets).await;
}

/// After all of that every value still does what it is for.
async fn assert_still_good(app: &TestApp, browser: &mut Browser, secrets: &Secrets) {
    let bearer = format!("Bearer {}", secrets.get("access token"));
    assert_eq!(app.get("/userinfo", Some(&bearer)).await.status, 200);
    assert_eq!(redeem(app, "web", secrets.get("code")).await.status, 200);
    assert_eq!(refresh(app, "web", secrets.get("refresh token")).await.status, 200);
    assert_eq!(browser.get(&format!("/login?flow={}", secrets.get("flow"))).await.status, 200);
    code_by_session(browser, "web", &[("prompt", "none")]).await;
}
