//! The line to a store is bad: slow, silent in one direction or in both, or torn in the middle of an
//! answer. Nobody hangs, nothing is a 5xx that does not say that it will pass, and nothing is half done.

use std::{sync::Arc, time::Duration};

use super::{
    assert_come_back, assert_documents_work, assert_sign_in_is_not_possible, redis::Scene,
};
use crate::support::{
    app::{Answer, TestApp},
    browser::Browser,
    database::TestDatabase,
    journey::{authorize_path, code_by_session, code_for, is_active, redeem, refresh},
    line::{Fault, Line},
    redis_server::RedisServer,
};

/// Longer than any store is waited for.
const LONG: Duration = Duration::from_secs(20);

const FAULTS: [Fault; 5] =
    [Fault::Torn(0), Fault::Torn(3), Fault::Deaf, Fault::Late(LONG), Fault::Silent];

/// An app whose database is at the end of a line; nothing with SQLite, which has none.
async fn app_on_a_line() -> Option<(TestApp, Line)> {
    let database = TestDatabase::new().await;
    if !database.url.starts_with("postgres") {
        return None;
    }
    let (line, url) = Line::before(&database.url).await;
    let database = Arc::new(TestDatabase::at(url, tempfile::tempdir().unwrap()));
    let app = TestApp::builder().on(&database).start().await;
    app.add_user("bob", &[]).await;
    Some((app, line))
}

/// Asks until the connections that have missed something are given up.
async fn refresh_again(app: &TestApp, token: &str) -> Answer {
    let mut answer = refresh(app, "web", token).await;
    for _ in 0..20 {
        if answer.status != 503 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
        answer = refresh(app, "web", token).await;
    }
    answer
}

/// FT-12, FT-13, FT-15: whatever is wrong with the line to PostgreSQL, whoever asks is told to come back, many
/// at once as well; a refresh whose answer was lost is repeated; a code is redeemed by then or never, and
/// nobody has to sign in again.
#[tokio::test(flavor = "multi_thread")]
async fn a_bad_line_to_the_database_is_503_and_nothing_is_half_done() {
    let Some((app, line)) = app_on_a_line().await else { return };
    let mut browser = app.browser();
    let code = code_for(&mut browser, "web", "bob", &[]).await;
    let mut tokens = redeem(&app, "web", &code).await;
    // The last one is as the one before it, and seconds are waited for each.
    for fault in FAULTS.into_iter().filter(|fault| *fault != Fault::Silent) {
        let pending = code_by_session(&mut browser, "web", &[]).await;
        let grants = app.count("grants").await;
        line.spoil(fault);
        let (refresh_token, access_token) =
            (tokens.text("refresh_token"), tokens.text("access_token"));
        let bearer = format!("Bearer {access_token}");
        let form = [("token", access_token.as_str())];
        let path = authorize_path("web", &[]);
        // More than there are connections: the rest is turned away, and none is forgotten.
        let crowd = (0..24).map(|_| app.post_as("web", "/introspect", &form));
        let (refreshed, redeemed, crowd, told, page) = tokio::join!(
            refresh(&app, "web", &refresh_token),
            redeem(&app, "web", &pending),
            futures_util::future::join_all(crowd),
            app.get("/userinfo", Some(&bearer)),
            browser.get(&path),
        );
        for answer in [&refreshed, &redeemed].into_iter().chain(&crowd) {
            assert_come_back(answer);
        }
        assert_eq!(told.status, 503, "{fault:?}: {told:?}");
        assert_sign_in_is_not_possible(&page);
        assert_documents_work(&app).await;
        line.mend();

        tokens = refresh_again(&app, &refresh_token).await;
        assert_eq!(tokens.status, 200, "{fault:?}: {tokens:?}");
        assert!(is_active(&app, "web", &tokens.text("access_token")).await);
        settle_code(&app, &mut browser, &pending, grants, fault).await;
    }
}

/// Redeemed now or never; if it was redeemed without an answer, what came of it has ended.
async fn settle_code(
    app: &TestApp,
    browser: &mut Browser,
    pending: &str,
    grants: i64,
    fault: Fault,
) {
    let again = redeem(app, "web", pending).await;
    assert!(app.count("grants").await <= grants + 1, "{fault:?}");
    if again.status != 200 {
        again.assert_error(400, "invalid_grant");
    }
    let code = code_by_session(browser, "web", &[]).await;
    assert_eq!(redeem(app, "web", &code).await.status, 200, "{fault:?}");
}

/// FT-03, FT-10: the same for the line to Redis: apps go on, who wants to sign in is told to come back, and
/// everything works again when the line does.
#[tokio::test(flavor = "multi_thread")]
async fn a_bad_line_to_redis_stops_sign_ins_alone() {
    let Some(server) = RedisServer::start() else { return };
    let (line, url) = Line::before(&server.url()).await;
    let mut scene = Scene::at(server, &url).await;
    for fault in FAULTS {
        line.spoil(fault);
        let refresh_token = scene.assert_as_promised().await;
        line.mend();
        scene.begin_again(&refresh_token).await;
    }
}
