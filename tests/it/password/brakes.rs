//! Guessing is slow.

use super::{Attempt, WRONG};
use crate::{
    sessions::{SESSION, sorted},
    support::app::TestApp,
};

const THREE: &str = "[rate_limits]\nsign_in_per_minute = 3";

/// Too many tries from one network: 429 with `Retry-After`, also for the right password, whatever
/// names are tried and whatever the request says of its origin; a minute later it goes on.
#[tokio::test(flavor = "multi_thread")]
async fn too_many_tries_have_to_wait() {
    let app = TestApp::builder().config(THREE).start().await;
    app.add_user("bob", &[]).await;
    for name in ["bob", "carol", "nobody"] {
        let page = Attempt::begin(&app).await.try_with(name, "wrong").await;
        assert_eq!(page.status, 400, "{}", page.text());
    }
    let mut attempt = Attempt::begin(&app).await;
    for (number, password) in ["wrong", "bob-password", "bob-password"].into_iter().enumerate() {
        attempt.browser.set_header("x-forwarded-for", &format!("203.0.113.{number}"));
        attempt.browser.set_header("x-real-ip", &format!("203.0.113.{number}"));
        attempt.browser.set_header("user-agent", &format!("another {number}"));
        let page = attempt.try_with("bob", password).await;
        assert_eq!(page.status, 429, "{}", page.text());
        assert_eq!(page.header("retry-after"), Some("60"));
        assert!(page.text().contains("Too many tries.") && !page.text().contains(WRONG));
        assert!(page.set_cookies().is_empty());
        assert_eq!(page.form_to("/login").value("username"), Some("bob"));
    }
    let expected = [["too_many_tries"; 3], ["wrong_password"; 3]].concat();
    assert_eq!(sorted(app.refusals("sign_in").await), expected);
    assert!(attempt.browser.cookies().get(SESSION).is_none());

    // From another network, and, where the tests' clock rules the state, after a minute.
    let mut elsewhere = Attempt::begin(&app).await;
    elsewhere.browser.set_peer("[2001:db8:1:2::9]:40000".parse().unwrap());
    assert!(elsewhere.succeeds("bob", "bob-password").await);
    if app.app.memory.is_some() {
        app.clock.advance(60);
        assert!(attempt.succeeds("bob", "bob-password").await);
    }
}

/// RL-03: the addresses of one IPv6 /64 are one guesser.
#[tokio::test(flavor = "multi_thread")]
async fn one_ipv6_network_is_one_guesser() {
    let app = TestApp::builder().config(THREE).start().await;
    let unique = uuid::Uuid::new_v4();
    let [a, b, ..] = *unique.as_bytes();
    let mut statuses = Vec::new();
    for host in 1..=4 {
        app.add_user(&format!("user{host}"), &[]).await;
        let mut attempt = Attempt::begin(&app).await;
        let peer = format!("[2001:db8:{a:x}:{b:x}::{host}]:40000");
        attempt.browser.set_peer(peer.parse().unwrap());
        statuses.push(attempt.try_with("user1", "wrong").await.status);
    }
    assert_eq!(statuses, [400, 400, 400, 429]);
}
