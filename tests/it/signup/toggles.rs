//! The doors, set while servers run: page and form alike, at every instance.

use keywright::{
    accounts::toggles::{self, Door, SaidBy},
    config::SignupMode,
};

use super::{OPEN, filled, form};
use crate::{
    support::{app::TestApp, browser::Browser, fake_upstream::FakeUpstream},
    upstream::{gets_in, sign_in_at},
};

async fn set(app: &TestApp, door: Door, mode: Option<SignupMode>) {
    let mut connection = app.app.connection().await.unwrap();
    toggles::set(&mut connection, door, mode).await.unwrap();
}

async fn look(app: &TestApp) {
    app.app.rules.look(&app.app.store).await.unwrap();
}

/// What is set wins over the configuration, for the page and for a form that was open before; what is not
/// set any more is as configured.
#[tokio::test(flavor = "multi_thread")]
async fn the_form_follows_what_is_set() {
    let app = TestApp::builder().config(OPEN).start().await;
    let mut early = app.browser();
    let (page, open_form) = form(&mut early).await;
    for mode in [SignupMode::Closed, SignupMode::Invite] {
        set(&app, Door::Local, Some(mode)).await;
        look(&app).await;
        let door = app.app.door(Door::Local);
        assert_eq!((door.mode, door.said_by), (mode, SaidBy::RunTime));
        assert_eq!(app.browser().get("/signup").await.status, 403, "{mode}");
        let answer = early.submit(&page, &filled(&open_form, "anna")).await;
        assert_eq!(answer.status, 403, "{mode}: {}", answer.text());
        let mut fresh = app.browser();
        let choice = fresh.visit("/account").await.last().clone();
        assert!(!choice.text().contains("/signup"), "{mode}: {}", choice.text());
        assert_eq!((app.count("users").await, app.count("sessions").await), (0, 0));
    }
    assert_eq!(app.refusals("sign_up").await, ["signup_disabled"; 4]);
    set(&app, Door::Local, None).await;
    look(&app).await;
    assert_eq!(app.app.door(Door::Local).said_by, SaidBy::File);
    assert_eq!(early.submit(&page, &filled(&open_form, "anna")).await.status, 303);
}

/// The same for newcomers from an upstream; who is known gets in whatever is set (LK-12).
#[tokio::test(flavor = "multi_thread")]
async fn the_upstreams_follow_what_is_set() {
    let upstream = FakeUpstream::start().await;
    let app = TestApp::builder().upstream("kc", &upstream, "").start().await;
    gets_in(&app, "kc").await.unwrap();
    set(&app, Door::Federated, Some(SignupMode::Closed)).await;
    look(&app).await;
    gets_in(&app, "kc").await.unwrap();
    upstream.set_person(serde_json::json!({"sub": "9", "preferred_username": "nine"}));
    let journey = sign_in_at(&mut app.browser(), "kc").await;
    assert_eq!(journey.last().status, 403, "{}", journey.last().text());
    assert_eq!(app.refusals("sign_in").await, ["signup_closed"]);
    assert_eq!(app.count("users").await, 1);
    set(&app, Door::Federated, Some(SignupMode::Open)).await;
    look(&app).await;
    gets_in(&app, "kc").await.unwrap();
    assert_eq!(app.count("users").await, 2);
}

/// LK-11: the switch beats what was set, and what was set is there again when the switch is gone.
#[tokio::test(flavor = "multi_thread")]
async fn the_switch_beats_what_is_set() {
    let app = TestApp::builder().config(OPEN).start().await;
    for door in Door::ALL {
        set(&app, *door, Some(SignupMode::Open)).await;
    }
    let shut = format!("{OPEN}disabled = true");
    let app = crate::sessions::stop(app).await.config(&shut).start().await;
    for door in Door::ALL {
        let toggle = app.app.door(*door);
        assert_eq!((toggle.mode, toggle.said_by), (SignupMode::Closed, SaidBy::Switch));
    }
    assert_eq!(app.browser().get("/signup").await.status, 403);
    let app = crate::sessions::stop(app).await.start().await;
    let mut browser: Browser = app.browser();
    assert_eq!(browser.visit("/signup").await.last().status, 200, "it was set to open");
}
