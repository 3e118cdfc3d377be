//! Wrong passwords cost time, and only those who guess.

use super::{Attempt, WRONG};
use crate::{
    sessions::stop,
    support::{
        app::{TestApp, breathe},
        browser::Page,
        journey::authorize_path,
    },
};

const FAST: &str = "[rate_limits]\nsign_in_per_minute = 100000";
const KNOWN: &str = "__Host-kw-known";

async fn start() -> TestApp {
    let app = TestApp::builder().config(FAST).start().await;
    app.add_user("alice", &[]).await;
    app
}

async fn begin_from(app: &TestApp, network: u32) -> Attempt {
    let mut attempt = Attempt::begin(app).await;
    let [_, a, b, c] = network.to_be_bytes();
    attempt.browser.set_peer(format!("198.{a}.{b}.{c}:40000").parse().unwrap());
    attempt
}

/// Fails `times` times, with the longest wait between.
async fn fail(app: &TestApp, attempt: &mut Attempt, name: &str, times: usize) {
    for _ in 0..times {
        app.clock.advance(300);
        *attempt = again(app, attempt).await;
        let page = attempt.try_with(name, "wrong").await;
        assert_eq!(page.status, 400, "{}", page.text());
    }
}

/// The same browser at a new sign-in, for one does not wait for ever.
async fn again(app: &TestApp, attempt: &mut Attempt) -> Attempt {
    let mut browser = std::mem::replace(&mut attempt.browser, app.browser());
    let path = authorize_path("web", &[("prompt", "select_account")]);
    let page = browser.visit(&path).await.last().clone();
    let form = page.form_to("/login");
    Attempt { browser, page, form }
}

fn assert_waits(page: &Page, seconds: i64) {
    assert_eq!(page.status, 429, "{}", page.text());
    assert_eq!(page.header("retry-after"), Some(seconds.to_string().as_str()));
    assert!(page.text().contains("Too many tries. Wait ") && !page.text().contains(WRONG));
    assert!(page.set_cookies().is_empty());
}

/// PW-10: five tries are free, then waits double, for the right password too, and whether or not
/// there is such an account.
#[tokio::test(flavor = "multi_thread")]
async fn after_five_wrong_passwords_every_further_one_doubles_the_wait() {
    let app = start().await;
    for name in ["alice", "nobody"] {
        let mut attempt = Attempt::begin(&app).await;
        for _ in 0..5 {
            assert_eq!(attempt.try_with(name, "wrong").await.status, 400);
        }
        for wait in [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300] {
            let hashes = app.app.passwords.hashes();
            for password in ["wrong", "alice-password"] {
                assert_waits(&attempt.try_with(name, password).await, wait);
            }
            app.clock.advance(wait - 1);
            assert_waits(&attempt.try_with(name, "alice-password").await, 1);
            assert_eq!(app.app.passwords.hashes(), hashes, "nothing is checked meanwhile");
            app.clock.advance(1);
            attempt = again(&app, &mut attempt).await;
            assert_eq!(attempt.try_with(name, "wrong").await.status, 400, "{wait}");
        }
    }
    let refusals = app.refusals("sign_in").await;
    let count = |reason: &str| refusals.iter().filter(|found| *found == reason).count();
    assert_eq!((count("wrong_password"), count("too_many_tries")), (2 * 16, 2 * 33));
}

/// PW-10: a right password clears the count, and time does.
#[tokio::test(flavor = "multi_thread")]
async fn a_right_password_and_time_clear_the_count() {
    let app = start().await;
    let mut attempt = Attempt::begin(&app).await;
    for round in 0..3 {
        for _ in 0..4 {
            assert!(!attempt.succeeds("alice", "wrong").await, "{round}");
        }
        assert!(attempt.succeeds("alice", "alice-password").await, "{round}");
        attempt = Attempt::begin(&app).await;
    }
    for _ in 0..5 {
        assert!(!attempt.succeeds("alice", "wrong").await);
    }
    assert_waits(&attempt.try_with("alice", "wrong").await, 1);
    app.clock.advance(2 * 3_600 + 1);
    attempt = Attempt::begin(&app).await;
    for _ in 0..5 {
        assert!(!attempt.succeeds("alice", "wrong").await);
    }
    // What is forgotten is deleted.
    assert!(app.count("password_guesses").await > 0);
    app.clock.advance(2 * 3_600 + 1);
    keywright::jobs::purge(&app.app).await.unwrap();
    assert_eq!(app.count("password_guesses").await, 0);
}

/// PW-10: the count is in the database: a restart and a flush of the short-lived state change
/// nothing, and another instance counts with.
#[tokio::test(flavor = "multi_thread")]
async fn the_count_survives_a_restart_and_is_shared() {
    let app = start().await;
    let network = 7;
    fail(&app, &mut begin_from(&app, network).await, "alice", 5).await;
    if app.app.memory.is_some() {
        app.forget_short_lived_state();
    }
    // One SQLite file has one server.
    if !app.database.url.starts_with("sqlite:") {
        let other = TestApp::builder().config(FAST).beside(&app).start().await;
        let page = begin_from(&other, network).await.try_with("alice", "alice-password").await;
        assert_waits(&page, 1);
    }
    let app = stop(app).await.config(FAST).start().await;
    let page = begin_from(&app, network).await.try_with("alice", "alice-password").await;
    assert_waits(&page, 1);
}

/// PW-11: whatever name of an account is typed, there is one count.
#[tokio::test(flavor = "multi_thread")]
async fn all_names_of_an_account_are_one() {
    let app = start().await;
    let mut attempt = Attempt::begin(&app).await;
    let names = ["alice", "ALICE", " alice ", "\u{ff41}lice", "alice@corp.test"];
    for name in names {
        assert_eq!(attempt.try_with(name, "wrong").await.status, 400, "{name}");
    }
    for name in names.into_iter().chain(["Alice@Corp.Test"]) {
        assert_waits(&attempt.try_with(name, "alice-password").await, 1);
    }
}

/// A try by somebody who comes back when they are told to: so many at once may find every place taken.
async fn try_patiently(attempt: &mut Attempt, username: &str, password: &str) -> Page {
    for _ in 0..2_000 {
        let page = attempt.try_with(username, password).await;
        if page.status != 503 {
            return page;
        }
        assert!(page.header("retry-after").is_some(), "{}", page.text());
        breathe().await;
    }
    panic!("never let in");
}

/// PW-13: of two hundred wrong tries at once, no more are checked than are free.
#[tokio::test(flavor = "multi_thread")]
async fn of_many_tries_at_once_five_are_checked() {
    let app = start().await;
    let mut attempts = Vec::new();
    for _ in 0..200 {
        attempts.push(Attempt::begin(&app).await);
    }
    let hashes = app.app.passwords.hashes();
    let tries = attempts.iter_mut().map(|attempt| try_patiently(attempt, "alice", "wrong"));
    let pages = futures_util::future::join_all(tries).await;
    let count = |status| pages.iter().filter(|page| page.status == status).count();
    assert_eq!(app.app.passwords.hashes() - hashes, 5);
    assert_eq!((count(400), count(429)), (5, 195));
}

/// The right password at once in many windows is right in all of them.
#[tokio::test(flavor = "multi_thread")]
async fn right_passwords_at_once_wait_for_one_another() {
    let app = start().await;
    let attempts = (0..20).map(|_| Attempt::begin(&app));
    let mut attempts = futures_util::future::join_all(attempts).await;
    assert!(!attempts[0].succeeds("alice", "wrong").await);
    let tries = attempts.iter_mut().map(|attempt| attempt.try_with("alice", "alice-password"));
    let pages = futures_util::future::join_all(tries).await;
    let statuses: Vec<u16> = pages.iter().map(|page| page.status).collect();
    assert_eq!(statuses, [303; 20]);
}

/// PW-14: a stranger who fails a thousand times makes the owner wait nowhere else: not at a browser
/// that is known, not at another network, and nobody else at all.
#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_cannot_lock_the_owner_out() {
    let app = start().await;
    app.add_user("bob", &[]).await;
    let mut owner = Attempt::begin(&app).await;
    assert!(owner.succeeds("alice", "alice-password").await);
    assert!(owner.browser.cookies().get(KNOWN).is_some());

    // From the owner's own network, which is the worst case.
    let mut mallory = Attempt::begin(&app).await;
    fail(&app, &mut mallory, "alice", 40).await;
    assert_waits(&mallory.try_with("alice", "alice-password").await, 300);
    owner = again(&app, &mut owner).await;
    assert!(owner.succeeds("alice", "alice-password").await, "at a known browser");
    assert!(begin_from(&app, 1).await.succeeds("alice", "alice-password").await, "elsewhere");
    assert!(Attempt::begin(&app).await.succeeds("bob", "bob-password").await, "somebody else");

    // From so many networks that strangers have to wait everywhere: the known browser does not.
    for network in 100..104 {
        fail(&app, &mut begin_from(&app, network).await, "alice", 5).await;
    }
    let page = begin_from(&app, 200).await.try_with("alice", "alice-password").await;
    assert_eq!(page.status, 429, "{}", page.text());
    owner = again(&app, &mut owner).await;
    assert!(owner.succeeds("alice", "alice-password").await);

    // And it has a count of its own.
    owner = again(&app, &mut owner).await;
    for _ in 0..5 {
        assert!(!owner.succeeds("alice", "wrong").await);
    }
    assert_waits(&owner.try_with("alice", "alice-password").await, 1);
}

/// PW-14: only this browser, for this account, and for ninety days.
#[tokio::test(flavor = "multi_thread")]
async fn what_makes_a_browser_known_cannot_be_carried_elsewhere() {
    let app = start().await;
    app.add_user("bob", &[]).await;
    let mut owner = Attempt::begin(&app).await;
    assert!(owner.succeeds("alice", "alice-password").await);
    let cookie = owner.browser.cookies().get(KNOWN).unwrap().clone();
    let known = cookie.value.clone();
    let mut bob = Attempt::begin(&app).await;
    assert!(bob.succeeds("bob", "bob-password").await);
    let of_bob = bob.browser.cookies().get(KNOWN).unwrap().value.clone();
    fail(&app, &mut Attempt::begin(&app).await, "alice", 6).await;

    let (since, proof) = known.split_once('.').unwrap();
    let later = since.parse::<i64>().unwrap() + 1;
    for forged in [
        known.clone(),
        of_bob,
        format!("{later}.{proof}"),
        format!("{since}."),
        proof.to_owned(),
        ".".to_owned(),
        "x".repeat(400),
    ] {
        let mut mallory = Attempt::begin(&app).await;
        mallory.browser.cookies_mut().plant(cookie.clone());
        mallory.browser.cookies_mut().overwrite(KNOWN, &forged);
        let page = mallory.try_with("alice", "wrong").await;
        assert_eq!(page.status, 429, "{forged}: {}", page.text());
    }
    owner = again(&app, &mut owner).await;
    assert!(!owner.succeeds("alice", "wrong").await, "here it is known");
    app.clock.advance(90 * 86_400);
    let mut stranger = Attempt::begin(&app).await;
    fail(&app, &mut stranger, "alice", 6).await;
    owner = again(&app, &mut owner).await;
    assert_eq!(owner.try_with("alice", "wrong").await.status, 429, "not after ninety days");
}

/// PW-15: one network that fails for many accounts has to wait, whatever the next name is; those
/// who are known there do not.
#[tokio::test(flavor = "multi_thread")]
async fn one_password_for_everybody_makes_the_network_wait() {
    let app = start().await;
    let mut owner = Attempt::begin(&app).await;
    assert!(owner.succeeds("alice", "alice-password").await);
    let mut mallory = Attempt::begin(&app).await;
    for number in 0..20 {
        let page = mallory.try_with(&format!("person{number}"), "Summer2026!").await;
        assert_eq!(page.status, 400, "{number}: {}", page.text());
    }
    for name in ["person20", "alice", "person0"] {
        assert_waits(&mallory.try_with(name, "Summer2026!").await, 1);
    }
    owner = again(&app, &mut owner).await;
    assert!(owner.succeeds("alice", "alice-password").await);
    assert!(begin_from(&app, 9).await.succeeds("alice", "alice-password").await);
    // The wait grows to a minute and not further: the network may be a whole company.
    for number in 20..30 {
        app.clock.advance(60);
        mallory = again(&app, &mut mallory).await;
        let page = mallory.try_with(&format!("person{number}"), "Summer2026!").await;
        assert_eq!(page.status, 400, "{number}: {}", page.text());
    }
    assert_waits(&mallory.try_with("person30", "Summer2026!").await, 60);
}

/// PW-15: many networks that try one password raise the alarm, and shut no app.
#[tokio::test(flavor = "multi_thread")]
async fn failures_from_everywhere_raise_the_alarm() {
    let app = start().await;
    for number in 0..100 {
        let mut attempt = begin_from(&app, 1_000 + number).await;
        let page = attempt.try_with(&format!("person{number}"), "Summer2026!").await;
        assert_eq!(page.status, 400, "{}", page.text());
        let alarms = app.refusals("sign_in").await;
        let alarms = alarms.iter().filter(|reason| *reason == "guessing").count();
        assert_eq!(alarms, usize::from(number == 99), "{number}");
    }
    let events = app.events().await;
    let alarm = events.iter().find(|event| event.reason.as_deref() == Some("guessing")).unwrap();
    assert_eq!(alarm.client_id.as_ref().map(ToString::to_string).as_deref(), Some("web"));
    assert!(alarm.detail.contains("\"accounts\":100"), "{}", alarm.detail);
    assert!(begin_from(&app, 2_000).await.succeeds("alice", "alice-password").await);
}

/// Nobody's name and no network stands in the counts: somebody may have typed a password there.
#[tokio::test(flavor = "multi_thread")]
async fn names_are_counted_under_digests() {
    let app = start().await;
    fail(&app, &mut Attempt::begin(&app).await, "my-secret-password", 1).await;
    assert_eq!(app.count("password_guesses").await, 4);
    // Every key is a digest, whatever was typed.
    assert_eq!(app.count("password_guesses WHERE length(key) = 32").await, 4);
}
