//! Answers that the browser posts from the provider's page: without our cookies, and without a code
//! in any address.

use serde_json::json;
use url::Url;

use super::{
    SESSION_COOKIE, Witness, is_refusal_page, no_session_cookie,
    presets::{Fixture, sign_in_by_form},
    start_at, user,
};
use crate::support::{
    app::TestApp,
    browser::{Browser, Form, Page},
    fake_upstream::{Endpoint, FakeUpstream},
};

async fn apple() -> (Fixture, FakeUpstream, TestApp) {
    let fixture = Fixture::read("apple");
    let upstream = fixture.provider().await;
    let app = fixture.builder(&upstream).start().await;
    (fixture, upstream, app)
}

/// As far as the page whose form the provider has the browser post.
async fn away(browser: &mut Browser) -> (Page, Form) {
    let page = start_at(browser, "up").await;
    let journey = browser.follow(page).await;
    let page = journey.last().clone();
    let form = page.form_to("/upstream/up/callback");
    (page, form)
}

fn with(form: &Form, name: &str, value: &str) -> Form {
    form.clone().without(name).add(name, value)
}

/// A refusal with this reason: page, event, no session, nothing changed, no code redeemed.
async fn is_refused(
    app: &TestApp,
    upstream: &FakeUpstream,
    browser: &mut Browser,
    (page, form): (&Page, &Form),
    reason: &str,
) {
    let witness = Witness::of(app).await;
    let asked = upstream.count(Endpoint::Token);
    let answer = browser.submit(page, form).await;
    let journey = browser.follow(answer).await;
    assert_eq!(journey.stopped_at, None, "{reason}");
    let event = witness.only_refusal().await.unwrap();
    assert_eq!(event.reason.as_deref(), Some(reason), "{event:?}");
    is_refusal_page(journey.last(), 400, &event).unwrap();
    no_session_cookie(browser).unwrap();
    assert_eq!(upstream.count(Endpoint::Token), asked, "{reason}");
}

/// The post comes without cookies; the browser fetches the answer with them, and no address on the
/// way holds the code or anything about the person.
#[tokio::test(flavor = "multi_thread")]
async fn a_posted_answer_never_stands_in_an_address() {
    let (_, upstream, app) = apple().await;
    let mut browser = app.browser();
    let (page, form) = away(&mut browser).await;
    let code = form.value("code").unwrap().to_owned();
    let parked = browser.submit(&page, &form).await;
    assert_eq!(parked.status, 303);
    assert_eq!(parked.header("cache-control"), Some("no-store"));
    assert_eq!(parked.header("referrer-policy"), Some("no-referrer"));
    assert!(parked.set_cookies().is_empty());
    assert_eq!(upstream.count(Endpoint::Token), 0, "nobody knows yet whose browser it is");
    let journey = browser.follow(parked).await;
    let addresses = journey.hops().join(" ");
    assert!(!addresses.contains(&code) && !addresses.contains("Alice"), "{addresses}");
    assert!(journey.param("code").is_some());
    assert!(browser.cookies().get(SESSION_COOKIE).is_some());
    assert_eq!(upstream.requests_to(Endpoint::Token)[0].param("code"), Some(code.as_str()));
    assert_eq!(user(&app, "x7k2q").await.email_verified, Some(true));
}

/// UP-01, UP-02, UP-03, UP-04: the state counts as it does in an address.
#[tokio::test(flavor = "multi_thread")]
async fn a_posted_answer_counts_once_and_for_the_browser_that_asked() {
    let (_, upstream, app) = apple().await;
    let mut browser = app.browser();
    let (page, form) = away(&mut browser).await;
    for wrong in
        [with(&form, "state", "x"), with(&form, "state", ""), form.clone().without("state")]
    {
        is_refused(&app, &upstream, &mut browser, (&page, &wrong), "state_unknown").await;
    }
    let answer = browser.submit(&page, &form).await;
    assert!(browser.follow(answer).await.stopped_at.is_some());
    let mut again = browser.stranger();
    is_refused(&app, &upstream, &mut again, (&page, &form), "state_unknown").await;

    let mut mallory = app.browser();
    let (page, form) = away(&mut mallory).await;
    let mut alice = app.browser();
    let mark = away(&mut alice).await;
    is_refused(&app, &upstream, &mut alice, (&page, &form), "state_of_another_browser").await;
    drop(mark);
}

/// UP-03: of many parallel posts and fetches one gets in.
#[tokio::test(flavor = "multi_thread")]
async fn of_many_posted_answers_one_counts() {
    let (_, upstream, app) = apple().await;
    let mut browser = app.browser();
    let (page, form) = away(&mut browser).await;
    let posts = (0..10).map(|_| {
        let (mut browser, page, form) = (browser.clone(), page.clone(), form.clone());
        async move {
            let answer = browser.submit(&page, &form).await;
            browser.follow(answer).await.stopped_at.is_some()
        }
    });
    let through = futures_util::future::join_all(posts).await;
    assert_eq!(through.iter().filter(|through| **through).count(), 1);
    assert_eq!(upstream.count(Endpoint::Token), 1);
}

/// What comes in an address does not count where answers are posted, and the other way round.
#[tokio::test(flavor = "multi_thread")]
async fn the_other_way_back_is_shut() {
    let (_, upstream, app) = apple().await;
    let mut browser = app.browser();
    let (_, form) = away(&mut browser).await;
    let mut callback: Url = form.action.clone();
    callback.query_pairs_mut().extend_pairs(&form.fields);
    let witness = Witness::of(&app).await;
    let page = browser.get(callback.as_str()).await;
    let event = witness.only_refusal().await.unwrap();
    assert_eq!(event.reason.as_deref(), Some("upstream_no_code"));
    is_refusal_page(&page, 400, &event).unwrap();
    assert_eq!(upstream.count(Endpoint::Token), 0);

    let (app, upstream) = TestApp::with_upstream().await;
    let mut away = super::Away::at(&app, "kc").await;
    let fields: Vec<(String, String)> = away.callback.query_pairs().into_owned().collect();
    let fields: Vec<(&str, &str)> = fields.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    let page = away.browser.post_form("/upstream/kc/callback", &fields).await;
    assert_eq!((page.status, upstream.count(Endpoint::Token)), (404, 0));
    assert!(away.come_back().await.location().is_some(), "nothing was used up");
}

/// The provider's refusal comes by form too, and what is too large is kept nowhere.
#[tokio::test(flavor = "multi_thread")]
async fn refusals_and_floods_by_form() {
    let (_, upstream, app) = apple().await;
    let mut browser = app.browser();
    let (page, form) = away(&mut browser).await;
    let flood = with(&form, "user", &"x".repeat(20_000));
    let reason = "upstream_answer_too_large";
    is_refused(&app, &upstream, &mut browser, (&page, &flood), reason).await;
    let refusal = with(&form.without("code"), "error", "user_cancelled_authorize");
    is_refused(&app, &upstream, &mut browser, (&page, &refusal), "upstream_refused").await;
}

/// The posted name is the person's word: it fills an empty name, and nothing else.
#[tokio::test(flavor = "multi_thread")]
async fn only_a_name_is_taken_from_what_the_browser_posts() {
    let odd = [
        "",
        "x",
        "[]",
        "{}",
        "{\"name\":7}",
        "{\"name\":{\"firstName\":[1]}}",
        "{\"name\":{},\"name\":{\"firstName\":\"Eve\"}}",
        "{\"sub\":\"1\",\"email\":\"evil@corp.test\",\"email_verified\":true,\"groups\":[\"admin\"]}",
    ];
    for text in odd {
        let (_, upstream, app) = apple().await;
        upstream.post_user(Some(text));
        assert!(sign_in_by_form(&mut app.browser()).await.stopped_at.is_some(), "{text}");
        let account = user(&app, "x7k2q").await;
        assert_eq!(account.name, None, "{text}");
        assert_eq!(account.email.as_deref(), Some("x7k2q@privaterelay.appleid.test"));
    }
    let (fixture, upstream, app) = apple().await;
    fixture.behave(&upstream);
    upstream.misbehave(|lies| {
        lies.claims.set("name", "Signed Name").set("groups", json!(["admin"]));
    });
    assert!(sign_in_by_form(&mut app.browser()).await.stopped_at.is_some());
    assert_eq!(user(&app, "x7k2q").await.name.as_deref(), Some("Signed Name"));
}
