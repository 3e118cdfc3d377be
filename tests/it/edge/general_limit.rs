//! How much one network may ask for in a minute.

use std::{net::SocketAddr, sync::Arc};

use axum::{
    body::Body,
    extract::ConnectInfo,
    http::{Request, Response},
};
use keywright::ephemeral::{Allowances, Passage};
use tokio::task::JoinSet;
use tower::ServiceExt as _;

use crate::support::{
    app::{Answer, Builder, ISSUER, TestApp},
    browser::Page,
    journey::{authorize_path, sign_in_on_page},
};

const PAGES: [&str; 6] = ["/", "/login", "/account", "/nowhere", "/recovery", "/logout"];

fn limited(lines: &str) -> Builder {
    let config = format!("[rate_limits]\n{lines}\n");
    TestApp::builder().with_the_general_limit().config(&config)
}

/// Somewhere else.
fn elsewhere() -> SocketAddr {
    let [a, b, ..] = *uuid::Uuid::new_v4().as_bytes();
    SocketAddr::from(([198, 18, a, b], 4_000))
}

async fn get_as(app: &TestApp, path: &str, accept: &str) -> Answer {
    let request = Request::builder().uri(format!("{ISSUER}{path}")).header("accept", accept);
    app.send(request.body(bytes::Bytes::new()).unwrap()).await
}

/// The events of requests that were too many: their addresses.
async fn events(app: &TestApp) -> Vec<String> {
    let all = app.events().await.into_iter();
    let of = all.filter(|event| event.reason.as_deref() == Some("too_many_requests"));
    of.map(|event| event.address.unwrap()).collect()
}

/// RL-05: sixty requests in a minute, and the next is for the next minute, for browsers in words and for
/// machines in JSON. What is said of it in the log and in events is said once a minute.
#[tokio::test(flavor = "multi_thread")]
async fn a_network_may_ask_for_sixty_pages_in_a_minute() {
    let app = TestApp::builder().with_the_general_limit().start().await;
    app.clock.advance(20);
    let mut browser = app.browser();
    for number in 0..60 {
        let page = browser.get(PAGES[number % PAGES.len()]).await;
        assert!(page.status < 429, "{number}: {}", page.status);
    }
    let assert_refused = |page: &Page| {
        assert_eq!(page.status, 429, "{}", page.url);
        assert_eq!(page.header("retry-after"), Some("40"));
        assert_eq!(page.headers["cache-control"], "no-store");
        assert_eq!(page.headers["x-content-type-options"], "nosniff");
        assert!(page.text().contains("code: too_many_requests\n"), "{}", page.text());
        assert!(page.set_cookies().is_empty());
    };
    for path in PAGES {
        assert_refused(&browser.get(path).await);
    }
    assert_refused(&app.browser().get(&authorize_path("web", &[])).await);
    for accept in ["application/json", "*/*", ""] {
        let answer = get_as(&app, "/account", accept).await;
        answer.assert_error(429, "too_many_requests");
        assert_eq!(answer.headers["retry-after"], "40");
    }
    let mut stranger = app.browser();
    stranger.set_peer(elsewhere());
    assert_eq!(stranger.get("/nowhere").await.status, 404, "others go on");
    assert_eq!(events(&app).await.len(), 1);

    app.clock.advance(40);
    for _ in 0..60 {
        assert_eq!(browser.get("/nowhere").await.status, 404);
    }
    assert_eq!(browser.get("/nowhere").await.status, 429);
    assert_eq!(browser.get("/nowhere").await.status, 429);
    assert_eq!(events(&app).await.len(), 2);
}

/// RL-05: what apps ask for, for however many people, is not counted; nor what lies in caches. None of
/// it asks the short-lived state.
#[tokio::test(flavor = "multi_thread")]
async fn apps_and_documents_are_not_limited() {
    let app = limited("requests_per_minute = 1").start().await;
    assert_eq!(app.get("/nowhere", None).await.status, 404);
    assert_eq!(app.get("/nowhere", None).await.status, 429);
    let commands = app.app.state.commands();
    let form = [("grant_type", "client_credentials")];
    for _ in 0..100 {
        assert_eq!(app.post_as("m2m", "/token", &form).await.status, 200);
        let form = [("token", "nonsense")];
        assert_eq!(app.post_as("web", "/introspect", &form).await.status, 200);
        assert_eq!(app.post_as("web", "/revoke", &form).await.status, 200);
        assert_eq!(app.get("/userinfo", Some("Bearer nonsense")).await.status, 401);
        assert_eq!(app.get("/.well-known/jwks.json", None).await.status, 200);
        assert_eq!(app.get("/.well-known/openid-configuration", None).await.status, 200);
        assert_eq!(app.get("/assets/nothing", None).await.status, 404);
        assert_eq!(app.get("/picture/nobody", None).await.status, 404);
    }
    assert_eq!(app.app.state.commands(), commands);
}

/// RL-03: one IPv6 /64 is one network here too; RL-01: what a stranger says of an address is nothing.
#[tokio::test(flavor = "multi_thread")]
async fn one_ipv6_network_has_one_minute() {
    let app = limited("requests_per_minute = 10").start().await;
    let [a, b, ..] = *uuid::Uuid::new_v4().as_bytes();
    let mut statuses = Vec::new();
    for host in 1..=12 {
        let mut browser = app.browser();
        browser.set_header("x-forwarded-for", &format!("203.0.113.{host}"));
        let peer = format!("[2001:db8:{a:x}:{b:x}:{host:x}::{host}]:40000");
        browser.set_peer(peer.parse().unwrap());
        statuses.push(browser.get("/nowhere").await.status);
    }
    assert_eq!(statuses, [[404; 10].as_slice(), &[429; 2]].concat());
}

/// RL-09: without the general limit, guessing is as slow as with it.
#[tokio::test(flavor = "multi_thread")]
async fn without_the_limit_guessing_is_as_slow() {
    let app = limited("enabled = false\nsign_in_per_minute = 3").start().await;
    app.add_user("bob", &[]).await;
    let mut browser = app.browser();
    for _ in 0..200 {
        assert_eq!(browser.get("/nowhere").await.status, 404);
    }
    let mut statuses = Vec::new();
    for _ in 0..4 {
        let journey = browser.visit(&authorize_path("web", &[])).await;
        let journey = sign_in_on_page(&mut browser, &journey, "nobody").await;
        statuses.push(journey.last().status);
    }
    assert_eq!(statuses, [400, 400, 400, 429]);
    // An account has its own brake, whatever the network may do.
    let app = limited("enabled = false\nsign_in_per_minute = 1000").start().await;
    app.add_user("bob", &[]).await;
    let mut browser = app.browser();
    let page = browser.visit(&authorize_path("web", &[])).await.last().clone();
    let form = page.form_to("/login").fill("username", "bob").fill("password", "wrong");
    for expected in [400, 400, 400, 400, 400, 429] {
        assert_eq!(browser.submit(&page, &form).await.status, expected);
    }
}

/// So many requests at once to these instances, from one network: how many were not turned away.
async fn burst(apps: &[&TestApp], count: usize) -> usize {
    let peer = elsewhere();
    let mut all = JoinSet::new();
    for number in 0..count {
        let router = apps[number % apps.len()].router.clone();
        all.spawn(async move {
            let mut request = Request::builder().uri("/nowhere").body(Body::empty()).unwrap();
            request.extensions_mut().insert(ConnectInfo(peer));
            let answer: Response<Body> = router.oneshot(request).await.unwrap();
            answer.status().as_u16()
        });
    }
    let statuses = all.join_all().await;
    assert!(statuses.iter().all(|status| matches!(status, 404 | 429)), "{statuses:?}");
    statuses.into_iter().filter(|status| *status == 404).count()
}

/// RL-06: a burst gets no more through than the same requests one by one.
#[tokio::test(flavor = "multi_thread")]
async fn of_five_hundred_at_once_sixty_pass() {
    let app = limited("").start().await;
    for _ in 0..2 {
        // What was taken out of the common number may come too late for the last of the burst.
        let fewest = if app.app.memory.is_some() { 60 } else { 40 };
        let passed = burst(&[&app], 500).await;
        assert!((fewest..=60).contains(&passed), "{passed}");
    }
}

/// RL-06: and no more at two instances than at one. Says nothing where the run has no Redis.
#[tokio::test(flavor = "multi_thread")]
async fn two_instances_count_together() {
    if std::env::var("TEST_REDIS_URL").is_err() {
        return;
    }
    let (one, other) = (limited("").start().await, limited("").start().await);
    for _ in 0..5 {
        let passed = burst(&[&one, &other], 500).await;
        // Where Redis took too long, an instance counts alone, and says so.
        let alone = [&one, &other].map(|app| u64::from(app.app.metrics.state_errors.get() > 0));
        let most = if alone == [0, 0] { 60 } else { 120 };
        assert!((40..=most).contains(&passed), "{passed} {alone:?}");
    }
    // A few at a time are taken out of the common number, and not each by itself.
    let (before, asked) = (one.app.state.commands(), || one.app.state.commands());
    let mut browser = one.browser();
    browser.set_peer(elsewhere());
    for _ in 0..90 {
        browser.get("/nowhere").await;
    }
    assert_eq!(asked() - before, 60_u64.div_ceil(7) + 1, "and of who is refused nothing is asked");
}

/// FT-10: without Redis each instance counts by itself, and says so.
#[tokio::test(flavor = "multi_thread")]
async fn without_redis_an_instance_counts_alone() {
    let app = TestApp::builder().with_the_general_limit().state_url("redis://127.0.0.1:1");
    let app = app.start().await;
    let mut browser = app.browser();
    for number in 0..60 {
        assert_eq!(browser.get("/nowhere").await.status, 404, "{number}");
    }
    assert_eq!(browser.get("/nowhere").await.status, 429);
    assert_eq!(app.app.metrics.state_errors.get(), 1, "asked once in this minute");
}

/// RL-12: a million networks find room, and whoever was refused before they came is refused still.
#[tokio::test(flavor = "multi_thread")]
async fn a_million_networks_make_nobody_forgotten() {
    let app = TestApp::start().await;
    let (state, now) = (&app.app.state, app.app.now());
    let allowances = Arc::new(Allowances::new(3, 1, false));
    let take = async |network: &str| allowances.take(state, network, now).await.0;
    for _ in 0..3 {
        assert_eq!(take("offender").await, Passage::Free);
    }
    for number in 0..1_050_000_u32 {
        assert_eq!(take(&number.to_string()).await, Passage::Free);
    }
    assert!(matches!(take("offender").await, Passage::After(_)));
    assert_eq!(allowances.networks(), 1_000_000, "who finds no room is let through, and not kept");
}
