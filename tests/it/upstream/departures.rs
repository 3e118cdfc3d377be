//! People who are on their way to an upstream: one sign-in answers once, whatever else they do.

use super::{SESSION_COOKIE, Witness, is_refusal_page, no_session_cookie};
use crate::{
    authorize::assert_refusal_page,
    support::{
        app::TestApp,
        browser::{Browser, Page},
        fake_upstream::{Endpoint, FakeUpstream, Fault},
        journey::{authorize_path, redeem},
    },
};

/// A browser at the login page of an app's request, and the page's flow.
async fn at_login(app: &TestApp, upstream: &FakeUpstream) -> (Browser, Page, String) {
    upstream.clear_requests();
    let mut browser = app.browser();
    browser.stop_at("https://id.test/upstream/kc/callback");
    let journey = browser.visit(&authorize_path("web", &[("prompt", "select_account")])).await;
    let login = journey.last().clone();
    let flow = login.url.query_pairs().find(|(name, _)| name == "flow").unwrap().1.into_owned();
    (browser, login, flow)
}

/// Goes to the upstream and signs in there; the address that leads back.
async fn depart(browser: &mut Browser, flow: &str) -> String {
    let journey = browser.visit(&format!("/upstream/kc/start?flow={flow}")).await;
    journey.landing().to_string()
}

async fn start() -> (TestApp, FakeUpstream) {
    let upstream = FakeUpstream::start().await;
    let app = TestApp::builder().upstream("kc", &upstream, "").start().await;
    app.add_user("bob", &[]).await;
    app.clock.advance(1);
    (app, upstream)
}

/// AZ-30: an upstream's answer to a sign-in that was finished otherwise signs nobody in, and leaves
/// alone who has signed in.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_to_a_finished_sign_in_does_nothing() {
    let (app, upstream) = start().await;
    let (mut browser, login, flow) = at_login(&app, &upstream).await;
    let back = depart(&mut browser, &flow).await;
    let form = login.form_to("/login").fill("username", "bob").fill("password", "bob-password");
    let code = browser.submit(&login, &form).await.location_param("code").unwrap();
    let session = browser.cookies().get(SESSION_COOKIE).unwrap().value.clone();

    let witness = Witness::of(&app).await;
    let page = browser.get(&back).await;
    let event = witness.only_refusal().await.unwrap();
    is_refusal_page(&page, 400, &event).unwrap();
    assert_eq!(event.reason.as_deref(), Some("flow_expired"));
    assert_eq!(upstream.count(Endpoint::Token), 0, "nobody was asked");
    assert_eq!(browser.cookies().get(SESSION_COOKIE).unwrap().value, session);
    assert!(page.links().iter().any(|link| link.host_str() == Some("web.test")), "a way home");
    assert_eq!(redeem(&app, "web", &code).await.status, 200);
}

/// AZ-30: of the answers to several departures of one sign-in exactly one counts.
#[tokio::test(flavor = "multi_thread")]
async fn many_departures_of_one_sign_in_give_one_code() {
    let (app, upstream) = start().await;
    let (mut browser, _, flow) = at_login(&app, &upstream).await;
    let mut returns = Vec::new();
    for _ in 0..8 {
        returns.push(depart(&mut browser, &flow).await);
    }
    let tries = returns.into_iter().map(|back| {
        let mut browser = browser.clone();
        async move { browser.get(&back).await }
    });
    let pages = futures_util::future::join_all(tries).await;
    let codes = pages.iter().filter(|page| page.location_param("code").is_some()).count();
    assert_eq!(codes, 1);
    for page in pages.iter().filter(|page| page.status != 303) {
        assert_refusal_page(page, 400, "flow_expired");
    }
    assert_eq!(upstream.count(Endpoint::Token), 1);
    assert_eq!(app.count("sessions").await, 1);
}

/// A sign-in that failed at an upstream goes on another way, and then the upstream's page is of no
/// use any more.
#[tokio::test(flavor = "multi_thread")]
async fn after_a_failure_another_way_is_open() {
    let (app, upstream) = start().await;
    let (mut browser, _, flow) = at_login(&app, &upstream).await;
    let (first, second) = (depart(&mut browser, &flow).await, depart(&mut browser, &flow).await);
    upstream.misbehave(|lies| lies.fault_times(Endpoint::Token, 1, Fault::Status(500)));
    let failed = browser.get(&first).await;
    assert_eq!(failed.status, 400, "{}", failed.text());
    let again = failed.links().into_iter().find(|link| link.path() == "/login").unwrap();
    let login = browser.get(again.as_str()).await;
    let form = login.form_to("/login").fill("username", "bob").fill("password", "bob-password");
    assert!(browser.submit(&login, &form).await.location_param("code").is_some());
    assert_refusal_page(&browser.get(&second).await, 400, "flow_expired");
}

/// AZ-30: going to an upstream again and again is begun as seldom as a sign-in is.
#[tokio::test(flavor = "multi_thread")]
async fn departures_are_braked_too() {
    let upstream = FakeUpstream::start().await;
    let app = TestApp::builder()
        .config("[rate_limits]\nmax_new_flows = 3\n")
        .upstream("kc", &upstream, "")
        .start()
        .await;
    let (mut browser, _, flow) = at_login(&app, &upstream).await;
    let start = format!("/upstream/kc/start?flow={flow}");
    let mut statuses = Vec::new();
    for _ in 0..4 {
        statuses.push(browser.get(&start).await.status);
    }
    assert_eq!(statuses, [303, 303, 429, 429]);
}

/// Where the only upstream is away, the first page already offers to try again, in this browser.
#[tokio::test(flavor = "multi_thread")]
async fn a_first_visit_while_the_upstream_is_away_can_go_on() {
    let upstream = FakeUpstream::start().await;
    let app = TestApp::builder().upstream("kc", &upstream, "").start().await;
    upstream.misbehave(|lies| lies.fault(Endpoint::Discovery, Fault::Status(500)));
    let mut browser = app.browser();
    let page = browser.get(&authorize_path("web", &[])).await;
    assert_eq!(page.status, 503, "{}", page.text());
    let other = page.links().into_iter().find(|link| link.path() == "/login").unwrap();
    let login = browser.get(other.as_str()).await;
    assert_eq!(login.status, 200, "{}", login.text());
    upstream.behave();
    app.clock.advance(11);
    let button = login.links().into_iter().find(|l| l.path() == "/upstream/kc/start").unwrap();
    assert!(browser.visit(button.as_str()).await.param("code").is_some());
    no_session_cookie(&app.browser()).unwrap();
}

/// UP-02: without our cookie an answer is of no use, and the page says what may be amiss. The story
/// is kept with the refusal.
#[tokio::test(flavor = "multi_thread")]
async fn blocked_cookies_are_named() {
    let upstream = FakeUpstream::start().await;
    let app = TestApp::builder().upstream("kc", &upstream, "").start().await;
    let (mut browser, _, flow) = at_login(&app, &upstream).await;
    let back = depart(&mut browser, &flow).await;
    let witness = Witness::of(&app).await;
    let page = app.browser().get(&back).await;
    let event = witness.only_refusal().await.unwrap();
    is_refusal_page(&page, 400, &event).unwrap();
    assert_eq!(event.reason.as_deref(), Some("state_of_another_browser"));
    assert!(page.text().contains("with cookies allowed"), "{}", page.text());
    assert!(event.detail.contains("sent to kc to sign in"), "{}", event.detail);
}
