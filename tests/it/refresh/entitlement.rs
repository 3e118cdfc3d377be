//! Who gets refresh tokens at all, for how long, and what else an answer brings.

use serde_json::{Map, Value};

use crate::{
    refresh::{
        family::{Tokens, redeem_as, sign_in},
        outside::restarted,
    },
    support::{
        app::{Answer, TestApp},
        journey::{FULL_SCOPE, code_for},
    },
};

const DAY: i64 = 86_400;

/// Signs bob in at a client and answers what redeeming brought.
async fn redeemed(app: &TestApp, client: &str, scope: &str) -> Answer {
    let mut browser = app.browser();
    browser.stop_at("https://frugal.test/");
    browser.stop_at("https://single.test/");
    let code = code_for(&mut browser, client, "bob", &[("scope", scope)]).await;
    let answer = redeem_as(app, client, &code).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer
}

/// RT-17: a refresh token is asked for, and given to clients that may have it.
#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_token_is_given_only_to_who_may_have_it_and_asks() {
    let config = r#"
[[clients]]
id = "frugal"
name = "Frugal"
secret = "frugal-secret-0123456789"
redirect_uris = ["https://frugal.test/cb"]
scopes = ["openid", "email"]

[[clients]]
id = "single"
name = "Single"
secret = "single-secret-0123456789"
redirect_uris = ["https://single.test/cb"]
grant_types = ["authorization_code"]
"#;
    let app = TestApp::builder().config(config).start().await;
    app.add_user("bob", &[]).await;
    for (client, scope, granted) in [
        ("web", "openid email", "openid email"),
        ("web", "openid", "openid"),
        ("frugal", FULL_SCOPE, "openid email"),
        ("spa", "openid profile", "openid profile"),
    ] {
        let answer = redeemed(&app, client, scope).await;
        assert!(answer.json().get("refresh_token").is_none(), "{client} {scope}");
        assert_eq!(answer.text("scope"), granted);
    }
    let answer = redeemed(&app, "single", FULL_SCOPE).await;
    assert!(answer.json().get("refresh_token").is_none());
    assert_eq!(app.count("refresh_tokens").await, 0);

    for client in ["web", "spa"] {
        let tokens = Tokens::of(client, &redeemed(&app, client, "openid offline_access").await);
        assert!(tokens.refresh.starts_with("kw_rt_"));
    }
    assert_eq!(app.count("refresh_tokens").await, 2);
}

/// Lets the time pass; the keys are looked after meanwhile, as in a running server.
async fn pass(app: &TestApp, seconds: i64) {
    app.clock.advance(seconds);
    app.app.keys.tend(&app.app.store, app.app.now()).await.unwrap();
}

/// RT-12: however busy, a family ends after its absolute lifetime.
#[tokio::test(flavor = "multi_thread")]
async fn a_family_that_is_used_daily_ends_after_thirty_days() {
    let app = TestApp::start().await;
    app.add_user("bob", &[]).await;
    let mut tokens = sign_in(&app, "web", "bob").await;
    for _ in 1..30 {
        pass(&app, DAY).await;
        tokens = tokens.refreshed(&app).await;
    }
    pass(&app, DAY - 1).await;
    tokens = tokens.refreshed(&app).await;
    tokens.assert_alive(&app).await;
    pass(&app, 2).await;
    tokens.assert_dead(&app).await;
    let reasons = app.refusals("token").await;
    assert!(matches!(reasons[..], [ref only] if only.contains("expired")), "{reasons:?}");
    assert_eq!(app.count("refresh_tokens").await, 31);
}

/// RT-12: a token that nobody uses dies after its idle lifetime; its use starts a new one.
#[tokio::test(flavor = "multi_thread")]
async fn an_unused_token_dies_after_seven_days() {
    let app = TestApp::start().await;
    app.add_user("bob", &[]).await;
    let (idle, used) = (sign_in(&app, "web", "bob").await, sign_in(&app, "web", "bob").await);
    pass(&app, 7 * DAY - 1).await;
    let used = used.refreshed(&app).await;
    pass(&app, 2).await;
    idle.try_refresh(&app).await.assert_error(400, "invalid_grant");
    assert_eq!(app.refusals("token").await, ["refresh_token_expired"]);
    used.refreshed(&app).await.assert_alive(&app).await;
}

fn claims(tokens: &Tokens) -> Map<String, Value> {
    keywright::keys::parse_unverified(tokens.id.as_ref().unwrap()).unwrap().1
}

/// RT-21: the ID token of a refresh is about the same sign-in.
#[tokio::test(flavor = "multi_thread")]
async fn the_id_token_of_a_refresh_is_about_the_same_sign_in() {
    let app = TestApp::start().await;
    app.add_user("bob", &[]).await;
    let first = sign_in(&app, "web", "bob").await;
    app.clock.advance(600);
    let second = first.refreshed(&app).await;
    let (before, after) = (claims(&first), claims(&second));
    for name in ["iss", "sub", "aud", "auth_time", "sid", "amr"] {
        assert!(before.contains_key(name), "{name}");
        assert_eq!(before[name], after[name], "{name}");
    }
    assert!(before.contains_key("nonce") && !after.contains_key("nonce"));
    let number = |claims: &Map<String, Value>, name: &str| claims[name].as_i64().unwrap();
    assert_eq!(number(&after, "iat"), number(&before, "iat") + 600);
    assert_eq!(number(&after, "exp"), number(&before, "exp") + 600);
    assert_ne!(before["at_hash"], after["at_hash"]);
}

/// RT-10: a scope that was taken from the client ends what was granted with it.
#[tokio::test(flavor = "multi_thread")]
async fn a_family_ends_when_the_client_has_lost_a_scope_of_it() {
    let client = |scopes: &str| {
        format!(
            "[[clients]]\nid = \"frugal\"\nname = \"Frugal\"\n\
             secret = \"frugal-secret-0123456789\"\n\
             redirect_uris = [\"https://frugal.test/cb\"]\nscopes = [{scopes}]"
        )
    };
    let before = client(r#""openid", "email", "offline_access""#);
    let app = TestApp::builder().config(&before).start().await;
    app.add_user("bob", &[]).await;
    let with_email = Tokens::of("frugal", &redeemed(&app, "frugal", FULL_SCOPE).await);
    let without = redeemed(&app, "frugal", "openid offline_access").await;
    let without = Tokens::of("frugal", &without);

    let after = client(r#""openid", "offline_access""#);
    let app = restarted(app, |builder| builder.config(&after)).await;
    with_email.try_refresh(&app).await.assert_error(400, "invalid_grant");
    assert_eq!(app.refusals("token").await, ["scope_no_longer_allowed"]);
    with_email.assert_dead(&app).await;
    without.refreshed(&app).await.assert_alive(&app).await;

    // Given back, it revives nothing.
    let app = restarted(app, |builder| builder.config(&before)).await;
    with_email.assert_dead(&app).await;
}
