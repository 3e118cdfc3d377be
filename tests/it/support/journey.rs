//! The journeys that most tests begin with.

use keywright::protocol::pkce::CodeChallenge;
use url::form_urlencoded;

use super::{
    app::{Answer, TestApp, basic},
    browser::{Browser, Journey},
};

/// The PKCE verifier of all tests.
pub(crate) const VERIFIER: &str = "a-verifier-of-the-tests-that-is-long-enough-0123456789";
/// The state of all tests.
pub(crate) const STATE: &str = "state of the tests & more";
/// The nonce of all tests.
pub(crate) const NONCE: &str = "nonce-of-the-tests";
/// Everything that an app may ask about a person.
pub(crate) const FULL_SCOPE: &str = "openid profile email groups offline_access";

/// The redirect URI of a client of the tests.
pub(crate) fn redirect_uri(client: &str) -> String {
    match client {
        "native" => "http://127.0.0.1:51234/cb".to_owned(),
        other => format!("https://{other}.test/cb"),
    }
}

/// The parameters of a good authorization request.
pub(crate) fn authorize_params(client: &str) -> Vec<(String, String)> {
    let challenge = CodeChallenge::of(VERIFIER);
    [
        ("client_id", client),
        ("redirect_uri", &redirect_uri(client)),
        ("response_type", "code"),
        ("scope", FULL_SCOPE),
        ("state", STATE),
        ("nonce", NONCE),
        ("code_challenge", challenge.as_str()),
        ("code_challenge_method", "S256"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .to_vec()
}

/// The path of an authorization request: a good one, with parameters replaced, added, or (when the
/// value is empty) left out.
pub(crate) fn authorize_path(client: &str, changes: &[(&str, &str)]) -> String {
    let mut params = authorize_params(client);
    for (name, value) in changes {
        params.retain(|(own, _)| own != name);
        if !value.is_empty() {
            params.push(((*name).to_owned(), (*value).to_owned()));
        }
    }
    let query: String =
        form_urlencoded::Serializer::new(String::new()).extend_pairs(&params).finish();
    format!("/authorize?{query}")
}

/// Fills the password form on the page where a journey has ended, and goes on.
pub(crate) async fn sign_in_on_page(
    browser: &mut Browser,
    journey: &Journey,
    username: &str,
) -> Journey {
    let page = journey.last();
    let form = page
        .form_to("/login")
        .fill("username", username)
        .fill("password", &format!("{username}-password"));
    let answer = browser.submit(page, &form).await;
    browser.follow(answer).await
}

/// Signs a local person in at an app, and answers the code.
pub(crate) async fn code_for(
    browser: &mut Browser,
    client: &str,
    username: &str,
    changes: &[(&str, &str)],
) -> String {
    let journey = browser.visit(&authorize_path(client, changes)).await;
    let journey = sign_in_on_page(browser, &journey, username).await;
    journey.param("code").unwrap_or_else(|| panic!("no code at the end of {:?}", journey.hops()))
}

/// Gets a code at an app without a page, because the browser's person is signed in already.
pub(crate) async fn code_by_session(
    browser: &mut Browser,
    client: &str,
    changes: &[(&str, &str)],
) -> String {
    let journey = browser.visit(&authorize_path(client, changes)).await;
    journey.param("code").unwrap_or_else(|| panic!("no code at the end of {:?}", journey.hops()))
}

/// Redeems a code as a confidential client.
pub(crate) async fn redeem(app: &TestApp, client: &str, code: &str) -> Answer {
    let redirect_uri = redirect_uri(client);
    let form = [
        ("grant_type", "authorization_code"),
        ("code", code),
        ("redirect_uri", &redirect_uri),
        ("code_verifier", VERIFIER),
    ];
    app.post_as(client, "/token", &form).await
}

/// Uses a refresh token as a confidential client.
pub(crate) async fn refresh(app: &TestApp, client: &str, token: &str) -> Answer {
    let form = [("grant_type", "refresh_token"), ("refresh_token", token)];
    app.post("/token", &form, &[("authorization", &basic(client))]).await
}

/// Whether a token is alive, as its client sees it.
pub(crate) async fn is_active(app: &TestApp, client: &str, token: &str) -> bool {
    let answer = app.post_as(client, "/introspect", &[("token", token)]).await;
    assert_eq!(answer.status, 200);
    answer.json()["active"].as_bool().unwrap()
}
