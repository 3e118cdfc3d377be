//! PKCE at the authorization endpoint, and the ratchet of clients that cannot do it yet.

use serde_json::json;

use super::{assert_all_sent_back, assert_sent_back, browser_of, start_with_people};
use crate::support::{
    app::TestApp,
    browser::Browser,
    journey::{VERIFIER, authorize_path, redirect_uri},
};

const OLD_APP: &str = "
[[clients]]
id = \"old\"
name = \"Old\"
secret = \"old-secret-0123456789\"
pkce = \"ratchet\"
redirect_uris = [\"https://old.test/cb\"]
";
const NO_PKCE: [(&str, &str); 2] = [("code_challenge", ""), ("code_challenge_method", "")];

/// CD-01, CD-02, CD-03: no challenge, another method, or a malformed challenge.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_without_a_good_challenge_is_sent_back() {
    let app = start_with_people("").await;
    let mut browser = browser_of(&app, "alice").await;
    let good = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
    let long = format!("{good}A");
    let padded = format!("{good}=");
    let wrong: Vec<Vec<(&str, &str)>> = vec![
        NO_PKCE.to_vec(),
        vec![("code_challenge", "")],
        vec![("code_challenge_method", "")],
        vec![("code_challenge_method", "plain")],
        vec![("code_challenge_method", "s256")],
        vec![("code_challenge_method", "S512")],
        vec![("code_challenge_method", "S256 ")],
        vec![("code_challenge", &good[..42])],
        vec![("code_challenge", &long)],
        vec![("code_challenge", &padded)],
        vec![("code_challenge", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw+cM")],
        vec![("code_challenge", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw/cM")],
        vec![("code_challenge", VERIFIER), ("code_challenge_method", "plain")],
    ];
    let paths: Vec<String> = wrong.iter().map(|changes| authorize_path("web", changes)).collect();
    assert_all_sent_back(&app, &mut browser, &paths, "invalid_request").await;
    for client in ["spa", "native", "evil", "members"] {
        let page = browser.get(&authorize_path(client, &NO_PKCE)).await;
        assert_sent_back(&page, client, "invalid_request");
        let plain = [("code_challenge_method", "plain")];
        let page = browser.get(&authorize_path(client, &plain)).await;
        assert_sent_back(&page, client, "invalid_request");
    }
    let metadata = app.get("/.well-known/openid-configuration", None).await.json();
    assert_eq!(metadata["code_challenge_methods_supported"], json!(["S256"]));
}

async fn old_app() -> (TestApp, Browser) {
    let app = start_with_people(OLD_APP).await;
    let mut browser = browser_of(&app, "alice").await;
    browser.stop_at("https://old.test/");
    (app, browser)
}

async fn code(browser: &mut Browser, changes: &[(&str, &str)]) -> String {
    crate::support::journey::code_by_session(browser, "old", changes).await
}

async fn redeem(app: &TestApp, code: &str, verifier: Option<&str>) -> crate::support::app::Answer {
    let uri = redirect_uri("old");
    let mut form =
        vec![("grant_type", "authorization_code"), ("code", code), ("redirect_uri", uri.as_str())];
    form.extend(verifier.map(|verifier| ("code_verifier", verifier)));
    app.post_as("old", "/token", &form).await
}

/// CD-03: a verifier for a code that had no challenge is a downgrade, and does not cost the code.
#[tokio::test(flavor = "multi_thread")]
async fn a_verifier_without_a_challenge_is_refused() {
    let (app, mut browser) = old_app().await;
    let plain = code(&mut browser, &NO_PKCE).await;
    redeem(&app, &plain, Some(VERIFIER)).await.assert_error(400, "invalid_grant");
    assert_eq!(app.refusals("token").await, ["pkce_mismatch"]);
    assert_eq!(app.count("grants").await, 0);
    assert_eq!(redeem(&app, &plain, None).await.status, 200);
}

/// CD-01, CD-03: a client that has used PKCE once must use it from then on, everywhere.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_has_used_pkce_cannot_go_back() {
    let (app, mut browser) = old_app().await;
    assert_eq!(redeem(&app, &code(&mut browser, &NO_PKCE).await, None).await.status, 200);
    let strong = code(&mut browser, &[]).await;
    redeem(&app, &strong, None).await.assert_error(400, "invalid_grant");
    assert_eq!(redeem(&app, &strong, Some(VERIFIER)).await.status, 200);
    let page = browser.get(&authorize_path("old", &NO_PKCE)).await;
    assert_sent_back(&page, "old", "invalid_request");
    // Other clients under the ratchet are not touched, and a restart does not forget.
    if app.app.memory.is_none() {
        let beside = TestApp::builder().config(OLD_APP).beside(&app).start().await;
        let page = beside.browser().get(&authorize_path("old", &NO_PKCE)).await;
        assert_sent_back(&page, "old", "invalid_request");
    }
}

/// A stranger needs no secret to send a challenge. If that alone tightened the ratchet, anybody
/// could shut out an app that cannot do PKCE: only the client itself, by redeeming, can.
#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_cannot_tighten_the_ratchet_of_an_app() {
    let (app, mut browser) = old_app().await;
    let mut stranger = app.browser();
    assert_eq!(stranger.get(&authorize_path("old", &[])).await.status, 303);
    let unredeemed = code(&mut browser, &[]).await;
    redeem(&app, &unredeemed, None).await.assert_error(400, "invalid_grant");
    let plain = code(&mut browser, &NO_PKCE).await;
    assert_eq!(redeem(&app, &plain, None).await.status, 200);
}
