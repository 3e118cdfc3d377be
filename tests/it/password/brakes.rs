//! Guessing is slow.

use keywright::{
    foundation::secret::Secret,
    store::{sessions, users},
};

use super::{Attempt, WRONG};
use crate::{
    sessions::{SESSION, sorted},
    support::{app::TestApp, journey::authorize_path},
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

/// AZ-30: sign-ins that begin are counted by network, so that nobody begins them all.
#[tokio::test(flavor = "multi_thread")]
async fn too_many_sign_ins_from_one_network_are_turned_away_for_a_minute() {
    let app = TestApp::builder().config("[rate_limits]\nmax_new_flows = 3\n").start().await;
    let visit = async |path: &str| {
        let mut browser = app.browser();
        browser.set_peer("192.0.2.7:40000".parse().unwrap());
        browser.get(path).await
    };
    let begin = async || {
        let page = visit(&authorize_path("web", &[])).await;
        (page.status, page.header("retry-after").is_some(), page.location().is_some())
    };
    for _ in 0..3 {
        assert_eq!(begin().await, (303, false, true));
    }
    let commands = app.app.state.commands();
    assert_eq!(begin().await, (429, true, false));
    let account = visit("/account").await;
    assert_eq!(account.status, 429, "{}", account.text());
    assert!(account.text().contains("code: too_many_sign_ins\n"), "{}", account.text());
    assert_eq!(app.app.state.commands(), commands, "nothing is kept of it");
    app.app.audit.flush().await;
    assert!(app.events().await.is_empty(), "and no events, which a stranger could pile up");
    app.clock.advance(60);
    assert_eq!(begin().await, (303, false, true));
}

/// Who signs in with a password while it is replaced is signed in with neither: what ends all
/// sessions ends those that are about to begin.
#[tokio::test(flavor = "multi_thread")]
async fn a_sign_in_never_outlives_the_password_it_was_made_with() {
    let app = TestApp::start().await;
    let user = app.add_user("bob", &[]).await.id;
    for round in 0..12 {
        let mut attempts = [Attempt::begin(&app).await, Attempt::begin(&app).await];
        let [one, other] = &mut attempts;
        let replace = async {
            tokio::time::sleep(std::time::Duration::from_millis(round)).await;
            let mut connection = app.app.connection().await.unwrap();
            let now = app.app.now();
            connection
                .transaction(async |conn| {
                    let hash = format!("replaced {round}");
                    assert!(users::set_password_hash(conn, &user, &hash, now).await?);
                    sessions::end_all_of_user(conn, &user, None, now).await
                })
                .await
                .unwrap();
        };
        tokio::join!(
            one.try_with("bob", "bob-password"),
            other.try_with("bob", "bob-password"),
            replace
        );
        assert_eq!(app.count("sessions WHERE ended_at IS NULL").await, 0, "{round}");
        let hash = app.app.passwords.hash(&Secret::new("bob-password")).await.unwrap();
        let mut connection = app.app.connection().await.unwrap();
        let now = app.app.now();
        assert!(users::set_password_hash(&mut connection, &user, &hash, now).await.unwrap());
        app.clock.advance(60);
    }
}
