//! An upstream's logout at the moment at which something else goes on in the session.

use std::sync::Arc;

use serde_json::json;
use tokio::task::JoinSet;

use super::sign_in_at;
use crate::{
    refresh::outside::WriteBlock,
    support::{
        app::{Answer, TestApp, breathe},
        fake_upstream::{CLIENT_ID, FakeUpstream},
        journey::{authorize_path, code_by_session, is_active, redeem, refresh},
    },
};

const ROUNDS: usize = 12;

/// The answer to a logout token for this person and session of the upstream.
async fn notify(app: &TestApp, upstream: &FakeUpstream, sub: &str, sid: &str) -> Answer {
    post(app, &token(app, upstream, sub, sid)).await
}

fn token(app: &TestApp, upstream: &FakeUpstream, sub: &str, sid: &str) -> String {
    let now = app.app.now().unix();
    let claims = json!({
        "iss": upstream.issuer(), "aud": CLIENT_ID, "iat": now, "exp": now + 120,
        "jti": uuid::Uuid::new_v4().to_string(), "sub": sub, "sid": sid,
        "events": { "http://schemas.openid.net/event/backchannel-logout": {} },
    });
    upstream.sign("logout+jwt", &claims)
}

async fn post(app: &TestApp, token: &str) -> Answer {
    app.post("/upstream/kc/backchannel-logout", &[("logout_token", token)], &[]).await
}

/// Nothing that an answer has brought is good for anything.
async fn assert_worthless(app: &TestApp, answer: &Answer, what: &str) {
    if answer.status != 200 {
        return answer.assert_error(400, "invalid_grant");
    }
    for name in ["access_token", "refresh_token"] {
        assert!(!is_active(app, "web", &answer.text(name)).await, "{what}: {name}");
    }
    let again = refresh(app, "web", &answer.text("refresh_token")).await;
    again.assert_error(400, "invalid_grant");
}

/// LO-08: once the upstream has been told that it is done, no token of the session works again:
/// neither those of before, nor what a refresh, a code or the browser got at that very moment.
#[tokio::test(flavor = "multi_thread")]
async fn a_logout_that_races_is_not_lost() {
    let upstream = FakeUpstream::start().await;
    let app = Arc::new(TestApp::builder().upstream("kc", &upstream, "").start().await);
    for round in 0..ROUNDS {
        let (sub, sid) = (format!("sub-{round}"), format!("sid-{round}"));
        upstream.set_person(json!({"sub": sub, "sid": sid, "preferred_username": sub}));
        let mut browser = app.browser();
        let first = sign_in_at(&mut browser, "kc").await.param("code").unwrap();
        let tokens = redeem(&app, "web", &first).await;
        let pending = code_by_session(&mut browser, "web", &[]).await;

        let mut others = JoinSet::new();
        let (racing, token) = (Arc::clone(&app), tokens.text("refresh_token"));
        others.spawn(async move { refresh(&racing, "web", &token).await });
        let racing = Arc::clone(&app);
        others.spawn(async move { redeem(&racing, "web", &pending).await });
        let (racing, mut returning) = (Arc::clone(&app), browser.clone());
        let asking = tokio::spawn(async move {
            let page = returning.get(&authorize_path("web", &[("prompt", "none")])).await;
            match page.location_param("code") {
                Some(code) => Some(redeem(&racing, "web", &code).await),
                None => None,
            }
        });
        if round.is_multiple_of(2) {
            breathe().await;
        }
        let answer = notify(&app, &upstream, &sub, &sid).await;
        assert_eq!(answer.status, 200, "{answer:?}");

        let mut answers = others.join_all().await;
        answers.extend(asking.await.unwrap());
        answers.push(tokens);
        for answer in &answers {
            assert_worthless(&app, answer, &format!("round {round}")).await;
        }
        assert_eq!(browser.get("/account").await.status, 303, "round {round}");
    }
    assert_eq!(app.count("sessions WHERE ended_at IS NULL").await, 0);
    assert_eq!(app.count("grants WHERE revoked_at IS NULL").await, 0);
}

/// LO-08: an upstream that hangs up in the middle has said it all the same, whatever the database is
/// waiting for; its token is used up, and what it names has ended.
#[tokio::test(flavor = "multi_thread")]
async fn a_logout_is_not_lost_with_who_has_asked_for_it() {
    let upstream = FakeUpstream::start().await;
    let app = TestApp::builder().upstream("kc", &upstream, "").start().await;
    upstream.set_person(json!({"sub": "7", "sid": "s-1", "preferred_username": "carol"}));
    let mut browser = app.browser();
    sign_in_at(&mut browser, "kc").await.landing();
    let token = token(&app, &upstream, "7", "s-1");
    let block = WriteBlock::on(&app, "sessions").await;
    let under_way = async {
        while app.app.questions.is_empty() {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    };
    tokio::select! {
        answer = post(&app, &token) => panic!("nothing has cut it off: {answer:?}"),
        () = under_way => {}
    }
    drop(block);
    app.app.questions.close();
    app.app.questions.wait().await;
    assert_eq!(browser.get("/account").await.status, 303);
    post(&app, &token).await.assert_error(400, "invalid_request");
    assert_eq!(app.refusals("upstream_logout").await, ["logout_token_replay"]);
}
