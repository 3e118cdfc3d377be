//! Nobody learns who is here: not by what is said, and not by the work that is done.

use std::collections::BTreeSet;

use axum::http::HeaderMap;
use keywright::store::users::{self, User};

use super::Attempt;
use crate::support::{app::TestApp, journey::authorize_path};

/// Names of one length, so that whole answers can be compared.
const NAMES: [&str; 9] =
    ["nobod", "robin", "carol", "alice", "frank", "freda", "harry", "verna", "della"];

async fn store(app: &TestApp, user: &User, hash: &str) {
    let mut connection = app.app.connection().await.unwrap();
    let now = app.app.now();
    assert!(users::set_password_hash(&mut connection, &user.id, hash, now).await.unwrap());
}

/// Nobody; somebody; a shut account; one without a password; cheap and cheapest hashes of other
/// systems, one of them shut; a hash that cannot be read; an address that is not proved; an account whose
/// owner has deleted it.
async fn people(app: &TestApp) {
    app.browser().visit(&authorize_path("web", &[])).await.landing();
    app.add_user("robin", &[]).await;
    let carol = app.add_user("carol", &[]).await;
    let frank = app.add_user("frank", &[]).await;
    let freda = app.add_user("freda", &[]).await;
    let harry = app.add_user("harry", &[]).await;
    app.add_user("verna", &[]).await;
    let unproved = "UPDATE users SET email_verified = NULL WHERE username = 'verna'";
    crate::refresh::outside::execute(app, unproved).await;
    let della = app.add_user("della", &[]).await;
    let (id, due) = (&della.id, app.clock.unix() + 86_400);
    let deleted =
        format!("INSERT INTO deletions (user_id, asked_at, due_at) VALUES ('{id}', 0, {due})");
    crate::refresh::outside::execute(app, &deleted).await;
    let bcrypt = "$2b$05$EUaa4XgD.loFNAFo1AQdJ.ZyPhlgPxR.mawbVPfC21QbZrWKj1cza";
    store(app, &frank, bcrypt).await;
    let pbkdf2 =
        "$pbkdf2-sha1$i=1$AAECAwQFBgcICQoLDA0ODw$yr+bZKkEnTtGf3f18VjXM5CIxT9gt2kfzsoPOBHUS/Q";
    store(app, &freda, pbkdf2).await;
    store(app, &harry, "$md5$broken").await;
    let mut connection = app.app.connection().await.unwrap();
    for shut in [&carol, &freda, &della] {
        assert!(users::disable(&mut connection, &shut.id, app.app.now()).await.unwrap());
    }
}

/// What somebody outside can see of an answer, and what could be measured of it.
#[derive(Debug, PartialEq)]
struct Seen {
    status: u16,
    headers: HeaderMap,
    text: String,
    hashes: u64,
    statements: u64,
    commands: u64,
}

async fn try_as(app: &TestApp, attempt: &mut Attempt, name: &str, password: &str) -> Seen {
    app.app.audit.flush().await;
    let count = || (app.app.passwords.hashes(), app.app.store.statements());
    let (before, commands) = (count(), app.app.state.commands());
    let page = attempt.try_with(name, password).await;
    app.app.audit.flush().await;
    let after = count();
    Seen {
        status: page.status,
        headers: page.headers.clone(),
        text: page.text().replace(&format!("value=\"{name}\""), "value=\"NAME\""),
        hashes: after.0 - before.0,
        statements: after.1 - before.1,
        commands: app.app.state.commands() - commands,
    }
}

/// PW-07, PW-08: try by try, through the free ones and into the waits, all of them look the same
/// and cost the same: one hash for an answer, none for a wait.
#[tokio::test(flavor = "multi_thread")]
async fn all_who_fail_look_the_same_and_cost_the_same() {
    let upstream = crate::support::fake_upstream::FakeUpstream::start().await;
    let app = TestApp::builder()
        .upstream("kc", &upstream, "groups = { claim = \"groups\" }")
        .config("[rate_limits]\nsign_in_per_minute = 10000\nfailed_accounts_per_network = 1000")
        .start()
        .await;
    people(&app).await;
    let mut statuses = BTreeSet::new();
    for round in 0..40 {
        // Sometimes longer than the wait, sometimes not.
        app.clock.advance(if round % 3 == 0 { 30 } else { 0 });
        // Whether there are local accounts is looked up once a second: not while we count.
        let mut attempt = Attempt::begin(&app).await;
        let long = "x".repeat(1_025);
        let password = ["wrong", "another wrong one", "", &long][round % 4];
        let mut all = Vec::new();
        for name in NAMES {
            all.push(try_as(&app, &mut attempt, name, password).await);
        }
        for (name, other) in NAMES.iter().zip(&all) {
            assert_eq!(other, &all[0], "round {round}: {name}");
        }
        let hashed = u64::from(all[0].status == 400 && password.len() <= 1_024);
        assert_eq!(all[0].hashes, hashed, "round {round}");
        statuses.insert(all[0].status);
    }
    assert_eq!(statuses, BTreeSet::from([400, 429]), "both kinds of refusals were seen");
    assert!(app.refusals("sign_in").await.iter().all(|reason| reason != "guessing"));
}
