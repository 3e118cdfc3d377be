//! More than can be done at once.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::available_parallelism,
};

use keywright::foundation::secret::Secret;
use tokio::task::JoinSet;

use crate::support::{
    app::{TestApp, breathe},
    journey::authorize_path,
};

/// FT-48: passwords that find no place to be checked are turned away with a page that says when to come
/// back. Of however many, the first in a minute is kept; the numbers know them all.
#[tokio::test(flavor = "multi_thread")]
async fn a_storm_of_passwords_is_one_event_a_minute() {
    let slow = "[passwords]\nargon2_memory_kib = 8192\nargon2_passes = 20\n\
                [rate_limits]\nsign_in_per_minute = 100000";
    let app = TestApp::builder().config(slow).start().await;
    app.add_user("bob", &[]).await;
    let mut browser = app.browser();
    let page = browser.visit(&authorize_path("web", &[])).await.last().clone();
    let form = page.form_to("/login").fill("username", "bob").fill("password", "bob-password");

    let over = Arc::new(AtomicBool::new(false));
    let mut storm = JoinSet::new();
    for _ in 0..available_parallelism().unwrap().get() * 40 {
        let (house, over) = (app.app.clone(), Arc::clone(&over));
        storm.spawn(async move {
            while !over.load(Ordering::Relaxed) {
                let _ = house.passwords.hash(&Secret::new("x")).await;
                breathe().await;
            }
        });
    }
    while app.app.passwords.enter().is_ok() {
        breathe().await;
    }
    let mut refused = 0;
    for _ in 0..30 {
        let answer = browser.submit(&page, &form).await;
        if answer.status == 503 {
            refused += 1;
            let text = answer.text();
            assert!(text.contains("code: too_busy\n"), "{text}");
            let wait: u64 = answer.header("retry-after").unwrap().parse().unwrap();
            assert!((1..=6).contains(&wait), "{wait}");
        } else {
            break;
        }
    }
    over.store(true, Ordering::Relaxed);
    storm.join_all().await;
    assert!(refused > 1, "{refused}");
    assert_eq!(app.refusals("sign_in").await, ["too_many_sign_ins"]);
    let line = format!("route=\"/login\",method=\"POST\",status=\"503\"}} {refused}");
    let numbers = app.app.metrics.render().unwrap();
    assert!(numbers.contains(&line), "{line} is not in {numbers}");
}
