//! Where a token is worth nothing: wherever a person has to be there.

use super::{assert_dead, full_token, house, seen_by};
use crate::{
    sessions::{BROWSER, SESSION, person_behind},
    support::{
        app::TestApp,
        journey::{authorize_path, redeem},
    },
};

/// The headers by which somebody could try to be alice.
fn tries(token: &str) -> Vec<(&'static str, String)> {
    use base64::Engine as _;
    let basic = |text: String| base64::engine::general_purpose::STANDARD.encode(text);
    vec![
        ("authorization", format!("Bearer {token}")),
        ("authorization", format!("Basic {}", basic(format!("alice:{token}")))),
        ("cookie", format!("{SESSION}={token}")),
        ("cookie", format!("{SESSION}={token}; {BROWSER}={token}")),
    ]
}

/// PT-04: a token opens no session and no page.
#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_no_session() {
    let app = house().await;
    let token = full_token(&app).await;
    let sessions = app.count("sessions").await;
    let authorize = authorize_path("web", &[("prompt", "none")]);
    for (name, value) in tries(&token) {
        for path in [authorize.as_str(), "/account", "/account/tokens", "/account/prove"] {
            let mut browser = app.browser();
            browser.set_header(name, &value);
            let page = browser.get(path).await;
            let to = page.location().map(|to| to.to_string()).unwrap_or_default();
            assert!(!to.contains("code=") && !page.text().contains("alice"), "{path}: {to}");
        }
    }
    let line = format!("{SESSION}={token}");
    assert_eq!(person_behind(&app, &[line.as_bytes()]).await, None);
    assert_eq!(app.count("sessions").await, sessions);
    assert_eq!(app.count("grants").await, 0);
}

/// PT-07: a token changes no credentials, whatever its scopes.
#[tokio::test(flavor = "multi_thread")]
async fn a_token_changes_nothing_of_the_account() {
    let app = house().await;
    let token = full_token(&app).await;
    for (name, value) in tries(&token) {
        for path in [
            "/account/tokens",
            "/account/tokens/revoke",
            "/account/sessions/end",
            "/account/link",
            "/account/unlink",
        ] {
            let headers = [(name, value.as_str()), ("sec-fetch-site", "same-origin")];
            let form = [("csrf", token.as_str()), ("name", "x"), ("handle", "x")];
            let answer = app.post(path, &form, &headers).await;
            assert_eq!(answer.status, 403, "{path} {name}");
        }
    }
    assert_eq!(app.count("personal_access_tokens").await, 1);
    assert_eq!(seen_by(&app, "notes", &token).await["active"], true);
}

/// PT-05: a token stands in the header or in a form of an app's, and nowhere else.
#[tokio::test(flavor = "multi_thread")]
async fn a_token_in_an_address_is_refused() {
    let app = house().await;
    let token = full_token(&app).await;
    for path in ["/userinfo?access_token=", "/userinfo?pat="] {
        app.get(&format!("{path}{token}"), None).await.assert_error(400, "invalid_request");
    }
    for (name, value) in tries(&token).into_iter().skip(1) {
        let request = axum::http::Request::builder().uri("https://id.test/userinfo");
        let request = request.header(name, value).body(bytes::Bytes::new()).unwrap();
        assert_eq!(app.send(request).await.status, 401, "{name}");
    }
    let path = format!("/introspect?token={token}");
    app.post_as("notes", &path, &[]).await.assert_error(400, "invalid_request");
    let form = [("grant_type", "client_credentials")];
    let path = format!("/token?subject_token={token}");
    app.post_as("m2m", &path, &form).await.assert_error(400, "invalid_request");
}

/// CD-12: a token is no code, no refresh token and no secret of a client.
#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_nothing_else() {
    let app = house().await;
    let token = full_token(&app).await;
    redeem(&app, "web", &token).await.assert_error(400, "invalid_grant");
    let refresh = crate::support::journey::refresh(&app, "web", &token).await;
    refresh.assert_error(400, "invalid_grant");
    let form = [("grant_type", "client_credentials"), ("client_id", "m2m")];
    let with_secret = [&form[..], &[("client_secret", token.as_str())]].concat();
    app.post("/token", &with_secret, &[]).await.assert_error(401, "invalid_client");
    assert_eq!(seen_by(&app, "notes", &token).await["active"], true);
}

/// A token of another house, of the same shape, is unknown here.
#[tokio::test(flavor = "multi_thread")]
async fn a_token_of_another_house_is_unknown() {
    let (app, other): (TestApp, TestApp) = (house().await, house().await);
    let token = full_token(&other).await;
    assert_dead(&app, &token).await;
    assert_eq!(app.refusals("token").await, ["token_unknown"]);
}
