//! Rights that are taken away, refreshes that race, names and networks.

use serde_json::{Value, json};

use super::{gets_in, try_password};
use crate::{
    personal_access_tokens::{ask_for, secret_on},
    refresh::{
        family::{Tokens, sign_in_with},
        outside::user_verb,
    },
    sessions::{sign_in, username_on},
    support::{
        app::TestApp,
        browser::{Browser, Page},
        journey::{authorize_path, code_by_session, redeem, refresh},
    },
};

/// What an app hears of a token: groups and roles, or nothing.
async fn rights_by(app: &TestApp, token: &str) -> Option<(Value, Value)> {
    let answer = app.post_as("web", "/introspect", &[("token", token)]).await.json();
    (answer["active"] == true).then(|| (answer["groups"].clone(), answer["roles"].clone()))
}

/// Trap 8. A role that is taken away is gone from the live access token, from what a refresh brings and
/// from the personal access token, at once; a shut account has none of the three.
#[tokio::test(flavor = "multi_thread")]
async fn a_role_is_lost_everywhere_at_once() {
    let app = TestApp::start().await;
    app.add_user("alice", &["staff"]).await;
    // Somebody else administers as well, or the role could not be taken away.
    app.add_user("root", &[]).await;
    for name in ["alice", "root"] {
        user_verb(&app, &["grant", name, "--role", "admin"], "").await;
    }
    let mut browser = app.browser();
    let tokens = sign_in_with(&app, &mut browser, "web", "alice").await;
    let fields =
        [("name", "backup"), ("lifetime", "30d"), ("scope.openid", "yes"), ("scope.groups", "yes")];
    let personal = secret_on(&ask_for(&mut browser, &fields).await);
    let full = Some((json!(["staff"]), json!(["admin"])));
    assert_eq!(rights_by(&app, &tokens.access).await, full);
    assert_eq!(rights_by(&app, &personal).await, full);

    user_verb(&app, &["revoke", "alice", "--role", "admin"], "").await;
    let refreshed = tokens.refreshed(&app).await;
    for token in [&tokens.access, &refreshed.access, &personal] {
        let left = rights_by(&app, token).await.expect("a live token");
        assert_eq!(left, (json!(["staff"]), Value::Null), "{left:?}");
    }
    let claims = keywright::keys::parse_unverified(&refreshed.access).unwrap().1;
    assert!(!claims.contains_key("roles"), "{claims:?}");

    user_verb(&app, &["disable", "alice"], "").await;
    refresh(&app, "web", &refreshed.refresh).await.assert_error(400, "invalid_grant");
    for token in [&refreshed.access, &personal] {
        assert_eq!(rights_by(&app, token).await, None);
    }
}

/// Trap 10. Two tabs that refresh at once both go on, with one token; who brings the old one later is a
/// thief, and the family ends.
#[tokio::test(flavor = "multi_thread")]
async fn two_tabs_refresh_and_a_thief_ends_the_family() {
    let app = TestApp::start().await;
    app.add_user("bob", &[]).await;
    let first = sign_in_with(&app, &mut app.browser(), "web", "bob").await;
    let (one, other) = tokio::join!(first.refreshed(&app), first.refreshed(&app));
    assert_eq!(one.refresh, other.refresh);
    one.assert_alive(&app).await;
    app.clock.advance(11);
    let newest = Tokens::of("web", &refresh(&app, "web", &one.refresh).await);
    app.clock.advance(11);
    first.try_refresh(&app).await.assert_error(400, "invalid_grant");
    newest.assert_dead(&app).await;
    assert!(app.refusals("token").await.contains(&"refresh_reuse".to_owned()));
}

const TWO: &str = "[rate_limits]\nsign_in_per_minute = 2";

async fn fail_from(app: &TestApp, peer: &str, forwarded: &[(&str, &str)]) -> u16 {
    let mut browser = app.browser();
    browser.set_peer(peer.parse().unwrap());
    for (name, value) in forwarded {
        browser.set_header(name, value);
    }
    // A name of its own each time: what is counted here is the network.
    let name = uuid::Uuid::new_v4().to_string();
    let page: Page = browser.visit(&authorize_path("web", &[])).await.last().clone();
    let form = page.form_to("/login").fill("username", &name).fill("password", "wrong");
    browser.submit(&page, &form).await.status
}

/// An address that no other test has, because these may share one Redis.
fn address() -> String {
    let [a, b, ..] = *uuid::Uuid::new_v4().as_bytes();
    format!("198.18.{a}.{b}")
}

/// Trap 13. Whoever says to come from elsewhere is counted where they are.
#[tokio::test(flavor = "multi_thread")]
async fn forged_headers_do_not_move_anybody_to_another_bucket() {
    let app = TestApp::builder().config(TWO).start().await;
    app.add_user("bob", &[]).await;
    let peer = format!("{}:4000", address());
    let mut statuses = Vec::new();
    for name in ["x-forwarded-for", "x-real-ip", "forwarded", "true-client-ip"] {
        statuses.push(fail_from(&app, &peer, &[(name, &address())]).await);
    }
    assert_eq!(statuses, [400, 400, 429, 429]);
}

/// Trap 13. Behind a proxy of ours everybody has a bucket of their own, also on the proxy's machine
/// (RL-04), and nobody gets out of theirs by what they add to the line.
#[tokio::test(flavor = "multi_thread")]
async fn two_people_behind_one_proxy_do_not_share_a_bucket() {
    for (proxy, network) in [("10.9.8.7:4000", "10.9.8.0/24"), ("127.0.0.1:4000", "127.0.0.0/8")] {
        let config = format!(
            "[server]\nissuer = \"https://id.test\"\ntrusted_proxies = [\"{network}\"]\n{TWO}"
        );
        let app = TestApp::builder().config(&config).start().await;
        app.add_user("bob", &[]).await;
        let (one, other) = (address(), address());
        let mut statuses = Vec::new();
        for _ in 0..3 {
            let forged = format!("{}, {one}", address());
            statuses.push(fail_from(&app, proxy, &[("x-forwarded-for", &forged)]).await);
        }
        statuses.push(fail_from(&app, proxy, &[("x-forwarded-for", &other)]).await);
        assert_eq!(statuses, [400, 400, 429, 400], "{proxy}");
    }
}

async fn rename(browser: &mut Browser, username: &str) -> Page {
    let page = browser.get("/account/profile").await;
    let form = page.form_to("/account/profile").fill("username", username);
    browser.submit(&page, &form).await
}

/// Trap 14. Another name is the name everywhere: at the sign-in, in tokens, on pages, in what must be
/// one of a kind; the former one opens nothing and can be somebody else's.
#[tokio::test(flavor = "multi_thread")]
async fn a_new_name_is_the_name_everywhere() {
    let app = TestApp::start().await;
    app.add_user("bob", &[]).await;
    app.add_user("carol", &[]).await;
    let mut browser = app.browser();
    sign_in(&mut browser, "bob").await;
    for taken in ["carol", "CAROL", "\u{ff43}arol"] {
        let page = rename(&mut browser, taken).await;
        assert_eq!(page.status, 422, "{taken}: {}", page.text());
    }
    let answer = rename(&mut browser, "robert").await;
    assert_eq!(answer.status, 303, "{}", answer.text());
    assert_eq!(username_on(&browser.get("/account").await.text()), "robert");
    assert!(gets_in(&app, "robert", "bob-password").await);
    assert!(gets_in(&app, "ROBERT", "bob-password").await);
    assert_eq!(try_password(&app, "bob", "bob-password").await.status, 400);
    let code = code_by_session(&mut browser, "web", &[]).await;
    let claims = redeem(&app, "web", &code).await.text("id_token");
    let claims = keywright::keys::parse_unverified(&claims).unwrap().1;
    assert_eq!(claims["preferred_username"], "robert");

    let mut carol = app.browser();
    sign_in(&mut carol, "carol").await;
    assert_eq!(rename(&mut carol, "Robert").await.status, 422, "one of a kind");
    assert_eq!(rename(&mut carol, "bob").await.status, 303, "free again");
    assert!(gets_in(&app, "bob", "carol-password").await);
    assert!(!gets_in(&app, "bob", "bob-password").await);
}
