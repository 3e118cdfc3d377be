//! Secrets on their way out, and secrets that are never sent.

use serde_json::json;

use super::{Key, LONG_SECRET, claims, client, present, refused};
use crate::{
    sessions::stop,
    support::app::{Answer, TestApp},
};

const NEW: &str = "the-new-secret-0123456789";
const OLD: &str = "the-old-secret-0123456789";
const OLDER: &str = "the-older-secret-0123456789";

async fn sends(app: &TestApp, secret: &str) -> Answer {
    let form =
        [("grant_type", "client_credentials"), ("client_id", "app"), ("client_secret", secret)];
    app.post("/token", &form, &[]).await
}

async fn told(app: &TestApp) -> usize {
    let events = app.events().await;
    let told = events.iter().filter(|event| event.action == "previous_secret_used");
    told.inspect(|event| assert!(!event.detail.contains("secret-0123"), "{}", event.detail)).count()
}

/// TK-15: old and new work side by side, the old one until its day; then it is as wrong as any other.
#[tokio::test(flavor = "multi_thread")]
async fn a_secret_is_rotated_without_downtime() {
    // The clock of the tests begins on 1 June 2026, at noon.
    let lines = format!(
        "secret = {NEW:?}\n[[clients.previous_secrets]]\nsecret = {OLD:?}\n\
         expires = 2026-06-02\n[[clients.previous_secrets]]\nsecret = {OLDER:?}"
    );
    let app = TestApp::builder().config(&client("app", &lines)).start().await;
    let day = 24 * 3_600;
    let midnight = (app.clock.unix() / day + 1) * day;
    assert_eq!(keywright::foundation::clock::Timestamp::from_unix(midnight).day(), "2026-06-02");
    assert_eq!(sends(&app, NEW).await.status, 200);
    assert_eq!(told(&app).await, 0, "the secret that it has is no news");
    for secret in [OLD, OLDER, OLD, OLD] {
        assert_eq!(sends(&app, secret).await.status, 200);
    }
    assert_eq!(told(&app).await, 1, "once is enough");

    app.clock.advance(midnight - 1 - app.clock.unix());
    assert_eq!(sends(&app, OLD).await.status, 200);
    app.clock.advance(1);
    sends(&app, OLD).await.assert_error(401, "invalid_client");
    for secret in [NEW, OLDER] {
        assert_eq!(sends(&app, secret).await.status, 200, "{secret}");
    }
}

/// TK-15: what is not listed is dead at once, on every instance that has the settings.
#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_is_replaced_is_dead() {
    let before = client("app", &format!("secret = {OLD:?}"));
    let after = client("app", &format!("secret = {NEW:?}"));
    let app = TestApp::builder().config(&before).start().await;
    assert_eq!(sends(&app, OLD).await.status, 200);
    let app = stop(app).await.config(&after).start().await;
    sends(&app, OLD).await.assert_error(401, "invalid_client");
    assert_eq!(sends(&app, NEW).await.status, 200);
}

/// OIDC Core §9: what is signed with the secret proves it as well as sending it, and nobody on the way
/// learns it. A former one still counts, and it is told.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_signs_with_its_secret() {
    let former = "a-former-secret-that-is-long-enough-for-hmac-0123456789";
    let lines = format!(
        "secret = {LONG_SECRET:?}\ntoken_endpoint_auth_method = \"client_secret_jwt\"\n\
         previous_secrets = [{{ secret = {former:?} }}]"
    );
    let app = TestApp::builder().config(&client("mac", &lines)).start().await;
    let current = Key::secret("HS256", LONG_SECRET);
    let assertion = current.jwt(&claims(&app, "mac"));
    assert_eq!(present(&app, &assertion).await.status, 200);
    refused(&app, &assertion, "used before").await;
    assert_eq!(told(&app).await, 0);
    let previous = Key::secret("HS256", former);
    assert_eq!(present(&app, &previous.jwt(&claims(&app, "mac"))).await.status, 200);
    assert_eq!(told(&app).await, 1);

    let wrong = "the signature is not that of the client";
    let stranger = Key::secret("HS256", "another-secret-that-is-long-enough-0123456789");
    refused(&app, &stranger.jwt(&claims(&app, "mac")), wrong).await;
    // JW-10: the former secret is too short for SHA-512.
    let header = json!({"alg": "HS512"});
    let short =
        super::compact(&header, &claims(&app, "mac"), |input| previous.sign("HS512", input));
    refused(&app, &short, wrong).await;
    let key = Key::new("ES256").jwt(&claims(&app, "mac"));
    refused(&app, &key, "alg is not one that the client may use").await;
    let shown = format!("{:?}", app.app.clients.find("mac").unwrap());
    assert!(!shown.contains("secret-that-is"), "{shown}");
}
