//! What it takes to end a session, and what ends with it.

use url::Url;

use super::{Scene, assert_asks, assert_done, logout_path};
use crate::{
    sessions::{SESSION, cookie, person_of, sign_in},
    support::{
        app::TestApp,
        browser::Navigation,
        journey::{authorize_path, code_by_session, is_active, redeem, refresh},
    },
};

/// LO-01: an image or a link on a foreign page, or a visit without proof, only asks.
#[tokio::test(flavor = "multi_thread")]
async fn a_visit_alone_signs_nobody_out() {
    let mut scene = Scene::set().await;
    let evil = Url::parse("https://evil.test/trap").unwrap();
    let url = Url::parse("https://id.test/logout").unwrap();
    let page = scene.browser.get("/logout").await;
    assert_asks(&page, "typed");
    assert!(page.text().contains("<bdi>bob</bdi>"));
    let from_evil = Navigation::get(url.clone()).started_by(&evil);
    assert_asks(&scene.browser.send(from_evil).await, "a link on a foreign page");
    let named = logout_path(&[("client_id", "web"), ("confirm", "yes")]);
    assert_asks(&scene.browser.get(&named).await, "with a client and a confirmation by GET");
    let page = scene.browser.post_form("/logout", &[("client_id", "web")]).await;
    assert_asks(&page, "posted by an app without proof");
    scene.assert_nothing_happened("after all of it").await;
}

/// LO-01: a form on a foreign page signs nobody out. Browsers send such a POST without our cookies,
/// but they do keep the cookies of its answer.
#[tokio::test(flavor = "multi_thread")]
async fn a_form_on_a_foreign_page_signs_nobody_out() {
    let mut scene = Scene::set().await;
    let evil = Url::parse("https://evil.test/trap").unwrap();
    let url = Url::parse("https://id.test/logout").unwrap();
    for fields in [&[][..], &[("confirm", "yes")], &[("confirm", "yes"), ("csrf", "x")]] {
        let forged = Navigation::post(url.clone(), fields).started_by(&evil);
        let page = scene.browser.send(forged).await;
        assert!(page.status < 500, "{}", page.text());
        scene.assert_nothing_happened(&format!("{fields:?}")).await;
    }
}

/// LO-01, LO-06: the button ends the session, its tokens and its pending codes; the cookie goes.
#[tokio::test(flavor = "multi_thread")]
async fn the_button_ends_the_session_and_all_that_hangs_on_it() {
    let mut scene = Scene::set().await;
    let pending = code_by_session(&mut scene.browser, "web", &[]).await;
    let other = sign_in(&mut scene.app.browser(), "bob").await;
    let old_page = scene.browser.get("/account").await;
    let page = scene.browser.get("/logout").await;
    let page = scene.browser.submit(&page, &page.form()).await;
    assert_done(&page, "the button");
    assert!(scene.browser.cookies().get(SESSION).is_none(), "the cookie is removed");

    let app = &scene.app;
    assert_eq!(person_of(app, &scene.secret).await, None);
    let refresh_token = scene.tokens.text("refresh_token");
    assert!(!is_active(app, "web", &scene.tokens.text("access_token")).await);
    assert!(!is_active(app, "web", &refresh_token).await);
    refresh(app, "web", &refresh_token).await.assert_error(400, "invalid_grant");
    redeem(app, "web", &pending).await.assert_error(400, "invalid_grant");
    let bearer = format!("Bearer {}", scene.tokens.text("access_token"));
    assert_eq!(app.get("/userinfo", Some(&bearer)).await.status, 401);
    assert_eq!(person_of(app, &other).await.as_deref(), Some("bob"), "the other browser stays");

    let silent = scene.browser.visit(&authorize_path("web", &[("prompt", "none")])).await;
    assert_eq!(silent.param("error").as_deref(), Some("login_required"));
    let events = app.events().await;
    let signed_out: Vec<_> = events.iter().filter(|event| event.action == "sign_out").collect();
    assert_eq!(signed_out.len(), 1);
    assert!(signed_out[0].user_id.is_some() && signed_out[0].reason.is_none());

    // LO-06: the forms of the pages that were open do nothing any more.
    let form = old_page.form_to("/account/sessions/end");
    let page = scene.browser.submit(&old_page, &form).await;
    assert!(matches!(page.status, 303 | 403), "{}", page.text());
    assert_eq!(person_of(&scene.app, &other).await.as_deref(), Some("bob"));
}

/// LO-06: the sign-out of one person leaves others alone.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_else_is_signed_out() {
    let mut scene = Scene::set().await;
    scene.app.add_user("carol", &[]).await;
    let mut carol = scene.app.browser();
    let secret = sign_in(&mut carol, "carol").await;
    let code = code_by_session(&mut carol, "web", &[]).await;
    let tokens = redeem(&scene.app, "web", &code).await;
    let page = scene.browser.get("/logout").await;
    scene.browser.submit(&page, &page.form()).await;
    assert!(!scene.is_signed_in().await);
    assert_eq!(person_of(&scene.app, &secret).await.as_deref(), Some("carol"));
    assert!(is_active(&scene.app, "web", &tokens.text("refresh_token")).await);
}

/// RT-16: an app that was told so by its administrator keeps its offline access; others lose it.
#[tokio::test(flavor = "multi_thread")]
async fn an_app_with_offline_after_logout_keeps_its_family() {
    let backup = "[[clients]]\nid = \"backup\"\nname = \"Backup\"\n\
                  secret = \"backup-secret-0123456789\"\noffline_after_logout = true\n\
                  redirect_uris = [\"https://backup.test/cb\"]";
    let mut scene = Scene::with(TestApp::builder().config(backup).start().await).await;
    scene.browser.stop_at("https://backup.test/");
    let code = code_by_session(&mut scene.browser, "backup", &[]).await;
    let kept = redeem(&scene.app, "backup", &code).await;
    let page = scene.browser.get("/logout").await;
    assert_done(&scene.browser.submit(&page, &page.form()).await, "the button");

    assert!(!scene.is_signed_in().await);
    assert!(!is_active(&scene.app, "web", &scene.tokens.text("refresh_token")).await);
    let again = refresh(&scene.app, "backup", &kept.text("refresh_token")).await;
    assert_eq!(again.status, 200, "{again:?}");
    assert!(is_active(&scene.app, "backup", &again.text("access_token")).await);
}

/// LO-07: whoever is not signed in is signed out, as often as they like.
#[tokio::test(flavor = "multi_thread")]
async fn signing_out_without_a_session_is_done_already() {
    let mut scene = Scene::set().await;
    let mut stranger = scene.app.browser();
    let hint = scene.tokens.text("id_token");
    let unknown = [("client_id", "nobody"), ("post_logout_redirect_uri", "https://web.test/bye")];
    for params in [&[][..], &unknown, &[("id_token_hint", "x")], &[("id_token_hint", &hint)]] {
        for _ in 0..2 {
            assert_done(&stranger.get(&logout_path(params)).await, &format!("{params:?}"));
        }
    }
    assert!(scene.is_signed_in().await, "a hint ends the browser's own session and no other");

    scene.app.clock.advance(8 * 86_400);
    assert_done(&scene.browser.get("/logout").await, "an expired session");
    assert!(scene.browser.cookies().get(SESSION).is_none(), "its cookie is swept up");
}

/// LO-07: a session of an account that was shut, and an app that is unknown.
#[tokio::test(flavor = "multi_thread")]
async fn signing_out_of_a_broken_session_is_done_too() {
    let mut scene = Scene::set().await;
    let unknown = [("client_id", "nobody"), ("post_logout_redirect_uri", "https://web.test/bye")];
    let page = scene.browser.get(&logout_path(&unknown)).await;
    assert_asks(&page, "an unknown app");
    let page = scene.browser.submit(&page, &page.form()).await;
    assert_done(&page, "an unknown app, confirmed");

    let secret = sign_in(&mut scene.browser, "bob").await;
    assert_eq!(cookie(&scene.browser, SESSION), secret);
    let app = &scene.app;
    let mut connection = app.app.connection().await.unwrap();
    let bob = keywright::store::users::find_by_username(&mut connection, "bob").await;
    let bob = bob.unwrap().unwrap();
    keywright::store::users::disable(&mut connection, &bob.id, app.app.now()).await.unwrap();
    drop(connection);
    for _ in 0..2 {
        assert_done(&scene.browser.get("/logout").await, "a disabled account");
    }
}

/// A parameter that stands twice is read as neither.
#[tokio::test(flavor = "multi_thread")]
async fn a_sign_out_that_cannot_be_read_does_nothing() {
    let mut scene = Scene::set().await;
    let hint = scene.tokens.text("id_token");
    let twice = [("id_token_hint", hint.as_str()), ("state", "1"), ("state", "2")];
    let page = scene.browser.get(&logout_path(&twice)).await;
    assert_eq!(page.status, 400, "{}", page.text());
    scene.assert_nothing_happened("a parameter twice").await;
    assert_eq!(scene.app.refusals("request").await, ["invalid_request"]);
}
