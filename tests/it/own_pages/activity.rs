//! What people read about what has happened to their account.

use super::post;
use crate::{
    refresh::{family::sign_in_with, outside::execute},
    sessions::sign_in,
    support::app::TestApp,
};

/// Events are told in words and names, the newest first, and nobody's but one's own.
#[tokio::test(flavor = "multi_thread")]
async fn people_read_what_happened_to_them() {
    let app = TestApp::start().await;
    app.add_user("bob", &[]).await;
    app.add_user("eve", &[]).await;
    sign_in_with(&app, &mut app.browser(), "evil", "eve").await;
    let mut browser = app.browser();
    sign_in(&mut browser, "bob").await;
    app.clock.advance(301);
    assert_eq!(post(&mut browser, "/account/export", &[]).await.status, 403);
    app.app.audit.flush().await;
    app.clock.advance(60);
    sign_in_with(&app, &mut app.browser(), "web", "bob").await;
    let text = browser.get("/account/activity").await.text();
    assert!(text.contains("Signing in") && text.contains("for <bdi>Web</bdi>"), "{text}");
    assert!(text.contains("Refused: <bdi>reauth required</bdi>"), "{text}");
    assert!(text.contains("from <bdi dir=\"ltr\">10."), "{text}");
    assert!(!text.contains("Evil"), "{text}");
    let (good, refused) = (text.find("for <bdi>Web"), text.find("Refused"));
    assert!(good < refused, "the newest first");
}

/// What somebody else put into an event is text, and there are fifty at the most.
#[tokio::test(flavor = "multi_thread")]
async fn hostile_and_many_events_are_shown_as_text() {
    let app = TestApp::start().await;
    let bob = app.add_user("bob", &[]).await;
    for number in 0..60 {
        let sql = format!(
            "INSERT INTO audit_events (id, at, action, outcome, reason, user_id, address, detail) \
             VALUES ('x{number}', 1, 'odd_<b>', 'refused', '<i>no</i>', '{}', '<u>', \
             '{{\"name\":\"<script>\"}}')",
            bob.id
        );
        execute(&app, &sql).await;
    }
    let mut browser = app.browser();
    sign_in(&mut browser, "bob").await;
    let text = browser.get("/account/activity").await.text();
    for hostile in ["<script>", "<i>", "<u>", "odd_<b>", "Odd <b>"] {
        assert!(!text.contains(hostile), "{hostile}");
    }
    assert_eq!(text.matches("<li>").count(), 50);
    assert!(text.contains("Odd &#60;b&#62;"), "an event that has no words of its own: {text}");
}
