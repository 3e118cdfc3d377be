//! Upstreams that do not answer count as away: nobody is sent there, nothing waits, and as soon as
//! they answer again everything goes on. What somebody makes an upstream say never closes it.

use http_body_util::BodyExt as _;
use keywright::{jobs::look_after_upstreams, router};
use tower::ServiceExt as _;

use super::{Away, Witness, gets_in, is_refusal_page, sign_in_at, start_at};
use crate::support::{
    app::{TestApp, breathe},
    fake_upstream::{Endpoint, FakeUpstream, Fault, Refreshes},
    journey::{authorize_path, code_by_session, redeem, refresh},
};

const ALL: [Endpoint; 4] =
    [Endpoint::Discovery, Endpoint::Jwks, Endpoint::Token, Endpoint::Userinfo];

/// Breaks everything that we ask for ourselves.
fn break_all(upstream: &FakeUpstream, fault: &Fault) {
    upstream.misbehave(|lies| {
        for endpoint in ALL {
            lies.fault(endpoint, fault.clone());
        }
    });
}

fn is_away(app: &TestApp, slug: &str) -> bool {
    app.app.upstreams.find(slug).unwrap().is_away()
}

/// Everything that we have asked.
fn asked(upstream: &FakeUpstream) -> usize {
    upstream.requests().iter().filter(|request| ALL.contains(&request.endpoint)).count()
}

/// How often a code or a refresh token was sent, and not only knocked.
fn redemptions(upstream: &FakeUpstream) -> usize {
    let asked = upstream.requests_to(Endpoint::Token);
    asked.iter().filter(|request| request.param("grant_type").is_some()).count()
}

/// What the background job does in a minute and a quarter.
async fn time_passes(app: &TestApp) {
    app.clock.advance(60);
    for _ in 0..3 {
        look_after_upstreams(&app.app).await.unwrap();
        app.clock.advance(5);
    }
}

/// Federated with `kc`, where somebody has signed in already, and which then is gone.
async fn absent(fault: &Fault) -> (TestApp, FakeUpstream, FakeUpstream) {
    let (kc, other) = (FakeUpstream::start().await, FakeUpstream::start().await);
    let app = TestApp::builder().upstream("kc", &kc, "timeout = \"1s\"");
    let app = app.upstream("other", &other, "").start().await;
    gets_in(&app, "kc").await.unwrap();
    break_all(&kc, fault);
    time_passes(&app).await;
    assert!(is_away(&app, "kc"), "{fault:?}");
    kc.clear_requests();
    (app, kc, other)
}

/// The numbers, as they are read.
pub(super) async fn metrics(app: &TestApp) -> String {
    let request = axum::http::Request::get("/metrics").body(axum::body::Body::empty()).unwrap();
    let answer = router::management(&app.app).oneshot(request).await.unwrap();
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(body.to_vec()).unwrap()
}

/// FT-34: it is noticed although nobody comes; nobody is sent there, warm as its metadata is; it is
/// not asked; other upstreams do not notice; and then it is back.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_sent_to_an_upstream_that_is_away() {
    for fault in [Fault::Drop, Fault::Hang, Fault::DropMidBody, Fault::Status(503)] {
        let (app, kc, other) = absent(&fault).await;
        app.clock.advance(-5);
        for _ in 0..3 {
            let witness = Witness::of(&app).await;
            let page = start_at(&mut app.browser(), "kc").await;
            let event = witness.only_refusal().await.unwrap();
            is_refusal_page(&page, 503, &event).unwrap();
            assert_eq!(event.reason.as_deref(), Some("upstream_away"));
            assert!(event.detail.contains("nothing has answered since 2026-06-01T12:0"));
            assert!(page.text().contains("kc sign-in cannot be reached at the moment."));
        }
        assert_eq!(asked(&kc), 0, "{fault:?}");
        assert!(!is_away(&app, "other"));
        gets_in(&app, "other").await.unwrap();
        let numbers = metrics(&app).await;
        assert!(numbers.contains("keywright_upstream_up{upstream=\"kc\"} 0"), "{numbers}");
        assert!(numbers.contains("keywright_upstream_up{upstream=\"other\"} 1"), "{numbers}");
        kc.behave();
        app.clock.advance(60);
        look_after_upstreams(&app.app).await.unwrap();
        assert!(!is_away(&app, "kc"), "{fault:?}");
        assert!(metrics(&app).await.contains("keywright_upstream_up{upstream=\"kc\"} 1"));
        gets_in(&app, "kc").await.unwrap();
        drop(other);
    }
}

/// FT-34: it is tried again after a pause that grows to a minute, by whoever comes first.
#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_that_is_away_is_tried_again() {
    let (app, kc, _other) = absent(&Fault::Drop).await;
    // The time since the absence began, and how often it has been tried by then.
    for (pause, tried) in
        [(0, 1), (4, 1), (6, 2), (19, 2), (1, 3), (39, 3), (1, 4), (59, 4), (1, 5)]
    {
        app.clock.advance(pause);
        for _ in 0..3 {
            assert_eq!(start_at(&mut app.browser(), "kc").await.status, 503);
        }
        assert_eq!(asked(&kc), tried, "after {pause} s");
        assert_eq!(redemptions(&kc), 0, "nothing is at stake in a try");
    }
    kc.behave();
    app.clock.advance(59);
    assert_eq!(start_at(&mut app.browser(), "kc").await.status, 503);
    app.clock.advance(1);
    gets_in(&app, "kc").await.unwrap();
    assert!(!is_away(&app, "kc"));
    // A new absence begins with a short pause again.
    break_all(&kc, &Fault::Drop);
    time_passes(&app).await;
    assert!(is_away(&app, "kc"));
    kc.behave();
    gets_in(&app, "kc").await.unwrap();
}

/// One at a time tries; who comes meanwhile does not wait.
#[tokio::test(flavor = "multi_thread")]
async fn one_at_a_time_tries() {
    let (app, kc, _other) = absent(&Fault::Hang).await;
    let mut tries = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let mut browser = app.browser();
        tries.spawn(async move { start_at(&mut browser, "kc").await.status });
    }
    assert_eq!(tries.join_all().await, vec![503; 8]);
    assert_eq!(asked(&kc), 1);
}

/// Whoever tries and leaves before the answer does not stand in the way of the next one.
#[tokio::test(flavor = "multi_thread")]
async fn a_try_that_is_given_up_is_none() {
    let (app, kc, _other) = absent(&Fault::Hang).await;
    for tried in 1..=3 {
        let mut browser = app.browser();
        let leaving = tokio::spawn(async move { start_at(&mut browser, "kc").await.status });
        while asked(&kc) < tried {
            breathe().await;
        }
        leaving.abort();
        assert!(leaving.await.unwrap_err().is_cancelled());
    }
    kc.behave();
    gets_in(&app, "kc").await.unwrap();
}

/// Where there is only one way, the page says what is the matter, and leads back to the app's
/// request when the upstream is back.
#[tokio::test(flavor = "multi_thread")]
async fn the_only_upstream_may_be_away() {
    let (app, kc) = TestApp::with_upstream().await;
    gets_in(&app, "kc").await.unwrap();
    break_all(&kc, &Fault::Drop);
    time_passes(&app).await;
    let mut browser = app.browser();
    let page = browser.get(&authorize_path("web", &[])).await;
    assert_eq!(page.status, 503);
    assert!(page.header("retry-after").is_some());
    let on = page.links().into_iter().find(|link| link.path() == "/login").unwrap();
    let choice = browser.get(on.as_str()).await;
    assert_eq!(choice.status, 200, "no loop: a page with the way to try again");
    let start = choice.links().into_iter().find(|link| link.path() == "/upstream/kc/start");
    kc.behave();
    app.clock.advance(60);
    let journey = browser.visit(start.unwrap().as_str()).await;
    assert_eq!(journey.landing().host_str(), Some("web.test"));
}

/// Nobody closes an upstream for the others: an error is an answer, however often it comes.
#[tokio::test(flavor = "multi_thread")]
async fn errors_are_answers() {
    let (app, kc) = TestApp::with_upstream().await;
    gets_in(&app, "kc").await.unwrap();
    // A browser of the attacker's own, which comes back with a made-up code.
    for _ in 0..5 {
        let mut away = Away::at(&app, "kc").await;
        away.callback.query_pairs_mut().append_pair("x", "y");
        let forged = away.callback.as_str().replace("code=upstream-code", "code=made-up");
        let page = away.browser.get(&forged).await;
        assert_eq!(page.status, 400, "{}", page.text());
    }
    assert!(app.refusals("sign_in").await.iter().all(|reason| reason == "upstream_token_refused"));
    assert!(!is_away(&app, "kc"));
    for (endpoint, statuses) in
        [(Endpoint::Token, [400, 401, 429, 500]), (Endpoint::Discovery, [400, 403, 404, 429])]
    {
        for status in statuses {
            kc.behave();
            app.clock.advance(25 * 3_600);
            kc.misbehave(|lies| lies.fault(endpoint, Fault::Status(status)));
            for _ in 0..4 {
                let journey = sign_in_at(&mut app.browser(), "kc").await;
                assert!(journey.stopped_at.is_none());
            }
            assert!(!is_away(&app, "kc"), "{endpoint:?} {status}");
        }
    }
    kc.behave();
    gets_in(&app, "kc").await.unwrap();
}

/// An answer between failures ends the row, and failures that lie far apart are no row.
#[tokio::test(flavor = "multi_thread")]
async fn only_failures_in_a_row_count() {
    let (app, kc) = TestApp::with_upstream().await;
    gets_in(&app, "kc").await.unwrap();
    let looks = async |times: usize, answered: bool| {
        if answered {
            kc.behave();
        } else {
            break_all(&kc, &Fault::Drop);
        }
        for _ in 0..times {
            look_after_upstreams(&app.app).await.unwrap();
        }
    };
    app.clock.advance(60);
    for _ in 0..3 {
        looks(2, false).await;
        looks(1, true).await;
        app.clock.advance(60);
    }
    for _ in 0..4 {
        looks(1, false).await;
        app.clock.advance(301);
    }
    assert!(!is_away(&app, "kc"));
    looks(2, false).await;
    assert!(!is_away(&app, "kc"), "the row began anew");
    looks(1, false).await;
    assert!(is_away(&app, "kc"));
}

/// The document alone is out of order: with a copy of it everything goes on, as long as anybody is
/// there. Nobody is locked out, and no lease suffers.
#[tokio::test(flavor = "multi_thread")]
async fn a_broken_document_closes_nothing() {
    for fault in [Fault::Drop, Fault::Hang, Fault::Status(500), Fault::Status(503)] {
        let kc = FakeUpstream::start().await;
        let app = TestApp::builder().upstream("kc", &kc, "timeout = \"1s\"").start().await;
        gets_in(&app, "kc").await.unwrap();
        kc.misbehave(|lies| lies.fault(Endpoint::Discovery, fault.clone()));
        for _ in 0..2 {
            time_passes(&app).await;
            assert!(!is_away(&app, "kc"), "{fault:?}");
        }
        gets_in(&app, "kc").await.unwrap();
    }
}

/// A proxy there that cuts off who asks too much, or in an odd way, closes nothing for the others.
#[tokio::test(flavor = "multi_thread")]
async fn what_people_bring_closes_nothing() {
    let (app, kc) = TestApp::with_upstream().await;
    gets_in(&app, "kc").await.unwrap();
    for fault in [Fault::Status(503), Fault::Drop] {
        for _ in 0..5 {
            kc.misbehave(|lies| lies.fault_times(Endpoint::Token, 1, fault.clone()));
            assert!(sign_in_at(&mut app.browser(), "kc").await.stopped_at.is_none());
        }
        assert!(!is_away(&app, "kc"), "{fault:?}");
        look_after_upstreams(&app.app).await.unwrap();
        assert!(!is_away(&app, "kc"), "{fault:?}");
        gets_in(&app, "kc").await.unwrap();
    }
}

/// Whoever brings a code comes from there: it is redeemed, and the upstream is back.
#[tokio::test(flavor = "multi_thread")]
async fn whoever_comes_back_is_believed() {
    let (app, kc) = TestApp::with_upstream().await;
    let mut away = Away::at(&app, "kc").await;
    break_all(&kc, &Fault::Drop);
    time_passes(&app).await;
    app.clock.advance(-5);
    assert!(is_away(&app, "kc"));
    kc.behave();
    assert_eq!(start_at(&mut app.browser(), "kc").await.status, 503, "it is not time to try");
    assert_eq!(away.come_back().await.status, 303);
    assert!(!is_away(&app, "kc"));
    gets_in(&app, "kc").await.unwrap();
}

/// A lease that cannot be asked about is neither lost nor in doubt: its refresh token was never sent.
#[tokio::test(flavor = "multi_thread")]
async fn an_absence_takes_no_lease() {
    let kc = FakeUpstream::start().await;
    kc.set_refreshes(Refreshes::Rotating);
    let app = TestApp::builder().upstream("kc", &kc, "max_staleness = \"10m\"").start().await;
    let code = code_by_session(&mut app.browser(), "web", &[]).await;
    let mut tokens = redeem(&app, "web", &code).await;
    break_all(&kc, &Fault::Drop);
    time_passes(&app).await;
    app.clock.advance(-5);
    let mut refreshed = async |advance: i64| {
        app.clock.advance(advance);
        tokens = refresh(&app, "web", &tokens.text("refresh_token")).await;
        assert_eq!(tokens.status, 200, "{tokens:?}");
    };
    kc.clear_requests();
    refreshed(300).await;
    refreshed(30).await;
    assert_eq!(redemptions(&kc), 0);
    assert_eq!(app.count("leases WHERE uncertain").await, 0);
    kc.behave();
    refreshed(90).await;
    assert_eq!(redemptions(&kc), 1, "asked again, with the token that it knows");
    assert_eq!(app.refusals("lease").await, Vec::<String>::new());
}

/// Signing out is finished here when there is nobody to finish it with.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_sent_away_to_sign_out_either() {
    let kc = FakeUpstream::start().await;
    let app = TestApp::builder().upstream("kc", &kc, "logout = \"always\"").start().await;
    let mut browser = app.browser();
    assert!(sign_in_at(&mut browser, "kc").await.stopped_at.is_some());
    break_all(&kc, &Fault::Drop);
    time_passes(&app).await;
    let asks = browser.get("/logout").await;
    let page = browser.submit(&asks, &asks.form()).await;
    let journey = browser.follow(page).await;
    assert_eq!((journey.last().status, journey.last().url.host_str()), (200, Some("id.test")));
    assert_eq!(app.count("sessions WHERE ended_at IS NULL").await, 0);
}

/// An upstream without discovery is asked whether anybody is there, whatever it then says.
#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_without_discovery_is_looked_after_too() {
    let upstream = FakeUpstream::start().await;
    upstream.speak_plain_oauth();
    let lines = format!(
        "preset = \"oauth2\"\nissuer = {:?}\nauthorization_endpoint = {:?}\ntoken_endpoint = {:?}\n\
         userinfo_endpoint = {:?}\nclient_secret = {:?}\nscopes = [\"profile\"]",
        upstream.issuer(),
        upstream.url(Endpoint::Authorize),
        upstream.url(Endpoint::Token),
        upstream.url(Endpoint::Userinfo),
        crate::support::fake_upstream::CLIENT_SECRET,
    );
    let app = TestApp::builder().preset("plain", &upstream, &lines).start().await;
    time_passes(&app).await;
    assert!(!is_away(&app, "plain"), "405 is an answer");
    gets_in(&app, "plain").await.unwrap();
    break_all(&upstream, &Fault::Drop);
    time_passes(&app).await;
    assert!(is_away(&app, "plain"));
    assert_eq!(start_at(&mut app.browser(), "plain").await.status, 503);
    upstream.behave();
    app.clock.advance(60);
    gets_in(&app, "plain").await.unwrap();
}
