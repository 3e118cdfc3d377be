//! Answers in a fragment, and answers that are signed (JARM).

use keywright::keys::{ForeignKey, parse_unverified};
use serde_json::{Map, Value};

use super::{browser_of, start_with_people};
use crate::support::{
    app::{ISSUER, TestApp},
    browser::Journey,
    clock::START,
    journey::{STATE, authorize_path, redeem, sign_in_on_page},
};

const CLIENT: &str = "[[clients]]\nid = \"signed\"\nname = \"Signed\"\n\
    secret = \"signed-secret-0123456789\"\nredirect_uris = [\"https://signed.test/cb\"]\n\
    response_modes = [\"query\", \"fragment\", \"query.jwt\", \"fragment.jwt\", \"form_post.jwt\"]\n";

/// The parameters of an answer, wherever it travels.
fn answer(journey: &Journey, mode: &str) -> Map<String, Value> {
    if mode.starts_with("form_post") {
        let form = journey.last().form();
        assert_eq!(form.action.as_str(), "https://signed.test/cb");
        return form
            .fields
            .iter()
            .map(|(name, value)| (name.clone(), Value::from(value.clone())))
            .collect();
    }
    let to = journey.stopped_at.clone().unwrap_or_else(|| panic!("{:?}", journey.hops()));
    let (own, other) = if mode.starts_with("fragment") {
        (to.fragment(), to.query())
    } else {
        (to.query(), to.fragment())
    };
    assert_eq!(other, None, "{to}");
    let pairs = url::form_urlencoded::parse(own.unwrap().as_bytes());
    pairs.map(|(name, value)| (name.into_owned(), Value::from(value.into_owned()))).collect()
}

/// What a signed answer says, if one of our published keys has signed it.
async fn verified(app: &TestApp, params: &Map<String, Value>, alg: &str) -> Map<String, Value> {
    let names: Vec<&String> = params.keys().collect();
    assert_eq!(names, ["response"], "nothing stands beside it");
    let token = params["response"].as_str().unwrap();
    let (header, claims) = parse_unverified(token).unwrap();
    assert_eq!((&header["alg"], &header["typ"]), (&Value::from(alg), &Value::from("JWT")));
    let jwks = app.get("/.well-known/jwks.json", None).await.json();
    let keys = jwks["keys"].as_array().unwrap();
    let jwk = keys.iter().find(|key| key["kid"] == header["kid"]).unwrap();
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let signature = keywright::foundation::digest::from_base64url(signature).unwrap();
    assert!(ForeignKey::new(jwk, alg).unwrap().verifies(signed.as_bytes(), &signature));
    claims
}

/// JARM §2.1, §2.3: the code and the state come in a JWT for this client and nobody else, for a moment.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_can_be_signed() {
    for (line, alg) in [("", "RS256"), ("authorization_signed_response_alg = \"ES256\"", "ES256")] {
        let app = start_with_people(&format!("{CLIENT}{line}")).await;
        let mut browser = browser_of(&app, "alice").await;
        browser.stop_at("https://signed.test/");
        for mode in ["query.jwt", "fragment.jwt", "form_post.jwt", "jwt"] {
            let journey =
                browser.visit(&authorize_path("signed", &[("response_mode", mode)])).await;
            let claims = verified(&app, &answer(&journey, mode), alg).await;
            assert_eq!((&claims["iss"], &claims["aud"]), (&ISSUER.into(), &"signed".into()));
            assert_eq!((&claims["state"], &claims["exp"]), (&STATE.into(), &(START + 300).into()));
            let tokens = redeem(&app, "signed", claims["code"].as_str().unwrap()).await;
            assert_eq!(tokens.status, 200, "{mode}: {tokens:?}");
            // It is no token of anybody's.
            let token = answer(&journey, mode)["response"].as_str().unwrap().to_owned();
            let bearer = app.get("/userinfo", Some(&format!("Bearer {token}"))).await;
            assert_eq!(bearer.status, 401);
            let hint = authorize_path("web", &[("id_token_hint", &token)]);
            let refused = browser.visit(&hint).await;
            assert_eq!(refused.param("error").as_deref(), Some("invalid_request"));
        }
    }
}

/// JARM §2.2: errors are signed as well, as soon as it is known that the client wants it.
#[tokio::test(flavor = "multi_thread")]
async fn an_error_is_signed_too() {
    let app = start_with_people(CLIENT).await;
    let mut browser = app.browser();
    browser.stop_at("https://signed.test/");
    let asked = [("response_mode", "query.jwt"), ("prompt", "none")];
    let journey = browser.visit(&authorize_path("signed", &asked)).await;
    let claims = verified(&app, &answer(&journey, "query"), "RS256").await;
    assert_eq!((&claims["error"], &claims["state"]), (&"login_required".into(), &STATE.into()));
    assert!(claims.get("code").is_none());
}

/// OAuth 2.0 Multiple Response Types §2.1: the fragment, for who has registered it.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_can_travel_in_the_fragment() {
    let app = start_with_people(CLIENT).await;
    let mut browser = browser_of(&app, "alice").await;
    browser.stop_at("https://signed.test/");
    let journey = browser.visit(&authorize_path("signed", &[("response_mode", "fragment")])).await;
    let params = answer(&journey, "fragment");
    assert_eq!((&params["state"], &params["iss"]), (&STATE.into(), &ISSUER.into()));
    let tokens = redeem(&app, "signed", params["code"].as_str().unwrap()).await;
    assert_eq!(tokens.status, 200, "{tokens:?}");
    let metadata = app.get("/.well-known/openid-configuration", None).await.json();
    let modes = ["query", "fragment", "form_post", "query.jwt", "fragment.jwt", "form_post.jwt"];
    assert_eq!(metadata["response_modes_supported"], serde_json::json!(modes));
}

/// Initiating User Registration §4: `prompt=create` leads to the form for a new account, for who is
/// signed in as well; where nobody may make one, it is a sign-in like any other.
#[tokio::test(flavor = "multi_thread")]
async fn an_app_can_send_people_to_make_an_account() {
    let create = authorize_path("web", &[("prompt", "create")]);
    let app = start_with_people("[signup]\nlocal = \"open\"").await;
    for mut browser in [app.browser(), browser_of(&app, "alice").await] {
        let journey = browser.visit(&create).await;
        assert_eq!(journey.last().url.path(), "/signup", "{:?}", journey.hops());
        assert!(journey.last().forms().iter().any(|form| form.action.path() == "/signup"));
    }
    let app = start_with_people("[signup]\nlocal = \"closed\"").await;
    let mut browser = app.browser();
    let journey = browser.visit(&create).await;
    assert_eq!(journey.last().url.path(), "/login");
    let journey = sign_in_on_page(&mut browser, &journey, "alice").await;
    assert!(journey.param("code").is_some());
    assert_eq!(app.count("users").await, 2);
}
