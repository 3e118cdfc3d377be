//! Client secrets that end: said beforehand, and named when the upstream refuses them.

use keywright::federation::SecretEnd;

use super::{absence::metrics, fails, gets_in};
use crate::support::{app::TestApp, fake_upstream::FakeUpstream};

/// The clock of the tests begins on 1 June 2026.
async fn with_end(day: &str, secret: &str) -> (TestApp, FakeUpstream) {
    let upstream = FakeUpstream::start().await;
    let lines = format!(
        "issuer = {:?}\nclient_secret = {secret:?}\nclient_secret_expires = \"{day}\"",
        upstream.issuer(),
    );
    let app = TestApp::builder().preset("kc", &upstream, &lines).start().await;
    (app, upstream)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_has_ended_is_named_when_it_is_refused() {
    let (app, upstream) = with_end("2026-05-31", "an-old-secret").await;
    let event = fails(&app, &upstream, "kc").await.unwrap();
    assert_eq!(event.reason.as_deref(), Some("upstream_token_refused"));
    let said = "invalid_client: the client secret has ended on 2026-05-31";
    assert!(event.detail.contains(said), "{}", event.detail);
    let (app, upstream) = with_end("2026-06-02", "an-old-secret").await;
    let event = fails(&app, &upstream, "kc").await.unwrap();
    assert!(event.detail.contains("invalid_client"), "{}", event.detail);
    assert!(!event.detail.contains("has ended"), "it has not: {}", event.detail);
}

/// The date is what somebody wrote down: as long as the upstream takes the secret, people get in.
#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_a_secret_is_said_beforehand() {
    let secret = crate::support::fake_upstream::CLIENT_SECRET;
    for (day, seconds) in [("2026-05-31", 1_780_185_600), ("2026-06-20", 1_781_913_600)] {
        let (app, _upstream) = with_end(day, secret).await;
        gets_in(&app, "kc").await.unwrap();
        let line =
            format!("keywright_upstream_secret_expires_seconds{{upstream=\"kc\"}} {seconds}");
        assert!(metrics(&app).await.contains(&line));
    }
    let (app, _upstream) = with_end("2026-07-15", secret).await;
    let end = || app.app.upstreams.find("kc").unwrap().secret_end(app.app.now());
    assert_eq!(end(), SecretEnd::Far);
    app.clock.advance(15 * 86_400);
    assert!(matches!(end(), SecretEnd::Near(day) if day.to_string() == "2026-07-15"));
    app.clock.advance(30 * 86_400);
    assert!(matches!(end(), SecretEnd::Over(_)));
}
