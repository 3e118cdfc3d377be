//! Ending sessions: all others, everything everywhere, and the oldest when there are too many.

use super::post;
use crate::{
    refresh::{
        family::{open_app, sign_in_with},
        outside::deployment,
    },
    sessions::{person_of, sign_in},
    support::{
        app::TestApp,
        journey::{code_by_session, redeem},
    },
};

/// SS-09, SS-18: all others end, at every instance; this one stays.
#[tokio::test(flavor = "multi_thread")]
async fn all_other_sessions_end() {
    let instances = deployment("").await;
    let app = &instances[0];
    app.add_user("bob", &[]).await;
    app.add_user("eve", &[]).await;
    let mut first = app.browser();
    let tokens = sign_in_with(app, &mut first, "web", "bob").await;
    let old = crate::sessions::cookie(&first, crate::sessions::SESSION);
    let others = [old, sign_in(&mut app.browser(), "bob").await];
    let foreign = sign_in(&mut app.browser(), "eve").await;
    let mut browser = app.browser();
    let own = sign_in(&mut browser, "bob").await;
    let page = browser.get("/account").await;
    let ended = browser.submit(&page, &page.form_to("/account/sessions/end-others")).await;
    assert_eq!(ended.status, 303);
    for instance in &instances {
        for secret in &others {
            assert_eq!(person_of(instance, secret).await, None);
        }
        assert_eq!(person_of(instance, &own).await.as_deref(), Some("bob"));
        assert_eq!(person_of(instance, &foreign).await.as_deref(), Some("eve"));
    }
    tokens.assert_dead(app).await;
    let events = app.events().await;
    let event = events.iter().find(|event| event.action == "end_other_sessions").unwrap();
    assert!(event.detail.contains("\"sessions\":2") && event.address.is_some(), "{event:?}");
    // With nothing left to end, nothing is offered.
    assert!(!browser.get("/account").await.text().contains("end-others"));
}

/// LO-09: sessions, families, codes under way; personal access tokens on request.
#[tokio::test(flavor = "multi_thread")]
async fn everything_ends_everywhere() {
    let offline = "[[clients]]\nid = \"sync\"\nname = \"Sync\"\noffline_after_logout = true\n\
                   secret = \"sync-secret-0123456789\"\nredirect_uris = [\"https://web.test/cb\"]\n";
    let instances = deployment(offline).await;
    let app = &instances[0];
    app.add_user("bob", &[]).await;
    for revokes_tokens in [false, true] {
        let mut other = app.browser();
        let tokens = sign_in_with(app, &mut other, "web", "bob").await;
        let redirect = [("redirect_uri", "https://web.test/cb")];
        let code = code_by_session(&mut other, "sync", &redirect).await;
        let form = [
            ("grant_type", "authorization_code"),
            ("code", code.as_str()),
            ("redirect_uri", "https://web.test/cb"),
            ("code_verifier", crate::support::journey::VERIFIER),
        ];
        let sync = app.post_as("sync", "/token", &form).await.text("refresh_token");
        let unused = code_by_session(&mut other, "web", &[]).await;
        let mut browser = app.browser();
        let own = sign_in(&mut browser, "bob").await;
        let name = format!("backup {revokes_tokens}");
        let fields = [("name", name.as_str()), ("lifetime", "1d"), ("scope.openid", "yes")];
        assert_eq!(post(&mut browser, "/account/tokens", &fields).await.status, 200);

        let page = browser.get("/account/everywhere").await;
        assert!(page.text().contains(&name), "{}", page.text());
        let mut form = page.form_to("/account/everywhere");
        if revokes_tokens {
            form.fields.push(("tokens".to_owned(), "yes".to_owned()));
        }
        let done = browser.submit(&page, &form).await;
        assert_eq!(done.status, 200);
        assert!(done.text().contains("You are signed out"), "{}", done.text());
        assert!(browser.cookies().get(crate::sessions::SESSION).is_none());
        for instance in &instances {
            assert_eq!(person_of(instance, &own).await, None);
            tokens.assert_dead(instance).await;
            let form = [("grant_type", "refresh_token"), ("refresh_token", sync.as_str())];
            app.post_as("sync", "/token", &form).await.assert_error(400, "invalid_grant");
        }
        redeem(app, "web", &unused).await.assert_error(400, "invalid_grant");
        let living = "personal_access_tokens WHERE revoked_at IS NULL";
        assert_eq!(app.count(living).await, i64::from(!revokes_tokens));
    }
    let events = app.events().await;
    let details: Vec<&str> = events
        .iter()
        .filter(|event| event.action == "sign_out_everywhere")
        .map(|event| event.detail.as_str())
        .collect();
    assert_eq!(details, ["{\"tokens\":0}", "{\"tokens\":2}"]);
}

/// LO-09: the apps are told, by the outbox.
#[tokio::test(flavor = "multi_thread")]
async fn apps_are_told_of_it() {
    let told = "[[clients]]\nid = \"told\"\nname = \"Told\"\n\
                secret = \"told-secret-0123456789\"\nredirect_uris = [\"https://web.test/cb\"]\n\
                backchannel_logout_uri = \"http://127.0.0.1:9/logout\"\n";
    let app = TestApp::builder().config(told).start().await;
    app.add_user("bob", &[]).await;
    let mut browser = app.browser();
    sign_in(&mut browser, "bob").await;
    let redirect = [("redirect_uri", "https://web.test/cb")];
    let code = code_by_session(&mut browser, "told", &redirect).await;
    let form = [
        ("grant_type", "authorization_code"),
        ("code", code.as_str()),
        ("redirect_uri", "https://web.test/cb"),
        ("code_verifier", crate::support::journey::VERIFIER),
    ];
    assert_eq!(app.post_as("told", "/token", &form).await.status, 200);
    assert_eq!(app.count("logout_deliveries").await, 0);
    assert_eq!(post(&mut browser, "/account/everywhere", &[]).await.status, 200);
    assert_eq!(app.count("logout_deliveries").await, 1);
}

/// SS-18: what ends more than one session takes a young proof.
#[tokio::test(flavor = "multi_thread")]
async fn an_old_proof_ends_nothing_more_than_one() {
    let app = TestApp::start().await;
    app.add_user("bob", &[]).await;
    let other = sign_in(&mut app.browser(), "bob").await;
    let mut browser = app.browser();
    let own = sign_in(&mut browser, "bob").await;
    app.clock.advance(301);
    for (action, path) in [
        ("end_other_sessions", "/account/sessions/end-others"),
        ("sign_out_everywhere", "/account/everywhere"),
    ] {
        let page = post(&mut browser, path, &[]).await;
        assert_eq!(page.status, 403);
        assert!(page.text().contains("code: reauth_required"));
        assert_eq!(app.refusals(action).await, ["reauth_required"]);
    }
    for secret in [&other, &own] {
        assert_eq!(person_of(&app, secret).await.as_deref(), Some("bob"));
    }
    for path in ["/account/everywhere", "/account/apps", "/account/activity", "/account/tokens"] {
        assert_eq!(app.browser().get(path).await.location().unwrap().path(), "/account", "{path}");
    }
}

/// SS-17: one more than there may be ends the oldest, and says so.
#[tokio::test(flavor = "multi_thread")]
async fn one_session_too_many_ends_the_oldest() {
    let app = TestApp::builder().config("[sessions]\nmax_per_person = 3").start().await;
    app.add_user("bob", &[]).await;
    app.add_user("eve", &[]).await;
    let foreign = sign_in(&mut app.browser(), "eve").await;
    let mut secrets = Vec::new();
    let mut browsers = Vec::new();
    for _ in 0..5 {
        app.clock.advance(1);
        let mut browser = app.browser();
        secrets.push(sign_in(&mut browser, "bob").await);
        browsers.push(browser);
    }
    for (number, secret) in secrets.iter().enumerate() {
        let alive = person_of(&app, secret).await.is_some();
        assert_eq!(alive, number >= 2, "{number}");
    }
    assert_eq!(person_of(&app, &foreign).await.as_deref(), Some("eve"));
    let events = app.events().await;
    let told = events.iter().filter(|event| event.action == "end_session");
    let told: Vec<&str> = told.map(|event| event.detail.as_str()).collect();
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told.iter().all(|detail| detail.contains("too_many_sessions")), "{told:?}");
    // Who signs in again where they are signed in has no session more.
    let newest = browsers.last_mut().unwrap();
    open_app(&app, newest, "web").await;
    let again = newest.visit("/account/prove").await;
    crate::support::journey::sign_in_on_page(newest, &again, "bob").await;
    assert_eq!(app.count("sessions WHERE ended_at IS NULL").await, 4, "three, and eve's");
    // Those that were not used for long do not count.
    app.clock.advance(13 * 3_600);
    for _ in 0..3 {
        sign_in(&mut app.browser(), "bob").await;
    }
    let ended = app.events().await;
    assert_eq!(ended.iter().filter(|event| event.action == "end_session").count(), 2);
}
