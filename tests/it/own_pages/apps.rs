//! Connected apps, and taking their tokens away.

use super::post;
use crate::{
    refresh::family::{open_app, sign_in_with},
    support::app::TestApp,
};

/// Each app with living tokens is listed once, since when and when it was last used.
#[tokio::test(flavor = "multi_thread")]
async fn apps_with_living_tokens_are_listed() {
    let app = TestApp::start().await;
    app.add_user("bob", &["staff"]).await;
    app.add_user("eve", &[]).await;
    let mut browser = app.browser();
    let first = sign_in_with(&app, &mut browser, "web", "bob").await;
    let since = app.app.now().for_people();
    sign_in_with(&app, &mut app.browser(), "evil", "eve").await;
    app.clock.advance(3_600);
    open_app(&app, &mut browser, "web").await;
    open_app(&app, &mut browser, "members").await;
    app.clock.advance(3_600);
    first.refreshed(&app).await;
    let last = app.app.now().for_people();
    let page = browser.get("/account/apps").await;
    let apps: Vec<String> =
        page.forms().iter().map(|form| form.value("app").unwrap_or_default().to_owned()).collect();
    assert_eq!(apps, ["members", "web"]);
    let text = page.text();
    assert!(text.contains(&format!("Since {since}. Last used {last}.")), "{text}");
    assert!(text.contains("Members only") && !text.contains("Evil"), "{text}");
}

/// What an app holds dies with it, whoever got it in which session; others keep theirs.
#[tokio::test(flavor = "multi_thread")]
async fn a_disconnected_app_holds_nothing() {
    let app = TestApp::start().await;
    app.add_user("bob", &["staff"]).await;
    app.add_user("eve", &[]).await;
    let mut browser = app.browser();
    let web = sign_in_with(&app, &mut browser, "web", "bob").await;
    let elsewhere = sign_in_with(&app, &mut app.browser(), "web", "bob").await;
    let members = open_app(&app, &mut browser, "members").await;
    let of_eve = sign_in_with(&app, &mut app.browser(), "web", "eve").await;
    let page = browser.get("/account/apps").await;
    let form = page.forms().into_iter().find(|form| form.value("app") == Some("web")).unwrap();
    assert_eq!(browser.submit(&page, &form).await.status, 303);
    web.assert_dead(&app).await;
    elsewhere.assert_dead(&app).await;
    members.assert_alive(&app).await;
    of_eve.assert_alive(&app).await;
    let events = app.events().await;
    let event = events.iter().find(|event| event.action == "disconnect_app").unwrap();
    assert_eq!(event.client_id.as_ref().unwrap().as_str(), "web");

    for unknown in ["web", "evil", "", "nobody", "\0"] {
        let page = post(&mut browser, "/account/apps/disconnect", &[("app", unknown)]).await;
        assert_eq!(page.status, 404, "{unknown:?}");
    }
    assert_eq!(app.refusals("disconnect_app").await, ["app_unknown"; 5]);
    // Opening it again is a new beginning.
    open_app(&app, &mut browser, "web").await.assert_alive(&app).await;
}
