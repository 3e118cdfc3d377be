//! The switch that shuts both doors, and every way around it that there is.

use serde_json::json;

use super::{Away, Witness, gets_in, is_refusal_page, no_session_cookie, rebuilt, start_at};
use crate::support::{
    app::{Builder, TestApp},
    fake_upstream::FakeUpstream,
};

const SHUT: &str = "[signup]\nlocal = \"closed\"\nfederated = \"closed\"";

fn shut(builder: Builder, upstream: &FakeUpstream) -> Builder {
    builder.config(SHUT).upstream("kc", upstream, "")
}

/// LK-11: no address here makes an account, in any form in which one might ask for it.
#[tokio::test(flavor = "multi_thread")]
async fn no_address_makes_an_account() {
    let upstream = FakeUpstream::start().await;
    let app = shut(TestApp::builder(), &upstream).start().await;
    let fields = [
        ("username", "mallory"),
        ("password", "mallory-password"),
        ("email", "mallory@corp.test"),
        ("invite", "abc"),
        ("signup", "open"),
    ];
    let text = json!({"username": "mallory", "password": "mallory-password"}).to_string();
    for path in [
        "/signup",
        "/signup/",
        "/signup?invite=abc",
        "/register",
        "/api/v1/users",
        "/admin/users",
        "/account",
    ] {
        let mut browser = app.browser();
        let posted = browser.post_form(path, &fields).await;
        assert!(posted.status >= 400, "{path}: {}", posted.status);
        no_session_cookie(&browser).unwrap();
        let request = axum::http::Request::post(format!("https://id.test{path}"))
            .header("content-type", "application/json")
            .body(bytes::Bytes::from(text.clone()))
            .unwrap();
        assert!(app.send(request).await.status.as_u16() >= 400, "{path}");
    }
    let mut browser = app.browser();
    let login = browser.visit("/account").await.last().clone();
    assert!(!login.text().contains("/signup"), "nobody is led there: {}", login.text());
    assert_eq!((app.count("users").await, app.count("identities").await), (0, 0));
}

/// LK-11: whoever comes from an upstream is turned away, whatever they add on the way, and also who
/// was on the way when the switch was thrown. Who is known gets in (LK-12).
#[tokio::test(flavor = "multi_thread")]
async fn no_step_of_a_sign_in_makes_an_account() {
    let upstream = FakeUpstream::start().await;
    let open = TestApp::builder().upstream("kc", &upstream, "").start().await;
    gets_in(&open, "kc").await.unwrap();
    upstream.set_person(json!({"sub": "666", "preferred_username": "mallory"}));
    let away = Away::at(&open, "kc").await;
    let (cookies, callback) = (away.browser.cookies().clone(), away.callback.clone());
    drop(away);

    let app = rebuilt(open, |builder| shut(builder, &upstream)).await;
    let mut browser = app.browser();
    *browser.cookies_mut() = cookies;
    let witness = Witness::of(&app).await;
    let page = browser.get(callback.as_str()).await;
    let event = witness.only_refusal().await.unwrap();
    // What is kept in this process has gone with it.
    let lost = app.app.memory.is_some();
    is_refusal_page(&page, if lost { 400 } else { 403 }, &event).unwrap();
    let wanted = if lost { "state_unknown" } else { "signup_closed" };
    assert_eq!(event.reason.as_deref(), Some(wanted));

    for more in ["", "&signup=open", "&invite=abc", "&federated=open&username=mallory"] {
        let witness = Witness::of(&app).await;
        let mut browser = app.browser();
        browser.stop_at("https://id.test/upstream/kc/callback");
        let start = start_at(&mut browser, "kc").await;
        let back = browser.follow(start).await.landing().clone();
        let page = browser.get(&format!("{back}{more}")).await;
        let event = witness.only_refusal().await.unwrap();
        is_refusal_page(&page, 403, &event).unwrap();
        assert_eq!(event.reason.as_deref(), Some("signup_closed"), "{more}");
        no_session_cookie(&browser).unwrap();
    }
    upstream.set_person(json!({"sub": "alice-at-upstream", "preferred_username": "alice"}));
    gets_in(&app, "kc").await.unwrap();
    assert_eq!((app.count("users").await, app.count("identities").await), (1, 1));
}
