//! The list of one's sessions.

use keywright::foundation::opaque::{Opaque, OpaqueKind};

use super::{form_token, person_of, sign_in};
use crate::support::app::TestApp;

/// The handles of the sessions that a page offers to end.
fn handles(page: &crate::support::browser::Page) -> Vec<String> {
    let forms = page.forms().into_iter().filter(|f| f.action.path() == "/account/sessions/end");
    forms.map(|form| form.value("handle").unwrap().to_owned()).collect()
}

/// SS-11: nobody sees or ends another's session.
#[tokio::test(flavor = "multi_thread")]
async fn people_see_and_end_only_their_own_sessions() {
    let app = TestApp::start().await;
    app.add_user("bob", &[]).await;
    app.add_user("mallory", &[]).await;
    let first = sign_in(&mut app.browser(), "bob").await;
    let mut bob = app.browser();
    let second = sign_in(&mut bob, "bob").await;
    let mut mallory = app.browser();
    sign_in(&mut mallory, "mallory").await;

    let own = handles(&bob.get("/account").await);
    assert_eq!(own.len(), 1, "the other one; this one is ended by signing out");
    assert!(handles(&mallory.get("/account").await).is_empty());
    let token = form_token(&mut mallory).await;
    for handle in [own[0].as_str(), "", "x", "' OR 1=1 --", "%00", "\0", &"9".repeat(10_000)] {
        let fields = [("csrf", token.as_str()), ("handle", handle)];
        let page = mallory.post_form("/account/sessions/end", &fields).await;
        assert_eq!(page.status, 404, "{handle:?}: {}", page.text());
        assert!(page.text().contains("code: session_unknown"));
    }
    assert_eq!(app.refusals("end_session").await, ["session_unknown"; 7]);
    for secret in [&first, &second] {
        assert_eq!(person_of(&app, secret).await.as_deref(), Some("bob"));
    }
}

/// SS-11: what names a session in a list does not open it.
#[tokio::test(flavor = "multi_thread")]
async fn handles_are_not_secrets() {
    let app = TestApp::start().await;
    app.add_user("bob", &[]).await;
    let first = sign_in(&mut app.browser(), "bob").await;
    let mut browser = app.browser();
    let second = sign_in(&mut browser, "bob").await;
    let page = browser.get("/account").await;
    let handle = handles(&page).remove(0);
    assert_eq!(person_of(&app, &handle).await, None);
    for secret in [&first, &second] {
        assert!(!page.text().contains(secret.as_str()));
        let bits = Opaque::parse(OpaqueKind::Session, secret).unwrap();
        assert!(!page.text().contains(&bits.digest().to_text()));
    }
}

/// SS-11: what browsers say of themselves is shown in our words.
#[tokio::test(flavor = "multi_thread")]
async fn a_hostile_user_agent_is_not_shown() {
    let app = TestApp::start().await;
    app.add_user("bob", &[]).await;
    let mut evil = app.browser();
    evil.set_header("user-agent", "<script>alert(1)</script>\" onload=x Firefox/1 Windows");
    evil.set_header("x-forwarded-for", "<b>6.6.6.6</b>");
    sign_in(&mut evil, "bob").await;
    let page = evil.get("/account").await.text();
    assert!(page.contains("Firefox on Windows"), "{page}");
    assert!(!page.contains("alert(1)") && !page.contains("onload") && !page.contains("6.6.6.6"));
}

/// SS-11: a session that has ended, or whose time is over, is not listed.
#[tokio::test(flavor = "multi_thread")]
async fn only_live_sessions_are_listed() {
    let section = "[sessions]\nidle_lifetime = \"2h\"\nabsolute_lifetime = \"24h\"";
    let app = TestApp::builder().config(section).start().await;
    app.add_user("bob", &[]).await;
    sign_in(&mut app.browser(), "bob").await;
    app.clock.advance(3 * 3_600);
    let mut browser = app.browser();
    sign_in(&mut browser, "bob").await;
    let page = browser.get("/account").await;
    assert_eq!(handles(&page), Vec::<String>::new(), "the first was unused for too long");
}
