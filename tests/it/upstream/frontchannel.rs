//! OIDC Front-Channel Logout: a frame on an upstream's sign-out page, which nobody has signed.

use axum::http::Request;
use bytes::Bytes;
use url::form_urlencoded;

use super::SESSION_COOKIE;
use crate::support::{
    app::TestApp,
    browser::{Browser, Page},
    fake_upstream::FakeUpstream,
    journey::{authorize_path, code_by_session, is_active, redeem},
};

const BY_NAME: &str = "frontchannel_logout = \"sid\"";

async fn start(settings: &str) -> (TestApp, FakeUpstream) {
    let upstream = FakeUpstream::start().await;
    let app = TestApp::builder().upstream("kc", &upstream, settings).start().await;
    (app, upstream)
}

/// Signs carol in with this session of the upstream; her browser, and a refresh token of `web`.
async fn sign_in(app: &TestApp, upstream: &FakeUpstream, sid: &str) -> (Browser, String) {
    let person = serde_json::json!({ "sub": "7", "preferred_username": "carol", "sid": sid });
    upstream.set_person(person);
    let mut browser = framing(app);
    let code = code_by_session(&mut browser, "web", &[]).await;
    let tokens = redeem(app, "web", &code).await;
    assert_eq!(tokens.status, 200, "{tokens:?}");
    (browser, tokens.text("refresh_token"))
}

/// A browser that says of each request that it is a frame's.
fn framing(app: &TestApp) -> Browser {
    let mut browser = app.browser();
    browser.set_header("sec-fetch-dest", "iframe");
    browser
}

fn path(slug: &str, pairs: &[(&str, &str)]) -> String {
    let query: String =
        form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
    format!("/upstream/{slug}/frontchannel-logout?{query}")
}

/// What the frame is, whatever has become of it: the same bytes for everybody.
fn assert_frame(page: &Page, upstream: &FakeUpstream) {
    assert_eq!((page.status, page.location()), (200, None));
    assert_eq!(page.header("cache-control"), Some("no-store"));
    let policy = format!("default-src 'none'; frame-ancestors {}", upstream.origin());
    assert_eq!(page.header("content-security-policy"), Some(policy.as_str()));
    assert_eq!(page.text(), "<!DOCTYPE html>\n<title>Signed out</title>\n");
}

async fn is_in(browser: &mut Browser) -> bool {
    browser.get("/account").await.status == 200
}

async fn channels(app: &TestApp) -> usize {
    let events = app.events().await;
    let done = events.iter().filter(|event| event.action == "upstream_logout");
    done.filter(|e| e.reason.is_none() && e.detail.contains("\"front\"")).count()
}

/// OIDC Front-Channel Logout §2: the frame at the person's own browser ends its session, with its
/// tokens, and no other.
#[tokio::test(flavor = "multi_thread")]
async fn a_frame_at_the_browser_ends_its_session() {
    let (app, upstream) = start("").await;
    let (mut one, first) = sign_in(&app, &upstream, "s-1").await;
    let (mut other, second) = sign_in(&app, &upstream, "s-2").await;
    let page = one.get(&path("kc", &[("iss", &upstream.issuer()), ("sid", "s-1")])).await;
    assert_frame(&page, &upstream);
    assert!(one.cookies().get(SESSION_COOKIE).is_none());
    assert!(!is_in(&mut one).await && is_in(&mut other).await);
    assert!(!is_active(&app, "web", &first).await && is_active(&app, "web", &second).await);
    assert_eq!(channels(&app).await, 1);
    // Nobody is signed in again behind their back.
    let journey = one.visit(&authorize_path("web", &[])).await;
    assert_eq!(journey.last().url.path(), "/login", "{:?}", journey.hops());
}

/// UP-27: a link to it, from wherever, ends nothing, although the browser sends its cookie along; nor
/// does anything else that is no frame. Browsers that do not say what they ask for are believed.
#[tokio::test(flavor = "multi_thread")]
async fn a_link_ends_nothing() {
    for settings in ["", BY_NAME] {
        let (app, upstream) = start(settings).await;
        let (mut browser, token) = sign_in(&app, &upstream, "s-1").await;
        let real = path("kc", &[("iss", &upstream.issuer()), ("sid", "s-1")]);
        for destination in ["document", "image", "empty", "", "IFRAME"] {
            browser.set_header("sec-fetch-dest", destination);
            let page = browser.get(&real).await;
            assert_frame(&page, &upstream);
            assert!(page.set_cookies().is_empty(), "{destination}");
        }
        assert!(is_in(&mut browser).await && is_active(&app, "web", &token).await);
        assert_eq!(app.refusals("upstream_logout").await, ["not_in_a_frame"; 5]);
        let secret = crate::sessions::cookie(&browser, SESSION_COOKIE);
        let silent = Request::builder().uri(format!("https://id.test{real}"));
        let silent = silent.header("cookie", format!("{SESSION_COOKIE}={secret}"));
        assert_eq!(app.send(silent.body(Bytes::new()).unwrap()).await.status, 200);
        assert!(!is_in(&mut browser).await);
    }
}

/// UP-27: a guessed or a real name ends nothing at another browser; nor does anything that is not to
/// the letter end anything at one's own.
#[tokio::test(flavor = "multi_thread")]
async fn a_frame_elsewhere_ends_nothing() {
    let (app, upstream) = start("").await;
    let (mut browser, token) = sign_in(&app, &upstream, "s-1").await;
    let (mut other, _) = sign_in(&app, &upstream, "s-2").await;
    let issuer = upstream.issuer();
    let real = path("kc", &[("iss", &issuer), ("sid", "s-1")]);
    // Without a cookie, as from a frame on another site; and at another person's browser.
    for stranger in [&mut framing(&app), &mut other] {
        let page = stranger.get(&real).await;
        assert_frame(&page, &upstream);
        assert!(page.set_cookies().is_empty());
    }
    let slash = format!("{issuer}/");
    let long = "s".repeat(256);
    let odd: [&[(&str, &str)]; 9] = [
        &[],
        &[("iss", &issuer)],
        &[("sid", "s-1")],
        &[("iss", &issuer), ("sid", "")],
        &[("iss", &issuer), ("sid", "s-2")],
        &[("iss", &issuer), ("sid", "S-1")],
        &[("iss", &issuer), ("sid", &long)],
        &[("iss", "https://evil.test"), ("sid", "s-1")],
        &[("iss", &slash), ("sid", "s-1")],
    ];
    for pairs in odd {
        let page = browser.get(&path("kc", pairs)).await;
        assert_frame(&page, &upstream);
        assert!(page.set_cookies().is_empty(), "{pairs:?}");
    }
    assert!(is_in(&mut browser).await && is_in(&mut other).await);
    assert!(is_active(&app, "web", &token).await);
    assert_eq!(channels(&app).await, 0);
    assert_eq!(app.refusals("upstream_logout").await, ["upstream_mix_up"; 2]);
    assert_eq!(browser.get(&path("none", &[("sid", "s-1")])).await.status, 404);
}

/// A session of the same name at another upstream is another session, whichever way is chosen.
#[tokio::test(flavor = "multi_thread")]
async fn another_upstream_ends_nothing() {
    for settings in ["", BY_NAME] {
        let (kc, eve) = (FakeUpstream::start().await, FakeUpstream::start().await);
        let app = TestApp::builder().upstream("kc", &kc, settings).upstream("eve", &eve, settings);
        let app = app.start().await;
        kc.set_person(serde_json::json!({ "sub": "7", "sid": "s-1" }));
        let mut browser = framing(&app);
        super::sign_in_at(&mut browser, "kc").await.landing();
        for issuer in [kc.issuer(), eve.issuer()] {
            let page = browser.get(&path("eve", &[("iss", &issuer), ("sid", "s-1")])).await;
            assert_frame(&page, &eve);
        }
        assert_frame(
            &browser.get(&path("kc", &[("iss", &eve.issuer()), ("sid", "s-1")])).await,
            &kc,
        );
        assert!(is_in(&mut browser).await, "{settings}");
    }
}

/// Where the administrator has decided so, the name of the session there is enough, from any site; its
/// apps are told.
#[tokio::test(flavor = "multi_thread")]
async fn by_name_a_frame_without_cookies_will_do() {
    let upstream = FakeUpstream::start().await;
    let told = "[[clients]]\nid = \"told\"\nname = \"Told\"\nsecret = \"told-secret-0123456789\"\n\
                redirect_uris = [\"https://told.test/cb\"]\n\
                backchannel_logout_uri = \"http://127.0.0.1:1/bcl\"\n";
    let app = TestApp::builder().config(told).upstream("kc", &upstream, BY_NAME).start().await;
    let (mut one, first) = sign_in(&app, &upstream, "s-1").await;
    one.stop_at("https://told.test/");
    let code = code_by_session(&mut one, "told", &[]).await;
    assert_eq!(redeem(&app, "told", &code).await.status, 200);
    let (mut other, second) = sign_in(&app, &upstream, "s-2").await;
    let issuer = upstream.issuer();
    for pairs in [
        &[("iss", issuer.as_str()), ("sid", "s-9")][..],
        &[("iss", "https://evil.test"), ("sid", "s-1")],
        &[("iss", &issuer)],
        &[("sid", "s-1")],
    ] {
        assert_frame(&framing(&app).get(&path("kc", pairs)).await, &upstream);
    }
    assert!(is_in(&mut one).await && is_in(&mut other).await);

    let page = framing(&app).get(&path("kc", &[("iss", &issuer), ("sid", "s-1")])).await;
    assert_frame(&page, &upstream);
    assert!(page.set_cookies().is_empty());
    assert!(!is_in(&mut one).await && is_in(&mut other).await);
    assert!(!is_active(&app, "web", &first).await && is_active(&app, "web", &second).await);
    assert_eq!(app.count("logout_deliveries WHERE due_at IS NOT NULL").await, 1);
    assert_eq!(channels(&app).await, 1);
    // Once more: nothing is left to end.
    let page = framing(&app).get(&path("kc", &[("iss", &issuer), ("sid", "s-1")])).await;
    assert_frame(&page, &upstream);
    assert_eq!(channels(&app).await, 1);
}
