//! Each app has a queue of its own: one that hangs holds up no other.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{Router, routing::post};
use keywright::jobs::{self, deliver_logouts};

use crate::{
    refresh::outside::execute,
    sessions::{form_token, sign_in},
    support::{
        app::TestApp,
        journey::{code_by_session, code_for, redeem},
    },
};

/// An app's end of the line, which answers or never does; its address, and how often it was called.
async fn receiver(answers: bool) -> (String, Arc<AtomicUsize>) {
    let calls = Arc::new(AtomicUsize::new(0));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}/bcl", listener.local_addr().unwrap());
    let counted = Arc::clone(&calls);
    let receive = post(async move || {
        counted.fetch_add(1, Ordering::SeqCst);
        if !answers {
            std::future::pending::<()>().await;
        }
    });
    let router = Router::new().route("/bcl", receive);
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    (address, calls)
}

fn client(id: &str, address: &str) -> String {
    format!(
        "[[clients]]\nid = {id:?}\nname = {id:?}\nsecret = \"{id}-secret-0123456789\"\n\
         redirect_uris = [\"https://{id}.test/cb\"]\nbackchannel_logout_uri = {address:?}\n"
    )
}

struct Scene {
    app: TestApp,
    stuck: Arc<AtomicUsize>,
    told: Arc<AtomicUsize>,
}

impl Scene {
    /// Keywright with an app that hangs, `stuck`, and one that does not, `told`.
    async fn set() -> Self {
        let (address, stuck) = receiver(false).await;
        let (other, told) = receiver(true).await;
        let many = "[rate_limits]\nsign_in_per_minute = 1000\n".to_owned();
        let config = many + &client("stuck", &address) + &client("told", &other);
        let app = TestApp::builder().config(&config).start().await;
        app.add_user("bob", &[]).await;
        Self { app, stuck, told }
    }

    /// Bob signs in at this app and out again.
    async fn visit(&self, client: &str) {
        let mut browser = self.app.browser();
        browser.stop_at(&format!("https://{client}.test/"));
        let code = code_for(&mut browser, client, "bob", &[]).await;
        assert_eq!(redeem(&self.app, client, &code).await.status, 200);
        let csrf = form_token(&mut browser).await;
        let page = browser.post_form("/logout", &[("confirm", "yes"), ("csrf", &csrf)]).await;
        assert_eq!(page.status, 200, "{}", page.text());
    }

    async fn failures(&self) -> i64 {
        self.app.count("logout_deliveries WHERE fault IS NOT NULL").await
    }
}

async fn until_called(calls: &AtomicUsize) {
    while calls.load(Ordering::SeqCst) == 0 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// LO-05: what waits for an app that hangs is not in the way of what another app has to be told later.
#[tokio::test(flavor = "multi_thread")]
async fn an_app_that_hangs_holds_up_no_other() {
    let scene = Scene::set().await;
    for _ in 0..9 {
        scene.visit("stuck").await;
    }
    scene.app.clock.advance(1);
    scene.visit("told").await;
    tokio::select! {
        _ = deliver_logouts(&scene.app.app) => panic!("nothing hangs"),
        () = until_called(&scene.told) => {}
    }
    assert!(scene.failures().await < 8, "the others were waited for");
}

/// A round that is not over keeps no sign-out of the meantime waiting; and an app that hangs is asked
/// about a few sign-outs at once, not about all.
#[tokio::test(flavor = "multi_thread")]
async fn a_sign_out_in_the_middle_of_a_round_is_told_at_once() {
    let scene = Scene::set().await;
    for _ in 0..20 {
        scene.visit("stuck").await;
    }
    jobs::start(&scene.app.app);
    until_called(&scene.stuck).await;
    scene.visit("told").await;
    until_called(&scene.told).await;
    assert!(scene.failures().await < 20, "the round was waited for");
    // Counted first: each failure makes room for one call more, and there may be more of them by now.
    let called = i64::try_from(scene.stuck.load(Ordering::SeqCst)).unwrap();
    assert!(called <= 4 + scene.failures().await, "{called} at once");
    scene.app.app.stopping.cancel();
}

/// Of many rounds at once one serves an app, and everything is told once.
#[tokio::test(flavor = "multi_thread")]
async fn everything_is_told_once() {
    let scene = Scene::set().await;
    for _ in 0..6 {
        scene.visit("told").await;
    }
    let rounds = (0..4).map(|_| deliver_logouts(&scene.app.app));
    for round in futures_util::future::join_all(rounds).await {
        round.unwrap();
    }
    assert_eq!(scene.told.load(Ordering::SeqCst), 6);
    assert_eq!(scene.app.count("logout_deliveries WHERE delivered_at IS NOT NULL").await, 6);
}

/// LO-05: apps that have failed already leave room for the others, however many they are.
#[tokio::test(flavor = "multi_thread")]
async fn many_apps_that_hang_leave_room_for_one_that_does_not() {
    let (address, stuck) = receiver(false).await;
    let (other, told) = receiver(true).await;
    let hanging: Vec<String> = (0..8).map(|number| format!("stuck{number}")).collect();
    let config: String = hanging.iter().map(|id| client(id, &address)).collect();
    let app = TestApp::builder().config(&(config + &client("told", &other))).start().await;
    app.add_user("bob", &[]).await;
    for _ in 0..4 {
        let mut browser = app.browser();
        browser.stop_at("https://stuck");
        sign_in(&mut browser, "bob").await;
        for id in &hanging {
            let code = code_by_session(&mut browser, id, &[]).await;
            assert_eq!(redeem(&app, id, &code).await.status, 200);
        }
        let csrf = form_token(&mut browser).await;
        browser.post_form("/logout", &[("confirm", "yes"), ("csrf", &csrf)]).await;
    }
    execute(&app, "UPDATE logout_deliveries SET tries = 1").await;
    let scene = Scene { app, stuck, told };
    scene.app.clock.advance(1);
    scene.visit("told").await;
    tokio::select! {
        _ = deliver_logouts(&scene.app.app) => panic!("nothing hangs"),
        () = until_called(&scene.told) => {}
    }
    assert_eq!(scene.failures().await, 0, "the others were waited for");
}

/// The pause before the next try begins when the app has answered, and not when it was asked.
#[tokio::test(flavor = "multi_thread")]
async fn a_pause_begins_with_the_answer() {
    let (calls, go) = (Arc::new(AtomicUsize::new(0)), Arc::new(tokio::sync::Notify::new()));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}/bcl", listener.local_addr().unwrap());
    let (counted, wait) = (Arc::clone(&calls), Arc::clone(&go));
    let receive = post(async move || {
        counted.fetch_add(1, Ordering::SeqCst);
        wait.notified().await;
        axum::http::StatusCode::INTERNAL_SERVER_ERROR
    });
    let router = Router::new().route("/bcl", receive);
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    let app = TestApp::builder().config(&client("slow", &address)).start().await;
    app.add_user("bob", &[]).await;
    let scene = Scene { app, stuck: Arc::clone(&calls), told: calls };
    scene.visit("slow").await;
    let answering = async {
        until_called(&scene.stuck).await;
        scene.app.clock.advance(4);
        go.notify_one();
    };
    let (told, ()) = tokio::join!(deliver_logouts(&scene.app.app), answering);
    told.unwrap();
    let due = scene.app.app.now().unix() + 5;
    assert_eq!(scene.app.count(&format!("logout_deliveries WHERE due_at = {due}")).await, 1);
}
