//! Pushed authorization requests (RFC 9126): the client brings what it asks, the browser a name for it.

use super::{assert_refusal_page, browser_of, start_with_people};
use crate::support::{
    app::{Answer, TestApp},
    journey::{authorize_params, authorize_path, code_by_session, redeem, sign_in_on_page},
};

const PREFIX: &str = "urn:ietf:params:oauth:request_uri:";

/// Pushes a good request, changed like this; an empty value leaves a parameter out.
async fn push(app: &TestApp, client: &str, changes: &[(&str, &str)]) -> Answer {
    let mut params = authorize_params(client);
    for (name, value) in changes {
        params.retain(|(own, _)| own != name);
        if !value.is_empty() {
            params.push(((*name).to_owned(), (*value).to_owned()));
        }
    }
    let form: Vec<(&str, &str)> = params.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    if client == "spa" {
        return app.post("/par", &form, &[]).await;
    }
    app.post_as(client, "/par", &form).await
}

async fn pushed(app: &TestApp, client: &str, changes: &[(&str, &str)]) -> String {
    let answer = push(app, client, changes).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    assert_eq!(answer.headers["cache-control"], "no-store");
    assert_eq!(answer.json()["expires_in"], 60);
    let name = answer.text("request_uri");
    assert!(name.starts_with(PREFIX), "{name}");
    name
}

fn path(client: &str, name: &str) -> String {
    let name: String = url::form_urlencoded::byte_serialize(name.as_bytes()).collect();
    format!("/authorize?client_id={client}&request_uri={name}")
}

/// RFC 9126 §2.2, §4: the name alone leads to the answer that was asked for.
#[tokio::test(flavor = "multi_thread")]
async fn a_pushed_request_is_answered() {
    let app = start_with_people("").await;
    for client in ["web", "spa"] {
        let name = pushed(&app, client, &[("state", "pushed state")]).await;
        let mut browser = app.browser();
        let journey = browser.visit(&path(client, &name)).await;
        assert!(journey.hops().iter().all(|hop| !format!("{hop:?}").contains("pushed%20state")));
        // PA-01: a page may be loaded again before the sign-in is finished.
        let journey = browser.visit(&path(client, &name)).await;
        let journey = sign_in_on_page(&mut browser, &journey, "alice").await;
        assert_eq!(journey.param("state").as_deref(), Some("pushed state"));
        if client == "web" {
            let tokens = redeem(&app, client, &journey.param("code").unwrap()).await;
            assert_eq!(tokens.status, 200, "{tokens:?}");
        }
    }
}

/// PA-01: a name is good once, for a minute, for its own client, and cannot be guessed.
#[tokio::test(flavor = "multi_thread")]
async fn a_name_is_good_for_one_answer() {
    let app = start_with_people("").await;
    let mut browser = browser_of(&app, "alice").await;
    let used = pushed(&app, "web", &[]).await;
    assert!(browser.visit(&path("web", &used)).await.param("code").is_some());
    let foreign = pushed(&app, "evil", &[]).await;
    let late = pushed(&app, "web", &[]).await;
    let guessed = format!("{PREFIX}{}", &late[PREFIX.len()..late.len() - 1]);
    let never = format!("{PREFIX}6esc_11ACC5bwc014ltc14eY22c");
    for name in [&used, &foreign, &guessed, &never] {
        let page = browser.get(&path("web", name)).await;
        assert_refusal_page(&page, 400, "request_expired");
    }
    app.clock.advance(61);
    assert_refusal_page(&browser.get(&path("web", &late)).await, 400, "request_expired");
    assert_eq!(app.refusals("authorize").await, ["invalid_request_uri"; 5]);
    assert_eq!(app.count("grants").await, 0);
}

/// PA-01: a sign-in that takes longer than the name lives is answered all the same.
#[tokio::test(flavor = "multi_thread")]
async fn a_person_may_take_their_time() {
    let app = start_with_people("").await;
    let name = pushed(&app, "web", &[]).await;
    let mut browser = app.browser();
    let journey = browser.visit(&path("web", &name)).await;
    app.clock.advance(300);
    let journey = sign_in_on_page(&mut browser, &journey, "alice").await;
    assert!(journey.param("code").is_some(), "{:?}", journey.hops());
}

/// PA-02: what stands beside the name changes nothing.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_browser_adds_does_not_count() {
    let app = start_with_people("").await;
    let mut browser = browser_of(&app, "alice").await;
    let name = pushed(&app, "web", &[("scope", "openid"), ("state", "own")]).await;
    let more = "&scope=openid%20email&state=other&redirect_uri=https%3A%2F%2Fevil.test%2Fcb\
                &prompt=none&response_type=token&nonce=n&max_age=0";
    let journey = browser.visit(&format!("{}{more}", path("web", &name))).await;
    let answer = journey.stopped_at.clone().unwrap();
    assert!(answer.as_str().starts_with("https://web.test/cb?"), "{answer}");
    assert_eq!(journey.param("state").as_deref(), Some("own"));
    let tokens = redeem(&app, "web", &journey.param("code").unwrap()).await;
    assert_eq!(tokens.text("scope"), "openid");
}

/// PA-02: nobody pushes in the name of somebody else, and nothing that would be refused at the browser.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_good_is_refused_at_once() {
    let app = start_with_people("").await;
    let form: Vec<(String, String)> = authorize_params("web");
    let form: Vec<(&str, &str)> = form.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    app.post("/par", &form, &[]).await.assert_error(401, "invalid_client");
    app.post_as("evil", "/par", &form).await.assert_error(401, "invalid_client");
    let name = pushed(&app, "web", &[]).await;
    for (change, error) in [
        (("request_uri", name.as_str()), "invalid_request"),
        (("redirect_uri", "https://evil.test/cb"), "invalid_request"),
        (("redirect_uri", ""), "invalid_request"),
        (("response_type", "token"), "unsupported_response_type"),
        (("response_type", ""), "invalid_request"),
        (("scope", "nothing-of-this"), "invalid_scope"),
        (("code_challenge", ""), "invalid_request"),
        (("prompt", "none login"), "invalid_request"),
        (("request", "e30.e30."), "request_not_supported"),
        (("id_token_hint", "no-token"), "invalid_request"),
    ] {
        push(&app, "web", &[change]).await.assert_error(400, error);
    }
    // In the address nothing counts, and credentials never stand there.
    let answer = app.post_as("web", "/par?client_id=web", &form).await;
    answer.assert_error(400, "invalid_request");
    assert_eq!(app.get("/par", None).await.status, 405);
}

/// RFC 9126 §2.1: what proves the client is not kept with the request.
#[tokio::test(flavor = "multi_thread")]
async fn credentials_are_no_part_of_a_request() {
    let app = start_with_people("").await;
    let mut form = authorize_params("web");
    form.push(("client_secret".to_owned(), "web-secret-0123456789".to_owned()));
    let form: Vec<(&str, &str)> = form.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    let answer = app.post("/par", &form, &[]).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    let mut browser = browser_of(&app, "alice").await;
    let journey = browser.visit(&path("web", &answer.text("request_uri"))).await;
    assert!(journey.param("code").is_some());
}

/// RFC 9126 §6: a client may have to push, and then nothing else is taken from a browser.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_may_have_to_push() {
    let own = "[[clients]]\nid = \"strict\"\nname = \"Strict\"\n\
               secret = \"strict-secret-0123456789\"\nredirect_uris = [\"https://strict.test/cb\"]\n\
               require_pushed_authorization_requests = true";
    let app = start_with_people(own).await;
    let mut browser = browser_of(&app, "alice").await;
    browser.stop_at("https://strict.test/");
    let journey = browser.visit(&authorize_path("strict", &[])).await;
    assert_eq!(journey.param("error").as_deref(), Some("invalid_request"));
    let name = pushed(&app, "strict", &[]).await;
    assert!(browser.visit(&path("strict", &name)).await.param("code").is_some());
    // Others do as they like.
    code_by_session(&mut browser, "web", &[]).await;
    let metadata = app.get("/.well-known/openid-configuration", None).await.json();
    assert_eq!(metadata["pushed_authorization_request_endpoint"], "https://id.test/par");
    assert_eq!(metadata["require_pushed_authorization_requests"], false);
}

/// Anybody can say to be a public client: what is kept for it is limited by network.
#[tokio::test(flavor = "multi_thread")]
async fn a_public_client_does_not_fill_the_store() {
    let app = start_with_people("[rate_limits]\nmax_new_flows = 3").await;
    for _ in 0..3 {
        pushed(&app, "spa", &[]).await;
    }
    let answer = push(&app, "spa", &[]).await;
    answer.assert_error(503, "temporarily_unavailable");
    // Who proves who they are comes from one address for many people.
    pushed(&app, "web", &[]).await;
}
