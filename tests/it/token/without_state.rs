//! What works while the short-lived state is away, and what has to wait.

use crate::{
    refresh::{
        family::{ask, redeem_as, sign_in},
        outside::restarted,
    },
    support::{
        app::TestApp,
        journey::{authorize_path, code_for},
    },
};

/// Nothing listens there.
const AWAY: &str = "redis://127.0.0.1:1/0";

async fn with_state_away() -> (TestApp, crate::refresh::family::Tokens, String) {
    let app = TestApp::start().await;
    app.add_user("bob", &[]).await;
    let tokens = sign_in(&app, "web", "bob").await;
    let code = code_for(&mut app.browser(), "web", "bob", &[]).await;
    let app = restarted(app, |builder| builder.state_url(AWAY)).await;
    (app, tokens, code)
}

/// Architecture, databases and state: what needs no short-lived state answers as before.
#[tokio::test(flavor = "multi_thread")]
async fn tokens_are_refreshed_and_checked_while_the_state_is_away() {
    let (app, tokens, _) = with_state_away().await;
    tokens.assert_alive(&app).await;
    let next = tokens.refreshed(&app).await;
    next.assert_alive(&app).await;
    let own = ask(&app, "m2m", &[("grant_type", "client_credentials")]).await;
    assert_eq!(own.status, 200);
    for path in ["/.well-known/openid-configuration", "/.well-known/jwks.json"] {
        assert_eq!(app.get(path, None).await.status, 200);
    }
    // Guessing cannot be counted now, and is still refused.
    let wrong = [("client_id", "web"), ("client_secret", "wrong")];
    app.post("/token", &wrong, &[]).await.assert_error(401, "invalid_client");
    // A used token is recognised all the same.
    app.clock.advance(10);
    tokens.try_refresh(&app).await.assert_error(400, "invalid_grant");
    next.assert_dead(&app).await;
    let answer = app.post_as("web", "/revoke", &[("token", &next.refresh)]).await;
    assert_eq!(answer.status, 200);
}

/// Architecture: proof fails closed. A code, and a new sign-in, have to wait.
#[tokio::test(flavor = "multi_thread")]
async fn codes_and_sign_ins_wait_while_the_state_is_away() {
    let (app, _, code) = with_state_away().await;
    let answer = redeem_as(&app, "web", &code).await;
    answer.assert_error(503, "temporarily_unavailable");
    assert!(answer.headers.contains_key("retry-after"));
    let page = app.browser().get(&authorize_path("web", &[])).await;
    assert_eq!(page.status, 503, "{}", page.text());
    assert!(page.headers.contains_key("retry-after"));
    assert!(page.location().is_none());
    assert_eq!(app.count("grants").await, 1);
}
