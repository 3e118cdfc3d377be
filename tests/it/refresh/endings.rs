//! What a person or an administrator ends, is ended for refresh tokens too.

use serde_json::json;

use crate::{
    refresh::{
        family::{Tokens, open_app, redeem_as, sign_in, sign_in_with},
        outside::{execute, restarted, user_verb},
    },
    support::{
        app::TestApp,
        browser::{Browser, Page},
        journey::authorize_path,
    },
};

const OFFLINE: &str = r#"
[[clients]]
id = "backup"
name = "Backup"
secret = "backup-secret-0123456789"
redirect_uris = ["https://backup.test/cb"]
offline_after_logout = true
"#;

/// RT-10: a disabled person's tokens die with the account, and come back with no account.
#[tokio::test(flavor = "multi_thread")]
async fn a_disabled_person_cannot_refresh() {
    let app = TestApp::start().await;
    app.add_user("bob", &[]).await;
    app.add_user("carol", &[]).await;
    let (bob, carol) = (sign_in(&app, "web", "bob").await, sign_in(&app, "web", "carol").await);
    user_verb(&app, &["disable", "bob"], "").await;
    bob.assert_dead(&app).await;
    carol.assert_alive(&app).await;

    user_verb(&app, &["enable", "bob"], "").await;
    bob.assert_dead(&app).await;
}

/// RT-10: the account itself is looked at, whatever was noted about the family.
#[tokio::test(flavor = "multi_thread")]
async fn a_family_whose_person_is_disabled_behind_our_back_ends_at_the_next_refresh() {
    let app = TestApp::start().await;
    app.add_user("bob", &[]).await;
    let bob = sign_in(&app, "web", "bob").await;
    execute(&app, "UPDATE users SET disabled_at = 1").await;
    assert_eq!(app.get("/userinfo", Some(&bob.bearer())).await.status, 401);
    bob.try_refresh(&app).await.assert_error(400, "invalid_grant");
    assert_eq!(app.refusals("token").await, ["user_disabled"]);
    assert_eq!(app.count("grants WHERE revoked_because = 'user_disabled'").await, 1);
    assert_eq!(app.count("refresh_tokens").await, 1);
    execute(&app, "UPDATE users SET disabled_at = NULL").await;
    bob.assert_dead(&app).await;
}

/// RT-10, TK-18: with an account everything of it is gone, and a namesake gets none of it.
#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_persons_tokens_are_unknown_and_a_namesake_is_somebody_else() {
    let app = TestApp::start().await;
    let old = app.add_user("bob", &[]).await;
    let mut browser = app.browser();
    let tokens = sign_in_with(&app, &mut browser, "web", "bob").await;
    execute(&app, "DELETE FROM users").await;
    let new = app.add_user("bob", &[]).await;
    assert_ne!(old.id, new.id);
    tokens.assert_dead(&app).await;
    let journey = browser.visit(&authorize_path("web", &[])).await;
    assert!(journey.stopped_at.is_none(), "the old session signs nobody in");
    assert_eq!(app.count("grants").await, 0);
    assert_eq!(app.count("sessions").await, 0);

    let fresh = sign_in(&app, "web", "bob").await;
    let claims = app.get("/userinfo", Some(&fresh.bearer())).await.json();
    assert_eq!(claims["sub"], json!(new.id));
    assert_eq!(claims["email"], "bob@corp.test");
}

/// RT-10: whoever has left the groups of an app loses its tokens at the next use.
#[tokio::test(flavor = "multi_thread")]
async fn who_is_in_no_group_of_the_app_any_more_cannot_refresh() {
    let (app, upstream) = TestApp::with_upstream().await;
    let person = |groups: &[&str]| {
        json!({ "sub": "7", "preferred_username": "alice", "email": "alice@corp.test",
                "email_verified": true, "groups": groups })
    };
    upstream.set_person(person(&["staff"]));
    let members = open_app(&app, &mut app.browser(), "members").await;
    let web = open_app(&app, &mut app.browser(), "web").await;
    members.refreshed(&app).await.assert_alive(&app).await;

    upstream.set_person(person(&["alumni"]));
    open_app(&app, &mut app.browser(), "web").await;
    assert_eq!(app.get("/userinfo", Some(&members.bearer())).await.status, 401);
    members.try_refresh(&app).await.assert_error(400, "invalid_grant");
    assert_eq!(app.refusals("token").await, ["no_longer_allowed"]);
    web.assert_alive(&app).await;

    // Back in the group: what had ended stays ended, and signing in again works.
    upstream.set_person(person(&["staff"]));
    open_app(&app, &mut app.browser(), "members").await.assert_alive(&app).await;
    members.assert_dead(&app).await;
}

/// RT-10, TK-14: a switched-off app can do nothing, and its tokens are dead.
#[tokio::test(flavor = "multi_thread")]
async fn a_switched_off_app_can_do_nothing() {
    let backup = OFFLINE.replace("backup.test", "spa.test");
    let app = TestApp::builder().config(&backup).start().await;
    app.add_user("bob", &[]).await;
    let redirect = [("redirect_uri", "https://spa.test/cb")];
    let mut browser = app.browser();
    let journey = browser.visit(&authorize_path("backup", &redirect)).await;
    let journey = crate::support::journey::sign_in_on_page(&mut browser, &journey, "bob").await;
    let code = journey.param("code").unwrap();
    let form = [
        ("grant_type", "authorization_code"),
        ("code", &code),
        ("redirect_uri", "https://spa.test/cb"),
        ("code_verifier", crate::support::journey::VERIFIER),
    ];
    let tokens = Tokens::of("backup", &app.post_as("backup", "/token", &form).await);
    drop(browser);
    let off = format!("{backup}enabled = false\n");
    let app = restarted(app, |builder| builder.config(&off)).await;

    assert_eq!(app.get("/userinfo", Some(&tokens.bearer())).await.status, 401);
    let uses: [(&str, &[(&str, &str)]); 4] = [
        ("/token", &[("grant_type", "refresh_token"), ("refresh_token", &tokens.refresh)]),
        ("/token", &[("grant_type", "client_credentials")]),
        ("/introspect", &[("token", &tokens.refresh)]),
        ("/revoke", &[("token", &tokens.refresh)]),
    ];
    for (path, form) in uses {
        app.post_as("backup", path, form).await.assert_error(401, "invalid_client");
    }
    let answer = app.post_as("web", "/introspect", &[("token", &tokens.access)]).await;
    assert_eq!(answer.json(), json!({ "active": false }));
    let journey = app.browser().visit(&authorize_path("backup", &redirect)).await;
    assert_eq!((journey.last().status, journey.stopped_at.clone()), (400, None));

    // Switched on again by a restart, it goes on: its family was not touched.
    let app = restarted(app, |builder| builder.config(&backup)).await;
    tokens.assert_alive(&app).await;
}

/// RT-15: a replaced password ends every session and family before the command returns.
#[tokio::test(flavor = "multi_thread")]
async fn a_replaced_password_ends_all_families() {
    let app = TestApp::start().await;
    app.add_user("bob", &[]).await;
    app.add_user("carol", &[]).await;
    let mut browser = app.browser();
    let here = sign_in_with(&app, &mut browser, "web", "bob").await;
    let there = sign_in(&app, "evil", "bob").await;
    let carol = sign_in(&app, "web", "carol").await;
    user_verb(&app, &["set-password", "bob", "--password-stdin"], "a quite different horse").await;
    here.assert_dead(&app).await;
    there.assert_dead(&app).await;
    carol.assert_alive(&app).await;
    let journey = browser.visit(&authorize_path("web", &[])).await;
    assert!(journey.stopped_at.is_none(), "{:?}", journey.hops());
}

async fn sign_out(browser: &mut Browser, tokens: &Tokens) -> Page {
    let hint = tokens.id.as_ref().unwrap();
    browser.get(&format!("/logout?id_token_hint={hint}")).await
}

/// RT-16: signing out at one app ends the families of the session, and of no other.
#[tokio::test(flavor = "multi_thread")]
async fn signing_out_ends_the_families_of_that_session() {
    let app = TestApp::start().await;
    app.add_user("bob", &[]).await;
    let mut browser = app.browser();
    let web = sign_in_with(&app, &mut browser, "web", "bob").await;
    let evil = open_app(&app, &mut browser, "evil").await;
    let elsewhere = sign_in(&app, "web", "bob").await;
    assert_eq!(sign_out(&mut browser, &web).await.status, 200);
    web.assert_dead(&app).await;
    evil.assert_dead(&app).await;
    elsewhere.assert_alive(&app).await;
}

/// RT-16: so does signing out on the account page.
#[tokio::test(flavor = "multi_thread")]
async fn signing_out_on_the_account_page_ends_the_families() {
    let app = TestApp::start().await;
    app.add_user("bob", &[]).await;
    let mut browser = app.browser();
    let web = sign_in_with(&app, &mut browser, "web", "bob").await;
    let page = browser.get("/account").await;
    let answer = browser.submit(&page, &page.form_to("/logout")).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    web.assert_dead(&app).await;
}

/// RT-16: and ending another session there ends that one's.
#[tokio::test(flavor = "multi_thread")]
async fn ending_another_session_ends_its_families_alone() {
    let app = TestApp::start().await;
    app.add_user("bob", &[]).await;
    let mut browser = app.browser();
    let here = sign_in_with(&app, &mut browser, "web", "bob").await;
    let there = sign_in(&app, "web", "bob").await;
    let page = browser.get("/account").await;
    let answer = browser.submit(&page, &page.form_to("/account/sessions/end")).await;
    assert_eq!(answer.status, 303, "{}", answer.text());
    there.assert_dead(&app).await;
    here.assert_alive(&app).await;
}

/// RT-16: an app keeps its family over a sign-out only where the administrator said so.
#[tokio::test(flavor = "multi_thread")]
async fn an_app_that_may_keeps_its_family_when_the_person_signs_out() {
    let app = TestApp::builder().config(OFFLINE).start().await;
    app.add_user("bob", &[]).await;
    let mut browser = app.browser();
    browser.stop_at("https://backup.test/");
    let web = sign_in_with(&app, &mut browser, "web", "bob").await;
    let journey = browser.visit(&authorize_path("backup", &[])).await;
    let code = journey.param("code").unwrap();
    let backup = Tokens::of("backup", &redeem_as(&app, "backup", &code).await);
    sign_out(&mut browser, &web).await;
    web.assert_dead(&app).await;
    backup.assert_alive(&app).await;
    backup.refreshed(&app).await.assert_alive(&app).await;
    // An account that is shut ends it all the same.
    user_verb(&app, &["disable", "bob"], "").await;
    backup.assert_dead(&app).await;
}

/// RT-16: another person who signs in at the same browser ends the former person's families.
#[tokio::test(flavor = "multi_thread")]
async fn another_person_at_the_browser_ends_the_former_families() {
    let app = TestApp::start().await;
    app.add_user("bob", &[]).await;
    app.add_user("carol", &[]).await;
    let mut browser = app.browser();
    let bob = sign_in_with(&app, &mut browser, "web", "bob").await;
    let fresh = [("prompt", "login")];
    let code = crate::support::journey::code_for(&mut browser, "web", "carol", &fresh).await;
    let carol = Tokens::of("web", &redeem_as(&app, "web", &code).await);
    bob.assert_dead(&app).await;
    carol.assert_alive(&app).await;
}
