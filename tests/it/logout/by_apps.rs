//! RP-Initiated Logout 1.0: proofs, and the way back to the app.

use axum::http::header;
use base64::Engine as _;
use keywright::foundation::ids::ClientId;

use super::{Scene, assert_asks, assert_done, logout_path};
use crate::{
    sessions::{SESSION, cookie, sign_in},
    support::{
        app::TestApp,
        browser::Page,
        journey::{code_by_session, is_active, redeem},
    },
};

const BYE: &str = "https://web.test/bye";

fn assert_redirects(page: &Page, to: &str) {
    assert_eq!(page.status, 303, "{}", page.text());
    assert_eq!(page.header("location"), Some(to));
    assert_eq!(page.headers[header::CACHE_CONTROL], "no-store");
}

/// RP-Initiated Logout §2, §3: the app's own ID token ends the session at once, by GET and by POST,
/// and the state comes back as it went.
#[tokio::test(flavor = "multi_thread")]
async fn an_app_with_its_id_token_signs_out_at_once() {
    for by_post in [false, true] {
        let mut scene = Scene::set().await;
        let hint = scene.tokens.text("id_token");
        let state = "a b&c=d#e?é%20";
        let params =
            [("id_token_hint", hint.as_str()), ("post_logout_redirect_uri", BYE), ("state", state)];
        let page = if by_post {
            scene.browser.post_form("/logout", &params).await
        } else {
            scene.browser.get(&logout_path(&params)).await
        };
        assert_eq!(page.location_param("state").as_deref(), Some(state));
        let encoded = "https://web.test/bye?state=a%20b%26c%3Dd%23e%3F%C3%A9%2520";
        assert_redirects(&page, encoded);
        assert!(!scene.is_signed_in().await);
        assert!(scene.browser.cookies().get(SESSION).is_none());
        assert!(!is_active(&scene.app, "web", &scene.tokens.text("refresh_token")).await);
        let events = scene.app.events().await;
        let event = events.iter().find(|event| event.action == "sign_out").unwrap();
        assert_eq!(event.client_id.as_ref().map(ClientId::as_str), Some("web"));
    }
}

/// RP-Initiated Logout §3: without state there is none in the answer, and without an address our
/// own page is the end.
#[tokio::test(flavor = "multi_thread")]
async fn an_app_may_leave_out_address_and_state() {
    let mut scene = Scene::set().await;
    let hint = scene.tokens.text("id_token");
    let params = [("id_token_hint", hint.as_str()), ("post_logout_redirect_uri", BYE)];
    assert_redirects(&scene.browser.get(&logout_path(&params)).await, BYE);

    let mut scene = Scene::set().await;
    let hint = scene.tokens.text("id_token");
    let page = scene.browser.get(&logout_path(&[("id_token_hint", &hint)])).await;
    assert_done(&page, "no address");
    assert!(page.text().contains("Back to Web"));
    assert!(!scene.is_signed_in().await);
}

/// RP-Initiated Logout §2: without a hint the person is asked, then the app gets its way.
#[tokio::test(flavor = "multi_thread")]
async fn an_app_without_a_hint_is_asked_about_and_then_returned_to() {
    let mut scene = Scene::set().await;
    let params =
        [("client_id", "web"), ("post_logout_redirect_uri", BYE), ("state", "s \"1\" <b>")];
    let page = scene.browser.get(&logout_path(&params)).await;
    assert_asks(&page, "no hint");
    assert!(page.text().contains("<bdi>Web</bdi></strong> asks to sign you out"));
    scene.assert_nothing_happened("only asked").await;
    let page = scene.browser.submit(&page, &page.form()).await;
    assert_redirects(&page, "https://web.test/bye?state=s%20%221%22%20%3Cb%3E");
    assert!(!scene.is_signed_in().await);
}

/// LO-02: nobody is ever sent to an address that is not exactly one of the app's own.
#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_is_not_registered_is_not_gone_to() {
    let addresses = [
        "https://web.test/bye?x=1",
        "https://web.test/bye/",
        "https://web.test/bye#x",
        "https://web.test/BYE",
        "https://WEB.test/bye",
        "https://web.test:443/bye",
        "http://web.test/bye",
        "https://web.test/./bye",
        "https://web.test/cb",
        "https://evil.test/bye",
        "https://web.test@evil.test/bye",
        "//evil.test/bye",
        "/bye",
        "javascript:alert(1)",
        "data:text/html,<script>alert(1)</script>",
        " https://web.test/bye",
        "https://web.test/bye\r\nset-cookie: a=b",
        "https://web.test/bye\0",
    ];
    let mut scene = Scene::set().await;
    for address in addresses {
        let params = [("client_id", "web"), ("post_logout_redirect_uri", address), ("state", "s")];
        let page = scene.browser.get(&logout_path(&params)).await;
        assert_asks(&page, address);
        assert!(!page.links().iter().any(|link| link.path() != "/account"), "{address}");
        let page = scene.browser.submit(&page, &page.form()).await;
        assert_done(&page, address);
        let links = page.links();
        assert!(
            links.iter().all(|link| ["id.test", "web.test"].contains(&link.host_str().unwrap())),
            "{address}: {links:?}"
        );
        sign_in(&mut scene.browser, "bob").await;
    }
    // The same with a proof: the session ends, and the person stays here.
    let code = code_by_session(&mut scene.browser, "web", &[]).await;
    let hint = redeem(&scene.app, "web", &code).await.text("id_token");
    let params =
        [("id_token_hint", hint.as_str()), ("post_logout_redirect_uri", "https://evil.test/bye")];
    assert_done(&scene.browser.get(&logout_path(&params)).await, "of another app");
}

/// LO-02: an address counts only beside the app that has registered it.
#[tokio::test(flavor = "multi_thread")]
async fn an_address_without_its_app_is_not_gone_to() {
    let mut scene = Scene::set().await;
    let hint = scene.tokens.text("id_token");
    let wrong: [&[(&str, &str)]; 4] = [
        &[("post_logout_redirect_uri", BYE)],
        &[("client_id", "evil"), ("post_logout_redirect_uri", BYE)],
        &[("client_id", "evil"), ("id_token_hint", &hint), ("post_logout_redirect_uri", BYE)],
        &[("client_id", "nobody"), ("post_logout_redirect_uri", BYE)],
    ];
    for params in wrong {
        assert_asks(&scene.browser.get(&logout_path(params)).await, &format!("{params:?}"));
    }
    scene.assert_nothing_happened("only asked").await;
    let both = [("client_id", "web"), ("id_token_hint", &hint), ("post_logout_redirect_uri", BYE)];
    assert_redirects(&scene.browser.get(&logout_path(&both)).await, BYE);
}

/// The token with its payload's text changed, under the same signature.
fn tampered(token: &str, from: &str, to: &str) -> String {
    let engine = base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let parts: Vec<&str> = token.split('.').collect();
    let payload = String::from_utf8(engine.decode(parts[1]).unwrap()).unwrap();
    assert!(payload.contains(from));
    let payload = engine.encode(payload.replace(from, to));
    format!("{}.{payload}.{}", parts[0], parts[2])
}

/// The same claims without a signature.
fn unsigned(token: &str) -> String {
    let engine = base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let header = engine.encode(r#"{"alg":"none","typ":"JWT"}"#);
    format!("{header}.{}.", token.split('.').nth(1).unwrap())
}

/// LO-03: what is not an ID token of ours proves nothing and names no app.
#[tokio::test(flavor = "multi_thread")]
async fn a_bad_hint_only_asks() {
    let mut scene = Scene::set().await;
    let upstream = crate::support::fake_upstream::FakeUpstream::start().await;
    let good = scene.tokens.text("id_token");
    let (_, claims) = keywright::keys::parse_unverified(&good).unwrap();
    let foreign = upstream.sign("JWT", &serde_json::Value::Object(claims));
    let bad = [
        tampered(&good, "\"aud\":\"web\"", "\"aud\":\"evil\""),
        tampered(&good, "https://id.test", "https://id.tesT"),
        unsigned(&good),
        foreign,
        scene.tokens.text("access_token"),
        scene.tokens.text("refresh_token"),
        good[..good.len() - 4].to_owned(),
        format!("{good}.x"),
        "x".repeat(9_000),
    ];
    for hint in &bad {
        for client in [&[][..], &[("client_id", "web")]] {
            let mut params = client.to_vec();
            params.extend([("id_token_hint", hint.as_str()), ("post_logout_redirect_uri", BYE)]);
            let page = scene.browser.get(&logout_path(&params)).await;
            assert_asks(&page, hint);
        }
    }
    scene.assert_nothing_happened("bad hints").await;
    let page = scene.browser.get(&logout_path(&[("id_token_hint", &bad[0])])).await;
    let page = scene.browser.submit(&page, &page.form()).await;
    assert_done(&page, "confirmed all the same");
}

/// LO-03: a hint proves whose session is meant, also when the ID token's time is over.
#[tokio::test(flavor = "multi_thread")]
async fn an_expired_hint_is_as_good() {
    let mut scene = Scene::set().await;
    scene.app.clock.advance(3 * 3_600);
    let hint = scene.tokens.text("id_token");
    let params = [("id_token_hint", hint.as_str()), ("post_logout_redirect_uri", BYE)];
    assert_redirects(&scene.browser.get(&logout_path(&params)).await, BYE);
    assert!(!scene.is_signed_in().await);
}

/// LO-04: a hint about somebody else asks the person who is signed in.
#[tokio::test(flavor = "multi_thread")]
async fn a_hint_about_somebody_else_signs_nobody_out() {
    let scene = Scene::set().await;
    scene.app.add_user("carol", &[]).await;
    let mut carol = scene.app.browser();
    sign_in(&mut carol, "carol").await;
    let secret = cookie(&carol, SESSION);
    let hint = scene.tokens.text("id_token");
    let params = [("id_token_hint", hint.as_str()), ("post_logout_redirect_uri", BYE)];
    let page = carol.get(&logout_path(&params)).await;
    assert_asks(&page, "bob's hint at carol's browser");
    assert!(page.text().contains("<bdi>carol</bdi>") && !page.text().contains("<bdi>bob</bdi>"));
    let seen = crate::sessions::person_of(&scene.app, &secret).await;
    assert_eq!(seen.as_deref(), Some("carol"));
    scene.assert_nothing_happened("bob's session").await;
}

/// LO-04: a hint about another session of the same person asks too.
#[tokio::test(flavor = "multi_thread")]
async fn a_hint_about_another_session_of_the_person_asks() {
    let scene = Scene::set().await;
    let mut elsewhere = scene.app.browser();
    let secret = sign_in(&mut elsewhere, "bob").await;
    let hint = scene.tokens.text("id_token");
    let params = [("id_token_hint", hint.as_str()), ("post_logout_redirect_uri", BYE)];
    let page = elsewhere.get(&logout_path(&params)).await;
    assert_asks(&page, "the hint of another session");
    let page = elsewhere.submit(&page, &page.form()).await;
    assert!(matches!(page.status, 200 | 303), "{}", page.text());
    assert_eq!(crate::sessions::person_of(&scene.app, &secret).await, None);
    assert!(scene.is_signed_in().await, "the session that the hint is about goes on");
    assert!(is_active(&scene.app, "web", &scene.tokens.text("refresh_token")).await);
}

/// LO-05: what is not built is not promised.
#[tokio::test(flavor = "multi_thread")]
async fn back_channel_logout_is_promised_and_front_channel_logout_is_not() {
    let app = TestApp::start().await;
    let document = app.get("/.well-known/openid-configuration", None).await.json();
    assert_eq!(document["end_session_endpoint"], "https://id.test/logout");
    let members = document.as_object().unwrap().keys();
    let mut promised: Vec<&String> = members
        .filter(|name| name.contains("channel_logout") || name.contains("check_session"))
        .collect();
    promised.sort();
    let built = ["backchannel_logout_session_supported", "backchannel_logout_supported"];
    assert_eq!(promised, built);
}
