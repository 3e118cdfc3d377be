//! What an upstream says in confidence or in malice, and where it must not appear.

use std::sync::{Arc, Mutex};

use diesel_async::{AsyncConnection as _, AsyncPgConnection, RunQueryDsl as _};
use serde_json::json;

use super::{Witness, gets_in, is_refusal_page, no_session_cookie, sign_in_at};
use crate::support::{
    app::TestApp,
    fake_upstream::{CLIENT_SECRET, Endpoint, FakeUpstream, Outcome},
    journey::{authorize_path, redeem},
};

/// Everything in the database, as bytes to search.
async fn database_text(app: &TestApp) -> Vec<u8> {
    #[derive(diesel::QueryableByName)]
    struct Dump {
        #[diesel(sql_type = diesel::sql_types::Text)]
        text: String,
    }
    if let Some(file) = app.database.url.strip_prefix("sqlite:") {
        let read = |end: &str| std::fs::read(format!("{file}{end}")).unwrap_or_default();
        return [read(""), read("-wal")].concat();
    }
    let mut connection = AsyncPgConnection::establish(&app.database.url).await.unwrap();
    let sql = "SELECT database_to_xml(true, false, '')::text AS text";
    let dump: Dump = diesel::sql_query(sql).get_result(&mut connection).await.unwrap();
    dump.text.into_bytes()
}

fn holds(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

/// UP-31: the upstream's tokens reach neither a browser nor an app nor the database.
#[tokio::test(flavor = "multi_thread")]
async fn tokens_of_an_upstream_stay_nowhere() {
    let upstream = FakeUpstream::start().await;
    let app = TestApp::builder().upstream("kc", &upstream, "").start().await;
    let seen = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&seen);
    upstream.misbehave(|lies| {
        lies.token_response.set("refresh_token", "upstream-refresh-secret");
        lies.token_response.set("access_token", "upstream-access-secret");
        lies.claims.remove("at_hash");
        lies.rewrite_token(move |token| {
            log.lock().unwrap().push(token.clone());
            token
        });
    });
    let mut browser = app.browser();
    let journey = sign_in_at(&mut browser, "kc").await;
    let tokens = redeem(&app, "web", &journey.param("code").unwrap()).await;
    let mut traffic = format!("{:?} {tokens:?}", browser.cookies().log());
    for page in &journey.pages {
        traffic.extend([page.url.to_string(), format!("{:?}", page.headers), page.text()]);
    }
    traffic.push_str(&browser.get("/account").await.text());
    app.events().await;
    let kept = database_text(&app).await;
    assert!(holds(&kept, "alice@corp.test"), "the search finds what is there");
    let id_token = seen.lock().unwrap().pop().unwrap();
    let signature = id_token.rsplit('.').next().unwrap();
    let code = upstream.requests_to(Endpoint::Token)[0].param("code").unwrap().to_owned();
    let verifier =
        upstream.requests_to(Endpoint::Token)[0].param("code_verifier").unwrap().to_owned();
    for secret in
        ["upstream-refresh-secret", "upstream-access-secret", signature, &verifier, CLIENT_SECRET]
    {
        assert!(!traffic.contains(secret), "{secret} in the traffic");
        assert!(!holds(&kept, secret), "{secret} in the database");
    }
    assert!(!holds(&kept, &code), "the code in the database");
}

/// UP-31: also when the sign-in fails, and the failure is told at length.
#[tokio::test(flavor = "multi_thread")]
async fn a_failure_is_told_without_secrets() {
    let (app, upstream) = TestApp::with_upstream().await;
    let leak = crate::support::fake_upstream::Fault::answer(
        400,
        "application/json",
        "{\"error\":\"invalid_grant\",\"error_description\":\"client_secret was hunter2-secret\"}",
    );
    upstream.misbehave(|lies| lies.fault(Endpoint::Token, leak));
    let journey = sign_in_at(&mut app.browser(), "kc").await;
    assert_eq!(journey.last().status, 400);
    assert!(!journey.last().text().contains("hunter2-secret"));
    app.events().await;
    let kept = database_text(&app).await;
    let request = upstream.requests_to(Endpoint::Token).remove(0);
    for name in ["code", "code_verifier"] {
        assert!(!holds(&kept, request.param(name).unwrap()), "{name}");
    }
    assert!(!holds(&kept, "hunter2-secret") && !holds(&kept, CLIENT_SECRET));
}

/// UP-30: what an upstream says about an error is not shown, kept short, and counts only with a
/// state of ours.
#[tokio::test(flavor = "multi_thread")]
async fn error_texts_of_an_upstream_are_not_repeated() {
    let (app, upstream) = TestApp::with_upstream().await;
    let texts = [
        "<script>alert(1)</script>".to_owned(),
        "x".repeat(10_000),
        "a\r\nSet-Cookie: __Host-kw-session=evil".to_owned(),
        "\u{202e}{{7*7}}\u{0}".to_owned(),
    ];
    for text in texts {
        upstream.set_outcome(Outcome::Refuse {
            error: format!("access_denied{text}"),
            description: Some(text.clone()),
        });
        let witness = Witness::of(&app).await;
        let mut browser = app.browser();
        let journey = sign_in_at(&mut browser, "kc").await;
        let event = witness.only_refusal().await.unwrap();
        let page = journey.last();
        is_refusal_page(page, 400, &event).unwrap();
        assert_eq!(event.reason.as_deref(), Some("upstream_refused"));
        let said = page.text();
        assert!(!said.contains("<script>alert") && !said.contains("xxxxxxxx"), "{said}");
        assert!(!said.contains("evil") && said.len() < 8_000);
        assert!(event.detail.len() < 4_000 && !event.detail.contains('\n'), "{}", event.detail);
        no_session_cookie(&browser).unwrap();
    }
    let url = "/upstream/kc/callback?error=access_denied&error_description=hello-there&state=none";
    let witness = Witness::of(&app).await;
    let page = app.get(url, None).await;
    assert_eq!(page.status, 400);
    assert!(!String::from_utf8_lossy(&page.body).contains("hello-there"));
    let event = witness.only_refusal().await.unwrap();
    assert_eq!(event.reason.as_deref(), Some("state_unknown"));
    upstream.set_outcome(Outcome::SignIn);
    gets_in(&app, "kc").await.unwrap();
}

/// UP-29: nothing that a browser brings says where a sign-in ends.
#[tokio::test(flavor = "multi_thread")]
async fn no_parameter_leads_out_of_the_house() {
    let (app, upstream) = TestApp::with_upstream().await;
    app.add_user("bob", &[]).await;
    let targets = [
        "//evil.test",
        "/\\evil.test",
        "/%09/evil.test",
        "/%0d%0aLocation:%20//evil.test",
        "https:evil.test",
        "/..//evil.test",
        "\\\\evil.test",
        "%2f%2fevil.test",
        "javascript:alert(1)",
        "https://evil.test/",
        "https://id.test@evil.test/",
        "https://id.test.evil.test/",
        "http:///evil.test",
        "data:text/html,x",
        "//[::1]/",
    ];
    let names =
        ["return_to", "next", "redirect", "redirect_uri", "continue", "url", "rd", "target"];
    let mut browser = app.browser();
    let page = browser.get(&authorize_path("web", &[])).await;
    let flow = page.location_param("flow").unwrap();
    let own = url::Url::parse("https://id.test/").unwrap();
    for target in targets {
        let extra = names.map(|name| (name, target));
        for path in
            ["/", "/login", "/account", "/upstream/kc/start", "/upstream/kc/callback", "/logout"]
        {
            let mut url = own.join(path).unwrap();
            url.query_pairs_mut().append_pair("flow", &flow).extend_pairs(extra);
            let page = browser.get(url.as_str()).await;
            let to = page.location();
            let honest = to.as_ref().is_none_or(|to| {
                to.origin() == own.origin() || to.as_str().starts_with(&upstream.origin())
            });
            assert!(honest, "{path} {target}: {to:?}");
            assert!(page.links().iter().all(|link| link.host_str() != Some("evil.test")));
        }
    }
    browser.visit(&format!("/upstream/kc/start?flow={flow}&next=//evil.test")).await.landing();
}

/// The story names the person at the upstream, so that an administrator finds the refusal.
#[tokio::test(flavor = "multi_thread")]
async fn the_story_of_a_refusal_tells_every_hop() {
    let (app, upstream) = TestApp::with_upstream().await;
    upstream.misbehave(|lies| {
        lies.claims.set("nonce", json!("another"));
    });
    let event = super::fails(&app, &upstream, "kc").await.unwrap();
    for part in ["web asked for", "sent to kc", "came back from kc"] {
        assert!(event.detail.contains(part), "{part}: {}", event.detail);
    }
    assert_eq!(event.upstream.map(|slug| slug.to_string()).as_deref(), Some("kc"));
}
