//! What an upstream has said is kept: whoever hangs up, whatever the database does, and for no other
//! upstream.

use std::time::Duration;

use keywright::store::leases;

use super::{Scene, TEN_MINUTES};
use crate::{
    refresh::outside::{WriteBlock, execute},
    support::{
        app::TestApp,
        fake_upstream::{Endpoint, FakeUpstream, Fault, Refreshes},
        journey::{code_by_session, redeem, refresh},
    },
};

/// Waits for something that will be.
async fn until(what: impl Fn() -> bool) {
    while !what() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// A client that goes away while the right to ask is being taken leaves no claim behind that nobody
/// uses: the upstream is asked.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_goes_away_early_leaves_no_claim() {
    let mut scene = Scene::set(Refreshes::Rotating).await;
    scene.app.clock.advance(300);
    let token = scene.tokens.text("refresh_token");
    let block = WriteBlock::on(&scene.app, "leases").await;
    tokio::select! {
        answer = refresh(&scene.app, "web", &token) => panic!("nothing has cut it off: {answer:?}"),
        () = until(|| !scene.app.app.questions.is_empty()) => {}
    }
    drop(block);
    scene.app.app.questions.close();
    scene.app.app.questions.wait().await;
    assert_eq!(scene.confirmed_at().await, scene.app.app.now().unix());
    scene.refresh().await;
    assert_eq!((scene.life(), scene.asked()), (600, 1));
}

/// An upstream that takes its time has said what was true when it was asked; meanwhile nobody else asks
/// it, however long its requests may take.
#[tokio::test(flavor = "multi_thread")]
async fn a_late_answer_counts_from_the_question() {
    let slow = format!("{TEN_MINUTES}\ntimeout = \"20s\"");
    let scene = Scene::with(Refreshes::Rotating, &slow, "").await;
    let pause = Duration::from_millis(300);
    scene.upstream.misbehave(|lies| lies.fault_times(Endpoint::Token, 1, Fault::Delay(pause)));
    scene.app.clock.advance(300);
    let asked_at = scene.app.app.now().unix();
    let token = scene.tokens.text("refresh_token");
    let meanwhile = async {
        until(|| scene.asked() == 1).await;
        let mut connection = scene.app.app.connection().await.unwrap();
        let lease = leases::find(&mut connection, &scene.session()).await.unwrap().unwrap();
        let claimed = lease.claimed_until.unwrap().unix() - asked_at;
        assert!(claimed > 7 * 20, "{claimed} s");
        scene.app.clock.advance(20);
    };
    let (answer, ()) = tokio::join!(refresh(&scene.app, "web", &token), meanwhile);
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(scene.confirmed_at().await, asked_at);
}

/// A database that is away for a moment just when the upstream has answered loses nobody's tokens.
#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_away_for_a_moment_loses_nothing() {
    let mut scene = Scene::set(Refreshes::Rotating).await;
    scene.app.clock.advance(300);
    let sqlite = scene.app.database.url.starts_with("sqlite:");
    let (shut, open) = if sqlite {
        (
            "CREATE TRIGGER away BEFORE UPDATE OF confirmed_at ON sessions \
             BEGIN SELECT RAISE(ABORT, 'the database is busy'); END",
            "DROP TRIGGER away",
        )
    } else {
        (
            "CREATE FUNCTION away() RETURNS trigger AS \
             $$ BEGIN RAISE EXCEPTION 'the database is shutting down'; END $$ LANGUAGE plpgsql; \
             CREATE TRIGGER away BEFORE UPDATE OF confirmed_at ON sessions \
             FOR EACH ROW EXECUTE FUNCTION away()",
            "DROP TRIGGER away ON sessions",
        )
    };
    execute(&scene.app, shut).await;
    let token = scene.tokens.text("refresh_token");
    let meanwhile = async {
        until(|| scene.asked() == 1).await;
        // Long enough for whoever does not wait between tries.
        tokio::time::sleep(Duration::from_millis(500)).await;
        execute(&scene.app, open).await;
    };
    let (answer, ()) = tokio::join!(refresh(&scene.app, "web", &token), meanwhile);
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(scene.confirmed_at().await, scene.app.app.now().unix());
    scene.tokens = answer;
    scene.app.clock.advance(300);
    scene.refresh().await;
    assert_eq!((scene.life(), scene.asked()), (600, 2));
}

/// SF-07: tokens of one upstream are never shown to another, whatever stands in the rows.
#[tokio::test(flavor = "multi_thread")]
async fn tokens_are_shown_to_nobody_else() {
    let (kc, other) = (FakeUpstream::start().await, FakeUpstream::start().await);
    kc.set_refreshes(Refreshes::Rotating);
    let settings = format!("{TEN_MINUTES}\nlogout = \"always\"");
    let app =
        TestApp::builder().upstream("kc", &kc, &settings).upstream("other", &other, &settings);
    let app = app.start().await;
    let mut browser = app.browser();
    crate::upstream::sign_in_at(&mut browser, "kc").await;
    let code = code_by_session(&mut browser, "web", &[]).await;
    let tokens = redeem(&app, "web", &code).await;
    execute(&app, "UPDATE sessions SET upstream = 'other'").await;
    app.clock.advance(300);
    let tokens = refresh(&app, "web", &tokens.text("refresh_token")).await;
    assert_eq!((tokens.status.as_u16(), tokens.json()["expires_in"].as_i64()), (200, Some(300)));
    let csrf = crate::sessions::form_token(&mut browser).await;
    let page = browser.post_form("/logout", &[("confirm", "yes"), ("csrf", &csrf)]).await;
    assert_eq!(page.location_param("id_token_hint"), None);
    assert!(page.location().unwrap().as_str().starts_with(&other.origin()));
    for endpoint in [Endpoint::Token, Endpoint::Userinfo] {
        assert_eq!(other.count(endpoint), 0, "{endpoint:?}");
    }
}

/// Who comes back by another upstream, which gives nothing that would be kept, leaves nothing of the
/// first one behind.
#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_goes_on_by_another_upstream_forgets_the_first() {
    let (kc, other) = (FakeUpstream::start().await, FakeUpstream::start().await);
    kc.set_refreshes(Refreshes::Rotating);
    let app = TestApp::builder().upstream("kc", &kc, TEN_MINUTES).upstream("other", &other, "");
    let app = app.start().await;
    let mut browser = app.browser();
    crate::upstream::sign_in_at(&mut browser, "kc").await;
    assert_eq!(app.count("leases WHERE upstream = 'kc'").await, 1);
    // As if the person were linked there too.
    let (issuer, from) = (other.issuer(), kc.issuer());
    app.clock.advance(1);
    execute(&app, &format!("UPDATE identities SET issuer = '{issuer}' WHERE issuer = '{from}'"))
        .await;
    crate::upstream::sign_in_at(&mut browser, "other").await;
    assert_eq!(app.count("sessions WHERE upstream = 'other' AND ended_at IS NULL").await, 1);
    assert_eq!((app.count("users").await, app.count("leases").await), (1, 0));
}
