//! The short id on an error page leads to the whole story.

use keywright::{
    foundation::ids::{TraceId, UpstreamSlug},
    store::audit_events::{self, AuditEvent},
};
use serde_json::Value;

use super::{continue_with, house};
use crate::support::{
    app::TestApp,
    browser::Page,
    fake_upstream::Outcome,
    journey::{authorize_path, redeem, sign_in_on_page},
};

/// The id on a page.
fn trace_on(page: &Page) -> String {
    let text = page.text();
    let (_, rest) = text.split_once("trace: ").unwrap_or_else(|| panic!("no trace on {text}"));
    rest.split(['\n', '<']).next().unwrap().trim().to_owned()
}

async fn story(app: &TestApp, trace: &str) -> Vec<AuditEvent> {
    app.app.audit.flush().await;
    let trace = TraceId::parse(trace).expect("a short id");
    let mut connection = app.app.connection().await.unwrap();
    audit_events::list_of_trace(&mut connection, &trace).await.unwrap()
}

fn detail(event: &AuditEvent) -> Value {
    serde_json::from_str(&event.detail).unwrap()
}

/// The hops of an event's story, in their order.
fn hops(event: &AuditEvent) -> Vec<String> {
    let detail = detail(event);
    let hops = detail["story"].as_array().unwrap_or_else(|| panic!("no story in {detail}"));
    hops.iter().map(|hop| hop["what"].as_str().unwrap().to_owned()).collect()
}

/// A sign-in that fails at the very end tells every hop that led there.
#[tokio::test(flavor = "multi_thread")]
async fn a_failed_sign_in_tells_every_hop() {
    let (app, upstreams) = house().await;
    let mut browser = app.browser();
    let login = browser.visit(&authorize_path("web", &[])).await.last().clone();
    let form = login.form_to("/login").fill("username", "bob").fill("password", "wrong");
    let wrong = browser.submit(&login, &form).await;
    let description = Some("not a member".to_owned());
    upstreams[1].set_outcome(Outcome::Refuse { error: "access_denied".to_owned(), description });
    app.clock.advance(60);
    let page = continue_with(&mut browser, "other", &wrong).await;
    assert_eq!(page.status, 400, "{}", page.text());

    let trace = trace_on(&page);
    assert_eq!(trace.len(), 8, "{trace}: short enough to read out");
    let events = story(&app, &trace).await;
    let reasons: Vec<&str> = events.iter().filter_map(|e| e.reason.as_deref()).collect();
    assert_eq!(reasons, ["wrong_password", "upstream_refused"]);
    let last = &events[1];
    assert_eq!(last.upstream.as_ref().map(UpstreamSlug::as_str), Some("other"));
    assert!(last.address.as_deref().is_some_and(|address| address.starts_with("10.")));
    assert_eq!(detail(last)["what"], "access_denied: not a member");
    let hops = hops(last);
    let expected = ["web asked for", "sent to other", "came back from other"];
    assert_eq!(hops.len(), expected.len(), "{hops:?}");
    for (hop, start) in hops.iter().zip(expected) {
        assert!(hop.starts_with(start), "{hops:?}");
    }
    assert!(hops[0].contains("openid profile email groups offline_access"), "{hops:?}");
}

/// A sign-in that succeeds tells as much, under the id that its grant keeps.
#[tokio::test(flavor = "multi_thread")]
async fn a_good_sign_in_tells_every_hop_too() {
    let (app, _upstreams) = house().await;
    let mut browser = app.browser();
    let login = browser.visit(&authorize_path("web", &[])).await.last().clone();
    let link = login.links().into_iter().find(|l| l.path() == "/upstream/kc/start").unwrap();
    let page = browser.click(&login, link.as_str()).await;
    let code = browser.follow(page).await.param("code").unwrap();
    assert_eq!(redeem(&app, "web", &code).await.status, 200);
    let events = app.events().await;
    let event = events.iter().find(|event| event.action == "sign_in").unwrap();
    let told = hops(event);
    let expected = ["web asked for", "sent to kc", "came back from kc", "kc says: 7"];
    assert_eq!(told.len(), expected.len(), "{told:?}");
    assert!(told.iter().zip(expected).all(|(hop, start)| hop.starts_with(start)), "{told:?}");
    let trace = event.trace_id.clone().unwrap();
    let mut connection = app.app.connection().await.unwrap();
    let grants = keywright::store::grants::list_of_trace(&mut connection, &trace).await.unwrap();
    assert_eq!(grants.len(), 1);
    drop(connection);

    // A replay of the code much later belongs to the same story.
    app.clock.advance(3_600);
    redeem(&app, "web", &code).await.assert_error(400, "invalid_grant");
    let story = story(&app, trace.as_str()).await;
    let reasons: Vec<&str> = story.iter().filter_map(|e| e.reason.as_deref()).collect();
    assert_eq!(reasons, ["code_replay"]);
}

/// The events of one story come in their order, also when they happened in one second.
#[tokio::test(flavor = "multi_thread")]
async fn a_story_of_one_second_is_told_in_its_order() {
    let app = TestApp::start().await;
    app.add_user("bob", &[]).await;
    let mut expected = Vec::new();
    for number in 0..8 {
        expected.push(Some(app.add_user(&format!("wrong{number}"), &[]).await.id));
    }
    let mut browser = app.browser();
    let login = browser.visit(&authorize_path("web", &[])).await;
    for number in 0..8 {
        let form = login.last().form_to("/login");
        let form = form.fill("username", &format!("wrong{number}")).fill("password", "x");
        browser.submit(login.last(), &form).await;
    }
    sign_in_on_page(&mut browser, &login, "bob").await.landing();
    let events = app.events().await;
    let trace = events.iter().find_map(|event| event.trace_id.clone()).unwrap();
    let story = story(&app, trace.as_str()).await;
    let refused = story.iter().filter(|event| event.reason.is_some());
    let people: Vec<_> = refused.map(|event| event.user_id.clone()).collect();
    assert_eq!(people, expected);
}

/// Every error page names a story that is kept, with its reason and the way it was asked.
#[tokio::test(flavor = "multi_thread")]
async fn every_error_page_leads_to_an_event() {
    let (app, _upstreams) = house().await;
    let mut browser = app.browser();
    crate::sessions::sign_in(&mut browser, "bob").await;
    let mut seen = std::collections::BTreeSet::new();
    for path in [
        "/authorize",
        "/authorize?client_id=x",
        "/authorize?client_id=x&client_id=y",
        &authorize_path("web", &[("redirect_uri", "https://evil.test/cb")]),
        "/login?flow=x",
        "/upstream/kc/start?flow=x",
        "/upstream/kc/callback?state=x&code=y",
        "/logout?state=1&state=2",
    ] {
        let page = browser.get(path).await;
        assert!(page.status >= 400, "{path}");
        let trace = trace_on(&page);
        assert!(seen.insert(trace.clone()), "{path}: a story of its own");
        let story = story(&app, &trace).await;
        assert_eq!(story.len(), 1, "{path}");
        let reason = story[0].reason.as_deref().unwrap();
        assert!(page.text().contains(&format!("code: {reason}")), "{path}: {reason}");
        assert!(detail(&story[0])["route"].as_str().unwrap().starts_with('/'), "{path}");
    }
    let page = browser.post_form("/account/sessions/end", &[("handle", "x")]).await;
    assert_eq!(story(&app, &trace_on(&page)).await[0].reason.as_deref(), Some("form_not_ours"));
}
