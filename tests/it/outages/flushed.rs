//! The short-lived state is emptied: in this process, and by FLUSHALL where there is a Redis.

use crate::{
    sessions::{SESSION, cookie, person_of, sorted, stop},
    support::{
        app::{Builder, TestApp},
        fake_upstream::FakeUpstream,
        journey::{authorize_path, code_by_session, code_for, is_active, redeem, refresh},
        redis_server::RedisServer,
    },
};

/// A store of short-lived state that a test may empty.
enum State {
    InProcess,
    Redis(RedisServer),
}

impl State {
    fn all() -> Vec<Self> {
        let redis = RedisServer::start().map(Self::Redis);
        [Self::InProcess].into_iter().chain(redis).collect()
    }

    fn used_by(&self, builder: Builder) -> Builder {
        match self {
            Self::InProcess => builder.state_url("memory:"),
            Self::Redis(server) => builder.state_url(&server.url()),
        }
    }

    fn forget(&self, app: &TestApp) {
        match self {
            Self::InProcess => app.forget_short_lived_state(),
            Self::Redis(server) => server.flush(),
        }
    }
}

/// FT-04: while the person is at the upstream, everything is forgotten. The page explains it, no
/// account and no session is made, and the second try works, once.
#[tokio::test(flavor = "multi_thread")]
async fn a_person_who_comes_back_from_an_upstream_too_late_tries_again() {
    for state in State::all() {
        let upstream = FakeUpstream::start().await;
        let app = state.used_by(TestApp::builder()).upstream("kc", &upstream, "").start().await;
        let mut browser = app.browser();
        browser.stop_at("https://id.test/upstream/kc/callback");
        let away = browser.visit(&authorize_path("web", &[])).await;
        let back = away.landing().to_string();
        state.forget(&app);
        for _ in 0..2 {
            let page = browser.get(&back).await;
            assert_eq!(page.status, 400, "{}", page.text());
            assert!(page.text().contains("code: state_unknown"), "{}", page.text());
            assert!(page.text().contains("Go back to the app and sign in from there again."));
            assert!(page.set_cookies().is_empty());
        }
        assert_eq!(app.refusals("sign_in").await, ["state_unknown"; 2]);
        assert_eq!((app.count("users").await, app.count("sessions").await), (0, 0));

        let again = browser.visit(&authorize_path("web", &[])).await;
        let back = again.landing().to_string();
        let journey = browser.visit(&back).await;
        let answer = redeem(&app, "web", &journey.param("code").unwrap()).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let counts = (app.count("users").await, app.count("identities").await);
        assert_eq!((counts, app.count("sessions").await), ((1, 1), 1));
    }
}

/// FT-05: sessions and refresh tokens live on, because their truth is in the database.
#[tokio::test(flavor = "multi_thread")]
async fn sessions_and_refresh_tokens_outlive_the_state() {
    for state in State::all() {
        let app = state.used_by(TestApp::builder()).start().await;
        app.add_user("bob", &[]).await;
        let mut browser = app.browser();
        let code = code_for(&mut browser, "web", "bob", &[]).await;
        let tokens = redeem(&app, "web", &code).await;
        state.forget(&app);
        let secret = cookie(&browser, SESSION);
        assert_eq!(person_of(&app, &secret).await.as_deref(), Some("bob"));
        let code = code_by_session(&mut browser, "web", &[]).await;
        assert_eq!(redeem(&app, "web", &code).await.status, 200);
        let fresh = refresh(&app, "web", &tokens.text("refresh_token")).await;
        assert_eq!(fresh.status, 200, "{fresh:?}");
        assert!(is_active(&app, "web", &fresh.text("access_token")).await);
    }
}

/// FT-04, CD-06: a used code stays used, and using it again ends what came of it.
#[tokio::test(flavor = "multi_thread")]
async fn a_used_code_stays_used() {
    for state in State::all() {
        let app = state.used_by(TestApp::builder()).start().await;
        app.add_user("bob", &[]).await;
        let mut browser = app.browser();
        let code = code_for(&mut browser, "web", "bob", &[]).await;
        let tokens = redeem(&app, "web", &code).await;
        let unused = code_by_session(&mut browser, "web", &[]).await;
        state.forget(&app);
        redeem(&app, "web", &unused).await.assert_error(400, "invalid_grant");
        assert!(is_active(&app, "web", &tokens.text("refresh_token")).await);
        redeem(&app, "web", &code).await.assert_error(400, "invalid_grant");
        assert_eq!(sorted(app.refusals("token").await), ["code_replay", "code_unknown"]);
        assert!(!is_active(&app, "web", &tokens.text("access_token")).await);
        assert!(!is_active(&app, "web", &tokens.text("refresh_token")).await);
        assert_eq!(app.count("grants").await, 1);
    }
}

/// RT-07: neither a restart nor an empty state forgets a rotation or a revocation.
#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_and_a_revocation_are_not_forgotten() {
    for state in State::all() {
        let app = state.used_by(TestApp::builder()).start().await;
        app.add_user("bob", &[]).await;
        let mut browser = app.browser();
        let code = code_for(&mut browser, "web", "bob", &[]).await;
        let old = redeem(&app, "web", &code).await.text("refresh_token");
        let new = refresh(&app, "web", &old).await;
        let code = code_by_session(&mut browser, "web", &[]).await;
        let given_back = redeem(&app, "web", &code).await;
        let access_token = given_back.text("access_token");
        let form = [("token", access_token.as_str())];
        assert_eq!(app.post_as("web", "/revoke", &form).await.status, 200);
        drop(browser);
        let app = state.used_by(stop(app).await).start().await;
        state.forget(&app);
        assert!(!is_active(&app, "web", &given_back.text("access_token")).await);
        assert!(is_active(&app, "web", &new.text("access_token")).await);

        app.clock.advance(11);
        refresh(&app, "web", &old).await.assert_error(400, "invalid_grant");
        assert_eq!(app.refusals("token").await, ["refresh_reuse"]);
        for dead in ["access_token", "refresh_token"] {
            assert!(!is_active(&app, "web", &new.text(dead)).await, "{dead}");
        }
        refresh(&app, "web", &new.text("refresh_token")).await.assert_error(400, "invalid_grant");
    }
}
